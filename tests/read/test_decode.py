"""Columns and facts of records, against `json` and `parse_time`."""

import hashlib
import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import CorruptError
from holdfast.read.decode import (
    NARROW,
    SCHEMA,
    Lines,
    Part,
    cuts,
    decode,
    facts,
    key_of,
    keys_of,
    times_us,
)
from holdfast.times import format_us, parse_time
from tests.read.little_trail import NODES, START_US, record_of, records


def lines_of(records: list[bytes], *, node: str = NODES[0], first: int = 0) -> Lines:
    return Lines(node, 3, first, b"".join(record + b"\n" for record in records))


@given(st.lists(records(), min_size=1, max_size=40), st.integers(0, 1 << 40))
def test_columns_hold_what_a_json_parser_reads(lines: list[bytes], first: int) -> None:
    table = decode([lines_of(lines, first=first)])

    want = []
    for number, line in enumerate(lines):
        event = json.loads(line)
        actor = event.get("actor", {})
        want.append(
            {
                "time_us": parse_time(event.get("time", event["received"])),
                "received_us": parse_time(event["received"]),
                "tenant": event.get("tenant", ""),
                "id": event["id"],
                "actor": actor.get("id", ""),
                "actor_name": actor.get("name", ""),
                "action": event["action"],
                "outcome": event.get("outcome", ""),
                "ip": event.get("source", {}).get("ip", ""),
                "targets": [
                    target.get(key, "")
                    for target in event.get("targets", [])
                    for key in ("id", "name")
                ],
                "node": NODES[0],
                "segment": 3,
                "position": first + number,
                "size_bytes": len(line),
                "record": line.decode(),
            }
        )
    assert table.schema == SCHEMA
    assert table.to_pylist() == want


@given(st.lists(st.lists(records(), min_size=1, max_size=5), min_size=1, max_size=6))
def test_segments_that_are_decoded_together_give_the_same_rows(segments: list[list[bytes]]) -> None:
    parts = [
        lines_of(segment, node=NODES[number % 2], first=100 * number)
        for number, segment in enumerate(segments)
    ]

    together = decode(parts)

    assert together.to_pylist() == [row for part in parts for row in decode([part]).to_pylist()]
    assert all(column.num_chunks == 1 for column in together.columns)


SPELLINGS = st.builds(
    lambda second, fraction, zone: format_us(second * 1_000_000)[:19] + fraction + zone,
    st.integers(-62_135_500_000, 253_402_200_000),
    st.just("") | st.text("0123456789", min_size=1, max_size=12).map(".".__add__),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-11:45"]),
)


@given(st.lists(SPELLINGS, min_size=1, max_size=40))
def test_times_are_read_as_the_one_parser_reads_them(texts: list[str]) -> None:
    assert times_us(texts).tolist() == [parse_time(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T23:59:60Z",
        "2016-12-31t23:59:60.5z",
        "2016-12-31 23:59:59+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "1969-12-31T23:59:59.9999999Z",
        "2024-02-29T00:00:00.000000001-00:01",
    ],
)
def test_unusual_times_are_read_the_same_among_many(text: str) -> None:
    texts = [text] + [format_us(START_US)] * 30

    assert times_us(texts).tolist() == [parse_time(text)] + [START_US] * 30


@pytest.mark.parametrize("text", ["", "yesterday", "2024-01-01", "2024-01-01T00:00:00"])
def test_a_time_that_cannot_be_read_is_corrupt_not_guessed(text: str) -> None:
    with pytest.raises(CorruptError):
        times_us([text] + [format_us(START_US)] * 30)


@given(st.lists(records(), min_size=1, max_size=20))
def test_facts_are_the_bounds_the_tenants_and_one_key_a_record(lines: list[bytes]) -> None:
    found = facts(lines)

    rows = decode([lines_of(lines)]).to_pylist()
    assert found.time_min_us == min(row["time_us"] for row in rows)
    assert found.time_max_us == max(row["time_us"] for row in rows)
    assert found.received_min_us == min(row["received_us"] for row in rows)
    assert found.received_max_us == max(row["received_us"] for row in rows)
    tenants = [row["tenant"] for row in rows]
    assert found.tenants.keys() == set(tenants)
    whole = b"".join(line + b"\n" for line in lines)
    for tenant, part in found.tenants.items():
        within = tenants[part.start : part.end]
        assert within[0] == within[-1] == tenant
        assert within.count(tenant) == tenants.count(tenant)
        assert (
            whole[part.start_byte : part.end_byte].split(b"\n")[:-1] == lines[part.start : part.end]
        )
    assert found.keys == b"".join(
        hashlib.sha256(f"{row['tenant']}\0{row['id']}".encode()).digest()[:8] for row in rows
    )


