"""The build stage: trains the attention EfficientNet in PyTorch and exports it as a model package."""

import service  # noqa: F401 (first of all, for it keeps ONNX Runtime from reporting its use)
