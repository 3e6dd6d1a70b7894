"""The model package and the ONNX Runtime sessions that run it."""
