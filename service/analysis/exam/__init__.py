"""Sort an exam, count a person's corrections, and draw the evidence of its first frames."""
