"""Exact intervals, the comparison of a group with others, and changes within a year."""
