"""The model package, the ONNX Runtime sessions and the pool they run in."""
