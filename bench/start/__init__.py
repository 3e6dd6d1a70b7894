"""What a start of the service costs: its CPU time and its memory, and that of its decoders."""
