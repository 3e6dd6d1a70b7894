"""What the browser prints: the text of the PDF file that Chromium writes of the page."""

from collections.abc import Callable

import pytest

from tests.support.pdf_text import pdf_pages
from tests.system.browser.page_states import PAGE_STATES, png
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


def printed(page: Visit) -> list[str]:
    return pdf_pages(page.page.pdf(prefer_css_page_size=True))


def without_spaces(text: str) -> str:
    return "".join(text.split())


def test_a_frame_is_printed_with_its_name_date_and_model(visit: Visits, address: str) -> None:
    page = visit(locale="en-GB")
    model = page.page.request.get(f"{address}/model").json()
    page.add(upload("Meyer brain 7.png", png("brain")), upload("other.png", png("femur")))
    (text,) = printed(page)
    today = page.page.evaluate("new Date().toLocaleString(undefined, { dateStyle: 'long' })")
    for part in ("Meyer brain 7.png", f"Printed: {today}", f"Model: {model['name']} {model['version']}", "Page 1 of 1",
                 "Research use only. Not a medical device.", "Fetal brain", "Maternal cervix"):  # fmt: skip
        assert without_spaces(part) in text
    for button in ("Remove", "Compare", "Save CSV", "other.png", "Technical"):
        assert without_spaces(button) not in text


def test_an_exam_is_printed_with_its_pages_numbered(visit: Visits) -> None:
    page = visit()
    PAGE_STATES["exam"].enter(page.page)
    pages = printed(page)
    assert len(pages) > 1
    for number, text in enumerate(pages, 1):
        assert f"Page{number}of{len(pages)}" in text
    text = "".join(pages)
    for part in (
        "Exam: 15 files",
        "Missing: Maternal cervix",
        "To check by hand",
        "Between two planes",
        "Most probable",
    ):
        assert without_spaces(part) in text
    assert "Preferthisone" not in text


def test_an_exam_of_a_folder_has_the_folder_s_name(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    page.page.click("#example")
    page.page.locator(".tile").first.wait_for()
    page.settle()
    page.page.click("#view-exam")
    files = page.page.locator("#tiles .tile").count()
    assert f"Exam:example({files}files)" in printed(page)[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_print_button_prints_dark_on_white(visit: Visits, theme: str) -> None:
    page = visit(color_scheme=theme)
    page.add(upload("brain.png", png("brain")))
    page.page.evaluate("window.print = () => { window.printed = true; }")
    page.page.click("#print")
    assert page.page.evaluate("window.printed")
    page.emulate(media="print")
    colors = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    ground, ink = page.page.evaluate(colors)
    assert ground == "rgb(255, 255, 255)"
    assert sum(int(part) for part in ink[4:-1].split(",")) < 150


def test_an_enlarged_picture_is_printed_whole(visit: Visits) -> None:
    page = visit()
    page.add(upload("brain.png", png("brain")))
    page.page.keyboard.press("+")
    page.emulate(media="print")
    assert page.page.evaluate("getComputedStyle(document.querySelector('#picture')).transform") == "none"
