"""The types of the answers, as pydantic models."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A frozen record. Fields and values that a newer service adds do not make it invalid."""

    model_config = ConfigDict(frozen=True)
