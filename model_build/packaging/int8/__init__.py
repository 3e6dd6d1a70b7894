"""The quantized classifier of a package: graph, constants, and the gates that it must pass."""
