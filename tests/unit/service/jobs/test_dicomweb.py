"""`fetal-planes process --dicomweb`: every object of a study, or a message that says why not."""

import json
from pathlib import Path

import pytest

from service import cli
from tests.support import dicom_objects as dicoms
from tests.support.archive import STUDY, Archive, serve
from tests.support.images import speckle

SR = "1.2.840.10008.5.1.4.1.1.88.33"


def stills(count: int) -> dict[str, tuple[str, str, bytes]]:
    uids = [f"1.2.3.4.1.{number}" for number in range(count)]
    return {uid: (dicoms.US, "US", dicoms.native([speckle(seed=3)], SOPInstanceUID=uid)) for uid in uids}


def process(archive: Archive, model: Path, *options: str) -> int:
    return cli.main(["process", "--model", str(model), "--dicomweb", archive.url, "--study", STUDY, *options])


def files(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    output = capsys.readouterr()
    return [json.loads(line)["file"] for line in output.out.splitlines()], output.err


@pytest.mark.parametrize("part", [1, 3, 4, 5, 100])
@pytest.mark.parametrize("behavior", [{}, {"warns": False}, {"repeats": 2}])
def test_the_rest_of_a_search_is_asked_for(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str], part: int, behavior: dict[str, int]
) -> None:
    with serve(Archive(stills(4), part, **behavior)) as archive:  # type: ignore[arg-type]
        assert process(archive, phantom_folder, "--reports") == 0
    found, _ = files(capsys)
    assert sorted(found) == sorted(archive.objects)
    assert archive.stored == 4


def test_an_archive_that_ignores_the_offset_ends_the_search(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(Archive(stills(3), heeds_offset=False)) as archive:
        assert process(archive, phantom_folder) == 0
    assert sorted(files(capsys)[0]) == sorted(archive.objects)
    assert archive.asked == {"search": 1, "page": 1, "fetch": 3, "store": 6}


@pytest.mark.parametrize("behavior", [{"heeds_offset": False}, {"status": {"page": 400}}])
def test_objects_that_are_not_listed_are_named(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str], behavior: dict[str, bool]
) -> None:
    with serve(Archive(stills(5), 3, **behavior)) as archive:  # type: ignore[arg-type]
        assert process(archive, phantom_folder) == 1
    found, said = files(capsys)
    assert len(found) == len(set(found)) == 3
    assert "the archive has more objects of this study" in said


def test_an_archive_without_offsets_may_still_be_complete(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(Archive(stills(2), status={"page": 400})) as archive:
        assert process(archive, phantom_folder) == 0
    assert len(files(capsys)[0]) == 2


@pytest.mark.parametrize("what", ["search", "page"])
@pytest.mark.parametrize(("status", "said"), [(401, "401 Unauthorized"), (404, "404"), (500, "500"), (503, "503")])
def test_a_search_that_fails_says_its_status(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str], what: str, status: int, said: str
) -> None:
    with serve(Archive(stills(2), status={what: status})) as archive:
        assert process(archive, phantom_folder) == 2
    assert said in capsys.readouterr().err


def test_an_object_that_cannot_be_fetched_is_refused_with_the_status(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(Archive(stills(1), status={"fetch": 410})) as archive:
        assert process(archive, phantom_folder) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["problem"]["detail"] == "The archive does not return the object: 410 Gone."


@pytest.mark.parametrize("file", [b"", b"<html>Please log in</html>", dicoms.native([speckle()])[:200]])
def test_a_reply_without_an_object_is_refused(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str], file: bytes
) -> None:
    with serve(Archive(stills(1) | {"1.2.3.4.1.9": (dicoms.US, "US", file)})) as archive:
        assert process(archive, phantom_folder) == 1
    rows = {row["file"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["1.2.3.4.1.0"]["answer"]
    assert rows["1.2.3.4.1.9"]["problem"]["status"] < 500


def test_a_result_that_cannot_be_stored_keeps_the_answer(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(Archive(stills(1), status={"store": 507})) as archive:
        assert process(archive, phantom_folder) == 1
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    assert row["answer"]["predictions"]
    assert row["dicom_problem"] == "The archive cannot store the object: 507 Insufficient Storage."


def test_other_objects_are_counted_and_listed(phantom_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(Archive(stills(1) | {"1.2.9": (SR, "SR", b"")})) as archive:
        assert process(archive, phantom_folder) == 0
    found, said = files(capsys)
    assert found == ["1.2.3.4.1.0"]
    assert "skipped 1.2.9: not ultrasound: Comprehensive SR Storage" in said
    assert "files skipped 1" in said


@pytest.mark.parametrize("objects", [{}, {"1.2.9": (SR, "SR", b"")}])
def test_a_study_without_frames_is_an_error(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str], objects: dict[str, tuple[str, str, bytes]]
) -> None:
    with serve(Archive(objects)) as archive:
        assert process(archive, phantom_folder) == 2
    assert "study" in capsys.readouterr().err


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines"])
def test_a_token_that_is_not_set_is_named(
    phantom_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("ARCHIVE_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("ARCHIVE_TOKEN", value)
    with serve(Archive(stills(1))) as archive:
        assert process(archive, phantom_folder, "--token", "ARCHIVE_TOKEN") == 2
    assert "ARCHIVE_TOKEN" in capsys.readouterr().err
    assert not archive.asked


def test_a_token_goes_before_the_entry_of_netrc(
    phantom_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ARCHIVE_TOKEN", "right\n")
    with serve(Archive(stills(1))) as archive:
        assert process(archive, phantom_folder, "--token", "ARCHIVE_TOKEN") == 0
    assert archive.authorization == {"Bearer right"}


@pytest.mark.parametrize("url", ["archive", "ftp://archive", "http://"])
def test_an_address_that_is_none_is_refused(phantom_folder: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert process(Archive({}, url=url), phantom_folder) == 2
    assert url in capsys.readouterr().err
