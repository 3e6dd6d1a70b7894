"""Are the smaller forms of a model worth having on this machine? Size, speed, accuracy and heat maps, side by side."""

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model_build.data import Record, load_frames, planes_of
from model_build.evaluate import Outcome, Row, run_engine, write_table
from model_build.layouts import read_data
from model_build.metrics import top_k
from model_build.package_folder import seal
from model_build.quantize import to_float16, to_int8
from model_build.run_folder import read_recipe
from model_build.splits import divide
from model_build.validate import TIMES
from model_build.views import served_and_varied_views
from service.imaging.preprocess import prepare
from service.inference.engine import Engine
from service.inference.package import CLASSIFIER, load_package

Frame = NDArray[np.uint8]

_CALIBRATION = 100  # training frames
_TIMED = 200  # runs of each form, in turns
_MAPPED = 60  # test frames whose heat maps are compared
_SLOWEST = 0.95  # of the float32 graph's time: what is no faster than this is not worth another file
_MOST_LOST = 0.005  # of top-1 over all views of validation frames: served alone, a single frame would decide


@dataclass(frozen=True, eq=False)
class Form:
    """One form of a model's classifier."""

    name: str
    engine: Engine

    @property
    def megabytes(self) -> float:
        """Size of the classifier's graph."""
        return len(self.engine.package.classifier) / 1e6


def write_edge(run: Path, package: Path, data: Path, out: Path) -> list[Row]:
    """Make and measure the smaller forms of a package.

    Parameters
    ----------
    run
        The training run that the package was made of: it says which patients validate.
    out
        Takes `edge.csv`, `edge.md`, and a package for each form that wins: faster, and within half a point of top-1 on
        validation frames as served and as varied in training.

    Returns
    -------
    The rows of the table, the float32 graph first.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(run)
    division = divide(read_data(data), recipe)
    forms = make_forms(Engine(load_package(package)), load_frames(_spread(division.train, _CALIBRATION)))
    held, test = division.held, division.test
    held_frames, test_frames = load_frames(held), load_frames(test)
    views = served_and_varied_views(held_frames, held, recipe, TIMES).numpy()[:, 0]
    right = [_right(form.engine, views, planes_of(held)) for form in forms]
    rows = compare(forms, time_in_turns(forms, test_frames), right, (test_frames, test))
    write_table(out / "edge.csv", rows)
    (out / "edge.md").write_text(_page(rows), "utf-8")
    for form, row in list(zip(forms, rows, strict=True))[1:]:
        if row["kept"] == "yes":
            _write_package(package, form, out / form.name)
    return rows


def make_forms(engine: Engine, calibration: Sequence[Frame]) -> list[Form]:
    """The float32 graph and what is made of it; `calibration` are training frames."""
    package, preprocessing = engine.package, engine.manifest.preprocessing
    views = np.stack([prepare(frame, preprocessing)[0] for frame in calibration])[:, None]
    smaller = {"int8": to_int8(package.classifier, views), "float16": to_float16(package.classifier)}
    return [Form("float32", engine)] + [
        Form(name, Engine(replace(package, classifier=graph))) for name, graph in smaller.items()
    ]


def time_in_turns(forms: Sequence[Form], frames: Sequence[Frame], count: int = _TIMED) -> NDArray[np.float64]:
    """Seconds of single runs, one thread, float64 [count, forms]: all forms in turn, to share what disturbs."""
    views = [prepare(frame, forms[0].engine.manifest.preprocessing)[0] for frame in frames[:8]]
    seconds = np.empty((count, len(forms)))
    for turn in range(count):
        for place, form in enumerate(forms):
            began = perf_counter()
            form.engine.score(views[turn % len(views)])
            seconds[turn, place] = perf_counter() - began
    return seconds


def heat_map_agreement(form: Form, other: Form, frames: Sequence[Frame]) -> tuple[float, float]:
    """The median correlation of the two forms' heat maps of the same plane, and how often their peaks share a cell."""
    correlations, same_peak = [], []
    for frame in frames:
        view = prepare(frame, form.engine.manifest.preprocessing)[0]
        first, second = (each.engine.score(view, with_features=True) for each in (form, other))
        plane = second.ranked()[0]
        maps = form.engine.explain(first, plane).values, other.engine.explain(second, plane).values
        if min(float(np.ptp(each)) for each in maps) > 0:
            correlations.append(float(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]))
            same_peak.append(int(maps[0].argmax()) == int(maps[1].argmax()))
    return float(np.median(correlations)), float(np.mean(same_peak))


