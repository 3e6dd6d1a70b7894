"""Protocols: lists of what an exam must show, and how far an exam fulfills one."""

from typing import Literal

from pydantic import Field

from service.schemas import Schema
from service.schemas.batch import Source

ItemState = Literal["fulfilled", "doubtful", "missing", "not-read-yet"]
Doubt = Literal["uncertain", "close", "sub-plane"]


class ItemPlane(Schema):
    """A plane or a sub-plane that fulfills an item."""

    plane: str
    sub_plane: str | None = Field(description="Null where every frame of the plane counts.")
    label: str


class ProtocolItem(Schema):
    """One entry of a protocol."""

    label: str
    one_of: list[ItemPlane] = Field(description="A frame of any of them counts.")
    min: int = Field(description="Number of frames that the item needs.")
    optional: bool = Field(description="True when an exam can do without the item.")
    note: str | None = Field(description="What the sonographer should know about it.")


class ProtocolSource(Schema):
    """The document that a protocol follows."""

    guideline: str
    doi: str | None
    date: str | None


class ProtocolInfo(Schema):
    """The identity of a protocol."""

    id: str = Field(description="The value of `?protocol=`: the name of its file without `.toml`.")
    name: str
    version: str
    exam: str = Field(description="The type of exam that it is for.")
    source: ProtocolSource | None = Field(description="Null for the list of all planes of the model.")
    not_covered: str | None = Field(description="What of its source the protocol does not cover.")


class Protocol(ProtocolInfo):
    """A protocol with its items."""

    items: list[ProtocolItem] = Field(description="In the order of the exam.")


class Protocols(Schema):
    """All protocols that the service knows."""

    default: str = Field(description="Id of the protocol of an exam that names none.")
    protocols: list[Protocol]


class ItemFrame(Schema):
    """A frame that counts for an item, or that could."""

    source: Source
    plane: str
    sub_plane: str | None
    probability: float = Field(description="Of the plane; for a sub-plane, multiplied by that of the sub-plane.")
    doubt: Doubt | None = Field(
        description="Why the frame does not count: `uncertain`, the model abstains; `close`, a second plane is almost "
        "equally probable and no person chose the frame; `sub-plane`, it is not sure which sub-plane it shows."
    )


class CheckedItem(ProtocolItem):
    """An item with the frames of an exam."""

    state: ItemState = Field(
        description="`fulfilled`: enough frames count. Otherwise `not-read-yet` while files are left; then `doubtful` "
        "if the doubtful frames would be enough; else `missing`."
    )
    frames: list[ItemFrame] = Field(description="Frames that count, most probable first.")
    doubtful: list[ItemFrame] = Field(description="Frames that a person should check, most probable first.")
