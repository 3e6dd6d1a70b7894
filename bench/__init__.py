"""The service beside other servers: the same frames, model and machine, in one run."""
