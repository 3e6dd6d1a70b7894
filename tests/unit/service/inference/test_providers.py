"""Other execution providers: what is missing is named, and answers that differ from the CPU's are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from service.app import create_app
from service.inference import providers
from service.inference.engine import Engine
from service.inference.package import PackageError, load_package
from service.inference.precision import choose_precision
from service.inference.providers import HEAT, PROBABILITY, SCORE, Deviation, compare, open_engine
from service.jobs.journal import JobKey
from service.jobs.tables.shard import TableJob
from service.settings import Settings
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom

OTHER = "AzureExecutionProvider"  # in every build for the CPU; it leaves these graphs to the CPU's
NAMES = [OTHER, "CPUExecutionProvider"]


def test_a_provider_that_is_not_in_the_build_is_named_with_those_that_are(tmp_path: Path) -> None:
    package = load_package(Phantom().write(tmp_path)).on({"CUDAExecutionProvider": {}})
    with pytest.raises(PackageError, match=r"has no CUDAExecutionProvider; it has .*CPUExecutionProvider"):
        open_engine(package)


def test_a_provider_that_onnx_runtime_leaves_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.InferenceSession.get_providers", lambda _: NAMES[1:])
    with pytest.raises(PackageError, match=f"cannot use {OTHER}"):
        open_engine(load_package(Phantom().write(tmp_path)).on({OTHER: {}}))


def test_the_service_names_the_providers_that_answer(tmp_path: Path) -> None:
    settings = Settings(model=Phantom().write(tmp_path), providers={OTHER: {}})
    with TestClient(create_app(settings)) as client:
        assert client.get("/health").json()["providers"] == NAMES
        assert client.post("/classify", content=encode(speckle())).status_code == 200


def test_the_setting_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETAL_PLANES_PROVIDERS", '{"OpenVINOExecutionProvider": {"device_type": "CPU"}}')
    assert Settings().providers == {"OpenVINOExecutionProvider": {"device_type": "CPU"}}


@pytest.mark.parametrize("value", ["OpenVINOExecutionProvider", '["a"]', '{"a": 1}'])
def test_another_value_of_the_setting_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FETAL_PLANES_PROVIDERS", value)
    with pytest.raises(ValidationError, match="providers"):
        Settings()


def test_equal_engines_do_not_differ(tmp_path: Path) -> None:
    package = load_package(Phantom().write(tmp_path))
    assert compare(Engine(package.on({OTHER: {}})), Engine(package)) == (0, 0, 0)


def test_an_engine_that_computes_something_else_differs(tmp_path: Path) -> None:
    reference = Engine(load_package(Phantom().write(tmp_path / "a")))
    other = Engine(load_package(Phantom(temperature=0.2).write(tmp_path / "b")))
    with pytest.raises(PackageError, match="another probability"):
        compare(other, reference).check()


@pytest.mark.parametrize("index", range(3))
def test_each_difference_has_a_limit(index: int) -> None:
    limits = [PROBABILITY, SCORE, HEAT]
    Deviation(*limits).check()
    for value in (1.01 * limits[index], float("nan")):
        with pytest.raises(PackageError, match="FETAL_PLANES_PROVIDERS"):
            Deviation(*(value if each == index else 0.0 for each in range(3))).check()


def test_an_engine_that_differs_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "compare", lambda *_: Deviation(1, 0, 0))
    package = load_package(Phantom().write(tmp_path))
    open_engine(package)
    with pytest.raises(PackageError, match="another probability"):
        open_engine(package.on({OTHER: {}}))


def test_providers_choose_their_own_precision(tmp_path: Path) -> None:
    package = load_package(replace(Phantom(), int8=Phantom()).write(tmp_path)).on({OTHER: {}})
    assert choose_precision(package, "auto").precision == "float32"


def test_jobs_that_differ_in_providers_are_different_keys() -> None:
    plain = TableJob("in", "out", Path("model"), 1)
    other = replace(plain, providers={OTHER: {}})
    assert len({plain, other, replace(plain)}) == 2


def test_a_job_does_not_go_on_with_another_provider(tmp_path: Path) -> None:
    package = load_package(Phantom().write(tmp_path))
    here, there = JobKey.of(package), JobKey.of(package.on({OTHER: {}}))
    assert here.difference(there) == there.difference(here)
    assert "execution providers" in (here.difference(there) or "")
    assert here.difference(here) is None
