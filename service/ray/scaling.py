"""How the service is spread over a Ray cluster."""

import math

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.settings import Settings


class Scale(BaseModel):
    """How many replicas there are, and of which size: the arguments of the Serve application."""

    model_config = ConfigDict(extra="forbid")

    cpus: float = Field(
        default=1, gt=0, description="Cores of a replica, which are its workers, a fraction rounded up."
    )
    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=4, ge=1)
    replicas_a_node: int | None = Field(default=None, ge=1, description="At most; unset: what its cores hold.")
    busy: float = Field(
        default=4, gt=0, description="Requests a core, waiting ones included, beyond which there are more replicas."
    )
    queued: int | None = Field(
        default=None,
        ge=0,
        description="Requests that may wait at each proxy when every replica is full; one more gets 503. Unset: as "
        "many as a replica takes in.",
    )
    settings: dict[str, str | int | float] = Field(
        default_factory=dict, description="Of the app, by the names of `Settings`; others come from the environment."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Scale":
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is less than min_replicas")
        return self

    @property
    def app_settings(self) -> Settings:
        """The settings of each replica's app, with as many workers as it has cores."""
        return Settings.model_validate({"workers": math.ceil(self.cpus)} | self.settings)
