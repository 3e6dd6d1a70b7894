"""Open sessions of ONNX Runtime, and run them as part of the current work."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.execution.work import current_work
from service.inference.package import PackageError

Floats = NDArray[np.float32]


def open_session(graph: bytes, name: str, threads: int = 1) -> ort.InferenceSession:
    """Open a graph in ONNX's serialized form; `name` appears in the error message.

    Raises
    ------
    PackageError
        ONNX Runtime cannot load the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads start faster, and take the cores from other runs while they wait. A single thread never waits;
    # several spin within a run and stop at its end.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 1)))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise PackageError(f"ONNX Runtime cannot load {name}: {error}") from error


def run_session(
    session: ort.InferenceSession, outputs: list[str] | None, inputs: Mapping[str, Floats | NDArray[np.uint8]]
) -> list[Any]:
    """Run a session as part of the current work.

    Raises
    ------
    WorkStopped
        The work was stopped before or during the run.
    """
    work = current_work()
    try:
        results: list[Any] = session.run(outputs, inputs, work.options)
    except Exception:
        work.check()  # a terminated run raises an error of ONNX Runtime's own
        raise
    return results
