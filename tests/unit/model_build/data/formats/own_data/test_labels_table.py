"""Tables of labels as Excel, Windows and scripts write them: read as they are meant, or refused with the line."""

import csv
import io
import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_build.data.formats import read_data
from model_build.data.formats.own_data.plane_ids import clean_label, plane_id
from model_build.data.formats.own_data.split_names import split_of
from model_build.data.records import DataError
from tests.support.dicom_objects import native
from tests.support.images import speckle
from tests.support.tiny_dataset import draw, write_labels_csv

Meant = tuple[str, str, str, str | None]  # path, label, patient and split of a row
DELIMITERS = (",", ";", "\t", "|")
SELF_EVIDENT = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
STATED = {  # encodings that only `dataset.toml` can tell apart, with letters of theirs
    "cp1252": "aäÄéßœŠž",
    "cp1250": "ačłżŐęś",
    "cp1251": "мозгБё",
    "iso8859_7": "εγκέφαλος",
    "cp437": "aäÇñß",
    "mac_roman": "aäéœÜ",
    "gbk": "脑股骨胎儿",
    "big5": "腦股骨胎兒",
    "shift_jis": "脳大腿骨ソ表",
    "euc_kr": "두뇌대퇴골",
}
ASCII_FILES = ("images/a.png", "images/p 3/c.PNG", "images/e;f,g.png", "images/f.png", "images/h|i.png")
FILES = (*ASCII_FILES, "images/Schädel 2.png", "images/股骨.png", "images/мозг.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    for number, name in enumerate(FILES):
        draw(folder / name, number % 6, number)
    return folder


@st.composite
def written_tables(draw: st.DrawFn) -> tuple[bytes, str, list[Meant]]:
    """Return the bytes of a table, its encoding, and what its rows mean: path, label, patient and split."""
    encoding = draw(st.sampled_from((*SELF_EVIDENT, *STATED)))
    letters = st.sampled_from(STATED[encoding]) if encoding in STATED else st.characters(categories=["L"])
    labels = [clean_label(draw(st.text(letters, min_size=1, max_size=9))) for _ in range(2)]
    assume(plane_id(labels[0]) != plane_id(labels[1]))
    meant, cells = list[Meant](), list[list[str]]()
    style = draw(st.sampled_from(("/", "\\", "./", ".\\", " ", "upper")))
    for number, name in enumerate(FILES):
        if encoding in STATED and name not in ASCII_FILES:
            continue
        side = draw(st.sampled_from(("train", "Training", "val", "VALID", "Test")))
        meant.append((name, labels[number % 2], str(number), split_of(side)))
        path = name.replace("/", "\\") if "\\" in style else name
        path = {"./": "./" + path, ".\\": ".\\" + path, " ": f" {path}  ", "upper": path.upper()}.get(style, path)
        patient = draw(st.sampled_from((f"{number}", f" {number} ", f"{number}.0", f"{number},0")))
        cells.append([path, labels[number % 2], patient, side, 'a "note",\nwith; a\tline|break'])
    names = draw(
        st.sampled_from((("path", "label", "patient"), ("Path", "LABEL", " Patient "), ("PATH ", "Label", "patient")))
    )
    empty = draw(st.integers(0, 2))
    rows = [[*names, "split", "note", *[""] * empty], *([*row, *[""] * empty] for row in cells)]
    rows += [[""] * len(rows[0])] * draw(st.integers(0, 2))
    text, ending = io.StringIO(), draw(st.sampled_from(("\n", "\r\n", "\r")))
    delimiter = draw(st.sampled_from(DELIMITERS))
    text.write(draw(st.sampled_from(("", f"sep={delimiter}{ending}"))))
    quoting: Literal[0, 1] = csv.QUOTE_ALL if draw(st.booleans()) else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows(rows)
    return (text.getvalue() + draw(st.sampled_from(("", "\x1a", "\n\n")))).encode(encoding), encoding, meant


@settings(deadline=None, max_examples=150)
@given(written_tables())
def test_a_table_means_the_same_in_any_encoding_delimiter_and_path_style(
    folder: Path, table: tuple[bytes, str, list[Meant]]
) -> None:
    data, encoding, meant = table
    (folder / "labels.csv").write_bytes(data)
    (folder / "dataset.toml").write_text(f'encoding = "{encoding}"\n' if encoding in STATED else "")
    index = read_data(folder)
    ids = {plane_id(label): label for _, label, *_ in meant}
    assert {plane.id for plane in index.planes} == set(ids)
    found = [
        (os.path.relpath(each.path, folder), ids[index.planes[each.plane].id], each.patient, each.split)
        for each in index.records
    ]
    assert found == meant


@settings(deadline=None, max_examples=200)
@given(written_tables(), st.data())
def test_damaged_bytes_are_read_or_refused_with_the_name_of_the_table(
    folder: Path, table: tuple[bytes, str, list[Meant]], data: st.DataObject
) -> None:
    content, encoding, _ = table
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 20))
        content = content[:start] + data.draw(st.binary(max_size=12)) + content[start + length :]
    (folder / "labels.csv").write_bytes(content)
    (folder / "dataset.toml").write_text(f'encoding = "{encoding}"\n' if encoding in STATED else "")
    refusal = "labels.csv"
    try:
        assert read_data(folder).records
    except DataError as error:
        refusal = str(error)
    assert "labels.csv" in refusal