def test_a_key_is_the_same_alone_and_among_others() -> None:
    keys = keys_of(["", "a"], ["x", "é"])

    assert key_of("", "x") == int.from_bytes(keys[:8], "little")
    assert key_of("a", "é") == int.from_bytes(keys[8:], "little")


def test_fields_of_other_types_are_passed_over_and_the_rest_is_read() -> None:
    secret = {"$enc": {"key": "k", "data": "..."}}
    event = {
        "id": "1",
        "tenant": "t",
        "actor": secret,
        "action": "a",
        "targets": [secret, {"id": secret, "name": "n"}, 5],
        "outcome": secret,
        "source": {"ip": secret},
    }

    row = decode([lines_of([record_of(event, START_US)])]).to_pylist()[0]

    assert (row["id"], row["tenant"], row["action"]) == ("1", "t", "a")
    assert (row["actor"], row["outcome"], row["ip"]) == ("", "", "")
    assert row["targets"] == ["", "", "", "n", "", ""]


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_corrupt_or_read_never_another_error(data: bytes) -> None:
    for line in (data.replace(b"\n", b""), b'{"received":"' + data.replace(b"\n", b"") + b'"}'):
        try:
            entered = facts([line])
        except CorruptError:
            continue

        assert decode([lines_of([line])]).num_rows == 1
        assert entered.time_min_us == entered.received_min_us


@pytest.mark.parametrize(
    "inside", [b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b"1e999", b'{"a":1,"a":2}', b"[" * 2000]
)
@pytest.mark.parametrize("field", [b"action", b"payload", b"reason"])
def test_what_the_facts_accept_a_search_can_decode(field: bytes, inside: bytes) -> None:
    line = b'{"%s":%s,"received":"2024-01-01T00:00:00.000000Z"}' % (field, inside)

    try:
        facts([line])
    except CorruptError:
        return

    assert decode([lines_of([line])]).num_rows == 1


@pytest.mark.parametrize("depth", [5, 200, 900, 5_000])
def test_a_payload_may_nest_deeper_than_a_parser_goes(depth: int) -> None:
    inside = b'[{"a":"]}\\"["},' * depth + b"1" + b"]" * depth
    event = record_of({"id": "1", "tenant": "t", "action": "a", "payload": 0}, START_US)
    line = event.replace(b'"payload":0', b'"payload":' + inside)

    entered = facts([line])
    row = decode([lines_of([line])]).to_pylist()[0]

    assert entered.keys == facts([event]).keys
    assert entered.tenants == {"t": Part(0, 1, 0, len(line) + 1)}
    assert (row["id"], row["tenant"], row["action"]) == ("1", "t", "a")
    assert row["record"].encode() == line


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 10), st.integers(1, 100))
def test_pieces_are_bounded_and_hold_everything_in_order(
    sizes: list[int], events_max: int, bytes_max: int
) -> None:
    offsets = np.cumsum([0, *sizes]).astype(np.int32)

    bounds = cuts(offsets, events_max, bytes_max)

    assert (bounds[0], bounds[-1]) == (0, len(sizes))
    for start, end in pairwise(bounds):
        assert 1 <= end - start <= events_max
        assert sum(sizes[start:end]) <= bytes_max or end == start + 1


def test_a_segment_that_cannot_be_decoded_is_named() -> None:
    with pytest.raises(CorruptError, match=f"segment 3 of node {NODES[0]}"):
        decode([lines_of([b"{}"])])


def test_the_columns_without_the_record_are_the_narrow_ones() -> None:
    assert NARROW.names == [name for name in SCHEMA.names if name != "record"]
    assert isinstance(SCHEMA, pa.Schema)
