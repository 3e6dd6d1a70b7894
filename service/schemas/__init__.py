"""Wire types: every JSON shape of the HTTP interface, and the manifest of a model package."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A frozen record. A client ignores fields that a newer service adds."""

    model_config = ConfigDict(frozen=True)
