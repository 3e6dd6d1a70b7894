"""Drawn frames to try the service with: no patient's image is involved, and each frame says so in its caption."""
