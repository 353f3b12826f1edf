"""Holds by HTTP: placed, told to the trail, released; and what a server says of its rules."""

import pytest

from holdfast.archive.rules import Rule
from tests.serve.running import running

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
RULES = (Rule("debug", actions=("debug.*",), min=1, max=2),)


def test_holds_are_placed_and_released_and_the_trail_tells_of_both(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with running(tmp_path / "data", retention=RULES) as server, server.client() as client:
        wanted = {"tenant": "acme", "reason": "a case", "from": "2026-01-01T00:00:00Z"}
        placed = client.post("/v1/holds", json=wanted)
        id = placed.json()["id"]
        ended = client.post(f"/v1/holds/{id}/release", json={"reason": "over", "author": "bob"})
        listed = client.get("/v1/holds").json()["holds"]
        server.wait_until(
            lambda: len(client.get("/v1/events?action=holdfast.hold.*").json()["events"]) == 2
        )
        told = client.get("/v1/events?action=holdfast.hold.*").json()["events"]

    assert (placed.status_code, ended.status_code) == (201, 201)
    assert placed.json()["stored"] == {"a": "", "b": "", "c": ""}
    assert [(each["id"], each["released_by"], each["author"]) for each in listed] == [
        (id, "bob", "loopback")
    ]
    assert sorted((each["action"], each["reason"]) for each in told) == [
        ("holdfast.hold.placed", "a case"),
        ("holdfast.hold.released", "over"),
    ]
    assert told[-1]["attributes"]["tenant"] == "acme"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("holds", {"tenant": "acme"}, 400),
        ("holds", {"tenant": "acme", "reason": "r", "to": "1969-01-01T00:00:00Z"}, 400),
        ("holds", {"tenant": "acme", "reason": "r", "until": "x"}, 400),
        (f"holds/{'0' * 32}/release", {"reason": "r"}, 404),
        ("retention/run", {"unit": "2026-01-01"}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(  # type: ignore[no-untyped-def]
    tmp_path_factory, served, path: str, body: dict[str, str], status: int
) -> None:
    with served.client() as client:
        answer = client.post(f"/v1/{path}", json=body)
        as_text = client.post(f"/v1/{path}", content="{}")

    assert (answer.status_code, as_text.status_code) == (status, 415)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b"", "", "not JSON: it ends too early"),
        (b"[]", "", "must be an object, not an array"),
        (b'{"tenant":"a"}', "reason", "missing"),
        (b'{"tenant":5,"reason":"r"}', "tenant", "must be a string, not a whole number"),
        (b'{"tenant":"a","reason":""}', "reason", "must not be empty"),
        (b'{"tenant":"a","tenant":"b","reason":"r"}', "tenant", "the key appears twice"),
        (b'{"tenant":"\xe9","reason":"r"}', "", "not UTF-8 (byte 11)"),
    ],
)
def test_a_hold_that_cannot_be_read_is_refused_by_field(  # type: ignore[no-untyped-def]
    served, body: bytes, field: str, reason: str
) -> None:
    with served.client() as client:
        answer = client.post(
            "/v1/holds", content=body, headers={"Content-Type": "application/json"}
        )

    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"line": 0, "field": field, "reason": reason}]


@pytest.fixture(scope="module")
def served(tmp_path_factory):  # type: ignore[no-untyped-def]
    with running(tmp_path_factory.mktemp("served") / "data", retention=RULES) as server:
        yield server


def test_what_rules_would_let_go_is_told(served) -> None:  # type: ignore[no-untyped-def]
    with served.client() as client:
        plan = client.get("/v1/retention")
        ran = client.post("/v1/retention/run", json={})

    assert (plan.status_code, ran.status_code) == (200, 201)
    for said in (plan.json(), ran.json()):
        assert (said["expiring"], said["away"], said["trouble"]) == ([], {}, "")
        assert said["rules"][0]["class"] == "debug"
