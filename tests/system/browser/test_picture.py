"""The picture: zoom and pan by mouse, keys and fingers, the heat map while a key is held, two frames side by side."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from service.sample.frames import draw_frame
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

Visits = Callable[..., Visit]
Box = dict[str, float]

PHONE: "ViewportSize" = {"width": 390, "height": 844}


@pytest.fixture
def page(visit: Visits) -> Visit:
    """A page that shows a frame of a brain."""
    page = visit()
    page.add(upload("brain.png", png("brain")))
    return page


def box(page: Visit, canvas: str = "#picture") -> Box:
    """Return the box of a canvas on the screen; it grows with the zoom."""
    rectangle: Box = page.page.evaluate(f"document.querySelector('{canvas}').getBoundingClientRect().toJSON()")
    return rectangle


def frame_box(page: Visit) -> Box:
    """Return the box that the picture is shown in; it does not grow."""
    rectangle: Box = page.page.evaluate(
        "document.querySelector('#picture').parentElement.getBoundingClientRect().toJSON()"
    )
    return rectangle


def scale(page: Visit) -> float:
    return box(page)["width"] / frame_box(page)["width"]


def assert_shows(page: Visit, picture: NDArray[np.uint8], seconds: float = 20) -> None:
    """Check that the canvas shows a picture soon."""
    deadline = time.monotonic() + seconds
    while not np.array_equal(page.picture(), picture) and time.monotonic() < deadline:
        time.sleep(0.05)
    np.testing.assert_array_equal(page.picture(), picture)


class TestZoom:
    def test_the_wheel_enlarges_around_the_pointer(self, page: Visit) -> None:
        before = box(page)
        x, y = before["x"] + before["width"] * 0.25, before["y"] + before["height"] * 0.75
        page.page.mouse.move(x, y)
        page.page.mouse.wheel(0, -500)
        page.until("document.querySelector('#zoom-reset').textContent !== '100 %'")
        after = box(page)
        assert after["width"] > 1.5 * before["width"]
        assert (x - after["x"]) / after["width"] == pytest.approx(0.25, abs=0.01)
        assert (y - after["y"]) / after["height"] == pytest.approx(0.75, abs=0.01)
        page.page.mouse.wheel(0, 3000)
        page.until("document.querySelector('#zoom-reset').textContent === '100 %'")
        assert box(page) == before

    def test_the_wheel_scrolls_a_page_that_scrolls(self, visit: Visits) -> None:
        page = visit(viewport=PHONE)
        page.add(upload("brain.png", png("brain")))
        page.page.locator("#picture").hover()
        page.page.mouse.wheel(0, 200)
        page.until("scrollY > 100")
        page.page.mouse.wheel(0, -200)
        page.until("scrollY < 50")
        assert scale(page) == pytest.approx(1)
        page.page.keyboard.down("Control")
        page.page.mouse.wheel(0, -50)
        page.page.keyboard.up("Control")
        page.until("document.querySelector('#zoom-reset').textContent !== '100 %'")

    @pytest.mark.parametrize("larger", ["+", "="])
    def test_keys(self, page: Visit, larger: str) -> None:
        press = page.page.keyboard.press
        press(larger)
        press(larger)
        assert scale(page) == pytest.approx(1.25**2, rel=0.01)
        press("-")
        assert scale(page) == pytest.approx(1.25, rel=0.01)
        press("0")
        assert scale(page) == pytest.approx(1)

    def test_buttons_and_double_click(self, page: Visit) -> None:
        page.page.click("#zoom-in")
        assert scale(page) == pytest.approx(1.25, rel=0.01)
        page.page.click("#zoom-out")
        assert scale(page) == pytest.approx(1)
        page.page.dblclick("#picture")
        assert scale(page) == pytest.approx(2.5, rel=0.01)
        page.page.click("#zoom-reset")
        assert scale(page) == pytest.approx(1)

    def test_dragging_and_arrow_keys_move_an_enlarged_picture(self, page: Visit) -> None:
        around = frame_box(page)
        page.page.dblclick("#picture")
        before = box(page)
        middle = (around["x"] + around["width"] / 2, around["y"] + around["height"] / 2)
        page.page.mouse.move(*middle)
        page.page.mouse.down()
        page.page.mouse.move(middle[0] + 40, middle[1] - 30, steps=4)
        page.page.mouse.up()
        after = box(page)
        assert after["x"] - before["x"] == pytest.approx(40, abs=1)
        assert after["y"] - before["y"] == pytest.approx(-30, abs=1)
        page.page.focus("#picture")
        page.page.keyboard.press("ArrowRight")
        assert box(page)["x"] < after["x"] - 20
        for _ in range(40):
            page.page.keyboard.press("ArrowLeft")
        assert box(page)["x"] == pytest.approx(around["x"], abs=1)  # not beyond the edge

    def test_two_fingers_enlarge(self, visit: Visits) -> None:
        page = visit(viewport=PHONE, has_touch=True)
        page.add(upload("brain.png", png("brain")))
        page.page.locator("#picture").scroll_into_view_if_needed()
        around = frame_box(page)
        x, y = around["x"] + around["width"] / 2, around["y"] + around["height"] / 2
        touch = page.context.new_cdp_session(page.page)

        def fingers(kind: str, *distances: float) -> None:
            points = [{"x": x + d, "y": y, "id": n} for n, d in enumerate(distances)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        fingers("touchStart", -30, 30)
        for step in (40, 50, 60):
            fingers("touchMove", -step, step)
        fingers("touchEnd")
        assert scale(page) == pytest.approx(2, rel=0.05)
        assert box(page)["x"] + box(page)["width"] / 2 == pytest.approx(x, abs=3)

    def test_enlarged_pixels_are_squares_and_the_heat_map_stays_on_its_frame(self, page: Visit) -> None:
        unchanged = page.picture()
        rendering = "getComputedStyle(document.querySelector('#picture')).imageRendering"
        assert page.page.evaluate(rendering) == "auto"
        for _ in range(8):
            page.page.keyboard.press("+")
        page.settle()
        assert page.page.evaluate(rendering) == "pixelated"
        np.testing.assert_array_equal(page.picture(), unchanged)  # frame and heat map are one picture, enlarged as one

    def test_a_large_frame_shows_all_its_pixels_once_it_is_enlarged(self, visit: Visits) -> None:
        page = visit()
        page.add(upload("large.png", encode(draw_frame("brain", height=1500, width=2000))))
        assert page.picture().shape == (1200, 1600, 3)
        page.page.keyboard.press("+")
        page.settle()
        assert page.picture().shape == (1500, 2000, 3)


class TestHold:
    frame = np.dstack([draw_frame("brain", seed=0)] * 3)

    def assert_hidden_while(self, page: Visit, press: Callable[[], None], release: Callable[[], None]) -> None:
        with_heat = page.picture()
        press()
        assert_shows(page, self.frame)
        release()
        assert_shows(page, with_heat)

    def test_the_key(self, page: Visit) -> None:
        keyboard = page.page.keyboard
        self.assert_hidden_while(page, lambda: keyboard.down("h"), lambda: keyboard.up("h"))

    @pytest.mark.parametrize("target", ["#hold", "#picture"])
    def test_the_mouse(self, page: Visit, target: str) -> None:
        page.page.locator(target).hover()
        self.assert_hidden_while(page, page.page.mouse.down, page.page.mouse.up)

    def test_the_button_by_keyboard(self, page: Visit) -> None:
        page.page.focus("#hold")
        keyboard = page.page.keyboard
        self.assert_hidden_while(page, lambda: keyboard.down(" "), lambda: keyboard.up(" "))

    @pytest.mark.parametrize("target", ["#hold", "#picture"])
    def test_a_finger(self, visit: Visits, target: str) -> None:
        page = visit(has_touch=True)
        page.add(upload("brain.png", png("brain")))
        at = page.page.locator(target).evaluate("one => one.getBoundingClientRect().toJSON()")
        point = {"x": at["x"] + at["width"] / 2, "y": at["y"] + at["height"] / 2}
        touch = page.context.new_cdp_session(page.page)

        def send(kind: str, *points: Box) -> None:
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

        self.assert_hidden_while(page, lambda: send("touchStart", point), lambda: send("touchEnd"))

    def test_a_hidden_heat_map_is_shown(self, page: Visit) -> None:
        with_heat = page.picture()
        page.slide("#opacity", 0)
        page.page.keyboard.down("h")
        assert_shows(page, with_heat)
        page.page.keyboard.up("h")
        assert_shows(page, self.frame)

    def test_it_is_off_without_a_heat_map(self, visit: Visits, serve: Callable[[Phantom], str]) -> None:
        page = visit(serve(Phantom(max_ood_score=0.0)))
        page.add(upload("gray.png", encode(speckle())))
        assert page.text("#evidence") == "No heat map, because the model names no plane."
        assert page.page.get_attribute("#hold", "aria-disabled") == "true"
        page.page.click("text=Show the probabilities anyway")
        page.settle()
        assert page.page.get_attribute("#hold", "aria-disabled") == "false"


class TestCompare:
    @pytest.fixture
    def two(self, visit: Visits) -> Visit:
        page = visit()
        page.add(upload("brain.png", png("brain")), upload("femur.png", png("femur", 2)))
        return page

    def test_two_frames_have_the_same_zoom_until_escape(self, two: Visit) -> None:
        left = two.picture()
        two.page.click("#compare")
        assert two.text("#caption") == "Choose the second frame in the list or the exam."
        two.page.click(".tile >> nth=1")
        two.settle()
        assert two.text("#kept-caption").startswith("brain.png · Fetal brain")
        assert two.text("#caption").startswith("femur.png · Fetal femur")
        two.page.locator("#kept-picture").hover()
        two.page.mouse.wheel(0, -400)
        two.until("document.querySelector('#zoom-reset').textContent !== '100 %'")
        kept, shown = box(two, "#kept-picture"), box(two)
        assert kept["width"] == pytest.approx(shown["width"], abs=1)
        assert kept["y"] == pytest.approx(shown["y"], abs=1)
        assert kept["x"] < shown["x"]
        assert self.kept_pixels(two) == left.shape[:2][::-1]
        two.page.keyboard.press("Escape")
        assert two.page.locator("#kept").is_hidden()
        assert two.text("#viewer-title") == "femur.png"

    def kept_pixels(self, page: Visit) -> tuple[int, int]:
        width, height = page.page.evaluate(
            "(({width, height}) => [width, height])(document.querySelector('#kept-picture'))"
        )
        return width, height

    def test_the_second_frame_may_come_from_the_exam(self, two: Visit) -> None:
        two.page.keyboard.press("c")
        two.page.keyboard.press("v")
        two.page.click("#exam .tile:has-text('femur.png')")
        two.settle()
        assert two.page.locator("#kept").is_visible()
        assert two.text("#caption").startswith("femur.png")

    def test_a_removed_frame_is_no_longer_compared(self, two: Visit) -> None:
        two.page.click("#compare")
        two.page.click("#remove")
        two.settle()
        assert two.page.locator("#kept").is_hidden()
        assert two.page.get_attribute("#compare", "aria-pressed") == "false"
