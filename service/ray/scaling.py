"""The number and size of replicas on a Ray cluster."""

import math

from pydantic import BaseModel, Field, model_validator

from service.settings import Settings


class Scale(BaseModel, extra="forbid"):
    """The arguments of the Serve application."""

    cpus: float = Field(
        default=1, gt=0, description="Cores per replica. It has as many workers, a fraction rounded up."
    )
    min_replicas: int = Field(default=1, ge=1, description="Smallest number of replicas.")
    max_replicas: int = Field(default=4, ge=1, description="Largest number of replicas.")
    max_replicas_per_node: int | None = Field(
        default=None, ge=1, description="Largest number of replicas on one node. Default: as many as its cores hold."
    )
    target_requests_per_cpu: float = Field(
        default=4, gt=0, description="Requests per core, waiting ones included, above which replicas are added."
    )
    max_queued_requests: int | None = Field(
        default=None,
        ge=0,
        description="Requests that wait at each proxy when every replica is full; further ones get 503. "
        "Default: as many as one replica accepts.",
    )
    settings: dict[str, str | int | float] = Field(
        default_factory=dict,
        description="Settings of the app, by the field names of `Settings`; the environment provides the others.",
    )

    @model_validator(mode="after")
    def _check_order(self) -> "Scale":
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is less than min_replicas")
        return self

    @property
    def app_settings(self) -> Settings:
        """The settings of each replica's app, by default with one worker per core."""
        return Settings.model_validate({"workers": math.ceil(self.cpus)} | self.settings)
