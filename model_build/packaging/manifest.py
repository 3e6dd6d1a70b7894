"""`model.json`, the manifest of a model package."""

import hashlib
from dataclasses import asdict
from pathlib import Path

from model_build.data.labels import SUB_PLANES, SUB_PLANES_OF
from model_build.evaluation.calibration import Calibration
from model_build.packaging.sub_planes import SUB_PLANES_FILE
from model_build.packaging.trained_run import PackageOptions, TrainedRun
from service import __version__
from service.inference.package import MANIFEST
from service.schemas.manifest import FORMAT, Manifest, SubPlanes, TrainingData


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `model.json` with the sha256 of every other file of the folder."""
    others = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in others}
    complete = manifest.model_copy(update={"files": files})
    # Older services do not know these fields.
    later = ("sub_planes", "prediction_sets", "weights_license", "warnings", "int8")
    exclude: dict[str, bool | dict[str, bool]] = {name: True for name in later if not getattr(complete, name)}
    if not complete.training_data.corrected_frames:
        exclude["training_data"] = {"corrected_frames": True}
    (folder / MANIFEST).write_text(complete.model_dump_json(indent=2, exclude=exclude) + "\n", "utf-8")


def make_manifest(trained: TrainedRun, calibration: Calibration, opset: int, options: PackageOptions) -> Manifest:
    """Return the manifest without metrics and hashes, which `build` adds."""
    train, temperature = trained.split.train, calibration.sub_plane_temperature
    sub_planes = None
    if temperature is not None:
        sub_planes = SubPlanes(
            plane=SUB_PLANES_OF, sub_planes=SUB_PLANES, file=SUB_PLANES_FILE, temperature=temperature, metrics=()
        )
    return Manifest(
        format=FORMAT,
        name=options.name,
        version=options.version,
        planes=trained.data.planes,
        preprocessing=trained.recipe.preprocessing,
        temperature=calibration.temperature,
        abstention=calibration.abstention,
        files={},
        opset=opset,
        training_data=TrainingData(
            **asdict(trained.data.source),
            train_frames=len(train),
            train_patients=len({record.patient for record in train}) if trained.data.patients_known else None,
            corrected_frames=len(trained.corrected),
        ),
        metrics=(),
        code_version=__version__,
        sub_planes=sub_planes,
        prediction_sets=calibration.prediction_sets,
        weights_license=options.license,
    )