def keeps(ratio: float, lost: float) -> bool:
    """Whether a form is worth having: its time relative to float32, and what it loses of top-1 on validation."""
    return ratio <= _SLOWEST and lost <= _MOST_LOST


def compare(
    forms: Sequence[Form],
    times: NDArray[np.float64],
    right: Sequence[NDArray[np.bool_]],
    test: tuple[Sequence[Frame], Sequence[Record]],
) -> list[Row]:
    """One row a form, the float32 graph first.

    Parameters
    ----------
    times
        Seconds of single runs, float64 [T, forms].
    right
        Of each form, whether it tells validation frames right: bool [views, N], the served view first.
    test
        Frames that decide nothing.
    """
    outcomes = [run_engine(form.engine, *test) for form in forms]
    rows: list[Row] = []
    for place, (form, on_test) in enumerate(zip(forms, outcomes, strict=True)):
        ratio = float(np.median(times[:, place] / times[:, 0]))
        lost = float(right[0].mean() - right[place].mean())
        correlation, same_peak = heat_map_agreement(form, forms[0], test[0][:: max(1, len(test[0]) // _MAPPED)])
        rows.append(
            {
                "form": form.name,
                "megabytes": form.megabytes,
                "milliseconds": float(np.median(times[:, place])) * 1000,
                "time_ratio": ratio,
                "validation_top1": float(right[place][0].mean()),
                "varied_top1": float(right[place][1:].mean()),
                "test_top1": _top1(on_test),
                "test_main_top1": _top1(on_test.main or on_test),
                "same_answer": float((_best(on_test) == _best(outcomes[0])).mean()),
                "largest_difference": float(np.abs(on_test.probabilities - outcomes[0].probabilities).max()),
                "heat_map_correlation": correlation,
                "same_peak": same_peak,
                "kept": "yes" if place == 0 or keeps(ratio, lost) else "no",
            }
        )
    return rows


def _page(rows: Sequence[Row]) -> str:
    lines = "\n".join(
        f"| {row['form']} | {row['megabytes']:.1f} | {row['milliseconds']:.1f} | {row['time_ratio']:.2f} "
        f"| {row['validation_top1']:.4f} | {row['varied_top1']:.4f} | {row['test_top1']:.4f} "
        f"| {row['test_main_top1']:.4f} | {row['same_answer']:.4f} | {row['heat_map_correlation']:.3f} "
        f"| {row['same_peak']:.2f} | {row['kept']} |"
        for row in rows
    )
    return _PAGE.format(rows=lines, machine=_machine(), version=ort.__version__, most=100 * _MOST_LOST, turns=_TIMED)


_PAGE = """\
| Form | MB | ms | Time to float32 | Top-1, validation | varied | Top-1, test | of the main planes | Same answer \
| Heat maps' correlation | Same peak | Kept |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

Times are medians of {turns} single runs on one thread, all forms in turn, and the ratio is the median of each turn's;
{machine}, ONNX Runtime {version}. A form is kept where it takes at most 0.95 of the time and loses at most {most:.1f}
points of top-1 on the frames of validation patients, as served and in six varied views each; the test patients decide
nothing. *Same answer*: of the test frames, with float32. The heat maps are of float32's first plane.
"""


def _machine() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.machine()
    facts = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    has = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if name in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({', '.join(has)})"


def _write_package(package: Path, form: Form, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(package, folder)
    (folder / CLASSIFIER).write_bytes(form.engine.package.classifier)
    manifest = form.engine.manifest
    seal(folder, manifest.model_copy(update={"version": f"{manifest.version}-{form.name}", "metrics": {}}))
    load_package(folder)


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """About `count` records, evenly over the table."""
    return list(records[:: max(1, len(records) // count)])


def _right(engine: Engine, views: NDArray[np.uint8], planes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each view uint8 [T * N, S, S] of N frames is told right: bool [T, N]."""
    found = np.array([engine.score(view).ranked()[0] for view in views])
    return np.asarray(found.reshape(-1, len(planes)) == planes, np.bool_)


def _best(outcome: Outcome) -> NDArray[np.int64]:
    return np.asarray(outcome.probabilities.argmax(1), np.int64)


def _top1(outcome: Outcome) -> float:
    return float(top_k(outcome.probabilities, outcome.planes, 1).mean())
