"""Another execution provider next to the CPU's."""
