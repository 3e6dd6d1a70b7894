"""Where the operator keeps corrections, the page sends what a person says; elsewhere it sends nothing."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest

from service.sample.frames import draw_frame
from tests.support import dicom_objects
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving
from tests.support.store import secret_file, sqlite_url
from tests.system.browser.axe import violations
from tests.system.browser.page_states import png
from tests.system.browser.reviews import press, tile_of
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]

STUDY, PATIENT = "1.2.826.0.1.3680043.8.498.7", "P-4711"


@pytest.fixture
def keeping(drawn_model: Phantom, tmp_path: Path) -> Iterator[str]:
    """Return the address of a service that keeps corrections."""
    settings = {"store": sqlite_url(tmp_path), "store_secret": secret_file(tmp_path)}
    with serving(drawn_model.write(tmp_path / "model"), **settings) as address:
        yield address


def kept(address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{address}/corrections").json()["corrections"]
    return found


def says(page: Visit, words: str) -> None:
    """Wait until the bar says what is kept."""
    page.until(f"document.querySelector('#review-kept').textContent.includes({words!r})")


def dicom() -> bytes:
    frame = draw_frame("femur", height=240, width=320, seed=1)
    stated = {"PatientID": PATIENT, "PatientName": "Name^Planted", "StudyInstanceUID": STUDY}
    return dicom_objects.native([frame], ManufacturerModelName="Voluson E10", **stated)


def test_reviews_are_kept_with_digest_answer_and_hashes(visit: Visits, keeping: str) -> None:
    page = visit(keeping)
    files = {"Jane Doe.png": png("brain", 1), "a.png": png("abdomen", 1), "f.dcm": dicom()}
    page.add(*(upload(*each) for each in files.items()))
    assert "The service keeps what you say of a frame" in page.text(".caution")
    press(page, "4", "Jane Doe.png")
    press(page, "y", "a.png")
    press(page, "x", "f.dcm")
    says(page, "3 kept by the service.")
    assert violations(page.page) == []
    rows = {row["digest"]: row for row in kept(keeping)}
    thorax, abdomen, femur = (rows[hashlib.sha256(content).hexdigest()] for content in files.values())
    assert (thorax["verdict"], thorax["plane"]) == ("supplemented", "fetal_thorax")
    assert thorax["answer"]["plane"] == "fetal_brain"
    assert (abdomen["verdict"], abdomen["plane"]) == ("accepted", "fetal_abdomen")
    assert (femur["verdict"], femur["plane"], femur["machine"]) == ("rejected", None, "Voluson E10")
    assert len(femur["study"]) == len(femur["patient"]) == 64
    assert thorax["patient"] is None
    assert thorax["protocol"].startswith("All planes")
    sent = [request.post_data or "" for request in page.requests if request.url.endswith("/corrections")]
    assert sent
    assert not [text for text in sent if "Doe" in text or "Planted" in text]
    erased = httpx.delete(f"{keeping}/corrections", params={"study": STUDY}).json()
    assert erased["corrections"] == 1
    assert page.page.evaluate("window.dispatchEvent(new Event('beforeunload', { cancelable: true }))")  # all is kept


def test_frames_are_kept_where_the_operator_wants_them(visit: Visits, drawn_model: Phantom, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    settings = {"store": sqlite_url(tmp_path), "store_secret": secret_file(tmp_path), "store_frames": frames}
    with serving(drawn_model.write(tmp_path / "model"), **settings) as address:
        page = visit(address)
        page.add(upload("a.png", png("brain", 1)), upload("b.png", png("femur", 1)), upload("c.png", encode(speckle())))
        assert "It also keeps the insonated sector" in page.text(".caution")
        press(page, "y", "a.png")
        press(page, "x", "b.png")
        press(page, "3", "c.png")  # without a sector
        says(page, "3 kept by the service. 1 of them without the picture.")
        assert [row["has_frame"] for row in kept(address)] == [True, False, False]
    assert len(list(frames.rglob("*.png"))) == 1


def test_undo_before_sending_sends_nothing_and_a_change_sends_the_newer_verdict(visit: Visits, keeping: str) -> None:
    page = visit(keeping)
    page.add(upload("a.png", png("brain", 1)), upload("b.png", png("femur", 1)))
    # A busy machine may take longer than the page waits before it sends.
    page.page.evaluate(
        "[window.own, window.setTimeout] = [setTimeout, (work, ms) => own(work, ms === 2000 ? 1e6 : ms)]"
    )
    press(page, "x", "a.png")
    page.page.keyboard.press("Control+z")
    page.until(f"{tile_of('a.png')}.dataset.verdict === undefined")
    page.page.evaluate("void (window.setTimeout = own)")
    press(page, "4", "a.png")
    says(page, "1 kept by the service.")
    assert [row["plane"] for row in kept(keeping)] == ["fetal_thorax"]
    page.page.evaluate(f"{tile_of('a.png')}.click()")
    press(page, "3", "a.png")
    page.page.evaluate(f"{tile_of('a.png')}.click()")
    page.until("document.querySelector('#verdict').textContent.includes('Fetal femur')")
    page.until("!document.querySelector('#review-kept').textContent.includes('not kept yet')")
    page.page.keyboard.press("Control+z")  # the verdict before is the newer one
    page.until("!document.querySelector('#review-kept').textContent.includes('not kept yet')")
    says(page, "1 kept by the service.")
    assert [row["plane"] for row in kept(keeping)] == ["fetal_thorax", "fetal_femur", "fetal_thorax"]
    page.page.keyboard.press("Control+z")
    says(page, "1 taken back here, but still kept")
    assert len(kept(keeping)) == 3


def test_a_busy_service_gets_them_later_and_one_that_refuses_is_named(visit: Visits, keeping: str) -> None:
    page = visit(keeping)
    replies = [(503, {"retry-after": "0"}, "{}"), (422, {}, json.dumps({"title": "No", "detail": "Not that one."}))]
    seen: list[int] = []

    def refuse(route: "Route") -> None:
        seen.append(1)
        if len(seen) > len(replies):
            return route.continue_()
        status, headers, body = replies[len(seen) - 1]
        return route.fulfill(status=status, headers=headers, body=body)

    page.page.route("**/corrections", refuse)
    page.add(upload("a.png", png("brain", 1)))
    press(page, "y", "a.png")
    says(page, "Not kept: Not that one.")
    says(page, "1 not kept yet.")
    assert len(seen) == 2
    assert kept(keeping) == []
    page.page.click("#review-send")
    says(page, "1 kept by the service.")
    assert page.page.locator("#review-send").is_hidden()
    assert len(kept(keeping)) == 1


def test_a_review_that_precedes_its_answer_is_sent_with_it(visit: Visits, keeping: str) -> None:
    page = visit(keeping)
    page.until("document.querySelector('#formats').textContent")
    held: list[Route] = []
    page.page.route("**/classify?*", lambda route: held.append(route))
    page.add(upload("a.png", png("brain", 1)), settle=False)
    page.until("document.querySelector('#tiles [data-kind=running]') !== null")
    page.page.keyboard.press("3")
    page.until("document.querySelector('#verdict').textContent.includes('It counts once the model has answered.')")
    for route in held:
        route.continue_()
    says(page, "1 kept by the service.")
    assert [row["plane"] for row in kept(keeping)] == ["fetal_femur"]


def test_a_page_without_a_secure_context_sends_the_same_digest(visit: Visits, keeping: str) -> None:
    page = visit(keeping)
    page.page.evaluate("Object.defineProperty(crypto, 'subtle', { value: undefined })")  # as over HTTP in a hospital
    page.add(upload("a.png", png("brain", 1)))
    press(page, "y", "a.png")
    says(page, "1 kept by the service.")
    assert [row["digest"] for row in kept(keeping)] == [hashlib.sha256(png("brain", 1)).hexdigest()]


def test_the_digest_of_any_length_is_sha_256(visit: Visits) -> None:
    sizes = [0, 1, 55, 56, 63, 64, 65, 119, 120, 2**20, 2**20 + 63, 3 * 2**20 + 5]
    words = """async (sizes) => {
      const { ownSha256 } = await import("/page/sha256.js");
      const bytes = (size) => Uint8Array.from({ length: size }, (_, at) => (7 * at + size) % 251);
      return Promise.all(sizes.map((size) => ownSha256(new Blob([bytes(size)]))));
    }"""
    found = visit().page.evaluate(words, sizes)
    for size, digest in zip(sizes, found, strict=True):
        assert digest == hashlib.sha256(bytes((7 * at + size) % 251 for at in range(size))).hexdigest()


def test_without_a_store_nothing_is_sent(visit: Visits) -> None:
    page = visit()
    page.add(upload("f.dcm", dicom()))
    press(page, "y", "f.dcm")
    says(page, "This service keeps no reviews: save them.")
    assert page.text("#keeps") == ""
    page.page.wait_for_timeout(2500)  # longer than the page waits before it sends
    addresses = [request.url for request in page.requests]
    assert not [each for each in addresses if each.endswith("/corrections") or "identifiers" in each]
