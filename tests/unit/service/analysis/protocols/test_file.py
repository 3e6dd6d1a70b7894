"""Protocol files: what they may say, and that every mistake names its file and line."""

from pathlib import Path

import pytest

from service.analysis.protocols.file import ProtocolError, read_protocol
from service.analysis.protocols.load import choose_protocol, load_protocols
from service.errors import NoSuchProtocol
from service.inference.package import load_package
from service.schemas.manifest import Manifest
from service.settings import SHIPPED_MODEL
from tests.support.phantom_package import Phantom

HEAD = """name = "Ours"
version = "2"
exam = "Follow-up"
not_covered = \"\"\"
[[items]]
Spine\"\"\"

[source]
guideline = "List of the department"
date = 2026-03-01
"""  # line 10 is the last
BRAIN = """
[[items]]
plane = "fetal_brain"
"""


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_package(SHIPPED_MODEL).manifest


def write(folder: Path, text: str, name: str = "ours.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_becomes_a_protocol(tmp_path: Path, manifest: Manifest) -> None:
    text = f"""{HEAD}{BRAIN}min = 2
[[items]]
label = "Head"
one_of = [{{ sub_plane = "trans_thalamic" }}, {{ sub_plane = "trans_ventricular" }}]
optional = true
note = "Either"
"""
    protocol = read_protocol(write(tmp_path, text), manifest)
    assert (protocol.id, protocol.name, protocol.version, protocol.exam) == ("ours", "Ours", "2", "Follow-up")
    assert protocol.not_covered == "[[items]] Spine"
    assert protocol.source is not None
    assert (protocol.source.guideline, protocol.source.doi, protocol.source.date) == (
        "List of the department", None, "2026-03-01"
    )  # fmt: skip
    brain, head = protocol.items
    assert (brain.label, brain.min, brain.optional, brain.note) == ("Fetal brain", 2, False, None)
    assert [(each.plane, each.sub_plane, each.label) for each in head.one_of] == [
        ("fetal_brain", "trans_thalamic", "Trans-thalamic"), ("fetal_brain", "trans_ventricular", "Trans-ventricular"),
    ]  # fmt: skip
    assert (head.label, head.optional, head.note) == ("Head", True, "Either")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            f'{HEAD}{BRAIN}[[items]]\nplane = "fetal_elbow"\n',
            15,
            "no plane `fetal_elbow`; its planes are fetal_abdomen",
        ),
        (f'{HEAD}\n[[items]]\nsub_plane = "trans_elbow"\n', 13, "no sub-plane `trans_elbow`"),
        (f'{HEAD}\n[[items]]\none_of = [\n {{ plane = "fetal_brain" }},\n {{ plane = "arm" }},\n]\n', 15, "`arm`"),
        (f"{HEAD}{BRAIN}planes = 3\n", 14, "the key `planes` is not known"),
        (f"{HEAD}{BRAIN}{BRAIN}min = 0\n", 17, "greater than or equal to 1"),
        (f'{HEAD}{BRAIN}min = "2"\n', 14, "valid integer"),
        (f"{HEAD}{BRAIN}optional = 1\n", 14, "valid boolean"),
        (f"{HEAD}{BRAIN}[[items]]\nmin = 1\n", 14, "exactly one of `plane`, `sub_plane` and `one_of`"),
        (f'{HEAD}{BRAIN}sub_plane = "x"\n', 12, "exactly one of"),
        (f'{HEAD}\n[[items]]\none_of = [{{ plane = "fetal_brain" }}]\n', 13, "at least 2 items"),
        (HEAD.replace("2026-03-01", '"March"') + BRAIN, 10, "`source.date`"),
        (HEAD.replace('name = "Ours"', "") + BRAIN, 1, "`name`: Field required"),
        (HEAD.replace("version", "versions") + BRAIN, 1, "`version`: Field required"),
        (HEAD + BRAIN + "color = 1\n[more]\nx = 1\n", 14, "the key `color` is not known"),
        (HEAD + "[[items]\n", 11, "not TOML"),
        (HEAD + "x = ", 11, "not TOML"),
        (HEAD, 1, "`items`: Field required"),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, manifest: Manifest, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ProtocolError) as error:
        read_protocol(path, manifest)
    assert str(error.value).startswith(f"{path}, line {line}: "), str(error.value)
    assert words in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path, manifest: Manifest) -> None:
    for path, words in [
        (write(tmp_path, HEAD + BRAIN, "Our list.toml"), "small letters"),
        (tmp_path / "gone.toml", "cannot be read: No such file"),
        (write(tmp_path, "#" * (2**20 + 1), "long.toml"), "larger than 1 MiB"),
    ]:
        with pytest.raises(ProtocolError, match=words):
            read_protocol(path, manifest)
    (tmp_path / "latin.toml").write_bytes(b'name = "a"\nexam = "\xe4"\n')
    with pytest.raises(ProtocolError, match=r"latin\.toml, line 2: not UTF-8"):
        read_protocol(tmp_path / "latin.toml", manifest)


def test_the_protocols_that_ship_fit_the_model_that_ships(manifest: Manifest) -> None:
    found = load_protocols(None, None, manifest)
    assert [each.id for each in found.protocols] == ["all-planes", "cervix", "fetal-biometry", "mid-trimester"]
    assert found.default == "all-planes"
    for each in found.protocols[1:]:
        assert each.source is not None
        assert each.source.doi == "10.1002/uog.24888"
        assert each.not_covered
        assert "AIUM 2024" in each.not_covered


def test_a_protocol_that_ships_for_another_model_is_left_out(tmp_path: Path) -> None:
    manifest = load_package(Phantom(planes=("heart", "other", "spine")).write(tmp_path)).manifest
    (protocol,) = load_protocols(None, None, manifest).protocols
    assert (protocol.id, protocol.version, [item.label for item in protocol.items]) == (
        "all-planes", "1.2.3", ["Heart", "Spine"]
    )  # fmt: skip


def test_a_folder_adds_and_replaces(tmp_path: Path, manifest: Manifest) -> None:
    write(tmp_path, HEAD + BRAIN)
    write(tmp_path, HEAD + BRAIN, "cervix.toml")
    write(tmp_path, "no protocol", "README.md")
    found = load_protocols(tmp_path, "ours", manifest)
    names = {each.id: each.name for each in found.protocols}
    assert (names["ours"], names["cervix"], names["fetal-biometry"]) == ("Ours", "Ours", "Fetal biometry")
    assert choose_protocol(found, None).id == "ours"
    assert choose_protocol(found, "all-planes").id == "all-planes"
    with pytest.raises(NoSuchProtocol, match="all-planes, cervix"):
        choose_protocol(found, "elbow")


def test_a_folder_that_cannot_be_used(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(ProtocolError, match="cannot be listed"):
        load_protocols(tmp_path / "gone", None, manifest)
    with pytest.raises(ProtocolError, match="FETAL_PLANES_DEFAULT_PROTOCOL names `elbow`"):
        load_protocols(None, "elbow", manifest)
    write(tmp_path, HEAD + BRAIN, "all-planes.toml")
    with pytest.raises(ProtocolError, match="take another name"):
        load_protocols(tmp_path, None, manifest)
