"""The page of an exam report: what it shows, what it escapes, and what it must never load."""

from typing import Any, get_args

import pytest

from service.reports.exam_html import POLICY, render
from service.schemas.answers import ModelInfo
from service.schemas.batch import CineSegment, CineSummary, Source
from service.schemas.exam import ExamFrame, ExamPlane, ExamReport, ReviewFrame, ReviewReason

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


def report(*frames: ExamFrame, **changes: Any) -> ExamReport:
    plane = ExamPlane(
        plane="fetal_brain", label="Fetal brain", expected=True, best=frames[0] if frames else None, frames=list(frames)
    )
    facts: dict[str, Any] = {
        "expected": ["fetal_brain"],
        "missing": [] if frames else ["fetal_brain"],
        "planes": [plane],
        "review": [],
        "refused": [],
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
    assert page.count(ESCAPED) == 3
    assert "<img" not in page


def test_the_best_frame_is_shown_with_its_heat_map_and_others_as_thumbnails() -> None:
    page = render(report(frame("a.png"), frame("b.png", 1)), {(1, 1): b"two"}, {(0, 0): (b"one", b"hot")})
    assert [page.count(f"base64,{text}") for text in ("b25l", "aG90", "dHdv")] == [1, 1, 1]
    assert "<b>Best</b>: Fetal brain 90.0%<br>a.png" in page


def test_a_frame_without_a_name_or_picture_is_listed_by_its_number() -> None:
    page = render(report(frame("a.png"), frame(None, 3)), {}, {})
    assert "file 3, frame 3" in page
    assert "<img" not in page


def test_a_missing_plane_is_named() -> None:
    page = render(report(), {}, {})
    assert "Missing: Fetal brain" in page
    assert '<p class="missing">Missing.</p>' in page


@pytest.mark.parametrize("reason", get_args(ReviewReason))
def test_every_reason_to_check_a_frame_has_its_words(reason: ReviewReason) -> None:
    assert "To check by hand <small>1</small>" in render(report(review=[review(reason)]), {}, {})


def test_segments_of_a_cine_are_a_table() -> None:
    facts = {"start": 0, "end": 4, "frames": 5, "abstained": 0}
    sure = CineSegment(plane="fetal_brain", label="Fetal brain", confidence=0.777, **facts)
    unsure = CineSegment(plane=None, label=None, confidence=None, **facts)
    cine = CineSummary.model_construct(file=0, name="loop", frames=5, segments=[sure, unsure], best=[])
    page = " ".join(render(report(cines=[cine]), {}, {}).split())
    assert "<tr><td>loop<td>0 to 4 <td>Fetal brain<td>77.7%" in page
    assert "<td>not sure<td>" in page


def test_empty_sections_are_left_out() -> None:
    page = render(report(frame("a.png")), {}, {})
    assert not [title for title in ("Cines", "Not classified", "To check by hand") if f"<h2>{title}" in page]
