"""Load against a running service, and what it took: `fetal-planes bench`."""
