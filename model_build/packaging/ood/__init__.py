"""Fit what the graph says about inputs that are not frames of the planes."""
