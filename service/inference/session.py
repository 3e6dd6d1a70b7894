"""Opens ONNX Runtime sessions and runs them as part of the current work.

This module imports ONNX Runtime inside its functions: telemetry must be turned off before the import.
"""

from typing import TYPE_CHECKING, Any

from service.execution.work import WorkStopped, current_work
from service.inference.package import PackageError
from service.process_setup import configure_process

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(graph: bytes, name: str, threads: int = 1) -> "InferenceSession":
    """Open a graph in ONNX's serialized form; `name` is for the error.

    Raises
    ------
    PackageError
        ONNX Runtime cannot load it.
    """
    configure_process()
    import onnxruntime as ort

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


def run_session(session: "InferenceSession", outputs: list[str] | None, inputs: dict[str, Any]) -> list[Any]:
    """Run a session as part of the current run, which may be stopped meanwhile; raises `Stopped` then."""
    from onnxruntime import RunOptions

    work = current_work()
    options = RunOptions()

    def terminate(_: WorkStopped) -> None:
        options.terminate = True

    with work.telling(terminate):
        work.check()
        try:
            results: list[Any] = session.run(outputs, inputs, options)
        except Exception:
            work.check()  # a terminated run raises an error of ONNX Runtime's own
            raise
    return results
