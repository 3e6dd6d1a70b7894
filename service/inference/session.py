"""Open ONNX Runtime sessions, and run them as part of the current work.

This module imports ONNX Runtime inside its functions: telemetry must be turned off before the import.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.execution.work import current_work
from service.inference.package import PackageError, Providers
from service.process_setup import configure_process

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

_CPU = "CPUExecutionProvider"
_MAX_FOLDED_BYTES = 16 * 2**20


def open_session(
    graph: bytes, name: str, threads: int = 1, providers: Providers = MappingProxyType({})
) -> "InferenceSession":
    """Open a graph in ONNX's serialized form as part of the current work.

    Raises PackageError with the file's `name` where that fails or a provider is missing, and WorkStopped where the work
    is stopped meanwhile.
    """
    configure_process()
    import onnxruntime as ort

    _share_arena()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads start faster, and take the cores from other runs while they wait. A single thread never waits;
    # several spin within a run and stop at its end.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 1)))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Only the format whose fields `check_self_contained` reads, and no constants that grow while the graph is opened.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(_MAX_FOLDED_BYTES))
    options.log_severity_level = 4  # its errors arrive as exceptions; the log has lines of JSON only
    wanted = _wanted(providers)
    work = current_work()
    with work.on_stop(lambda _: options.set_load_cancellation_flag(True)):
        work.check()
        try:
            session = ort.InferenceSession(graph, options, providers=wanted, enable_fallback=0)
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            work.check()
            raise PackageError(f"ONNX Runtime cannot load {name}: {error}") from error
    # ONNX Runtime goes on without a provider that cannot be set up.
    if missing := [each for each, _ in wanted if each not in session.get_providers()]:
        raise PackageError(f"ONNX Runtime cannot use {', '.join(missing)}: its libraries or its device are missing")
    if hasattr(session, "_model_bytes"):
        session._model_bytes = b""  # kept for opening the graph again with other providers, which nothing does
    return session


def _wanted(providers: Providers) -> list[tuple[str, dict[str, str]]]:
    """Return the providers for ONNX Runtime, the CPU's last; raises PackageError where one is not in this build."""
    from onnxruntime import get_available_providers

    available = get_available_providers()
    if unknown := [name for name in providers if name not in available]:
        raise PackageError(
            f"FETAL_PLANES_PROVIDERS: this build of ONNX Runtime has no {', '.join(unknown)}; "
            f"it has {', '.join(available)}"
        )
    return [(name, dict(options)) for name, options in ({**providers, _CPU: providers.get(_CPU, {})}).items()]


@cache
def _share_arena() -> None:
    """Let all sessions of this process take the memory of a run from one arena, instead of each keeping its own."""
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    unlimited_and_default = ort.OrtArenaCfg(0, -1, -1, -1)
    ort.create_and_register_allocator(memory, unlimited_and_default)


def run_session(
    session: "InferenceSession", outputs: list[str] | None, inputs: Mapping[str, Floats | NDArray[np.uint8]]
) -> list[Any]:
    """Run a session as part of the current work; raises WorkStopped if that is stopped before or during the run."""
    from onnxruntime import RunOptions

    work, options = current_work(), RunOptions()
    options.log_severity_level = 4  # see `open_session`
    with work.on_stop(lambda _: setattr(options, "terminate", True)):
        work.check()  # after the callback is registered, so that no stop falls between the two
        try:
            results: list[Any] = session.run(outputs, inputs, options)
        except Exception:
            work.check()  # a terminated run raises an error of ONNX Runtime's own
            raise
    return results
