"""Where the bytes of an upload are, and which format they have."""
