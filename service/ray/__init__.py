"""The service on many machines, under Ray. Needs the extra `ray`; only the CLI and this package import it."""
