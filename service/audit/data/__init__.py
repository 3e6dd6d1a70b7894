"""Sources of an audit, read by DuckDB into one table of frames and one row per exam."""
