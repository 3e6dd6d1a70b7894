"""Load all protocols for a model: those that ship, and those of the operator's folder."""

from pathlib import Path

from service.analysis.protocols.file import ProtocolError, UnknownPlaneError, read_protocol
from service.errors import NoSuchProtocol
from service.schemas.manifest import Manifest
from service.schemas.protocols import ItemPlane, Protocol, ProtocolItem, Protocols

ALL_PLANES = "all-planes"
"""Id of the protocol that every model has: each of its planes except `other`."""

_SHIPPED = Path(__file__).parents[2] / "protocols"


def load_protocols(folder: Path | None, default: str | None, manifest: Manifest) -> Protocols:
    """Return the protocols for a model, by id; a file of `folder` replaces a shipped one of the same name.

    Raises
    ------
    ProtocolError
        The folder, a file of it, or the id of the default cannot be used with the model. A shipped protocol that names
        a plane of another model is left out instead.
    """
    found = {ALL_PLANES: _all_planes(manifest)}
    for path in sorted(_SHIPPED.glob("*.toml")):
        try:
            found[path.stem] = read_protocol(path, manifest)
        except UnknownPlaneError:
            continue
    for path in _files(folder):
        if path.stem == ALL_PLANES:
            raise ProtocolError(f"{path}: `{ALL_PLANES}` is the list of all planes of the model; take another name")
        found[path.stem] = read_protocol(path, manifest)
    if default is not None and default not in found:
        raise ProtocolError(f"FETAL_PLANES_DEFAULT_PROTOCOL names `{default}`; the protocols are {', '.join(found)}")
    return Protocols(default=default or ALL_PLANES, protocols=list(found.values()))


def choose_protocol(protocols: Protocols, requested: str | None) -> Protocol:
    """Return the protocol that a request names, or the default; raises `NoSuchProtocol`."""
    known = {each.id: each for each in protocols.protocols}
    if (protocol := known.get(requested or protocols.default)) is None:
        raise NoSuchProtocol(f"The service has no such protocol. Its protocols are {', '.join(known)}.")
    return protocol


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise ProtocolError(f"{folder} cannot be listed: {error.strerror}") from error


def _all_planes(manifest: Manifest) -> Protocol:
    planes = [ItemPlane(plane=plane.id, sub_plane=None, label=plane.label) for plane in manifest.planes]
    items = [
        ProtocolItem(label=plane.label, one_of=[plane], min=1, optional=False, note=None)
        for plane in planes
        if plane.plane != "other"
    ]
    return Protocol(
        id=ALL_PLANES, name="All planes of the model", version=manifest.version, exam="any", source=None,
        not_covered=None, items=items,
    )  # fmt: skip
