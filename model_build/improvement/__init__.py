"""From corrections of a model's answers to a better model, or to the reason why it is not better."""
