"""Measurements that write their results into the documentation, each a command: `python -m bench.NAME`."""
