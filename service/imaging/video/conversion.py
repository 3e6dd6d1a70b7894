"""Notice that FFmpeg could not convert a frame, which OpenCV 5.0 does not report: it returns what was in the memory.

FFmpeg 8 refuses to convert a frame that is flagged as interlaced into one that is not, and says so in its log alone.
The log of the conversions goes to a function of ours.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

_ERROR = 16  # AV_LOG_ERROR; a lower number is worse
_FOLDERS = ("../opencv_python_headless.libs", ".dylibs")  # of OpenCV's wheels for Linux and for macOS


class _Failures(threading.local):
    count = 0


_failures = _Failures()


def _note(_: int | None, level: int, __: bytes | None, ___: int | None) -> None:
    if level <= _ERROR:
        _failures.count += 1


_NOTE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_note)


def _ffmpeg() -> ctypes.CDLL | None:
    """Return the library of OpenCV that has FFmpeg's log; None where the wheel holds it in another way."""
    folder = Path(cv2.__file__).parent
    found = [path for each in _FOLDERS for path in sorted((folder / each).glob("libavutil*"))]
    return ctypes.CDLL(str(found[0])) if found else None


_LIBRARY = _ffmpeg()  # now: a decoder process opens no file


def has_log() -> bool:
    """Return whether a failed conversion can be noticed here."""
    return _LIBRARY is not None


class ConversionError(Exception):
    """FFmpeg could not convert a frame."""


@contextmanager
def checked_conversion() -> Iterator[None]:
    """Return a context at whose end `ConversionError` is raised if a conversion in it failed."""
    assert _LIBRARY is not None
    _failures.count = 0
    _LIBRARY.av_log_set_callback(_NOTE)
    try:
        yield
    finally:
        _LIBRARY.av_log_set_callback(_LIBRARY.av_log_default_callback)
    if _failures.count:
        raise ConversionError
