"""Any JSON object a line."""

import pytest

from tests.receivers.mapped import map_one


def test_usual_names_are_mapped_and_the_line_is_kept() -> None:
    line = {
        "id": "7",
        "timestamp": "2026-01-02T03:04:05+01:00",
        "user": {"id": "u1", "name": "Ann", "type": "human"},
        "event_type": "login",
        "resource": "door-7",
        "status": "OK",
        "client_ip": "::1",
        "userAgent": "x",
        "level": "warn",
        "else": [1.50],
    }

    event = map_one("ndjson", line)

    assert event.pop("id").startswith("sha256:")
    assert event == {
        "time": "2026-01-02T03:04:05+01:00",
        "actor": {"type": "human", "id": "u1", "name": "Ann"},
        "action": "login",
        "targets": [{"id": "door-7"}],
        "outcome": "success",
        "source": {"ip": "::1", "user_agent": "x"},
        "severity": "warn",
        "payload_type": "json",
        "payload": line,
    }


@pytest.mark.parametrize(
    ("number", "time"),
    [
        ("1700000000", "2023-11-14T22:13:20.000000Z"),
        ("1700000000.25", "2023-11-14T22:13:20.250000Z"),
        ("1700000000123", "2023-11-14T22:13:20.123000Z"),
        ("1700000000123.5", "2023-11-14T22:13:20.123500Z"),
        ("1700000000123456", "2023-11-14T22:13:20.123456Z"),
        ("1700000000123456789", "2023-11-14T22:13:20.123456Z"),
    ],
)
def test_numbers_since_1970_are_told_apart_by_their_size(number: str, time: str) -> None:
    assert map_one("ndjson", f'{{"ts":{number}}}'.encode())["time"] == time


@pytest.mark.parametrize("value", ["7", "-1", "1e300", '"soon"', "12345678901234567890123"])
def test_what_is_no_time_moves_to_the_attributes(value: str) -> None:
    event = map_one("ndjson", f'{{"time":{value}}}'.encode())

    assert "time" not in event
    assert str(event["attributes"]["time"]).strip() in (value.strip('"'), "1e+300")


def test_the_first_name_that_holds_something_wins() -> None:
    event = map_one(
        "ndjson", {"actor": "", "user": "ann", "action": None, "event": {"a": 1}, "type": "t"}
    )

    assert event["actor"] == {"id": "ann"}
    assert event["action"] == "t"


@pytest.mark.parametrize(
    ("word", "outcome"), [("FAILED", "failure"), ("Deny", "denied"), ("200", None)]
)
def test_only_usual_words_make_an_outcome(word: str, outcome: str | None) -> None:
    assert map_one("ndjson", {"result": word}).get("outcome") == outcome


def test_the_trails_own_actions_cannot_be_pretended() -> None:
    event = map_one("ndjson", {"action": "holdfast.ledgers.seen"})

    assert event["action"] == "json:holdfast.ledgers.seen"


def test_equal_lines_get_equal_ids_and_others_do_not() -> None:
    first = map_one("ndjson", b'{"a":1, "b":2}')["id"]

    assert map_one("ndjson", b'{ "a":1,"b":2 }')["id"] == first
    assert map_one("ndjson", b'{"b":2,"a":1}')["id"] != first
