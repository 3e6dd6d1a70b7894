"""Request ids, log lines and metrics: what an operator sees, and nothing of an upload."""
