"""The record: the very bytes that are stored for an event."""

import json
from uuid import UUID

from holdfast.times import parse_time
from holdfast.write.admit import admit, finish

NDJSON = "application/x-ndjson"
RECEIVED_US = parse_time("2026-11-24T10:00:00.000001Z")


def counting(size: int) -> bytes:
    """No randomness at all, but different bytes at every place."""
    return bytes(index * 7 % 256 for index in range(size))


def test_a_record_is_the_event_then_received_then_principal() -> None:
    admitted = admit(b'{"action":"a", "id":"e-1"}', NDJSON)

    records, ids = finish(admitted, RECEIVED_US, 'token "x"', counting)

    assert ids == ("e-1",)
    assert records == (
        b'{"id":"e-1","action":"a","received":"2026-11-24T10:00:00.000001Z",'
        b'"principal":"token \\"x\\""}',
    )


def test_an_event_without_an_id_gets_one_as_its_first_field() -> None:
    admitted = admit(b'{"action":"a"}\n{"action":"b","id":"e"}\n{"action":"c"}', NDJSON)

    records, ids = finish(admitted, RECEIVED_US, "p", counting)

    assert [json.loads(record)["id"] for record in records] == list(ids)
    assert [next(iter(json.loads(record))) for record in records] == ["id"] * 3
    assert ids[1] == "e"
    assert ids[0] != ids[2]


def test_given_ids_are_uuids_of_version_7_with_the_time_of_arrival() -> None:
    admitted = admit(b'{"action":"a"}\n' * 500, NDJSON)

    _, ids = finish(admitted, RECEIVED_US, "p", counting)

    for id in ids:
        assert str(UUID(id)) == id
        assert UUID(id).version == 7 and UUID(id).variant == "specified in RFC 4122"
        assert UUID(id).int >> 80 == RECEIVED_US // 1000


def test_all_the_randomness_of_an_id_is_used() -> None:
    admitted = admit(b'{"action":"a"}', NDJSON)

    _, (none,) = finish(admitted, RECEIVED_US, "p", lambda size: b"\x00" * size)
    _, (full,) = finish(admitted, RECEIVED_US, "p", lambda size: b"\xff" * size)

    assert (UUID(none).int ^ UUID(full).int).bit_count() == 74


def test_a_record_is_always_one_line() -> None:
    body = '{"action":"a","reason":"one\\ntwo\\u2028three","payload_type":"t","payload":[\r1,\t2]}'

    records, _ = finish(admit(body.encode(), "application/json"), RECEIVED_US, "p\nq", counting)

    assert b"\n" not in records[0] and b"\r" not in records[0]
