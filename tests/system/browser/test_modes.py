"""The page for fingers, projectors, contrast themes, 200 % zoom, small windows and people who turn motion off."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from service.settings import SHIPPED_MODEL
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving
from tests.system.browser.axe import violations
from tests.system.browser.page_states import PAGE_STATES, png
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visits = Callable[..., Visit]
STATES = ["empty", "not-sure", "reviewed", "exam", "cine", "compare", "help"]


def overflow(page: Visit) -> int:
    """Return by how many pixels the page is wider than its window."""
    over: int = page.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return over


class TestForcedColors:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_what_is_chosen_and_pressed_can_be_seen(self, visit: Visits, scheme: str) -> None:
        page = visit(forced_colors="active", color_scheme=scheme)
        page.add(upload("a.png", png("brain")), upload("b.png", png("femur")))
        style = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"

        def differs(chosen: str, other: str, name: str) -> bool:
            return bool(page.page.evaluate(style, [chosen, name]) != page.page.evaluate(style, [other, name]))

        assert differs("#view-frames", "#view-exam", "backgroundColor")
        assert differs(".tile[aria-current=true]", ".tile:not([aria-current=true])", "outlineStyle")
        assert differs(".row:has(:checked)", ".row:not(:has(:checked))", "outlineStyle")
        assert differs(".row-bar i", ".row-bar", "backgroundColor")

    @pytest.mark.parametrize("state", STATES)
    def test_axe_finds_no_violation(self, visit: Visits, state: str) -> None:
        page = visit(forced_colors="active")
        PAGE_STATES[state].enter(page.page)
        assert violations(page.page) == []


@pytest.mark.parametrize("state", ["answer", "exam"])
def test_nothing_moves_for_who_turned_motion_off(visit: Visits, state: str) -> None:
    page = visit(reduced_motion="reduce")
    PAGE_STATES[state].enter(page.page)
    moving = page.page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((each) => {
          const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(each);
          return parseFloat(transitionDuration) > 0 || animationName !== "none" || scrollBehavior === "smooth";
        }).map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert moving == []
    assert page.page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("state", [*STATES, "error"])
def test_targets_for_a_finger_have_44_pixels(visit: Visits, state: str) -> None:
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    PAGE_STATES[state].enter(page.page)
    scope = "dialog[open]" if state == "help" else "body"
    small = page.page.locator(
        f"{scope} :is(button, summary, .row label, label.check, input[type=range]):visible"
    ).evaluate_all(
        """all => all.map((one) => [one.id || one.innerText, one.getBoundingClientRect()])
          .filter(([, box]) => box.height < 43.9 || box.width < 43.9)
          .map(([name, box]) => `${name} ${box.width} x ${box.height}`)"""
    )
    assert small == []


@pytest.mark.parametrize("state", STATES)
def test_zoomed_to_200_percent_nothing_scrolls_sideways(visit: Visits, state: str) -> None:
    page = visit(viewport={"width": 640, "height": 400}, device_scale_factor=2)  # 1280 x 800 at 200 %
    PAGE_STATES[state].enter(page.page)
    assert overflow(page) == 0


@pytest.mark.parametrize("state", STATES)
def test_large_text_for_projectors(visit: Visits, state: str) -> None:
    page = visit()
    PAGE_STATES[state].enter(page.page)
    page.page.evaluate("document.querySelector('#large').click()")  # the help may be open over it
    assert page.page.get_attribute("#large", "aria-pressed") == "true"
    for scheme in ("light", "dark"):
        page.emulate(color_scheme=scheme)
        assert violations(page.page) == []
        assert contrast(page.page) > 15
    for width in (320, 390, 640, 1000, 1280, 1920):
        page.resize(width)
        assert overflow(page) == 0, width
    size = page.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert size >= 24


def contrast(page: "Page") -> float:
    """Return the contrast of text on the page's ground (WCAG 2.2, 1.4.3)."""
    colors = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    light, dark = sorted(
        (luminance([int(part) for part in re.findall(r"\d+", each)[:3]]) for each in colors), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


def luminance(color: list[int]) -> float:
    linear = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_text_size_of_the_browser_is_followed(visit: Visits) -> None:
    page = visit()
    root = "document.documentElement"
    assert page.page.evaluate(f"getComputedStyle({root}).fontSize") == "15px"
    page.context.new_cdp_session(page.page).send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    assert page.page.evaluate(f"getComputedStyle({root}).fontSize") == "30px"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_while_a_frame_is_enlarged(visit: Visits, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    page.add(upload("a.png", png("brain")))
    page.page.keyboard.press("+")
    for width in (390, 1280):
        page.resize(width)
        assert violations(page.page) == []
        assert overflow(page) == 0


def test_the_answer_of_one_frame_is_announced(visit: Visits) -> None:
    page = visit()
    page.add(upload("brain.png", png("brain")))
    page.until("document.querySelector('#live').textContent.startsWith('brain.png: Fetal brain, ')")
    page.add(upload("text.png", b"no image"))
    page.page.keyboard.press("n")
    page.settle()
    page.until("document.querySelector('#live').textContent.startsWith('text.png: ')")


class Doubtful(Phantom):
    """A model with a baseline and reasons to doubt its metrics."""

    def manifest(self) -> dict[str, object]:
        metric = {"metric": "top1", "subset": "main", "split": "val", "n": 40, "value": 0.5, "baseline": 0.625}
        return super().manifest() | {"metrics": [metric], "warnings": ["Only 40 frames were used to calibrate."]}


def test_the_help_says_the_baseline_and_why_to_doubt_the_metrics(
    visit: Visits, serve: Callable[[Phantom], str]
) -> None:
    page = visit(serve(Doubtful()))
    page.until("document.querySelector('#formats').textContent")
    page.page.click("#open-help")
    text = page.text("#help")
    assert "Top-1 accuracy, main planes 0.500 0.625 val, 40 frames" in text
    assert "Only 40 frames were used to calibrate." in page.text("#model-warnings")
    assert page.text("#model").endswith("· 1 reason to doubt its metrics")
    assert violations(page.page) == []


def test_the_shipped_model_states_baselines_and_its_license(visit: Visits) -> None:
    with serving(SHIPPED_MODEL) as address:
        page = visit(address)
        page.until("document.querySelector('#formats').textContent")
        page.page.click("#open-help")
        assert "Without looking" in page.text("#help")
        assert "Apache-2.0" in page.text("#help")
        assert page.page.locator("#model-warnings").count() == 0


def test_a_model_without_baselines_has_no_empty_column(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    page.page.click("#open-help")
    assert "Without looking" not in page.text("#help")
