"""What the routes need of the app, as FastAPI dependencies."""

from typing import Annotated, cast

from fastapi import Depends, Request

from service.runtime import LoadedModel, Runtime

# All are coroutines: FastAPI runs plain functions in a thread, at every request.


async def _runtime(request: Request) -> Runtime:
    return cast(Runtime, request.app.state.runtime)


async def _model(request: Request) -> LoadedModel:
    return (await _runtime(request)).model


async def _ready_model(request: Request) -> LoadedModel:
    return (await _runtime(request)).ready_model


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
ModelDep = Annotated[LoadedModel, Depends(_model)]
ReadyModelDep = Annotated[LoadedModel, Depends(_ready_model)]
