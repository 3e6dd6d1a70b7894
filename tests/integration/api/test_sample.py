"""`GET /sample`."""

from fastapi.testclient import TestClient

from service.sample.examples import EXAMPLES, encode_example


def test_the_list_leads_to_the_files(client: TestClient) -> None:
    listed = client.get("/sample").json()
    assert [each["name"] for each in listed] == list(EXAMPLES)
    for each in listed:
        reply = client.get(f"/sample/{each['name']}")
        assert reply.headers["content-type"] == each["media_type"]
        assert reply.content == encode_example(EXAMPLES[each["name"]])
        assert client.post("/classify", content=reply.content).status_code == 200


def test_no_other_name(client: TestClient) -> None:
    assert client.get("/sample/else.png").json()["code"] == "not-found"
