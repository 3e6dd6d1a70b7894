"""Example files: `/sample`."""

from pydantic import Field

from service.schemas import Schema


class Sample(Schema):
    """A drawn file to try the service with."""

    name: str = Field(description="Last part of the path of the file.", examples=["brain.png"])
    media_type: str = Field(description="Media type of the file.", examples=["image/png"])
    planes: list[str] = Field(description="Ids of the planes that it shows; empty for a frame of no standard plane.")
