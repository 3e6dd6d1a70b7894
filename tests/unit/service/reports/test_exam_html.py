"""The page of an exam report: what it shows, what it escapes, and what it must never load."""

import re
from typing import Any, get_args

import pytest

from service.reports.exam_html import render
from service.reports.html_page import POLICY
from service.schemas.answers import ModelInfo, SubPlane
from service.schemas.batch import CineSegment, CineSummary, Source
from service.schemas.exam import ExamFrame, ExamPlane, ExamReport, ReviewFrame, ReviewReason
from service.schemas.protocols import CheckedItem, ItemFrame, ItemPlane, ItemState, ProtocolInfo, ProtocolSource

PROTOCOL = ProtocolInfo(
    id="ours", name="Our <list>", version="3", exam="Follow-up", not_covered="Spine",
    source=ProtocolSource(guideline="A guideline", doi="10.1000/1", date="2026"),
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>'\"&.png"
ESCAPED = "&lt;img src=x onerror=alert(1)&gt;&#39;&#34;&amp;.png"


def frame(name: str | None, index: int = 0, probability: float = 0.9) -> ExamFrame:
    return ExamFrame(
        source=Source(file=index, name=name, frame=index),
        plane="fetal_brain",
        label="Fetal brain",
        probability=probability,
        runner_up=None,
    )


def review(reason: ReviewReason, name: str = "a.png") -> ReviewFrame:
    source = Source(file=0, name=name, frame=None)
    return ReviewFrame(reason=reason, source=source, plane=None, label=None, probability=None, runner_up=None)


def item(state: ItemState, *frames: ExamFrame, **changes: Any) -> CheckedItem:
    sure = [
        ItemFrame(source=each.source, plane=each.plane, sub_plane=None, probability=each.probability, doubt=None)
        for each in frames
    ]
    plane = ItemPlane(plane="fetal_brain", sub_plane=None, label="Fetal brain")
    facts: dict[str, Any] = {
        "label": "Fetal brain", "one_of": [plane], "min": 1, "optional": False, "note": None, "state": state,
        "frames": sure, "doubtful": [],
    }  # fmt: skip
    return CheckedItem(**facts | changes)


def report(*frames: ExamFrame, **changes: Any) -> ExamReport:
    plane = ExamPlane(
        plane="fetal_brain",
        label="Fetal brain",
        best=frames[0] if frames else None,
        chosen=False,
        frames=list(frames),
    )
    facts: dict[str, Any] = {
        "protocol": PROTOCOL,
        "items": [item("fulfilled" if frames else "missing", *frames)],
        "files_left": 0,
        "planes": [plane],
        "review": [],
        "without_plane": [],
        "refused": [],
        "duplicates": [],
        "cines": [],
        "files": len(frames),
        "frames": len(frames),
        "complete": True,
        "model": ModelInfo.model_construct(name="phantom", version="1.2.3", sha256="0" * 64),
        "request_id": "r1",
    }
    return ExamReport.model_construct(**facts | changes)


def test_the_page_starts_with_its_type_and_policy() -> None:
    page = render(report(frame("a.png")), {}, {})
    assert page.startswith("<!doctype html>\n")
    assert f'content="{POLICY}"' in page.replace("&#39;", "'")
    assert page.rstrip().endswith("</html>")


def test_every_text_of_an_upload_is_escaped() -> None:
    page = render(report(frame(HOSTILE), frame(HOSTILE, 1), review=[review("close", HOSTILE)]), {}, {})
    assert page.count(ESCAPED) == 5  # the best frame, another, one to check, and both in the protocol
    assert "<img" not in page


def test_the_best_frame_is_shown_with_its_heat_map_and_others_as_thumbnails() -> None:
    page = render(report(frame("a.png"), frame("b.png", 1)), {(1, 1): b"two"}, {(0, 0): (b"one", b"hot")})
    assert [page.count(f"base64,{text}") for text in ("b25l", "aG90", "dHdv")] == [1, 1, 1]
    assert "<b>Most probable</b>: Fetal brain 90.0 %<br>a.png" in page


def test_a_frame_without_a_name_or_picture_is_listed_by_its_number() -> None:
    page = render(report(frame("a.png"), frame(None, 3)), {}, {})
    assert "file 4, frame 4" in page
    assert "<img" not in page


def test_a_missing_plane_is_named() -> None:
    page = render(report(), {}, {})
    assert "Missing: Fetal brain" in page
    assert "<td>Missing" in page
    assert "Not read yet" not in page


@pytest.mark.parametrize("reason", get_args(ReviewReason))
def test_every_reason_to_check_a_frame_has_its_words(reason: ReviewReason) -> None:
    assert "To check by hand <small>1</small>" in render(report(review=[review(reason)]), {}, {})


def test_segments_of_a_cine_are_a_table() -> None:
    facts = {"start": 0, "end": 4, "frames": 5}
    sure = CineSegment(plane="fetal_brain", label="Fetal brain", confidence=0.777, abstained=0, **facts)
    unsure = CineSegment(plane=None, label=None, confidence=None, abstained=4, **facts)
    divided = CineSegment(plane=None, label=None, confidence=None, abstained=1, **facts)
    cine = CineSummary.model_construct(file=0, name="loop", count=15, segments=[sure, unsure, divided], best=[])
    page = " ".join(render(report(cines=[cine]), {}, {}).split())
    assert "<tr><td>loop<td>1 to 5 <td>Fetal brain<td>77.7 %" in page
    assert "<td>4 of 5 frames not sure<td>" in page
    assert "<td>the frames do not agree<td>" in page


def test_empty_sections_are_left_out() -> None:
    page = render(report(frame("a.png")), {}, {})
    assert not [title for title in ("Cines", "Not classified", "To check by hand") if f"<h2>{title}" in page]


def test_while_files_are_left_no_plane_is_called_absent() -> None:
    unread = {"items": [item("not-read-yet")], "files": 4, "files_left": 50}
    page = " ".join(render(report(**unread), {}, {}).split())
    assert "not read to its end (50 of 54 files left)" in page
    assert "Not read yet: Fetal brain" in page
    assert "<td>Not read yet" in page
    assert "Missing" not in page


def test_ties_and_a_person_s_choice_are_marked() -> None:
    tied = [each.model_copy(update={"tied": True}) for each in (frame("a.png"), frame("b.png", 1))]
    page = render(report(*tied), {}, {})
    assert "<b>Most probable, tied</b>: Fetal brain" in page
    assert "<b>Tied</b><br>Fetal brain" in page
    (plane,) = report(*tied).planes
    chosen = report(*tied, planes=[plane.model_copy(update={"chosen": True})])
    assert "<b>Chosen by a person</b>: Fetal brain" in render(chosen, {}, {})


def test_sub_planes_group_the_frames_of_a_plane() -> None:
    def part(name: str, label: str, *, close: bool) -> ExamFrame:
        sub_plane = SubPlane(plane=label.lower(), label=label, probability=0.6)
        changes = {"sub_plane": None, "sub_plane_reason": "close"} if close else {"sub_plane": sub_plane}
        return frame(name).model_copy(update=changes)

    page = render(
        report(part("a.png", "Thalamic", close=False), part("b.png", "Thalamic", close=True), frame("c.png")), {}, {}
    )
    assert "<h3>Thalamic <small>1</small></h3>" in page
    assert "<h3>Not sure which sub-plane <small>1</small></h3>" in page
    assert "Fetal brain 90.0 %, Thalamic 60.0 %<br>a.png" in page
    assert "Fetal brain 90.0 %, Not sure which sub-plane<br>b.png" in page


@pytest.mark.parametrize("reason", get_args(ReviewReason))
def test_a_guess_is_shown_only_where_the_probabilities_mean_something(reason: ReviewReason) -> None:
    guess = review(reason).model_copy(update={"plane": "x", "label": "A guess", "probability": 0.4})
    page = render(report(review=[guess]), {}, {})
    assert ("A guess" in page) == (reason in ("uncertain", "close"))


def test_frames_of_a_loop_are_counted_from_one() -> None:
    cine = CineSummary.model_construct(file=0, name="loop", count=12, segments=[], best=[])
    assert "loop, frame 1 of 12" in render(report(frame("loop"), cines=[cine]), {}, {})


def test_the_page_has_the_date_and_numbers_its_printed_pages() -> None:
    page = render(report(), {}, {})
    assert re.search(r"Created 20\d\d-\d\d-\d\d \d\d:\d\d UTC\.", page)
    assert 'content: "Page " counter(page) " of " counter(pages)' in page


def test_the_protocol_is_named_with_its_version_source_and_limits() -> None:
    page = " ".join(render(report(frame("a.png")), {}, {}).split())
    assert "Our &lt;list&gt;, version 3" in page
    assert "Source: A guideline, 2026, doi:10.1000/1." in page
    assert "<b>Not covered:</b> Spine" in page
    assert "Every required item of the protocol is fulfilled." in page


def test_items_that_only_doubtful_frames_fulfill_are_named() -> None:
    (sure,) = item("fulfilled", frame("b.png")).frames
    doubtful = sure.model_copy(update={"doubt": "close"})
    items = [item("doubtful", doubtful=[doubtful]), item("missing", label="Femur", optional=True)]
    page = " ".join(render(report(items=items), {}, {}).split())
    assert "Only doubtful frames: Fetal brain" in page
    assert "doubtful: b.png" in page
    assert "Femur (optional)" in page
    assert "Missing: Femur" not in page
