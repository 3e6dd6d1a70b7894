"""The page by keyboard: one Tab stop per group, arrow keys in it, visible focus, and single keys."""

from collections.abc import Callable

import pytest

from service.sample.frames import draw_frame
from tests.support.images import animation
from tests.system.browser.page_states import PAGE_STATES, png
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]

MOST_TABS = 5
# The controls that one Tab stop gives access to: those of its group by arrow keys, else the focused one alone.
REACHED = """() => {
  const one = document.activeElement;
  const group = one.closest("[data-roving]");
  const all = group && !one.matches("input[type=range]") ? [...group.querySelectorAll("button")] : [];
  const row = one.closest("li")?.querySelectorAll("button") ?? [];
  const tiles = one.matches(".tile") ? [...one.closest("ul, #exam").querySelectorAll(".tile, .mark button")] : [];
  return [one, ...all, ...row, ...tiles].map((each) => each.dataset.test).filter(Boolean);
}"""


def tabs(page: Visit, count: int) -> set[str]:
    """Press Tab `count` times; return the buttons that these stops give access to."""
    found: set[str] = set(page.page.evaluate(REACHED))
    for _ in range(count):
        page.page.keyboard.press("Tab")
        found |= set(page.page.evaluate(REACHED))
    return found


@pytest.mark.parametrize("state", ["answer", "reviewed", "cine", "exam"])
def test_no_button_is_further_than_five_tabs(visit: Visits, state: str) -> None:
    page = visit()
    PAGE_STATES[state].enter(page.page)
    # Tiles may be outside the visible part of the list.
    buttons = page.page.evaluate(
        """() => [...document.querySelectorAll("button")]
          .filter((each) => !each.closest("[hidden], dialog:not([open])"))
          .map((each, number) => (each.dataset.test = `${number} ${each.id || each.textContent}`))"""
    )
    found: set[str] = set()
    for skip in range(4):  # from the start of the page, and from where each of its links leads
        page.page.evaluate("document.activeElement.blur()")
        page.page.focus("#skip a >> nth=0")
        if skip:
            for _ in range(skip - 1):
                page.page.keyboard.press("ArrowRight")
            page.page.keyboard.press("Enter")
        found |= tabs(page, MOST_TABS - 1)  # the links are the first Tab
    assert set(buttons) <= found, sorted(set(buttons) - found)


def test_arrow_keys_move_in_the_page_s_buttons(visit: Visits) -> None:
    page = visit()
    page.add(upload("brain.png", png()))
    page.page.focus("#view-frames")
    press = page.page.keyboard.press
    for key, name in [("ArrowRight", "view-exam"), ("End", "theme"), ("ArrowLeft", "large"), ("Home", "view-frames")]:
        press(key)
        assert page.focused() == name
    press("ArrowRight")
    press("Tab")
    press("Shift+Tab")
    assert page.focused() == "view-exam"  # the group remembers


def test_arrow_keys_move_in_the_exam_while_it_is_sorted_again(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"brain{seed}.png", png("brain", seed)) for seed in range(3)))
    page.page.click("#view-exam")
    tiles = page.page.locator("#exam .tile")
    stops = page.page.locator("#exam .tile[tabindex='0']")
    assert (tiles.count(), stops.count()) == (3, 1)
    tiles.first.focus()
    for key, number in [("ArrowRight", 1), ("End", 2), ("Home", 0), ("ArrowDown", 1)]:
        page.page.keyboard.press(key)
        assert tiles.nth(number).evaluate("tile => tile === document.activeElement"), key
    page.page.keyboard.press("Shift+Tab")  # the button of this frame
    assert page.focused().startswith("prefer-")
    page.page.keyboard.press("Enter")
    assert page.text("#exam .mark >> nth=0").startswith("Chosen by you")
    page.page.focus("#protocol")
    page.page.keyboard.press("ArrowDown")
    page.until("document.querySelectorAll('.checklist li').length === 1")
    assert page.focused() == "protocol"


def test_arrow_keys_move_in_a_loop(visit: Visits) -> None:
    page = visit()
    frames = [draw_frame("brain", height=240, width=320, seed=seed) for seed in range(4)]
    page.add(upload("loop.tiff", animation("TIFF", frames)))
    page.page.focus("#scrubber")
    for key, text in [("End", "4 / 4"), ("ArrowLeft", "3 / 4"), ("Home", "1 / 4")]:
        page.page.keyboard.press(key)
        assert page.text("output[for=scrubber]") == text
    page.page.focus("[aria-label='Previous frame']")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("Enter")
    assert page.text("output[for=scrubber]") == "2 / 4"
    page.settle()
    page.page.click("text=Classify every frame")
    page.settle()
    strip = page.page.locator(".strip canvas")
    width = float(strip.evaluate("strip => strip.clientWidth"))
    strip.click(position={"x": width * 0.9, "y": 10})
    assert page.text("output[for=scrubber]") == "4 / 4"


def test_arrow_keys_on_the_picture_show_other_files(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"{kind}.png", png(kind)) for kind in ("brain", "abdomen", "femur")))
    page.page.focus("#picture")
    for key, name in [("ArrowRight", "abdomen"), ("End", "femur"), ("ArrowLeft", "abdomen"), ("Home", "brain")]:
        page.page.keyboard.press(key)
        page.until(f"document.querySelector('#viewer-title').textContent === '{name}.png'")
        assert page.focused() == "picture"


def test_single_keys_work_everywhere_and_can_be_switched_off(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"{kind}.png", png(kind)) for kind in ("brain", "abdomen")))
    press = page.page.keyboard.press
    page.page.focus("#theme")
    for key, name in [("n", "abdomen"), ("p", "brain")]:
        press(key)
        page.until(f"document.querySelector('#viewer-title').textContent === '{name}.png'")
    press("v")
    assert page.page.locator("#exam").is_visible()
    press("v")
    press("?")
    assert page.page.locator("#help").is_visible()
    assert "compare this frame with another" in page.text("#help .shortcuts")
    page.page.uncheck("#single-keys")
    press("Escape")
    press("v")
    assert page.page.locator("#exam").is_hidden()
    press("Control+p")  # not taken from the browser
    assert page.text("#viewer-title") == "brain.png"


def test_single_keys_are_not_taken_while_a_key_is_typed(visit: Visits) -> None:
    page = visit()
    page.page.route("**/model", lambda route: route.fulfill(status=401, body="{}"))
    page.page.goto(page.address)
    page.until("document.activeElement.id === 'key'")
    page.page.keyboard.type("hn+?v0yx1a")
    assert page.page.input_value("#key") == "hn+?v0yx1a"


@pytest.mark.parametrize("state", ["answer", "exam"])
def test_the_focus_is_visible(visit: Visits, state: str) -> None:
    page = visit()
    PAGE_STATES[state].enter(page.page)
    page.page.focus("#skip a >> nth=0")
    invisible = []
    for _ in range(12):
        page.page.keyboard.press("Tab")
        seen = page.page.evaluate(
            """() => {
              const one = document.activeElement;
              if (one === document.body) return true;
              const style = getComputedStyle(one);
              const frame = getComputedStyle(one.parentElement, "::after");
              const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
              return outlined || frame.borderTopStyle === "solid";
            }"""
        )
        if not seen:
            invisible.append(page.focused())
    assert invisible == []
