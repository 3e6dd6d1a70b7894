"""The HTTP interface: one small router a concern."""
