"""The choice of the precision that a package's network is computed in.

INT8 is faster where the CPU multiplies and sums 8-bit integers in one instruction: VNNI of x86, the dot product of Arm.
Older x86 CPUs sum two products in 16 bits, which overflow: INT8 would give wrong answers there, so it is refused. Where
the instruction is there, `auto` also times both graphs, because a virtual machine may emulate it.
"""

import platform
import re
import sys
from pathlib import Path
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.inference.package import CLASSIFIER, ModelPackage, PackageError
from service.inference.session import open_session, run_session
from service.schemas.manifest import PrecisionChoice

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_INSTRUCTIONS = {"avx512_vnni", "avx_vnni", "asimddp"}  # flags of /proc/cpuinfo
_CPU_INFO = Path("/proc/cpuinfo")
_RUNS = 5  # of each graph, in turns, after one that does not count
_FASTER = 0.9  # INT8 must take at most this share of float32's time: a smaller gain may be noise


def choose_precision(package: ModelPackage, choice: PrecisionChoice) -> ModelPackage:
    """Return a package as `load_package` gives it in the precision of a choice.

    `auto` takes INT8 where the package has it, the CPU has an instruction for it, and it is faster on this machine.

    Raises
    ------
    PackageError
        The choice is INT8, and the package has none or the CPU lacks the instruction; or ONNX Runtime cannot load a
        graph.
    """
    if choice == "int8" and package.int8 is not None and not has_int8_instruction():
        raise PackageError("this CPU has neither VNNI nor Arm's dot product: INT8 would overflow; use float32")
    if choice == "auto" and package.providers:  # which choose by themselves
        choice = "float32"
    if choice == "auto":
        choice = "int8" if package.int8 and has_int8_instruction() and is_faster(package) else "float32"
    return package.at(choice)


def has_int8_instruction(cpu_info: Path = _CPU_INFO) -> bool:
    """Return whether the CPU is known to multiply 8-bit integers in one instruction."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"  # each of Apple's has the dot product
    try:
        text = cpu_info.read_text("utf-8", "replace")
    except OSError:  # another system, or no /proc
        return False
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return flags is not None and not _INSTRUCTIONS.isdisjoint(flags[1].split())


def is_faster(package: ModelPackage) -> bool:
    """Return whether INT8 takes clearly less CPU time than float32 on this machine."""
    float32, int8 = measure_seconds(package)
    return int8 <= _FASTER * float32


def measure_seconds(package: ModelPackage, runs: int = _RUNS) -> tuple[float, float]:
    """Return the median CPU seconds of the classifier for one frame, in float32 and in INT8; both run in turns."""
    assert package.int8 is not None
    side = package.manifest.preprocessing.size
    frame = np.random.default_rng(0).integers(0, 256, (1, 1, side, side), np.uint8)
    sessions = [open_session(graph, CLASSIFIER) for graph in (package.classifier, package.int8.classifier)]
    times: list[list[float]] = [[], []]
    for _ in range(runs + 1):
        for session, own in zip(sessions, times, strict=True):
            own.append(_seconds(session, frame))
    float32, int8 = (median(own[1:]) for own in times)
    return float32, int8


def _seconds(session: "InferenceSession", frame: NDArray[np.uint8]) -> float:
    started = thread_time()  # the session has one thread, which is this one: other load does not count
    run_session(session, None, {"frames": frame})
    return thread_time() - started
