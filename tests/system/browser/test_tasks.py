"""What a sonographer must be able to do at the first visit without help, each by keyboard, by mouse and by touch.

A task finds its controls as a person does: by the words on them. `do` presses the control, by the means of the test.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from service.sample.frames import draw_frame
from tests.support.drawn_model import UNSURE
from tests.support.images import animation, encode
from tests.support.pdf_text import pdf_pages
from tests.system.browser.page_states import png
from tests.system.browser.visit import Upload, Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Route

Visits = Callable[..., Visit]

_LOOP = animation(
    "TIFF", [draw_frame(kind, height=240, width=320, seed=1) for kind in ("brain", "femur") for _ in "123"]
)
_MOST_KEYS = 60  # pressed to reach a control


class Person:
    """A person at the page, who uses one means of input."""

    def __init__(self, visit: Visits, means: str) -> None:
        self.means = means
        options = {"viewport": {"width": 820, "height": 1180}, "has_touch": True} if means == "touch" else {}
        self.visit = visit(**options)
        self.page = self.visit.page
        self.visit.until("document.querySelector('#formats').textContent !== ''")

    def find(self, name: str, within: str = "body", role: str = "button") -> "Locator":
        """Return the first visible control with this name."""
        return self.page.locator(within).get_by_role(role, name=name).locator("visible=true").first  # type: ignore[arg-type]

    def do(self, name: str, within: str = "body", role: str = "button") -> None:
        """Press the control with this name."""
        control = self.find(name, within, role)
        control.wait_for()
        if self.means == "mouse":
            control.click()
        elif self.means == "touch":
            control.tap()
        else:
            self.reach(control)
            self.page.keyboard.press("Space" if role in ("checkbox", "radio") else "Enter")

    def reach(self, control: "Locator") -> None:
        """Move the focus to a control with Tab and, in its group, with arrow keys."""
        self.page.evaluate("document.activeElement.closest('dialog') || document.querySelector('#skip a').focus()")
        for _ in range(_MOST_KEYS):
            if control.evaluate("one => one === document.activeElement"):
                return
            key = control.evaluate(
                """one => {
                  const here = document.activeElement;
                  const group = "[data-roving], #tiles, fieldset";
                  const same = here.closest(group) && here.closest(group) === one.closest(group);
                  const radios = one.type === "radio" && here.type === "radio";
                  if (!same || !here.matches(one.tagName) || (one.tabIndex >= 0 && !radios)) return "Tab";
                  const before = here.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_PRECEDING;
                  return before ? "ArrowLeft" : "ArrowRight";
                }"""
            )
            self.page.keyboard.press(key)
        pytest.fail(f"{control} cannot be reached")

    def add(self, *uploads: Upload) -> None:
        """Choose files: the browser's own dialog follows the button."""
        with self.page.expect_file_chooser() as chooser:
            self.do("Choose frames")
        chooser.value.set_files(list(uploads))
        self.page.locator(".tile").first.wait_for()
        self.visit.settle()

    def text(self, selector: str) -> str:
        return self.visit.text(selector)

    def saved(self, name: str) -> str:
        """Press a button that saves a file; return its text."""
        with self.page.expect_download() as download:
            self.do(name)
        return Path(download.value.path()).read_text("utf-8-sig")


BRAIN, FEMUR = upload("brain.png", png("brain")), upload("femur.png", png("femur", 2))
UNSURE_FRAME = upload("unsure.png", encode(draw_frame(UNSURE[0], seed=UNSURE[1], height=600, width=800)))
LOOP = upload("loop.tiff", _LOOP)
TEXT = upload("letter.txt", b"not a frame")


def open_a_frame(person: Person) -> None:
    person.add(BRAIN)
    assert person.text("#viewer-title") == "brain.png"


def read_the_two_planes(person: Person) -> None:
    person.add(BRAIN)
    assert person.text("#verdict").startswith("✓ Fetal brain")
    assert "Next: Fetal " in person.text("#verdict")


def see_where_the_score_comes_from(person: Person) -> None:
    person.add(BRAIN)
    assert person.text("#evidence").startswith("Evidence for Fetal brain")
    with_heat = person.visit.picture()
    person.do("Fetal femur", role="radio")
    person.visit.settle()
    assert "Fetal femur" in person.text("#evidence")
    assert (person.visit.picture() != with_heat).any()


def open_a_folder(person: Person) -> None:
    with person.page.expect_file_chooser() as chooser:
        person.do("Choose a folder")
    assert chooser.value.element.get_attribute("id") == "folder"


def find_the_missing_planes(person: Person) -> None:
    person.add(BRAIN, FEMUR)
    person.do("Exam")
    assert person.text("#exam .card-title").startswith("Missing: Fetal abdomen, Fetal thorax")


def choose_another_frame_for_a_plane(person: Person) -> None:
    person.add(BRAIN, upload("second.png", png("brain", 3)))
    person.do("Exam")
    person.do("Prefer this one", "#exam")
    assert person.text("#exam .mark >> nth=0").startswith("Chosen by you")


def read_a_loop(person: Person) -> None:
    person.add(LOOP)
    person.do("Classify every frame")
    person.visit.until("document.querySelector('#cine').textContent.includes('Frames 4 to 6: Fetal femur.')")
    person.visit.settle()
    assert "Frames 1 to 3: Fetal brain." in person.text("#cine")
    person.do("Fetal femur, frame", "#cine")
    person.visit.until("!document.querySelector('output[for=scrubber]').textContent.startsWith('1 ')")


