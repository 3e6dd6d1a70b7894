"""The same model behind other servers, each set up as its own documentation has it."""
