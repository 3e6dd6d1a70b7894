"""Configures the libraries of this process. No other module of the service changes process-wide state."""

import logging
import os
import warnings
from functools import cache
from importlib.util import find_spec


@cache
def configure_process() -> None:
    """Turn off telemetry, library threads and library output that could quote an upload.

    The app, both command lines and `service.inference.session` call this function. The first call does the work,
    further calls do nothing. Call it before anything imports ONNX Runtime or Ray.
    """
    _disable_telemetry()
    _silence_dicom_libraries()
    _configure_opencv()


def _disable_telemetry() -> None:
    # ONNX Runtime (since 1.29) and Ray report usage to their makers, model names and hashes included. Both read these
    # variables while they are imported. A service that handles patients' frames must not report to anybody.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def _silence_dicom_libraries() -> None:
    # Broken metadata is common and does not stop a file from being read. Warnings and log lines quote the broken value,
    # which may be a patient's name.
    warnings.filterwarnings("ignore", module="PIL|pydicom|highdicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("highdicom").setLevel(logging.CRITICAL)
    if find_spec("pydicom") is not None:
        from pydicom import config

        config.settings.reading_validation_mode = config.IGNORE
        # A result copies the study's attributes as they are; the service does not correct them.
        config.settings.writing_validation_mode = config.IGNORE


def _configure_opencv() -> None:
    import cv2

    # The worker pool decodes frames side by side; threads inside one call would compete for the same cores.
    cv2.setNumThreads(1)
    # OpenCV writes its opinion of a damaged upload to standard error, past the log and its format.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
