from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import pytest

from service.execution.work import StopReason, Work, WorkStopped, work_context
from service.inference.engine import Engine, Scores
from service.inference.package import ModelPackage, PackageError, load_package
from tests.support.hostile_packages import multiply_ones, write_changed
from tests.support.images import speckle
from tests.support.phantom_package import PLANES, Phantom


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_the_model_s(engine: Engine, phantom: Phantom, seed: int) -> None:
    frame = speckle(64, 64, seed)
    scores = engine.score(frame)
    np.testing.assert_allclose(scores.probabilities, phantom.probabilities(frame), atol=1e-6)
    assert scores.ood_score == pytest.approx(phantom.ood_score(frame), rel=1e-5)
    assert scores.distance == pytest.approx(phantom.distance(frame), rel=1e-5)
    assert scores.features is None
    assert scores.ranked() == list(np.argsort(-phantom.probabilities(frame)))


@pytest.mark.parametrize("plane", range(len(PLANES)))
def test_explain_is_grad_cam_scaled_to_1(engine: Engine, phantom: Phantom, plane: int) -> None:
    frame = speckle(64, 64, 1)
    heat = engine.explain(engine.score(frame, with_features=True), plane)
    raw = phantom.heatmap(frame, plane)
    assert heat.raw_max == pytest.approx(raw.max(), rel=1e-4)
    np.testing.assert_allclose(heat.values * heat.raw_max, raw, atol=1e-6)
    assert heat.empty == (raw.max() == 0)
    if not heat.empty:
        assert heat.values.max() == 1


def test_explain_needs_features(engine: Engine) -> None:
    with pytest.raises(ValueError, match="without features"):
        engine.explain(engine.score(speckle(64, 64)), 0)


def test_equally_probable_planes_rank_in_the_manifest_s_order() -> None:
    assert Scores(np.array([0.2, 0.4, 0.4], np.float32), 0.0, 0.0).ranked() == [1, 2, 0]


def test_sessions_use_one_thread_and_do_not_spin(engine: Engine) -> None:
    for session in (engine._classifier, engine._explainer):
        options = session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert session.get_providers() == ["CPUExecutionProvider"]


def package_of(phantom: Phantom, folder: Path) -> ModelPackage:
    return load_package(phantom.write(folder))


def test_a_graph_of_another_size_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    small = package_of(Phantom(size=32), tmp_path)
    package = replace(small, manifest=package_of(phantom, tmp_path / "b").manifest)
    with pytest.raises(PackageError, match="64, 64"):
        Engine(package)


def test_a_graph_with_another_number_of_planes_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    two = package_of(Phantom(planes=("a", "b")), tmp_path)
    package = replace(two, manifest=package_of(phantom, tmp_path / "b").manifest)
    with pytest.raises(PackageError, match="6 planes"):
        Engine(package)


@pytest.mark.parametrize("name", ["classifier", "explainer"])
def test_swapped_graphs_are_refused(phantom: Phantom, tmp_path: Path, name: str) -> None:
    package = package_of(phantom, tmp_path)
    other = {"classifier": package.explainer, "explainer": package.classifier}[name]
    with pytest.raises(PackageError, match=f"{name}.onnx must take"):
        Engine(replace(package, **{name: other}))  # type: ignore[arg-type]


def test_bytes_that_are_not_a_graph_are_refused(phantom: Phantom, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"cannot load classifier\.onnx"):
        Engine(replace(package_of(phantom, tmp_path), classifier=b"nonsense"))


def test_warm_up_refuses_a_model_with_invalid_outputs(phantom: Phantom, tmp_path: Path) -> None:
    broken = Phantom()
    broken.head = np.full_like(phantom.head, np.nan)
    engine = Engine(package_of(broken, tmp_path))
    with pytest.raises(PackageError, match="black frame"):
        engine.warm_up()


def test_warm_up_accepts_a_valid_model(engine: Engine) -> None:
    engine.warm_up()


def test_answers_do_not_depend_on_concurrent_runs(engine: Engine) -> None:
    frames = [speckle(64, 64, seed) for seed in range(8)]
    alone = [engine.score(frame).probabilities for frame in frames]

    def ask(number: int) -> Any:
        return engine.score(frames[number % 8]).probabilities

    with ThreadPoolExecutor(4) as threads:
        for number, together in enumerate(threads.map(ask, range(160))):
            np.testing.assert_array_equal(together, alone[number % 8])


def test_constants_do_not_grow_while_a_graph_is_opened(tmp_path: Path) -> None:
    """ONNX Runtime would multiply 100 MB of ones by themselves, and keep the product as a constant."""
    folder = write_changed(tmp_path / "package", partial(multiply_ones, side=5000))
    started = thread_time()
    Engine(load_package(folder))
    assert thread_time() - started < 1  # 250 billion operations take several seconds


def test_opening_a_graph_can_be_stopped(phantom: Phantom, tmp_path: Path) -> None:
    with work_context(Work()) as work:
        work.stop(StopReason.DEADLINE)
        with pytest.raises(WorkStopped):
            Engine(package_of(phantom, tmp_path))
