"""The store on SQLite and on PostgreSQL."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from service.errors import NoStore, NotFound, StoreFull
from service.schemas.corrections import MAX_CORRECTIONS, Correction
from service.store.frames import FramePlace
from service.store.selection import Selection
from service.store.store import Store
from service.store.tables import corrections
from tests.support.store import PATIENT, SECRET, STUDY, new, opened, sqlite_url
from tests.support.waiting import eventually

ALL = Selection(0, 1000)


def listed(store: Store, selection: Selection = ALL) -> list[Correction]:
    return store.page(selection)[0]


def rows(store: Store) -> list[str]:
    """The digests in the table, also of corrections that are too old."""
    with store.database.read() as connection:
        return [row.digest for row in connection.execute(corrections.select().order_by(corrections.c.id))]


def age(store: Store, number: int, days: float) -> None:
    """Make a correction older."""
    with store.database.write() as connection:
        then = datetime.now(UTC) - timedelta(days=days)
        connection.execute(update(corrections).where(corrections.c.id == number).values(at=then))


def test_what_is_kept_is_listed(store_url: str, tmp_path: Path) -> None:
    sent = new(1, frame=7, machine="Ä" * 128, answer={"plane": "other", "abstain_reason": "uncertain"})
    with opened(store_url, tmp_path) as store:
        before = datetime.now(UTC)
        (number,) = store.add([sent], "ward-3")
        (kept,) = listed(store)
    assert kept.id == number
    assert kept.who == "ward-3"
    assert before <= kept.at <= datetime.now(UTC)
    assert kept.at.utcoffset() == timedelta(0)
    same = {"digest", "frame", "model", "answer", "verdict", "plane", "sub_plane", "machine", "protocol"}
    assert kept.model_dump(include=same) == sent.model_dump(include=same)
    assert not kept.has_frame
    assert kept.study is not None
    assert kept.patient is not None
    assert {STUDY, PATIENT}.isdisjoint({kept.study, kept.patient})
    Correction.model_validate(kept.model_dump())


def test_texts_are_kept_as_they_are(store_url: str, tmp_path: Path) -> None:
    texts = [
        "\U0010ffff" * 128,
        "\ufffe",
        "' OR 1=1; --",
        "%s %(x)s :name $1 ?",
        "\\x00\\",
        "\u202e",
        "é",
        "e\u0301",
    ]
    with opened(store_url, tmp_path) as store:
        store.add([new(machine=text, protocol=text, study=text) for text in texts], None)
        assert [each.machine for each in listed(store)] == texts
        for text in texts:
            assert [each.protocol for each in listed(store, Selection(0, 9, study=text))] == [text]


def test_a_verdict_decides_what_the_person_said(store_url: str, tmp_path: Path) -> None:
    answer = {"plane": "fetal_brain", "sub_plane": "trans_thalamic"}
    accepted = new(verdict="accepted", plane=None, answer=answer)
    rejected = new(verdict="rejected", plane=None, answer=answer)
    supplemented = new(plane="fetal_brain", sub_plane="trans_cerebellum", answer=answer)
    with opened(store_url, tmp_path) as store:
        store.add([accepted, rejected, supplemented], None)
        said = [(each.plane, each.sub_plane) for each in listed(store)]
    assert said == [("fetal_brain", "trans_thalamic"), (None, None), ("fetal_brain", "trans_cerebellum")]


def test_the_largest_request_gets_its_ids_in_order(store_url: str, tmp_path: Path) -> None:
    with opened(store_url, tmp_path) as store:
        ids = store.add([new(number) for number in range(MAX_CORRECTIONS)], None)
        assert ids == sorted(ids)
        kept = listed(store)
    assert [each.id for each in kept] == ids
    assert [each.digest for each in kept] == [new(number).digest for number in range(MAX_CORRECTIONS)]


def test_pages_follow_each_other_and_the_last_of_a_frame_counts(store_url: str, tmp_path: Path) -> None:
    with opened(store_url, tmp_path) as store:
        ids = store.add([new(number % 4, frame=number % 2) for number in range(10)], None)
        pages, after = [], 0
        while True:
            page, following = store.page(Selection(after, 3))
            pages.append([each.id for each in page])
            if following is None:
                break
            after = following
        assert pages == [ids[:3], ids[3:6], ids[6:9], ids[9:]]
        assert store.page(Selection(0, 10))[1] is None
        assert [each.id for each in listed(store, Selection(0, 1000, latest=True))] == ids[6:]


def test_a_study_and_a_patient_are_found_by_identifier_and_by_hash(store_url: str, tmp_path: Path) -> None:
    with opened(store_url, tmp_path) as store:
        store.add([new(1), new(2, study="1.2.3"), new(3, study=None, patient=None)], None)
        first = listed(store)[0]
        for study in (STUDY, f"{STUDY}\0", first.study):
            assert [each.digest for each in listed(store, Selection(0, 9, study=study))] == [first.digest]
        assert len(listed(store, Selection(0, 9, patient=first.patient))) == 2
        assert listed(store, Selection(0, 9, study="1.2.3", patient="another")) == []


def test_erasing_takes_the_study_the_same_files_and_their_frames(store_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    with opened(store_url, tmp_path, frames=folder, frames_bytes=10_000) as store:
        store.add([new(1), new(1, frame=2, study=None), new(2, study="1.2.3"), new(3, study="9.9")], None)
        for place in (FramePlace(new(1).digest, 2), FramePlace(new(2).digest, 0)):
            store.keep_frame(place, b"png")
        assert store.erase(STUDY, None) == (2, 1)
        assert [each.digest for each in listed(store)] == [new(2).digest, new(3).digest]
        assert [path.name for path in folder.glob("*.png")] == [f"{new(2).digest}-0.png"]
        assert store.erase(STUDY, None) == (0, 0)
        assert store.erase("9.9", "another patient") == (0, 0)
        assert store.erase(None, PATIENT) == (2, 1)
        assert list(folder.glob("*.png")) == []
        with pytest.raises(ValueError, match="neither"):
            store.erase(None, None)


def test_what_is_too_old_is_not_listed_and_is_deleted(store_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    options = {"retention": timedelta(days=30), "frames": folder, "frames_bytes": 10_000}
    with opened(store_url, tmp_path, **options) as store:
        store._expire_at = math.inf  # not by itself
        ids = store.add([new(1), new(2)], None)
        for number in (1, 2):
            store.keep_frame(FramePlace(new(number).digest, 0), b"png")
        age(store, ids[0], 30.1)
        age(store, ids[1], 29.9)
        assert [each.id for each in listed(store)] == [ids[1]]
        assert store.expire() == (1, 1)
        assert [path.name for path in folder.glob("*.png")] == [f"{new(2).digest}-0.png"]
    with opened(store_url, tmp_path) as store:  # now everything is kept
        assert [each.id for each in listed(store)] == [ids[1]]
        assert store.expire() == (0, 0)


def test_requests_delete_what_is_too_old_at_most_once_an_hour(store_url: str, tmp_path: Path) -> None:
    with opened(store_url, tmp_path) as store:
        (number,) = store.add([new(1)], None)
        age(store, number, 10)
    with opened(store_url, tmp_path, retention=timedelta(days=1)) as store:
        store.add([new(2)], None)
        eventually(lambda: rows(store) == [new(2).digest])
        age(store, number + 1, 10)
        store.add([new(3)], None)
    with opened(store_url, tmp_path) as store:
        assert rows(store) == [new(2).digest, new(3).digest]


def test_an_id_is_never_given_twice(store_url: str, tmp_path: Path) -> None:
    with opened(store_url, tmp_path) as store:
        first = store.add([new(1)], None)
        store.erase(STUDY, None)
        assert store.add([new(2)], None) > first


def test_frames_are_kept_up_to_the_quota(store_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    with opened(store_url, tmp_path, frames=folder, frames_bytes=100) as store:
        ids = store.add([new(1), new(2, frame=3)], None)
        place = store.place(ids[0])
        assert place == (new(1).digest, 0)
        store.keep_frame(place, b"a" * 60)
        store.keep_frame(place, b"b" * 90)  # again, in place of the first
        with pytest.raises(StoreFull):
            store.keep_frame(store.place(ids[1]), b"c" * 11)
        store.keep_frame(store.place(ids[1]), b"d" * 10)
        assert [each.has_frame for each in listed(store)] == [True, True]
        assert (folder / f"{new(1).digest}-0.png").read_bytes() == b"b" * 90
        assert (folder / f"{new(2).digest}-3.png").stat().st_mode & 0o777 == 0o600
        with pytest.raises(NotFound):
            store.place(ids[1] + 1)
        with pytest.raises(NotFound):
            store.keep_frame(FramePlace(new(3).digest, 0), b"e")


def test_a_full_disk_keeps_neither_row_nor_file(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(store_url, tmp_path, frames=tmp_path / "frames", frames_bytes=100) as store:
        (number,) = store.add([new(1)], None)
        with monkeypatch.context() as patched:
            patched.setattr("service.store.frames.write_flushed", fail)
            with pytest.raises(StoreFull):
                store.keep_frame(store.place(number), b"png")
        assert not listed(store)[0].has_frame
        store.keep_frame(store.place(number), b"png")


def test_what_a_killed_process_left_behind_is_counted_or_deleted(store_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    with opened(store_url, tmp_path, frames=folder, frames_bytes=100) as store:
        store.add([new(1), new(2, frame=5)], None)
        store.keep_frame(FramePlace(new(1).digest, 0), b"png")
        (folder / f"{new(2).digest}-5.png").write_bytes(b"x" * 90)  # of a transaction that was not committed
        (folder / f"{new(2).digest}-6.png").write_bytes(b"x")
        (folder / ".drafts" / "abc").write_bytes(b"x")
        own = {"notes.txt", "frame.png"}
        for name in own:
            (folder / name).write_text("the operator's own")
        store.expire()
        names = {f"{new(1).digest}-0.png", f"{new(2).digest}-5.png"}
        assert {path.name for path in folder.iterdir()} == {".drafts"} | names | own
        assert list((folder / ".drafts").iterdir()) == []
        assert [each.has_frame for each in listed(store)] == [True, True]
        with pytest.raises(StoreFull):
            store.keep_frame(FramePlace(new(1).digest, 0), b"p" * 11)


def test_without_a_folder_no_frame_is_kept(tmp_path: Path) -> None:
    with opened(sqlite_url(tmp_path), tmp_path) as store:
        (number,) = store.add([new(1)], None)
        with pytest.raises(NoStore, match="FETAL_PLANES_STORE_FRAMES"):
            store.place(number)


def test_the_database_holds_nothing_that_names_a_patient(
    store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with opened(store_url, tmp_path) as store:
        store.add([new(number) for number in range(50)], "ward-3")
        store.erase(STUDY, None)
        store.add([new(60, study="1.2.3.60", machine="Voluson-60")], None)
        contents = [path.read_bytes() for path in tmp_path.glob("store.db*")]
        if not contents:
            contents = [request.getfixturevalue("postgres").dump()]
    everything = b"".join(contents)
    assert b"Voluson-60" in everything  # it is what holds the rows
    for planted in (PATIENT, STUDY, "1.2.3.60", SECRET):
        assert planted.encode() not in everything


def test_erased_rows_are_overwritten_in_the_file(tmp_path: Path) -> None:
    with opened(sqlite_url(tmp_path), tmp_path) as store:
        store.add([new(1, machine="MARKED-MACHINE"), new(2, study="9")], None)
        store.erase(STUDY, None)
        contents = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
        assert b"Voluson E10" in contents
        assert b"MARKED-MACHINE" not in contents
