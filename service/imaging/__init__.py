"""Decode bytes into a frame, fit the frame to the network's input, and paint a heat map over the frame."""
