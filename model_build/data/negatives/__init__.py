"""Frames without a plane: negatives for the outlier head."""
