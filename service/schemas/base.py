"""The base class of all wire types."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A frozen record. A client ignores fields that a newer service adds."""

    model_config = ConfigDict(frozen=True)
