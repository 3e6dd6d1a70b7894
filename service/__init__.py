"""Fetal Planes: the service that runs in production. It imports neither torch nor `model_build`."""

import os

__version__ = "0.1.0"

# Since 1.29 ONNX Runtime reports its use to its maker, models' names and hashes included, unless this is set before it
# loads. A service that is given patients' frames reports to nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# OpenCV writes what it thinks of a damaged upload to standard error, past the log, its limits and its form.
os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
