"""What stands behind the question mark is understood or refused by name, never passed over."""

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import RejectedError
from holdfast.model import Query
from holdfast.serve.parameters import COUNT, SEARCH, counting_of, parse, query_of


def test_every_filter_reaches_its_place_in_the_query() -> None:
    asked = {
        "from": "2026-11-24T10:00:00Z",
        "to": "2026-11-24T11:00:00.5+01:00",
        "tenant": "acme & söhne",
        "actor": "alice",
        "action": "iam.*",
        "target": "bob",
        "outcome": "denied",
        "ip": "10.0.0.1",
        "id": "a/b",
        "q": "100% + 1",
        "limit": "7",
        "cursor": "abc",
    }

    query = query_of(parse(urlencode(asked).encode(), SEARCH))

    assert query == Query(
        from_us=1_795_514_400_000_000,
        to_us=1_795_514_400_500_000,
        tenant="acme & söhne",
        actor="alice",
        action="iam.*",
        target="bob",
        outcome="denied",
        ip="10.0.0.1",
        id="a/b",
        q="100% + 1",
        limit=7,
        cursor="abc",
    )


def test_an_offset_whose_plus_was_not_escaped_is_still_an_offset() -> None:
    query = query_of(parse(b"to=2026-11-24T11:00:00.5+01:00", SEARCH))

    assert query.to_us == 1_795_514_400_500_000


def test_no_tenant_and_the_empty_tenant_are_different_questions() -> None:
    assert query_of(parse(b"", SEARCH)).tenant is None
    assert query_of(parse(b"tenant=", SEARCH)).tenant == ""


@pytest.mark.parametrize(
    ("asked", "kind", "field"),
    [
        (b"actr=alice", "unknown-parameter", "actr"),
        (b"from=yesterday", "bad-parameter", "from"),
        (b"from=2026-11-24T10:00:00", "bad-parameter", "from"),
        (b"limit=ten", "bad-parameter", "limit"),
        (b"limit=-1", "bad-parameter", "limit"),
        (b"limit=%C2%B2", "bad-parameter", "limit"),
        (b"actor=a&actor=b", "bad-parameter", "actor"),
        (b"actor=%ff", "bad-parameter", "actor"),
        (b"q=%ED%A0%80", "bad-parameter", "q"),
        (b"%61ctr=1", "unknown-parameter", "actr"),
        (b"=1", "unknown-parameter", ""),
    ],
)
def test_a_bad_parameter_is_named(asked: bytes, kind: str, field: str) -> None:
    with pytest.raises(RejectedError) as refused:
        parse(asked, SEARCH)

    assert refused.value.kind == kind
    assert [problem.field for problem in refused.value.problems] == [field]


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(RejectedError) as refused:
        parse(b"actr=1&from=x&limit=y", SEARCH)

    assert [problem.field for problem in refused.value.problems] == ["actr", "from", "limit"]


def test_more_parameters_than_there_can_be_are_not_looked_at() -> None:
    with pytest.raises(RejectedError, match="more than"):
        parse(b"a=1&" * 10_000, SEARCH)


def test_a_count_is_asked_for_by_fields_and_bars() -> None:
    wanted = counting_of(parse(b"by=action,outcome&bucket=15m&actor=alice", COUNT))

    assert wanted.by == ("action", "outcome")
    assert wanted.bucket_us == 900_000_000
    assert wanted.query.actor == "alice"


@pytest.mark.parametrize("bucket", ["0s", "1w", "-1h", "1.5h", "h", "1", "9999999d"])
def test_bars_have_a_width_that_means_something(bucket: str) -> None:
    with pytest.raises(RejectedError, match="bucket"):
        parse(urlencode({"bucket": bucket}).encode(), COUNT)


@given(st.binary(max_size=60))
def test_any_bytes_are_parameters_or_refused(asked: bytes) -> None:
    with suppress(RejectedError):
        counting_of(parse(asked, COUNT))


def test_each_parameter_has_a_meaning_and_a_schema() -> None:
    assert all(each.meaning and each.schema for each in (*SEARCH, *COUNT))


def test_a_parameter_without_a_value_is_refused_by_name() -> None:
    for query in (b"actor=", b"q=", b"limit=", b"from=", b"to", b"actor=a&ip="):
        with pytest.raises(RejectedError) as refused:
            parse(query, SEARCH)

        assert [problem.reason for problem in refused.value.problems] == [
            "has no value: leave it out"
        ]
