"""Looks inside an app under test."""

from fastapi.testclient import TestClient

from service.runtime import Runtime


def runtime_of(client: TestClient) -> Runtime:
    """The runtime of a client's app."""
    runtime: Runtime = client.app.state.runtime  # type: ignore[attr-defined]
    return runtime
