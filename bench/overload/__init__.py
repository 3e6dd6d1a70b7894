"""What the service answers to clients that ask again at once after a refusal."""
