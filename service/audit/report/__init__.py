"""The page, the tables and the JSON of an audit."""
