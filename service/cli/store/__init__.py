"""The commands `store …`."""
