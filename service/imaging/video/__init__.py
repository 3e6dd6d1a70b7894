"""Read videos with OpenCV's FFmpeg: an index of the packets first, then the frames, one by one."""