def save_the_report(person: Person) -> None:
    person.add(BRAIN)
    person.do("Exam")
    assert "brain.png" in person.saved("Save as a printable page")


def save_the_csv(person: Person) -> None:
    person.add(BRAIN)
    assert "brain.png,0,,fetal_brain" in person.saved("Save CSV")


def print_a_frame(person: Person) -> None:
    person.add(BRAIN)
    person.page.evaluate("window.print = () => { window.printed = true; }")
    person.do("Print")
    assert person.page.evaluate("window.printed")
    assert "brain.png" in pdf_pages(person.page.pdf(prefer_css_page_size=True))[0]


def remove_a_frame(person: Person) -> None:
    person.add(BRAIN, FEMUR)
    person.do("Remove", ".viewer")
    person.visit.settle()
    assert [tile.split()[-1] for tile in person.visit.tiles()] == ["femur.png"]


def stop_and_go_on(person: Person) -> None:
    held: list[Route] = []
    person.page.route("**/classify?*", lambda route: held.append(route))
    with person.page.expect_file_chooser() as chooser:
        person.do("Choose frames")
    chooser.value.set_files([upload(f"{seed}.png", png("brain", seed)) for seed in range(8)])
    person.do("Stop")
    for route in held:
        route.abort()
    person.page.unroute("**/classify?*")
    person.do("Exam")
    person.do("files that are left")
    person.visit.until("document.querySelector('#exam .card-title').textContent.startsWith('Missing')")
    assert "Fetal brain 8" in person.text("#exam")


def try_an_example(person: Person) -> None:
    person.do("Try an example")
    person.page.locator(".tile").first.wait_for()
    person.visit.settle()
    assert all("example/" in tile for tile in person.visit.tiles())


def compare_two_frames(person: Person) -> None:
    person.add(BRAIN, FEMUR)
    person.do("Compare")
    person.do("femur.png", "#tiles")
    person.visit.settle()
    assert person.text("#kept-caption").startswith("brain.png")
    assert person.text("#caption").startswith("femur.png")


def enlarge_and_show_the_whole_frame(person: Person) -> None:
    person.add(BRAIN)
    person.do("Enlarge")
    assert person.text("#zoom-reset") == "125 %"
    person.do("125 %")
    assert person.text("#zoom-reset") == "100 %"


def switch_to_dark(person: Person) -> None:
    person.do("Dark")
    assert person.page.evaluate("document.documentElement.dataset.theme") == "dark"


def find_help(person: Person) -> None:
    person.do("How to read this")
    assert "Between two planes means that no plane reaches" in person.text("#help")
    person.do("Close", "#help")
    assert person.page.locator("#help").is_hidden()


def find_the_model_s_version_and_limits(person: Person) -> None:
    assert "model phantom" in person.text("#model")
    person.do("How to read this")
    assert "This model and its limits" in person.text("#help")
    assert "its accuracy is unknown" in person.text("#help")


def see_why_a_frame_was_not_answered(person: Person) -> None:
    person.add(TEXT, UNSURE_FRAME)
    assert "Unsupported format" in person.text("#verdict")
    person.do("unsure.png", "#tiles")
    person.visit.settle()
    assert "No plane is probable enough" in person.text("#verdict")


def find_the_frames_that_are_not_sure(person: Person) -> None:
    person.add(BRAIN, UNSURE_FRAME)
    person.do("Exam")
    person.visit.until("document.querySelector('.by-hand .tile') !== null")
    person.do("unsure.png", ".by-hand")
    person.visit.settle()
    assert person.text("#verdict").startswith("? Between two planes")


class Task(NamedTuple):
    words: str
    do: Callable[[Person], None]


TASKS = [
    Task("open a frame", open_a_frame),
    Task("read the two most probable planes", read_the_two_planes),
    Task("see which regions support a plane", see_where_the_score_comes_from),
    Task("open a folder", open_a_folder),
    Task("find the planes that are missing", find_the_missing_planes),
    Task("choose another frame for a plane", choose_another_frame_for_a_plane),
    Task("read a loop", read_a_loop),
    Task("save the report", save_the_report),
    Task("save the answers for a spreadsheet", save_the_csv),
    Task("print a frame with its answer", print_a_frame),
    Task("remove a frame", remove_a_frame),
    Task("stop, and go on", stop_and_go_on),
    Task("try an example", try_an_example),
    Task("compare two frames", compare_two_frames),
    Task("enlarge the picture, and show it whole", enlarge_and_show_the_whole_frame),
    Task("switch to the dark page", switch_to_dark),
    Task("find help", find_help),
    Task("find the model's version and limits", find_the_model_s_version_and_limits),
    Task("see why a frame was not answered", see_why_a_frame_was_not_answered),
    Task("find the frames that the model is not sure of", find_the_frames_that_are_not_sure),
]


@pytest.mark.parametrize("means", ["keyboard", "mouse", "touch"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
def test_a_first_time_sonographer_can(visit: Visits, task: Task, means: str) -> None:
    task.do(Person(visit, means))


def test_there_are_twenty_tasks() -> None:
    assert len(TASKS) == len({task.words for task in TASKS}) == 20
