"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository's root."""

DATA = ROOT.parent / "shared" / "data"
"""Real frames; absent on machines that have the repository only."""
