"""Configures the libraries of this process. No other module of the service changes process-wide state."""

import gc
import logging
import os
import warnings
from contextlib import suppress
from functools import cache


@cache
def configure_process() -> None:
    """Turn off telemetry, library threads and library output that could quote an upload.

    The app, both command lines and `service.inference.session` call this function. The first call does the work,
    further calls do nothing. Call it before anything imports ONNX Runtime or Ray.
    """
    # ONNX Runtime (since 1.29) and Ray report usage to their makers, model names and hashes included. Both read these
    # variables while they are imported. A service that handles patients' frames must not report to anybody.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

    # Broken metadata is common and does not stop a file from being read. Warnings and log lines quote the broken value,
    # which may be a patient's name.
    warnings.filterwarnings("ignore", module="PIL|pydicom|highdicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("highdicom").setLevel(logging.CRITICAL)
    with suppress(ModuleNotFoundError):  # the extra `dicom` is not installed
        from pydicom import config

        config.settings.reading_validation_mode = config.IGNORE
        # A result copies the study's attributes as they are; the service does not correct them.
        config.settings.writing_validation_mode = config.IGNORE

    import cv2

    # The worker pool decodes frames side by side; threads inside one call would compete for the same cores.
    cv2.setNumThreads(1)
    # OpenCV writes its opinion of a damaged upload to standard error, past the log and its format.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def exempt_startup_objects() -> None:
    """Exclude the objects that exist now from garbage collection.

    A full collection visits every object and holds Python's lock: with the 100,000 objects of libraries and model it
    stops the event loop for some 0.1 s. A server calls this function once, when it is ready.
    """
    gc.collect()
    gc.freeze()
