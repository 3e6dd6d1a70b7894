"""HTTP connections: their number, their time limits, and how they end."""
