"""Accessibility: axe-core's rules, keyboard, screen readers, light and dark, small screens."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.system.browser.axe import violations
from tests.system.browser.page_states import PAGE_STATES, empty, png
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import FileChooser

Visits = Callable[..., Visit]

DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.mark.parametrize(
    "state", ["empty", "not-sure", "error", "batch", "reviewed", "exam", "cine", "compare", "help"]
)
def test_axe_finds_no_violation_in_any_state(visit: Visits, state: str) -> None:
    page = visit()
    PAGE_STATES[state].enter(page.page)
    found = {}
    for scheme in ("light", "dark"):
        page.emulate(color_scheme=scheme)
        for size in (DESKTOP, PHONE):
            page.resize(*size)
            found[scheme, size] = violations(page.page)
    assert len(found) == 4
    assert not [each for each in found.items() if each[1]]


def test_axe_finds_a_violation_made_on_purpose(visit: Visits) -> None:
    page = visit()
    empty(page.page)
    page.page.evaluate("document.querySelector('#formats').style.color = '#ccc'")
    assert [each for each in violations(page.page) if each.startswith("color-contrast: ")]


def test_axe_finds_no_violation_while_the_service_is_busy(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    page.page.route("**/classify?*", lambda route: route.fulfill(status=503, headers={"retry-after": "30"}, body="{}"))
    page.add(*(upload(f"{n}.png", png()) for n in range(4)), settle=False)
    page.until("document.querySelector('#progress-text').textContent.startsWith('The service is busy')")
    assert violations(page.page) == []


def test_axe_finds_no_violation_in_the_key_form(visit: Visits) -> None:
    page = visit()
    page.page.route("**/model", lambda route: route.fulfill(status=401, body="{}"))
    page.page.goto(page.address)
    page.until("document.activeElement.id === 'key'")
    assert violations(page.page) == []


def test_the_page_works_by_keyboard(visit: Visits) -> None:
    page = visit()
    press = page.page.keyboard.press
    choosers: list[FileChooser] = []
    page.page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.until("document.querySelector('#formats').textContent")
    press("Tab")
    assert page.focused() == "Skip to the frames"
    press("Enter")
    press("Tab")
    assert page.focused() == "Choose frames"
    press("Enter")
    for _ in range(100):
        if choosers:
            break
        page.page.wait_for_timeout(50)
    choosers[0].set_files([upload(f"{kind}.png", png(kind)) for kind in ("brain", "abdomen", "femur")])
    page.page.locator(".tile").nth(2).wait_for()
    page.settle()

    assert "brain.png" in page.focused()
    press("ArrowDown")
    press("ArrowDown")
    page.settle()
    assert page.text("#viewer-title") == "femur.png"
    assert "femur.png" in page.focused()
    press("Home")
    press("Delete")
    page.settle()
    assert page.text("#viewer-title") == "abdomen.png"
    assert "abdomen.png" in page.focused()

    reach(page, "opacity")
    before = page.picture()
    press("Home")
    page.settle()
    assert page.text("#opacity-value") == "0 %"
    assert np.abs(page.picture().astype(int) - before).max() > 30
    reach(page, "target-fetal_abdomen")
    press("ArrowDown")
    page.settle()
    assert page.page.locator("input[name=target]:checked").get_attribute("value") != "fetal_abdomen"
    assert page.focused() == page.page.locator("input[name=target]:checked").get_attribute("id")

    reach(page, "view-frames", "Shift+Tab")
    press("ArrowRight")
    press("Space")
    assert page.page.locator("#exam").is_visible()
    reach(page, "open-help", "ArrowRight")
    press("Enter")
    assert page.page.locator("#help").is_visible()
    press("Escape")
    assert page.page.locator("#help").is_hidden()
    assert page.focused() == "open-help"


def reach(page: Visit, name: str, key: str = "Tab") -> None:
    """Press Tab until the element with this id or text has the focus."""
    for _ in range(40):
        if page.focused() == name:
            return
        page.page.keyboard.press(key)
    pytest.fail(f"{name} cannot be reached by {key}")


def test_screen_readers_get_labels_and_progress(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"{n}.png", png(seed=n)) for n in range(3)))
    label = page.page.get_attribute("#picture", "aria-label") or ""
    assert label.startswith("0.png: heat map of the evidence for Fetal brain, strongest ")
    assert page.page.locator("#live").get_attribute("role") == "status"
    page.until("document.querySelector('#live').textContent === '3 frames done: 3 classified.'")
    tile = page.page.get_by_role("button", name="Fetal brain").first
    assert tile.get_attribute("aria-current") == "true"
    assert page.page.get_by_role("slider", name="Heat map").input_value() == "65"
    assert page.page.get_by_role("radio").count() == 6
    assert page.page.get_by_role("group", name="Probabilities").count() == 1


class TestLightAndDark:
    def background(self, page: Visit) -> int:
        """Return the lightness of the page's background, 0 to 255."""
        color = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(np.mean([int(part) for part in color[4:-1].split(",")]))

    @pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
    def test_the_system_s_scheme_until_the_button_is_pressed(self, visit: Visits, scheme: str, dark: bool) -> None:
        page = visit(color_scheme=scheme)
        assert (self.background(page) < 60) is dark
        assert page.page.get_attribute("#theme", "aria-pressed") == str(dark).lower()
        page.page.click("#theme")
        assert (self.background(page) < 60) is not dark
        assert page.page.get_attribute("#theme", "aria-pressed") == str(not dark).lower()
        page.page.reload()
        assert (self.background(page) < 60) is dark  # the choice is not stored

    def test_a_change_of_the_system_s_scheme_is_followed(self, visit: Visits) -> None:
        page = visit(color_scheme="light")
        page.emulate(color_scheme="dark")
        assert self.background(page) < 60
        assert page.page.get_attribute("#theme", "aria-pressed") == "true"


@pytest.mark.parametrize("state", ["empty", "not-sure", "batch", "reviewed", "exam", "cine", "compare", "help"])
def test_no_horizontal_scrolling_at_any_width(visit: Visits, state: str) -> None:
    page = visit()
    PAGE_STATES[state].enter(page.page)
    for width in (320, 390, 600, 768, 1000, 1024, 1920):
        page.resize(width, 740)
        over = page.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over == 0, width


def test_the_help_dialog_shows_the_model_s_metrics(visit: Visits, address: str) -> None:
    page = visit()
    model = page.page.request.get(f"{address}/model").json()
    page.until("document.querySelector('#formats').textContent")
    page.page.click("#open-help")
    text = page.text("#help")
    (row,) = model["metrics"]
    assert f"Top-1 accuracy, main planes {row['value']:.3f} drawings, {row['n']} frames" in text
    assert f"trained on {model['training_data']['train_frames']} frames" in text
    assert "no plane reaches 60 %" in text
    page.page.click("#help >> text=Close")
    assert page.page.locator("#help").is_hidden()
