"""The benchmark's events: if they are not like real ones, its figures mean nothing."""

import json
from collections import Counter
from uuid import UUID

import pytest

from bench.events import ACTIONS, ACTORS_A_TENANT, TENANTS, Batch, Pool, Stream, make_pool

START_US = 1_790_000_000_000_000
FIELDS = {
    *("id", "time", "tenant", "actor", "action", "targets", "outcome", "reason"),
    *("source", "trace", "severity", "attributes"),
}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return make_pool(7, batches=8)


@pytest.fixture(scope="module")
def batches(pool: Pool) -> list[Batch]:
    stream = Stream(pool, 7, START_US, 100.0)
    return [stream.draw() for _ in range(8)]


def test_the_same_seed_makes_the_same_bytes(batches: list[Batch]) -> None:
    again = Stream(make_pool(7, batches=8), 7, START_US, 100.0)

    assert [again.draw() for _ in range(8)] == batches


def test_another_seed_makes_other_events(batches: list[Batch]) -> None:
    other = Stream(make_pool(8, batches=8), 7, START_US, 100.0).draw()

    assert other.lines[0] != batches[0].lines[0]


def test_an_event_has_600_to_900_bytes(batches: list[Batch]) -> None:
    sizes = sorted(len(line) for batch in batches for line in batch.lines)

    middle = sizes[len(sizes) // 20 : -len(sizes) // 20]
    assert middle[0] >= 600 and middle[-1] <= 900
    assert sizes[0] >= 500 and sizes[-1] <= 1_100
    assert 700 <= sum(sizes) / len(sizes) <= 800


def test_lines_are_events_of_the_schema_whose_fields_are_the_columns(batches: list[Batch]) -> None:
    batch = batches[3]

    for row, line in enumerate(batch.lines):
        event = json.loads(line)
        assert set(event) <= FIELDS
        assert event["id"] == batch.ids[row].decode()
        assert event["time"] == batch.times[row].decode()
        assert event["tenant"] == batch.tenants[row].decode()
        assert event["actor"]["id"] == batch.actors[row].decode()
        assert event["action"] == batch.actions[row].decode()
        assert event["outcome"] == batch.outcomes[row].decode()
        assert event["source"]["ip"] == batch.addresses[row].decode()


def test_ids_are_uuids_of_version_7_with_the_events_time(batches: list[Batch]) -> None:
    batch = batches[0]

    for row in range(0, 1_000, 50):
        id = UUID(batch.ids[row].decode())
        assert id.version == 7
        assert id.int >> 80 == (START_US + 100 * row) // 1_000


def test_ids_and_traces_never_repeat_though_the_pool_does(pool: Pool) -> None:
    stream = Stream(pool, 7, START_US, 100.0)

    lines = [line for _ in range(2 * len(pool.templates)) for line in stream.draw().lines]

    assert len({line[7:43] for line in lines}) == len(lines)
    traces = {json.loads(line)["trace"]["trace_id"] for line in lines}
    assert len(traces) == len(lines)


def test_times_rise_by_the_step_and_fall_on_the_microsecond(batches: list[Batch]) -> None:
    times = [time for batch in batches for time in batch.times]

    assert times == sorted(set(times))
    assert times[0] == b"2026-09-21T14:13:20.000000Z"
    assert times[-1] == b"2026-09-21T14:13:20.799900Z"


def test_tenants_and_actions_are_many_and_a_few_do_most(batches: list[Batch]) -> None:
    tenants = Counter(tenant for batch in batches for tenant in batch.tenants)
    actions = Counter(action for batch in batches for action in batch.actions)

    assert 0.9 * TENANTS <= len(tenants) <= TENANTS
    assert 0.9 * len(ACTIONS) <= len(actions) <= len(ACTIONS) == 118
    for counts in (tenants, actions):
        top = sum(count for _, count in counts.most_common(10))
        assert 0.4 < top / counts.total() < 0.8


def test_an_actor_acts_for_one_tenant_and_there_are_twenty_thousand(batches: list[Batch]) -> None:
    pairs = {
        (actor, tenant)
        for batch in batches
        for actor, tenant in zip(batch.actors, batch.tenants, strict=True)
    }

    assert len({actor for actor, _ in pairs}) == len(pairs) > 2_500
    assert TENANTS * ACTORS_A_TENANT == 20_000


def test_the_tenants_of_the_pool_are_named_most_frequent_first(
    pool: Pool, batches: list[Batch]
) -> None:
    tenants = Counter(tenant.decode() for batch in batches for tenant in batch.tenants)

    assert len(set(pool.tenant_names)) == TENANTS
    assert tenants.most_common(1)[0][0] == pool.tenant_names[0]
