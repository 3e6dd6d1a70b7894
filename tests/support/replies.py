"""Check replies of the service, and reach the objects behind a test client."""

import httpx2
from fastapi.testclient import TestClient

from service.errors import TABLE
from service.runtime import Runtime


def assert_problem(reply: httpx2.Response, code: str) -> None:
    """Check that a reply is the problem with this code, complete by RFC 9457."""
    kind = TABLE[code]
    assert reply.status_code == kind.status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
    assert (body["code"], body["type"], body["status"]) == (code, f"/problems/{code}", kind.status)
    assert body["title"] == kind.title()
    assert body["detail"]
    assert body["request_id"] == reply.headers["x-request-id"]


def runtime_of(client: TestClient) -> Runtime:
    """Return the runtime of a test client's app."""
    runtime: Runtime = client.app.state.runtime  # type: ignore[attr-defined]
    return runtime
