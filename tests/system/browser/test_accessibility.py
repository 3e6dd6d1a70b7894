"""For everyone: keyboard, screen readers, contrast, dark rooms, small screens."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.drawn_frames import scan
from tests.support.images import encode
from tests.system.browser import screenshots as pictures
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import FileChooser, Page, ViewportSize

Visits = Callable[..., Visit]

DESKTOP: "ViewportSize" = {"width": 1280, "height": 800}
PHONE: "ViewportSize" = {"width": 390, "height": 844}


def violations(page: "Page") -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:120]} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("state", ["empty", "not-sure", "error", "exam", "cine", "note"])
def test_axe_finds_nothing_in_any_state(visit: Visits, state: str) -> None:
    page = visit()
    pictures.STATES[state][0](page.page)
    found = {}
    for scheme in ("light", "dark"):
        page.page.emulate_media(color_scheme=scheme)
        for size in (DESKTOP, PHONE):
            page.page.set_viewport_size(size)
            found[scheme, size["width"]] = violations(page.page)
    assert len(found) == 4
    assert not [each for each in found.items() if each[1]]


def test_axe_does_look(visit: Visits) -> None:
    page = visit()
    pictures.empty(page.page)
    page.page.evaluate("document.querySelector('#formats').style.color = '#ccc'")
    assert [each for each in violations(page.page) if each.startswith("color-contrast: ")]


def test_axe_finds_nothing_while_the_service_is_busy(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    page.page.route("**/classify?*", lambda route: route.fulfill(status=503, headers={"retry-after": "30"}, body="{}"))
    page.add(*(upload(f"{n}.png", encode(scan())) for n in range(4)), settle=False)
    page.until("document.querySelector('#progress-text').textContent.startsWith('The service is busy')")
    assert violations(page.page) == []


def test_axe_finds_nothing_where_a_key_is_asked_for(visit: Visits) -> None:
    page = visit()
    page.page.route("**/model", lambda route: route.fulfill(status=401, body="{}"))
    page.page.goto(page.address)
    page.until("document.activeElement.id === 'key'")
    assert violations(page.page) == []


def test_everything_by_keyboard(visit: Visits) -> None:
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
    choosers[0].set_files([upload(f"{kind}.png", encode(scan(kind))) for kind in ("head", "belly", "femur")])
    page.page.locator(".tile").nth(2).wait_for()
    page.settle()

    assert "head.png" in page.focused()
    press("ArrowDown")
    press("ArrowDown")
    page.settle()
    assert page.text("#stage-title") == "femur.png"
    assert "femur.png" in page.focused()
    press("Home")
    press("Delete")
    page.settle()
    assert page.text("#stage-title") == "belly.png"
    assert "belly.png" in page.focused()

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

    reach(page, "view-exam", "Shift+Tab")
    press("Space")
    assert page.page.locator("#exam").is_visible()
    reach(page, "open-note")
    press("Enter")
    assert page.page.locator("#note").is_visible()
    press("Escape")
    assert page.page.locator("#note").is_hidden()
    assert page.focused() == "open-note"


def reach(page: Visit, name: str, key: str = "Tab") -> None:
    """Go on with Tab to an element of this id or text."""
    for _ in range(40):
        if page.focused() == name:
            return
        page.page.keyboard.press(key)
    pytest.fail(f"{name} cannot be reached by {key}")


def test_a_screen_reader_is_told(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"{n}.png", encode(scan(seed=n))) for n in range(3)))
    label = page.page.get_attribute("#picture", "aria-label") or ""
    assert label.startswith("0.png: heat map of the evidence for Fetal brain, strongest ")
    assert page.page.locator("#live").get_attribute("role") == "status"
    page.until("document.querySelector('#live').textContent === '3 frames done: 3 answered.'")
    tile = page.page.get_by_role("button", name="Fetal brain").first
    assert tile.get_attribute("aria-current") == "true"
    assert page.page.get_by_role("slider", name="Heat map").input_value() == "65"
    assert page.page.get_by_role("radio").count() == 6
    assert page.page.get_by_role("group", name="Probabilities").count() == 1


class TestLightAndDark:
    def ground(self, page: Visit) -> int:
        """How light the page's ground is, 0 to 255."""
        color = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(np.mean([int(part) for part in color[4:-1].split(",")]))

    @pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
    def test_as_the_system_says_until_told_otherwise(self, visit: Visits, scheme: str, dark: bool) -> None:
        page = visit(color_scheme=scheme)
        assert (self.ground(page) < 60) is dark
        assert page.page.get_attribute("#theme", "aria-pressed") == str(dark).lower()
        page.page.click("#theme")
        assert (self.ground(page) < 60) is not dark
        assert page.page.get_attribute("#theme", "aria-pressed") == str(not dark).lower()
        page.page.reload()
        assert (self.ground(page) < 60) is dark  # nothing is stored

    def test_it_follows_the_system(self, visit: Visits) -> None:
        page = visit(color_scheme="light")
        page.page.emulate_media(color_scheme="dark")
        assert self.ground(page) < 60
        assert page.page.get_attribute("#theme", "aria-pressed") == "true"


@pytest.mark.parametrize("state", ["empty", "not-sure", "exam", "cine", "note"])
def test_nothing_sticks_out_at_any_width(visit: Visits, state: str) -> None:
    page = visit()
    pictures.STATES[state][0](page.page)
    for width in (320, 390, 600, 768, 1000, 1024, 1920):
        page.page.set_viewport_size({"width": width, "height": 740})
        over = page.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over == 0, width


def test_a_finger_can_hit_what_it_aims_at(visit: Visits) -> None:
    page = visit(viewport=PHONE, has_touch=True)
    page.add(upload("head.png", encode(scan())))
    small = page.page.locator("button:visible, .row label, .check").evaluate_all(
        "all => all.map((one) => [one.innerText, one.getBoundingClientRect()])"
        ".filter(([, box]) => box.height < 24 || box.width < 24).map(([text]) => text)"
    )
    assert small == []


def test_the_note_gives_the_model_s_own_figures(visit: Visits, address: str) -> None:
    page = visit()
    model = page.page.request.get(f"{address}/model").json()
    page.until("document.querySelector('#formats').textContent")
    page.page.click("#open-note")
    text = page.text("#note")
    for row in model["metrics"]:
        assert f"{row['metric']}, {row['subset']} planes {row['value']:.3f} {row['split']}, {row['n']} frames" in text
    assert f"trained on {model['training_data']['train_frames']} frames" in text
    assert "no plane reaches 60 %" in text
    page.page.click("#note >> text=Close")
    assert page.page.locator("#note").is_hidden()
