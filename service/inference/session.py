"""Opens sessions of ONNX Runtime, and runs them as part of the current run."""

from typing import Any

import onnxruntime as ort

from service.execution.work import current_work
from service.inference.package import PackageError


def open_session(graph: bytes, name: str, threads: int = 1) -> ort.InferenceSession:
    """Open a graph in ONNX's serialized form; `name` is for the error.

    Raises
    ------
    PackageError
        ONNX Runtime cannot load it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait are quick to start, and steal the cores from whatever else would run. With one
    # thread there is nothing to wait for; with more, they spin within a run and stop at its end.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 1)))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own kinds, which share no base
        raise PackageError(f"ONNX Runtime cannot load {name}: {error}") from error


def run_session(session: ort.InferenceSession, outputs: list[str] | None, inputs: dict[str, Any]) -> list[Any]:
    """Run a session as part of the current run, which may be stopped meanwhile; raises `Stopped` then."""
    run = current_work()
    try:
        results: list[Any] = session.run(outputs, inputs, run.options)
    except Exception:
        run.check()  # ended midway, ONNX Runtime raises an error of its own
        raise
    return results
