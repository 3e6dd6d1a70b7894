"""The load generator of `fetal-planes bench`: closed and open loops against a running service."""
