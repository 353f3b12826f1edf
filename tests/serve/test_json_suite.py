"""nst/JSONTestSuite over HTTP, as payloads and as bodies; and hostile records in every answer."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serve.running import Running

SUITE = sorted((Path(__file__).parents[1] / "vectors/json/test_parsing").glob("*.json"))
JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/x-ndjson"}


def posted(server: Running, bodies: list[bytes], headers: dict[str, str]) -> list[int]:
    """Their statuses; sent side by side, since each waits for its ack."""
    with ThreadPoolExecutor(16) as senders, server.client() as client:
        answers = senders.map(
            lambda body: client.post("/v1/events", content=body, headers=headers), bodies
        )
        return [answer.status_code for answer in answers]


def test_json_is_accepted_as_a_payload_and_what_is_not_json_is_refused(server: Running) -> None:
    event = b'{"action":"suite","tenant":"suite","id":"%b","payload_type":"t","payload":%b}'
    bodies = [event % (path.stem.encode(), path.read_bytes()) for path in SUITE]

    statuses = dict(zip(SUITE, posted(server, bodies, JSON), strict=True))

    wrong = {
        path.name: status
        for path, status in statuses.items()
        if status not in {"y": {201}, "n": {400}, "i": {201, 400}}[path.name[0]]
    }
    assert wrong == {}


def test_payloads_come_back_as_they_were_sent(server: Running) -> None:
    good = [path for path in SUITE if path.name.startswith("y_")]
    event = b'{"action":"back","tenant":"back","id":"%b","payload_type":"t","payload":%b}'
    posted(server, [event % (path.stem.encode(), path.read_bytes()) for path in good], JSON)

    found = server.get("/v1/events?tenant=back&limit=1000").json()["events"]
    page = server.get("/?tenant=back")

    payloads = {event["id"]: event["payload"] for event in found}
    assert payloads == {path.stem: json.loads(path.read_bytes()) for path in good}
    assert page.status_code == 200


@pytest.mark.parametrize("headers", [JSON, LINES])
def test_no_file_is_a_body_and_each_is_refused(server: Running, headers: dict[str, str]) -> None:
    statuses = posted(server, [path.read_bytes() for path in SUITE], headers)

    assert set(statuses) == {400}
