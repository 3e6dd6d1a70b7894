"""Attack a service, and decoders, with hostile and damaged files: `python -m bench.hostile`."""
