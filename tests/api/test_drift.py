"""What the metrics tell of the work: its stages, and what the model said."""

import re
from collections.abc import Callable

from fastapi.testclient import TestClient

from tests.phantom_package import Phantom
from tests.pictures import encode, speckle

GOOD = encode(speckle())


def values(client: TestClient, metric: str) -> dict[str, float]:
    """The values of a metric, by its labels."""
    found = re.findall(rf"^{metric}(?:\{{(.*)\}})? (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_each_stage_is_timed_once_a_frame(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom())
    assert client.post("/classify", content=GOOD).status_code == 200
    count = "fetal_planes_stage_seconds_count"
    once = {f'stage="{name}"': 1.0 for name in ("queue", "decode", "preprocess", "infer")}
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
    client = serve(Phantom(max_novelty=0.6))
    best = [client.post("/classify", content=GOOD).json()["predictions"][0] for _ in range(2)]
    assert values(client, "fetal_planes_predictions_total") == {f'plane="{best[0]["plane"]}"': 2.0}
    assert values(client, "fetal_planes_confidence_count") == {"": 2.0}
    assert abs(values(client, "fetal_planes_confidence_sum")[""] - 2 * best[0]["probability"]) < 1e-5
    assert values(client, "fetal_planes_abstentions_total") == {}
    white = encode(speckle() // 255 + 254)
    assert client.post("/classify", content=white).json()["abstain_reason"] == "unfamiliar"
    assert values(client, "fetal_planes_abstentions_total") == {'reason="unfamiliar"': 1.0}
    client.post("/classify", content=b"nonsense")
    assert values(client, "fetal_planes_confidence_count") == {"": 3.0}
    assert values(client, "fetal_planes_refused_total") == {'code="unsupported-format"': 1.0}
    assert values(client, "fetal_planes_queue_depth") == values(client, "fetal_planes_uploads_held_bytes") == {"": 0.0}
