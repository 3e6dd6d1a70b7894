"""The SQL of the audit and `check_items`, which `/exam` and `--protocol` use, agree about every exam."""

from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audit.data.exams import STATES
from service.jobs.rows import ResultRow, check_rows
from service.schemas.protocols import ItemPlane, Protocol, ProtocolItem
from tests.support.audit_rows import PLANES, PROTOCOLS, columns, read, row, write_lines, write_parquet

BRAIN = "fetal_brain"
SUB_PLANES = ["trans_thalamic", "trans_ventricular", "trans_cerebellum"]


def choice(plane: str, sub_plane: str | None = None) -> ItemPlane:
    return ItemPlane(plane=plane, sub_plane=sub_plane, label=sub_plane or plane)


def item(least: int, *planes: ItemPlane, optional: bool = False) -> ProtocolItem:
    return ProtocolItem(label="item", one_of=list(planes), min=least, optional=optional, note=None)


ALTERNATIVES = Protocol(
    id="alternatives", name="Alternatives", version="1", exam="any", source=None, not_covered=None,
    items=[
        item(2, choice(BRAIN, SUB_PLANES[0]), choice("fetal_femur")),
        item(1, choice(BRAIN, SUB_PLANES[0]), choice(BRAIN, SUB_PLANES[1]), optional=True),
        item(3, choice(BRAIN), choice(BRAIN, SUB_PLANES[2])),
    ],
)  # fmt: skip
CHECKED = [*PROTOCOLS.values(), ALTERNATIVES]

hundredths = st.integers(34, 100).map(lambda value: value / 100)


@st.composite
def stills(draw: st.DrawFn, exam: int, number: int) -> ResultRow:
    plane, probability = draw(st.sampled_from(PLANES)), draw(hundredths)
    second = round(min(probability, draw(st.integers(0, 50)) / 100, 1 - probability + 1e-9), 2)
    other = draw(st.sampled_from([each for each in PLANES if each != plane]))
    reason = draw(st.sampled_from([None, None, None, "uncertain", "out-of-distribution", "color-flow"]))
    finer = draw(st.sampled_from([*SUB_PLANES, None])) if plane == BRAIN and reason is None else None
    close = "close" if plane == BRAIN and reason is None and finer is None else None
    return row(
        f"{exam}/{number}.png", plane, probability, second=(other, second), reason=reason, sub_plane=finer,
        sub_plane_reason=close, audit=columns(f"study {exam}"), sha256=f"{exam * 1000 + number:064x}",
    )  # fmt: skip


@st.composite
def loops(draw: st.DrawFn, exam: int, number: int) -> list[ResultRow]:
    """The rows of a loop with `--best`: one per plane, or one without a plane."""
    about = {"audit": columns(f"study {exam}"), "sha256": f"{exam * 1000 + number:064x}", "frames": 20}
    file = f"{exam}/{number}.dcm"
    if draw(st.booleans()):
        return [row(file, draw(st.sampled_from(PLANES)), draw(hundredths), no_plane=True, **about)]
    planes = draw(st.lists(st.sampled_from(PLANES), min_size=1, unique=True))
    finer = {plane: draw(st.sampled_from([*SUB_PLANES, None])) if plane == BRAIN else None for plane in planes}
    return [
        row(file, plane, draw(hundredths), frame=index, sub_plane=finer[plane],
            sub_plane_reason="close" if plane == BRAIN and finer[plane] is None else None, **about)
        for index, plane in enumerate(planes)
    ]  # fmt: skip


@st.composite
def exams(draw: st.DrawFn, with_loops: bool) -> list[list[ResultRow]]:
    found = []
    for exam in range(draw(st.integers(1, 12))):
        rows = [draw(stills(exam, number)) for number in range(draw(st.integers(1, 9)))]
        if with_loops:
            rows += [each for number in range(draw(st.integers(0, 2))) for each in draw(loops(exam, 100 + number))]
        if draw(st.booleans()):  # a file in two copies counts once
            copied = draw(st.sampled_from(sorted({each.file for each in rows})))
            copies = [each.model_copy(update={"file": f"z{copied}"}) for each in rows if each.file == copied]
            rows += copies
        found.append(rows)
    return found


def compare(exams_: list[list[ResultRow]], folder: Path, source: Path) -> None:
    with read(folder, [source], CHECKED) as (_, _, found):
        for number, rows in enumerate(exams_):
            (place,) = [index for index, name in enumerate(found.names) if name == f"study {number}"]
            for protocol in CHECKED:
                states = [STATES[state[place]] for state in found.items[protocol.id]]
                assert states == [each.state for each in check_rows(protocol, rows)]


@settings(max_examples=15, deadline=None)
@given(exams(with_loops=True))
def test_json_lines(found: list[list[ResultRow]]) -> None:
    with TemporaryDirectory() as name:
        compare(found, Path(name), write_lines(Path(name) / "frames.jsonl", list(chain(*found))))


@settings(max_examples=15, deadline=None)
@given(exams(with_loops=False))
def test_parquet(found: list[list[ResultRow]]) -> None:
    with TemporaryDirectory() as name:
        compare(found, Path(name), write_parquet(Path(name) / "part.parquet", list(chain(*found))))


@pytest.mark.parametrize("frames", [1, 20])
def test_all_frames_of_a_loop_count_once_for_each_plane(tmp_path: Path, frames: int) -> None:
    """A table has every frame of a loop; three good ones in one loop are no three frames of the cervix."""
    rows = [
        row("loop.dcm", "maternal_cervix", 0.9, frame=index, frames=frames, audit=columns("s"), sha256=f"{index:064x}")
        for index in range(3)
    ]
    with read(tmp_path, [write_parquet(tmp_path / "part.parquet", rows)], [PROTOCOLS["cervix"]]) as (_, _, found):
        state = STATES[found.items["cervix"][0][0]]
    assert state == ("fulfilled" if frames == 1 else "missing")
