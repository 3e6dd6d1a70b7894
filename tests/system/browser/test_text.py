"""The words of the page are those of the service: `service/web/text.js` and `service/analysis/text.py`."""

from collections.abc import Callable
from typing import Any

from service.analysis.abstention import CLOSE
from service.analysis.text import REASONS, left_text, sub_plane_text, unnamed_text
from service.schemas.answers import SubPlane
from tests.support.percent_table import PERCENT_TABLE
from tests.system.browser.visit import Visit

Visits = Callable[..., Visit]


def call(page: Visit, name: str, *arguments: Any) -> Any:
    """Return what a function or constant of `text.js` gives."""
    return page.page.evaluate(
        """async ([name, values]) => {
          const found = (await import(new URL("page/text.js", location.href)))[name];
          return typeof found === "function" ? found(...values) : found;
        }""",
        [name, arguments],
    )


def test_the_page_writes_what_the_service_writes(visit: Visits) -> None:
    page = visit()
    assert {value: call(page, "percent", value) for value in PERCENT_TABLE} == PERCENT_TABLE
    assert call(page, "REASONS") == REASONS
    assert call(page, "CLOSE") == CLOSE
    for left, total in ((50, 54), (1, 1)):
        assert call(page, "leftText", left, total) == left_text(left, total)
    for abstained, frames in ((4, 5), (1, 1), (2, 4)):
        assert call(page, "unnamedText", abstained, frames) == unnamed_text(abstained, frames)
    sub_plane = SubPlane(plane="x", label="X", probability=0.5)
    named = {"sub_plane": sub_plane.model_dump(), "sub_plane_reason": None}
    assert call(page, "subPlaneText", named) == sub_plane_text(sub_plane, None)
    unsure = {"sub_plane": None, "sub_plane_reason": "close"}
    assert call(page, "subPlaneText", unsure) == sub_plane_text(None, "close")
