"""Configures the libraries of this process. No other module of the service changes process-wide state."""

import ctypes
import gc
import logging
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_SWITCH_S = 0.0005
_KEPT_BLOCK = 4 * 2**20  # bytes: an ordinary frame in color; larger blocks go back to the system


@cache
def configure_process() -> None:
    """Turn off telemetry, core dumps, library threads and library output that could quote an upload.

    The app, both command lines and `service.inference.session` call this function. The first call does the work,
    further calls do nothing. Call it before anything imports ONNX Runtime or Ray.
    """
    # ONNX Runtime (since 1.29) and Ray report usage to their makers, model names and hashes included. Both read these
    # variables while they are imported. A service that handles patients' frames must not report to anybody.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

    # A core dump would hold uploads and patients' names. Child processes inherit the limit.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    # The variable of another program: prometheus_client would write metrics into the folder, which may not exist.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)
    if (values := sys.modules.get("prometheus_client.values")) is not None:  # it has read the variable
        values.ValueClass = values.MutexValue  # type: ignore[attr-defined]

    _share_ca_certificates()

    # Broken metadata is common and does not stop a file from being read. Warnings and log lines quote the broken value,
    # which may be a patient's name.
    warnings.filterwarnings("ignore", module="PIL|pydicom|highdicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("highdicom").setLevel(logging.CRITICAL)
    for name in ("sqlalchemy", "alembic"):  # at `debug` they would log the rows of the store
        logging.getLogger(name).setLevel(logging.WARNING)
    if "pydicom.config" in sys.modules:
        _configure_pydicom(sys.modules["pydicom.config"])
    else:  # a service that needs no pydicom saves a fifth of its start
        sys.meta_path.insert(0, _PydicomFinder())

    _keep_freed_memory()

    import cv2

    # The worker pool decodes frames side by side; threads inside one call would compete for the same cores.
    cv2.setNumThreads(1)
    # OpenCV writes its opinion of a damaged upload to standard error, past the log and its format.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class _PydicomFinder(MetaPathFinder):
    """Configures pydicom when something imports it."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the module's own spec, whose loader also configures it; None for any other module."""
        if name != "pydicom.config":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_execute_and_configure, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _execute_and_configure(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    execute(module)
    _configure_pydicom(module)


def _configure_pydicom(config: ModuleType) -> None:
    config.settings.reading_validation_mode = config.IGNORE
    # A result copies the study's attributes as they are; the service does not correct them.
    config.settings.writing_validation_mode = config.IGNORE


def _keep_freed_memory() -> None:
    """Let the allocator (glibc's) keep the memory of a picture for the next one.

    By default it returns a block of this size to the system, and every picture faults all of its pages in again: a
    third of the CPU time of decoding a JPEG.
    """
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT_BLOCK)
        # Every thread that meets a locked heap starts another one, which keeps its own freed blocks. There are many
        # more threads than cores: after a thousand hostile uploads, 110 MiB lay in such heaps.
        mallopt(_M_ARENA_MAX, len(os.sched_getaffinity(0)))


def _share_ca_certificates() -> None:
    """Have every HTTP client trust the same certificate authorities: those of a variable, else the system's.

    httpx2 reads the first two variables, requests the others, and its own list of authorities without them.
    """
    import ssl  # takes a while, and `configure_signals` must come early

    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    system = (ssl.get_default_verify_paths().cafile or "", "/etc/ssl/certs/ca-certificates.crt")
    chosen = next((value for name in names if (value := os.environ.get(name))), None)
    chosen = chosen or next((file for file in system if Path(file).is_file()), None)
    if chosen:
        kind, other = ("SSL_CERT_DIR", "SSL_CERT_FILE") if Path(chosen).is_dir() else ("SSL_CERT_FILE", "SSL_CERT_DIR")
        os.environ.pop(other, None)
        os.environ |= {kind: chosen, "REQUESTS_CA_BUNDLE": chosen}


def configure_signals(*, serves: bool) -> None:
    """Make SIGTERM end this process, and SIGHUP not end a service, from now on. `service.server` takes over later."""
    if serves:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the package that a reload would read is yet to be read
    if os.getpid() == 1:  # the kernel ignores SIGTERM for the first process of a container that has no handler
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def pause_garbage_collection() -> None:
    """Collect no garbage until `favor_event_loop`: while modules load, nearly every object stays, and is visited often.

    Only for a process that becomes a server.
    """
    gc.disable()


def return_freed_memory() -> None:
    """Give the memory that a model package took while it was opened back to the system (glibc)."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def favor_event_loop() -> None:
    """Shorten how long the event loop waits for Python's lock, and collect garbage again.

    A full garbage collection visits every object and holds the lock: with the 100,000 objects of libraries and model it
    stops the loop for some 0.1 s, so those that exist now are exempted. A busy thread keeps the lock for 5 ms at a
    time, and a health probe needs it some ten times.

    A server calls this function once, when it is ready.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    return_freed_memory()
    sys.setswitchinterval(_SWITCH_S)


def configure_dicom_network() -> None:
    """Configure pynetdicom for this process, which listens for DICOM; call it before it listens.

    pynetdicom accepts every storage class, also a private one: a scanner sends whatever it has, and what the service
    does not read is skipped. Its log lines and the errors of its threads quote what others send.
    """
    from pynetdicom import _config

    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    threading.excepthook = _log_thread_failure


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    details = {"exception": failure.exc_type.__qualname__, "thread": failure.thread.name if failure.thread else None}
    logging.getLogger("fetal_planes.listener").warning("a thread failed", extra=details)
