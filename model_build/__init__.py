"""The build stage: trains the attention EfficientNet in PyTorch and exports it as a model package."""
