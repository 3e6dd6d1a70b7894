"""The metrics: requests, stages of the work, and answers of the model."""

import re
from collections.abc import Callable

from fastapi.testclient import TestClient

from service.errors import TABLE
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import runtime_of

GOOD = encode(speckle())


def values(client: TestClient, metric: str) -> dict[str, float]:
    """The values of a metric, by its labels."""
    found = re.findall(rf"^{metric}(?:\{{(.*)\}})? (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def counted(client: TestClient, metric: str) -> dict[str, float]:
    """The values of a counter that have left 0."""
    return {labels: value for labels, value in values(client, metric).items() if value}


def test_what_an_alert_counts_is_there_before_it_happens(serve: Callable[..., TestClient]) -> None:
    phantom = Phantom()
    client = serve(phantom)
    expected = {
        "fetal_planes_refused_total": [f'code="{code}"' for code in TABLE],
        "fetal_planes_abstentions_total": ['reason="color-flow"', 'reason="out-of-distribution"', 'reason="uncertain"'],
        "fetal_planes_predictions_total": [f'plane="{plane}"' for plane in phantom.planes],
        "fetal_planes_reloads_total": [f'result="{each}"' for each in ("switched", "unchanged", "refused", "failed")],
    }
    assert {metric: values(client, metric) for metric in expected} == {
        metric: dict.fromkeys(labels, 0.0) for metric, labels in expected.items()
    }


def test_a_scrape_tells_whether_more_is_welcome_and_how_much(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), workers=1, max_requests=3, max_held_bytes=4096)
    reported = {name: values(client, f"fetal_planes_{name}") for name in ("uploads_allowed", "uploads_allowed_bytes")}
    assert reported == {"uploads_allowed": {"": 3.0}, "uploads_allowed_bytes": {"": 4096.0}}
    assert values(client, "fetal_planes_ready") == {"": 1.0}
    runtime_of(client).drain()
    assert values(client, "fetal_planes_ready") == {"": 0.0}


def test_a_reload_that_is_refused_is_reported_until_one_succeeds(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom())
    runtime = runtime_of(client)
    manifest = runtime.settings.model / "model.json"
    sound = manifest.read_text()
    reported = [values(client, "fetal_planes_last_reload_successful")[""]]
    for text in ("{", sound):
        manifest.write_text(text)
        runtime.reload()
        reported.append(values(client, "fetal_planes_last_reload_successful")[""])
    assert reported == [1.0, 0.0, 1.0]
    assert counted(client, "fetal_planes_reloads_total") == {'result="refused"': 1.0, 'result="unchanged"': 1.0}


def test_each_stage_is_timed_once_a_frame(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom())
    assert client.post("/classify", content=GOOD).status_code == 200
    count = "fetal_planes_stage_seconds_count"
    once = {f'stage="{name}"': 1.0 for name in ("queue", "decode", "infer")}
    assert values(client, count) == once
    assert client.post("/explain", content=GOOD).status_code == 200
    assert values(client, count) == dict.fromkeys(once, 2.0) | {'stage="explain"': 1.0, 'stage="encode"': 1.0}
    assert client.post("/explain?overlay=false", content=GOOD).status_code == 200
    assert values(client, count)['stage="encode"'] == 1.0
    assert client.post("/classify", content=GOOD[:100]).status_code == 422
    assert values(client, count)['stage="decode"'] == 4.0
    assert values(client, count)['stage="infer"'] == 3.0
    assert all(value > 0 for value in values(client, "fetal_planes_stage_seconds_sum").values())


def test_answers_are_counted_by_plane_confidence_and_abstention(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(max_ood_score=0.6))
    best = [client.post("/classify", content=GOOD).json()["predictions"][0] for _ in range(2)]
    assert counted(client, "fetal_planes_predictions_total") == {f'plane="{best[0]["plane"]}"': 2.0}
    assert values(client, "fetal_planes_confidence_count") == {"": 2.0}
    assert abs(values(client, "fetal_planes_confidence_sum")[""] - 2 * best[0]["probability"]) < 1e-5
    assert counted(client, "fetal_planes_abstentions_total") == {}
    white = encode(speckle() // 255 + 254)
    assert client.post("/classify", content=white).json()["abstain_reason"] == "out-of-distribution"
    assert counted(client, "fetal_planes_abstentions_total") == {'reason="out-of-distribution"': 1.0}
    client.post("/classify", content=b"nonsense")
    assert values(client, "fetal_planes_confidence_count") == {"": 3.0}
    assert counted(client, "fetal_planes_refused_total") == {'code="unsupported-format"': 1.0}
    assert values(client, "fetal_planes_queue_depth") == values(client, "fetal_planes_uploads_held_bytes") == {"": 0.0}


def test_metrics_count_by_route_and_belong_to_the_app(serve: Callable[..., TestClient]) -> None:
    one, other = serve(Phantom()), serve(Phantom())
    one.post("/classify", content=encode(speckle()))
    one.post("/classify", content=b"nonsense")
    one.get("/nowhere/Doe^Jane")
    one.request("BREW", "/classify")
    reply = one.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    text = reply.text
    assert 'fetal_planes_requests_total{method="POST",route="/classify",status="200"} 1.0' in text
    assert 'fetal_planes_requests_total{method="POST",route="/classify",status="415"} 1.0' in text
    assert 'fetal_planes_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'fetal_planes_requests_total{method="other",route="/classify",status="405"} 1.0' in text
    assert 'fetal_planes_request_seconds_count{route="/classify"} 3.0' in text
    assert "fetal_planes_requests_in_flight 1.0" in text  # this very request
    assert re.search(r'fetal_planes_model\{name="phantom",.*version="1.2.3"\} 1.0', text)
    assert "Doe" not in text
    assert "/classify" not in other.get("/metrics").text
