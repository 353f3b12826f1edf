"""What is kept of counts is never wrong, whatever becomes of the files, and saves work."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import structs

from holdfast.errors import RejectedError
from holdfast.model import Counts, Query
from holdfast.read import counting as counting_module
from holdfast.read import search as search_module
from holdfast.read.counting import Counting, Question
from holdfast.read.fold import fold
from holdfast.read.search import run_counts
from holdfast.read.sources import NOWHERE, FoldSource, Places, Source, places
from tests.read.little_trail import (
    ACTIONS,
    IPS,
    NAMES,
    NODES,
    SECOND_US,
    START_US,
    TENANTS,
    Event,
    Trail,
    record_of,
)
from tests.read.test_search import GROUPINGS, chosen, numbered

SEGMENTS = 12
STATES = 40
EVERYTHING = Question(Query(), ("tenant",), SECOND_US)


class Worker:
    """Does each job where it is asked, and remembers how many sources that were."""

    def __init__(self) -> None:
        self.jobs: list[int] = []

    async def __call__(
        self, job: Callable[..., Counts], sources: Sequence[Source], *more: Any
    ) -> Counts:
        self.jobs.append(len(sources))
        return job(sources, *more)


def folded(trail: Trail, start: int, end: int) -> FoldSource:
    path = str(trail.directory / f"{start}-{end}.parquet")
    return fold(trail.sources[start:end], path).source(path)


def drawn(random: Random, folder: Path) -> Trail:
    """Segments of two nodes, of events whose fields meet often."""
    trail = Trail(folder)
    for n in range(SEGMENTS):
        events: list[Event] = [
            {
                "id": f"{n}-{m}",
                "tenant": random.choice(TENANTS),
                "actor": {"id": random.choice(NAMES)},
                "action": random.choice(ACTIONS),
                "source": {"ip": random.choice(IPS)},
            }
            for m in range(random.randint(1, 4))
        ]
        second = random.randint(0, 20)
        lines = [
            record_of(each, START_US + (second + m) * SECOND_US) for m, each in enumerate(events)
        ]
        trail.add(random.choice(NODES), lines)
    return trail


def question(random: Random) -> Question:
    ends = [None, *(START_US + n * SECOND_US for n in (0, 4, 9, 20, 30))]
    from_us, to_us = random.choice(ends[:4]), random.choice([None, *ends[4:]])
    some = random.choice((Query(), Query(tenant="acme"), Query(action="iam.*"), Query(actor="u1")))
    query = structs.replace(some, from_us=from_us, to_us=to_us)
    return Question(query, random.choice(GROUPINGS), random.choice((None, SECOND_US)))


def test_a_count_that_was_asked_before_is_as_one_that_was_not(tmp_path: Path) -> None:
    random, kept = Random(7), Counting(Worker())
    trail, folds = drawn(random, tmp_path), {}
    asked = [question(random) for _ in range(5)]
    hiding = [places(chosen(trail, set(random.sample(range(20), n)))) for n in (0, 0, 2)]
    for _ in range(STATES):
        # So far held, so far folded, in one fold or two: what a reader has at some time.
        held = random.randint(SEGMENTS // 2, SEGMENTS)
        ends = sorted({0, random.choice((3, 4)), random.choice((6, 7))})
        for pair in pairwise(ends):
            if pair not in folds:
                folds[pair] = folded(trail, *pair)
        sources: list[Source] = [
            *trail.sources[ends[-1] : held],
            *(folds[pair] for pair in pairwise(ends)),
        ]
        one, hidden = random.choice(asked), random.choice(hiding)

        counts = asyncio.run(kept.count(sources, one, hidden))

        assert counts == run_counts(sources, one.query, one.by, one.bucket_us, hidden)


def test_only_what_came_since_is_counted_again(tmp_path: Path) -> None:
    trail, worker = numbered(tmp_path, segments=20, each=2), Worker()
    folds = [folded(trail, n, n + 1) for n in range(10)]
    kept = Counting(worker)

    def jobs_for(sources: list[Source]) -> list[int]:
        worker.jobs.clear()
        asyncio.run(kept.count(sources, EVERYTHING, NOWHERE))
        return worker.jobs

    assert jobs_for([*trail.sources[10:15], *folds]) == [8, 2, 5]
    assert jobs_for([*trail.sources[10:15], *folds]) == []
    assert jobs_for([*trail.sources[10:17], *folds]) == [2]
    assert jobs_for([*trail.sources[13:18], *folds, folded(trail, 10, 13)]) == [1, 5]


def test_a_fold_is_not_read_where_each_of_its_events_counts_alike(tmp_path: Path) -> None:
    trail, worker = numbered(tmp_path, segments=6, each=2), Worker()
    folds = [folded(trail, 0, 3), folded(trail, 3, 6)]
    hidden = places(chosen(trail, {2}))
    plain, bars = Question(Query(), (), None), Question(Query(), (), 1000 * SECOND_US)
    half = Question(Query(from_us=trail.stored[0].time_us + 1), (), None)

    def jobs_for(asked: Question, hidden: Places = NOWHERE, unread: Sequence[str] = ()) -> int:
        worker.jobs.clear()
        counts = asyncio.run(Counting(worker).count(folds, asked, hidden, unread))
        assert counts == run_counts(folds, asked.query, asked.by, asked.bucket_us, hidden)
        return sum(worker.jobs)

    assert jobs_for(plain) == jobs_for(bars) == 0
    assert (
        jobs_for(half)
        == jobs_for(plain, hidden)
        == jobs_for(plain, NOWHERE, [folds[1].sha256])
        == 1
    )
    assert jobs_for(Question(Query(), (), SECOND_US)) == jobs_for(EVERYTHING) == 2
    assert jobs_for(Question(Query(action="none"), (), None)) == 2


def test_a_window_that_moves_on_counts_what_lies_across_its_ends(tmp_path: Path) -> None:
    trail, worker = numbered(tmp_path, segments=10, each=2), Worker()
    kept = Counting(worker)

    def count(from_us: int | None, to_us: int | None = None) -> int:
        question = Question(Query(from_us=from_us, to_us=to_us), (), None)
        worker.jobs.clear()
        return asyncio.run(kept.count(trail.sources, question, NOWHERE)).count

    assert count(START_US + SECOND_US) == 19
    assert worker.jobs == [9, 1]
    assert count(START_US + SECOND_US // 2) == 19
    assert worker.jobs == [1]
    assert count(START_US, START_US + 4 * SECOND_US) == 4
    assert worker.jobs == [2]
    assert count(None) == 20
    assert worker.jobs == [1]


def test_no_more_groups_are_kept_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_module, "KEPT_MAX", 24)
    trail, worker = numbered(tmp_path, segments=4, each=2), Worker()
    kept = Counting(worker)
    first, second = (Question(Query(), ("tenant",), size) for size in (SECOND_US, 2 * SECOND_US))
    for question in (first, second, second):
        asyncio.run(kept.count(trail.sources, question, NOWHERE))

    asyncio.run(kept.count(trail.sources, first, NOWHERE))

    assert worker.jobs == [4, 4, 4]


def test_what_is_kept_does_not_wait_for_what_is_counted(tmp_path: Path) -> None:
    trail, done = numbered(tmp_path, segments=2, each=2), Worker()
    known, new = (Question(Query(), ("tenant",), size) for size in (None, SECOND_US))

    async def story() -> None:
        never = asyncio.Event()

        async def run(job: Callable[..., Counts], sources: Sequence[Source], *more: Any) -> Counts:
            if done.jobs:
                await never.wait()
            return await done(job, sources, *more)

        kept = Counting(run)
        before = await kept.count(trail.sources, known, NOWHERE)
        hanging = asyncio.create_task(kept.count(trail.sources, new, NOWHERE))
        await asyncio.sleep(0)

        assert await kept.count(trail.sources, known, NOWHERE) == before
        hanging.cancel()

    asyncio.run(story())


def test_too_many_groups_are_refused_however_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "GROUPS_MAX", 3)
    trail = Trail(tmp_path)
    for n in range(4):
        trail.add(NODES[0], [record_of({"id": f"e{n}", "tenant": f"t{n}"}, START_US + n)])
    worker = Worker()
    kept = Counting(worker)
    asked = Question(Query(), ("tenant",), None)

    asyncio.run(kept.count(trail.sources[:3], asked, NOWHERE))
    for _ in range(2):
        with pytest.raises(RejectedError, match="more than 3 groups"):
            asyncio.run(kept.count(trail.sources, asked, NOWHERE))

    assert worker.jobs == [3, 1]
