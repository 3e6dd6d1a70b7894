"""The sub-planes of the fetal brain, told by a head of their own on the frozen backbone of a finished run."""
