"""Importing a module of the service must not change the process: `configure_process` does that, once."""

import json
import subprocess
import sys

from tests.support.paths import ROOT

PROGRAM = """
import importlib, json, logging, os, pkgutil, warnings
import service

def state():
    import cv2
    from pydicom import config
    return {
        "environment": dict(os.environ),
        "cv2 threads": cv2.getNumThreads(),
        "cv2 log level": cv2.utils.logging.getLogLevel(),
        "reading": config.settings.reading_validation_mode,
        "writing": config.settings.writing_validation_mode,
        "pydicom level": logging.getLogger("pydicom").level,
        "highdicom level": logging.getLogger("highdicom").level,
        "filters": sorted(str(entry) for entry in warnings.filters if "pydicom" in str(entry)),
    }

def imported():
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if module.name.endswith("__main__") or module.name.startswith("service.ray."):
            continue  # Ray changes the environment itself when it is imported
        try:
            importlib.import_module(module.name)
            yield module.name
        except ImportError as error:
            if error.name is None or error.name.startswith("service"):
                raise  # only a missing extra excuses a module

before = state()
names = list(imported())
after = state()
from service.process_setup import configure_process
configure_process()
print(json.dumps([len(names), before, after, state()], default=str))
"""


def test_only_configure_process_changes_the_process() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True)
    count, before, after, configured = json.loads(run.stdout)
    assert count > 60
    assert after == before
    assert configured["environment"]["ORT_DISABLE_TELEMETRY"] == "1"
    assert configured["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert (configured["cv2 threads"], configured["cv2 log level"]) == (1, 0)
    assert (configured["reading"], configured["writing"]) == (0, 0)
