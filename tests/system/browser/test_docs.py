"""`/docs` in a browser: a request is tried, no policy is violated, and nothing is loaded from elsewhere."""

from collections.abc import Callable

from tests.support.images import encode, speckle
from tests.system.browser.page_states import upload
from tests.system.browser.visit import Visit


def test_a_frame_is_classified_from_the_page(visit: Callable[..., Visit], address: str) -> None:
    page = visit(f"{address}/docs").page
    operation = page.locator("#operations-frames-classify")
    operation.locator(".opblock-summary").click()
    operation.locator("input[type=file]").set_input_files(upload("frame.png", encode(speckle())))
    operation.locator("button.execute").click()
    reply = operation.locator(".live-responses-table .response").first
    reply.wait_for()
    assert reply.locator(".response-col_status").inner_text().startswith("200")
    assert "predictions" in reply.inner_text()
