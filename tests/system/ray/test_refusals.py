"""Refusals of a Ray Serve proxy become problem documents; answers of the app pass unchanged."""

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.testclient import TestClient

from service.ray.proxy_errors import middlewares
from service.ray.scaling import Scale


def reply_to(answer: Response, path: str = "/classify") -> tuple[int, str, dict[str, str]]:
    app = Starlette(middleware=middlewares())
    app.add_route(path, lambda _: answer, methods=["POST"])
    reply = TestClient(app).post(path)
    return reply.status_code, reply.text, dict(reply.headers)


@pytest.mark.parametrize(("status", "code"), [(503, "overloaded"), (500, "not-ready")])
def test_a_refusal_in_plain_text_becomes_a_problem(status: int, code: str) -> None:
    got_status, text, headers = reply_to(PlainTextResponse("replica actor died at 192.0.2.3", status))
    assert got_status == 503
    assert f'"code":"{code}"' in text
    assert "192.0.2.3" not in text
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "1"
    assert headers["x-request-id"] in text


def test_answers_of_the_app_pass() -> None:
    problem = JSONResponse({"code": "overloaded"}, 503, media_type="application/problem+json")
    assert reply_to(problem)[:2] == (503, '{"code":"overloaded"}')
    assert reply_to(PlainTextResponse("fine"))[:2] == (200, "fine")
    assert reply_to(PlainTextResponse("not there", 404))[:2] == (404, "not there")


def test_probes_of_the_proxy_pass() -> None:
    assert reply_to(PlainTextResponse("draining", 503), "/-/healthz")[:2] == (503, "draining")


def test_a_replica_has_one_worker_per_core() -> None:
    assert Scale(cpus=2.5).app_settings.workers == 3
    assert Scale(settings={"workers": 7}).app_settings.workers == 7
    with pytest.raises(ValueError, match="less than min_replicas"):
        Scale(min_replicas=3, max_replicas=2)