@pytest.mark.parametrize("encoding", STATED)
def test_bytes_of_another_encoding_are_refused_with_the_line_unless_it_is_stated(tmp_path: Path, encoding: str) -> None:
    write_labels_csv(tmp_path)
    label = STATED[encoding]
    text = (tmp_path / "labels.csv").read_text().replace("Spine", label)
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"labels\.csv, line 3: the bytes are not UTF-8; .* encoding = "):
        read_data(tmp_path)
    (tmp_path / "dataset.toml").write_text(f'encoding = "{encoding}"\n')
    assert {label, label.capitalize()} & {plane.label for plane in read_data(tmp_path).planes}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("p1,train", "p1,trian", "line 5: split is 'trian'; it must be train, val or test"),
        ("p1,train", "p1,", "line 5: split is ''"),
        ("p1,train", ",train", "line 5: no patient"),
        ("p1,train", "1.23457E+11,train", "line 5: patient is 1.23457E.11, which Excel has rounded"),
        ("p1,train", "#N/A,train", "line 5: patient is Excel's error #N/A"),
        ("1-0.png,Heart", "1-0.png,", "line 5: no label"),
        ("1-0.png,", ",", "line 5: no path"),
        ("1-0.png,", "1_0.png,", "line 5: 1_0.png does not exist"),
        ("1-0.png,", "C:\\frames\\1-0.png,", "line 5: .* is a path of another computer"),
        ("1-0.png,", "\\\\server\\1-0.png,", "line 5: .* is a path of another computer"),
        ("1-0.png,", f"{'x' * 300}.png,", "line 5: x+.png does not exist"),
        ("1-0.png,", "0-0.png,", r"line 5: .*0-0\.png is on line 2 already"),
        ("1-0.png,", "./0-0.png,", r"line 5: .*0-0\.png is on line 2 already"),
        ("p1,train", "p1,train,more", "line 5: has 5 values, the header has 4"),
        ("1-0.png,Heart,p1", '1-0.png,"Heart,p1', "line 5: the row is not CSV"),
        ("path,label", "path,label,Label", "has two columns label"),
        ("path,label", "file,label", "lacks the columns path; it has file, label, patient, split"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_line_and_reason(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=rf"labels\.csv.*{reason}"):
        read_data(tmp_path)


def test_all_rows_that_cannot_be_used_are_named_with_the_line_that_they_start_on(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path, ("path", "label", "patient")) / "labels.csv"
    lines = table.read_text().splitlines()
    lines[2] = '0-1.png,"Spi\nne",p0'  # a quoted line break: the rows after it start one line later
    lines[4], lines[6] = "gone.png,Heart,p1", "1-2.png,,p1"
    table.write_text("\n".join(lines))
    with pytest.raises(
        DataError, match=r"2 rows cannot be used:\n  line 6: gone.png does not exist\n  line 8: no label"
    ):
        read_data(tmp_path)


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{number}.png,a\n" for number in range(100)))
    with pytest.raises(DataError, match=r"100 rows .*(?s:.)*and 80 more"):
        read_data(tmp_path)


def test_a_patient_written_as_1_and_as_1_0_is_one_patient(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path, ("path", "label", "patient")) / "labels.csv"
    text = table.read_text().replace(",p", ",").replace("atient", "patient")
    table.write_text(text.replace("Heart,1\n", "Heart,1.0\n"))
    assert {record.patient for record in read_data(tmp_path).records} == {str(number) for number in range(6)}


def test_a_column_without_a_name_is_ignored(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    expected = read_data(tmp_path)
    lines = [f"{number or ''},{line}" for number, line in enumerate(table.read_text().splitlines())]
    table.write_text("\n".join(lines))
    assert read_data(tmp_path) == expected


@pytest.mark.parametrize("name", ["Schädel é".encode("latin-1"), b"a\nb", b"\xff\xfe", "é".encode(), b"back\\slash"])
def test_a_file_with_any_name_is_found(tmp_path: Path, name: bytes) -> None:
    write_labels_csv(tmp_path)
    file = tmp_path / os.fsdecode(name + b".png")
    (tmp_path / "1-0.png").rename(file)
    written = name.decode("utf-8", "replace") if name != b"\xff\xfe" else "ÿþ"
    written = "Schädel é" if "\ufffd" in written else written
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("1-0.png,Heart", f'"{written}.png",Heart'), "utf-8")
    assert file in {record.path for record in read_data(tmp_path).records}


def test_two_files_that_differ_in_case_only_are_both_named(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    for name in ("Scan.png", "SCAN.png"):
        draw(tmp_path / name, 0, 77)
    table.write_text(table.read_text().replace("1-0.png,", "scan.png,"))
    with pytest.raises(DataError, match=r"line 5: scan\.png could be SCAN\.png or Scan\.png"):
        read_data(tmp_path)


def test_validation_rows_and_spellings_of_splits_are_read(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    text = table.read_text().replace("p1,train", "p1,Validation").replace("p2,train", "p2,VALID")
    table.write_text(text.replace("p3,train", "p3,TRAINING").replace("p0,test", "p0,Test"))
    splits = {record.patient: record.split for record in read_data(tmp_path).records}
    assert splits == {"p0": "test", "p1": "val", "p2": "val", "p3": "train", "p4": "train", "p5": "train"}


def test_every_frame_of_a_loop_counts_as_one_patient_on_one_side(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path, ("path", "label")) / "labels.csv"
    (tmp_path / "loop").write_bytes(native([speckle(seed=seed) for seed in range(3)]))
    table.write_text(table.read_text() + "loop,Heart\n")
    data = read_data(tmp_path)
    loop = [record for record in data.records if record.path.name == "loop"]
    assert [record.index for record in loop] == [0, 1, 2]
    assert len({(record.patient, record.split, record.plane) for record in loop}) == 1
    assert data.notes == ("1 loop with 3 frames: every frame counts, and a loop stays on one side of the split",)


@pytest.mark.parametrize("name", ["Labels.CSV", "labels.tsv", "LABELS.TXT"])
def test_the_table_is_found_under_any_of_its_names(tmp_path: Path, name: str) -> None:
    write_labels_csv(tmp_path)
    (tmp_path / "labels.csv").rename(tmp_path / name)
    assert len(read_data(tmp_path).planes) == 3


def test_two_tables_and_workbooks_are_refused_by_name(tmp_path: Path) -> None:
    write_labels_csv(tmp_path)
    (tmp_path / "labels.tsv").write_text("x")
    with pytest.raises(DataError, match=r"labels\.csv and labels\.tsv"):
        read_data(tmp_path)
    (tmp_path / "labels.tsv").unlink()
    (tmp_path / "labels.csv").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"labels\.csv is an Excel workbook"):
        read_data(tmp_path)
    (tmp_path / "labels.csv").rename(tmp_path / "Labels.xlsx")
    with pytest.raises(DataError, match=r"Labels\.xlsx is a workbook; save"):
        read_data(tmp_path)


def test_the_scanner_may_be_called_machine(folder: Path, tmp_path: Path) -> None:
    for head, scanners in [("machine", {"A", "B"}), ("scanner", {"A", "B"}), ("other", {"unknown"})]:
        rows = [
            f"{folder / name},{'ab'[number % 2]},{number},{'AB'[number % 2]},train"
            for number, name in enumerate(ASCII_FILES[:2])
        ]
        table = tmp_path / f"{head}.csv"
        table.write_text("\n".join([f"path,label,patient,{head},split", *rows]))
        assert {record.scanner for record in read_data(table).records} == scanners
