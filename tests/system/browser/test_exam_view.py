"""The exam view: frames by plane, missing planes, frames to check, and the saved exam report."""

from collections.abc import Callable
from pathlib import Path

from service.sample.frames import draw_frame
from tests.support.drawn_model import UNSURE
from tests.support.images import animation
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


def test_expected_planes_come_from_the_service_s_setting(visit: Visits, drawn_model: Phantom, tmp_path: Path) -> None:
    with serving(drawn_model.write(tmp_path), expected_planes="fetal_femur,no_plane_of_the_model") as address:
        page = visit(address)
        page.add(upload("a.png", png("brain")))
        page.page.click("#view-exam")
        assert page.text("#exam .card-title") == "Missing: Fetal femur"
        assert page.page.locator(".expected input:checked").count() == 1


def test_missing_planes_are_named(visit: Visits) -> None:
    page = visit()
    names = {"brain": 2, "abdomen": 1, "femur": 1}
    page.add(*(upload(f"{kind}{n}.png", png(kind, n)) for kind, count in names.items() for n in range(count)))
    page.page.click("#view-exam")
    assert page.text("#exam .card-title") == "Missing: Fetal thorax, Maternal cervix"
    groups = {group.split("\n")[0].split(" ")[1]: group for group in page.page.locator(".group").all_inner_texts()}
    assert groups["brain"].count(".png") == 2
    assert "Missing" in groups["thorax"]
    page.page.uncheck("#expect-fetal_thorax")
    assert page.text("#exam .card-title") == "Missing: Maternal cervix"
    page.page.uncheck("#expect-maternal_cervix")
    assert page.text("#exam .card-title") == "Every expected plane is present"
    assert page.focused() == "expect-maternal_cervix"


def test_the_best_frame_of_a_plane_comes_first_and_opens(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"brain{seed}.png", png("brain", seed)) for seed in range(4)))
    page.page.click("#view-exam")
    shelf = page.page.locator(".group", has_text="Fetal brain").first.locator(".tile")
    figures = [
        float(text)
        for text in shelf.locator(".tile-value").evaluate_all(
            "all => all.map((e) => parseFloat(e.textContent.replace('>', '')))"
        )
    ]
    assert figures == sorted(figures, reverse=True)
    name = shelf.first.locator(".tile-name").inner_text()
    assert shelf.first.inner_text().startswith("Best")
    shelf.first.click()
    assert page.text("#viewer-title") == name


def test_frames_to_check_by_hand_are_listed(visit: Visits) -> None:
    page = visit()
    page.add(upload("a.png", png("brain")), upload("unsure.png", png(*UNSURE)), upload("b.txt", b"x"))
    page.page.click("#view-exam")
    by_hand = page.text(".by-hand")
    assert "The model is not sure · 1 frame" in by_hand
    assert "unsure.png" in by_hand
    assert "Not classified · 1 frame" in by_hand
    assert "a.png" not in by_hand


def test_the_exam_report_is_saved_with_names_that_were_never_sent(visit: Visits) -> None:
    names = ["Jane <Doe> & co.png", "second.png"]
    page = visit()
    page.add(upload(names[0], png("brain")), upload(names[1], png("abdomen")))
    page.page.click("#view-exam")
    page.page.uncheck("#expect-fetal_thorax")
    with page.page.expect_download() as download:
        page.page.click("#report")
    assert download.value.suggested_filename == "exam.html"
    saved = Path(download.value.path()).read_text("utf-8")
    assert "Jane &lt;Doe&gt; &amp; co.png" in saved
    assert names[1] in saved
    assert "Missing: Fetal femur, Maternal cervix" in saved
    assert saved.count("Heat map over the best frame") == 2
    (asked,) = [request for request in page.requests if "/exam?" in request.url]
    assert b"Doe" not in (asked.post_data_buffer or b"")
    assert page.text("#exam [role=status]") == "Saved."


def test_a_refused_exam_report_gives_the_reason(visit: Visits, drawn_model: Phantom, tmp_path: Path) -> None:
    with serving(drawn_model.write(tmp_path), max_batch_bytes=2048) as address:
        page = visit(address)
        page.add(upload("a.png", png("brain")))
        page.page.click("#view-exam")
        page.page.click("#report")
        page.until("document.querySelector('#exam [role=status]').textContent.includes('limit of 2048 bytes')")
        assert page.page.is_enabled("#report")


def test_a_cine_gives_the_best_frame_of_each_plane(visit: Visits) -> None:
    frames = [draw_frame(kind, seed=seed) for kind in ("brain", "abdomen") for seed in range(2)]
    page = visit()
    page.add(upload("cine.tiff", animation("TIFF", frames)))
    page.page.click("text=Classify every frame")
    page.settle()
    page.page.click("#view-exam")
    assert page.page.locator(".group .tile").count() == 2
    assert page.text("#exam .card-title") == "Missing: Fetal femur, Fetal thorax, Maternal cervix"
