"""The sub-plane head: when it runs, what it returns, and that it changes nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.analysis.abstention import CLOSE
from service.analysis.pipeline import Pipeline
from service.imaging.frame import Limits
from service.inference.engine import Engine
from service.inference.package import ModelPackage, PackageError, load_package
from service.inference.sub_planes import SubPlaneHead
from tests.support.images import encode, speckle
from tests.support.phantom_package import PLANES, Phantom, write_manifest
from tests.support.phantom_sub_planes import BEST, NAMES, sub_plane_phantom


def package_of(phantom: Phantom, folder: Path) -> ModelPackage:
    return load_package(phantom.write(folder))


@pytest.mark.parametrize("with_features", [False, True])
def test_a_frame_of_the_plane_has_sub_planes(tmp_path: Path, with_features: bool) -> None:
    phantom = sub_plane_phantom()
    engine = Engine(package_of(phantom, tmp_path))
    engine.warm_up()
    scores = engine.score(speckle(64, 64), with_features=with_features)
    sub_planes = engine.score_sub_planes(scores)
    assert sub_planes is not None
    np.testing.assert_allclose(sub_planes, phantom.sub_plane_probabilities(speckle(64, 64)), atol=1e-6)
    assert (scores.features is not None) == with_features


@pytest.mark.parametrize("case", ["another plane", "no head"])
def test_frames_of_other_planes_have_none(tmp_path: Path, case: str) -> None:
    phantom = {
        "another plane": Phantom(sub_planes=NAMES, sub_planes_of=next(name for name in PLANES if name != BEST)),
        "no head": Phantom(),
    }[case]
    engine = Engine(package_of(phantom, tmp_path))
    assert engine.score_sub_planes(engine.score(speckle(64, 64))) is None


def test_the_pipeline_names_the_most_probable_sub_plane(tmp_path: Path) -> None:
    phantom = sub_plane_phantom(min_probability=0.0, max_ood_score=1e9)
    expected = phantom.sub_plane_probabilities(speckle(64, 64))
    result = Pipeline(Engine(package_of(phantom, tmp_path)), Limits()).classify(encode(speckle(64, 64)))
    assert result.abstain_reason is None
    assert result.sub_plane is not None
    assert result.sub_plane.plane == NAMES[int(expected.argmax())]
    assert result.sub_plane.probability == pytest.approx(expected.max(), abs=1e-6)
    assert result.scores.head_inputs is None


@pytest.mark.parametrize("scale", [0.0, 0.02, 1.0])
def test_the_pipeline_names_no_sub_plane_where_two_are_close(tmp_path: Path, scale: float) -> None:
    phantom = sub_plane_phantom(min_probability=0.0, max_ood_score=1e9)
    phantom.sub_plane_head *= np.float32(scale)
    second, first = np.sort(phantom.sub_plane_probabilities(speckle(64, 64)))[-2:]
    result = Pipeline(Engine(package_of(phantom, tmp_path)), Limits()).classify(encode(speckle(64, 64)))
    close = bool(first - second < CLOSE)
    assert close == (scale < 0.1)
    assert ((result.sub_plane is None), result.sub_plane_reason) == (close, "close" if close else None)
    assert result.sub_planes is not None


@pytest.mark.parametrize("case", ["uncertain", "out-of-distribution"])
def test_where_the_model_abstains_the_head_does_not_run(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantom = {
        "uncertain": sub_plane_phantom(min_probability=1.0, max_ood_score=1e9),
        "out-of-distribution": sub_plane_phantom(max_ood_score=0.0),
    }[case]
    pipeline = Pipeline(Engine(package_of(phantom, tmp_path)), Limits())
    monkeypatch.setattr(SubPlaneHead, "probabilities", lambda *_: pytest.fail("the head ran"))
    result = pipeline.classify(encode(speckle(64, 64)))
    assert (result.abstain_reason, result.sub_plane, result.sub_planes) == (case, None, None)


def test_the_head_does_not_change_the_classifier_s_outputs(tmp_path: Path) -> None:
    with_head = Engine(package_of(sub_plane_phantom(), tmp_path / "a"))
    without = Engine(package_of(Phantom(), tmp_path / "b"))
    assert with_head.package.classifier == without.package.classifier
    for seed in range(5):
        first, second = (each.score(speckle(64, 64, seed), with_features=True) for each in (with_head, without))
        assert first.probabilities.tobytes() == second.probabilities.tobytes()
        assert first.ood_score == second.ood_score
        assert with_head.explain(first, 0).values.tobytes() == without.explain(second, 0).values.tobytes()


class TestPackage:
    def test_one_bit_of_difference_is_refused(self, tmp_path: Path) -> None:
        graph = sub_plane_phantom().write(tmp_path) / "sub_planes.onnx"
        contents = bytearray(graph.read_bytes())
        contents[len(contents) // 2] ^= 1
        graph.write_bytes(contents)
        with pytest.raises(PackageError, match=r"sub_planes\.onnx differs"):
            load_package(tmp_path)

    def test_an_unlisted_graph_is_refused(self, tmp_path: Path) -> None:
        (sub_plane_phantom().write(tmp_path) / "sub_planes.onnx").unlink()
        write_manifest(tmp_path, sub_plane_phantom().manifest())
        with pytest.raises(PackageError, match=r"does not list sub_planes\.onnx"):
            load_package(tmp_path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"plane": "fetal_elbow"}, "no plane 'fetal_elbow'"),
            ({"sub_planes": [{"id": "a", "label": "A"}] * 2}, "two"),
        ],
    )
    def test_an_invalid_description_is_refused(self, tmp_path: Path, change: object, words: str) -> None:
        manifest = sub_plane_phantom().manifest()
        sub_plane_phantom().write(tmp_path)
        write_manifest(tmp_path, manifest | {"sub_planes": manifest["sub_planes"] | change})
        with pytest.raises(PackageError, match=words):
            load_package(tmp_path)

    def test_a_package_without_sub_planes_opens(self, tmp_path: Path) -> None:
        package = package_of(Phantom(), tmp_path)
        assert "sub_planes" not in json.loads((tmp_path / "model.json").read_text())
        assert package.manifest.sub_planes is None
        assert package.sub_planes is None

    def test_a_graph_of_another_number_of_sub_planes_is_refused(self, tmp_path: Path) -> None:
        two = package_of(Phantom(sub_planes=("a", "b"), sub_planes_of=BEST), tmp_path / "two")
        three = package_of(sub_plane_phantom(), tmp_path / "three")
        with pytest.raises(PackageError, match="3 sub-planes"):
            Engine(replace(two, manifest=three.manifest))

    def test_a_graph_with_other_inputs_is_refused(self, tmp_path: Path) -> None:
        package = package_of(sub_plane_phantom(), tmp_path)
        with pytest.raises(PackageError, match="outputs of the classifier"):
            Engine(replace(package, sub_planes=package.classifier))

    def test_warm_up_refuses_a_head_with_invalid_outputs(self, tmp_path: Path) -> None:
        broken = sub_plane_phantom()
        broken.sub_plane_head = np.full_like(broken.sub_plane_head, np.nan)
        with pytest.raises(PackageError, match=r"sub_planes\.onnx does not return"):
            Engine(package_of(broken, tmp_path)).warm_up()
