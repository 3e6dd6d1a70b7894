"""The command `listen`: a destination for scanners, which sends results to a configured archive."""
