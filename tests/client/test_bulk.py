import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.client import (
    BulkLimits,
    Client,
    CutShortError,
    Delivered,
    Endpoint,
    Outgoing,
    Patience,
    RefusedError,
    send_all,
)
from holdfast.client.bulk import batches, plan_after_refusal
from holdfast.client.errors import Fault
from tests.client.scripted import Part, Reply, Request, Server, problem, serving, stored

QUICK = Patience(seconds_max=5, pause_first_seconds=0.001, pause_max_seconds=0.002)
HASTY = Patience(seconds_max=0.01, pause_first_seconds=0.001, pause_max_seconds=0.002)


def outgoing(count: int, bad: Sequence[int] = ()) -> list[Outgoing]:
    return [
        Outgoing(json.dumps({"id": str(i), "bad": i in bad}).encode(), f"file:{i + 1}")
        for i in range(count)
    ]


def strict(naming_max: int) -> Part:
    """A server that refuses bad events, and names at most so many of them."""

    def part(request: Request) -> Reply:
        bad = [n for n, line in enumerate(request.lines, 1) if json.loads(line)["bad"]]
        errors = [(n, "bad", "it is") for n in bad[:naming_max]]
        return problem("malformed", 400, *errors) if bad else stored(request)

    return part


def run(server: Server, events: list[Outgoing], limits: BulkLimits) -> list[Delivered]:
    reports: list[Delivered] = []
    with Client(Endpoint(server.url), QUICK) as client:
        send_all(client, events, limits, reports.append)
    return reports


@pytest.mark.parametrize("naming_max", [0, 1, 100])
def test_refused_events_are_named_and_left_out_and_the_rest_goes_in(naming_max: int) -> None:
    with serving(then=strict(naming_max)) as server:
        reports = run(server, outgoing(50, bad=(3, 4, 49)), BulkLimits(events_max=20))

    named = sorted(refusal.where for each in reports for refusal in each.refusals)
    assert named == ["file:4", "file:5", "file:50"]
    assert sum(each.acknowledged for each in reports) == 47


def test_every_event_is_sent_once_when_all_goes_well() -> None:
    with serving() as server:
        run(server, outgoing(1000), BulkLimits(events_max=7, parallel=3))

    sent = [id for request in server.requests for id in request.ids]
    assert sorted(sent, key=int) == [str(i) for i in range(1000)]


def test_a_server_that_stays_away_ends_it_and_what_was_acknowledged_stays_reported() -> None:
    reports: list[Delivered] = []
    with serving(stored, then=lambda _: problem("unavailable", 503)) as server:
        with pytest.raises(CutShortError) as caught, Client(Endpoint(server.url), HASTY) as client:
            send_all(client, outgoing(100), BulkLimits(events_max=10, parallel=1), reports.append)

    assert caught.value.where == "file:11"
    assert sum(each.acknowledged for each in reports) == 10


def test_a_wrong_token_ends_it_instead_of_refusing_event_by_event() -> None:
    with serving(then=lambda _: problem("unauthorized", 401)) as server:
        with pytest.raises(CutShortError) as caught:
            run(server, outgoing(4), BulkLimits(events_max=2, parallel=1))

    assert isinstance(caught.value.cause, RefusedError)
    assert len(server.requests) == 1


def test_a_batch_that_is_too_large_for_the_server_is_halved_until_it_fits() -> None:
    def small_only(request: Request) -> Reply:
        return stored(request) if len(request.lines) <= 3 else problem("too-large", 413)

    with serving(then=small_only) as server:
        reports = run(server, outgoing(20), BulkLimits())

    assert sum(each.acknowledged for each in reports) == 20
    assert not any(each.refusals for each in reports)


@given(
    st.lists(st.integers(0, 40), max_size=60),
    st.integers(1, 10),
    st.integers(1, 60),
)
def test_batches_hold_everything_in_order_within_the_limits(
    sizes: list[int], events_max: int, bytes_max: int
) -> None:
    events = [Outgoing(b"x" * size, str(i)) for i, size in enumerate(sizes)]

    cut = list(batches(events, BulkLimits(events_max, bytes_max)))

    assert [event for batch in cut for event in batch] == events
    for batch in cut:
        assert 1 <= len(batch) <= events_max
        assert len(batch) == 1 or sum(len(event.line) + 1 for event in batch) <= bytes_max


@settings(max_examples=200)
@given(st.integers(1, 30), st.lists(st.integers(-3, 40)))
def test_a_refusal_always_leaves_less_and_loses_nothing(count: int, lines: list[int]) -> None:
    batch = outgoing(count)
    faults = tuple(Fault(line, "", "bad") for line in lines)

    lost, again = plan_after_refusal(batch, RefusedError(400, "malformed", "bad", faults))

    left = {event.where for rest in again for event in rest}
    assert left.isdisjoint({refusal.where for refusal in lost})
    assert left | {refusal.where for refusal in lost} == {event.where for event in batch}
    assert all(0 < len(rest) < count for rest in again)
