"""Wire types: every JSON shape of the HTTP interface, and the manifest of a model package."""
