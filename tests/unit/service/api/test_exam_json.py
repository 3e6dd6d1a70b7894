"""The JSON of an exam, written item by item, is that of the whole report."""

import json

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from service.api.routes.exam import to_json_by_items


class _Frame(BaseModel):
    number: int
    name: str | None


class _Plane(BaseModel):
    frames: list[_Frame]
    indices: list[int]
    first: _Frame


class _Report(BaseModel):
    planes: list[_Plane]
    review: list[_Frame]


class _Frames(BaseModel):
    frames: list[_Frame]


FRAMES = st.lists(st.builds(_Frame), max_size=3)
REPORTS = st.builds(_Report, planes=st.lists(st.builds(_Plane, frames=FRAMES), max_size=3), review=FRAMES)


@given(REPORTS | st.builds(_Frames, frames=FRAMES) | st.builds(_Frame))
def test_it_equals_the_json_of_the_whole(value: BaseModel) -> None:
    assert json.loads(to_json_by_items(value)) == json.loads(value.model_dump_json())
