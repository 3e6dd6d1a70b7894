"""Fetal Planes: the service that runs in production. It imports neither torch nor `model_build`."""

__version__ = "0.5.0"
