"""Measure what decoder processes take: `python -m bench.decoder_memory`."""
