"""From bytes to a frame to the network's input, and from a heat map to a picture."""
