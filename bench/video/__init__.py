"""The measurements of reading a video."""
