"""Searches over six million events of a day, as a server keeps them, beside those asked the same.

The cache of the trail is made by the code that folds, or was, by `python -m bench.folded`. Ours
answers in this process, as a worker of the server's would, over folds with their indexes and the
newest events in segments; DuckDB reads the same folds, and one of those segments, by the obvious
SQL and with as many threads. PostgreSQL holds a part of the events, with its indexes, and ours is
asked about the same part beside it. Everyone is warm; who is asked first changes, and what for in
every round. Each answer is compared. The whole is asked once more while a server beside it takes
events in.

DuckDB and PostgreSQL seek a ticket's number by LIKE, as it is written, and the other text by ILIKE,
in any case, as ours does both. An event's share of the index is what a fold's job spends on it
beside the fold.
"""

import multiprocessing
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import duckdb
import pyarrow.parquet as pq
from msgspec import structs

from bench import load, postgres, server
from bench.asked import HOUR_US, ID, Asked, Duck, Ours, Postgres
from bench.events import NEEDLE, Stream, make_pool
from bench.folded import DAY_US, NEEDLES, Day, Share, layout, make_day, read_day
from bench.plan import Ground, say
from bench.processes import pinned
from bench.report import Finding, Part, Table, median, spread
from holdfast.model import Query
from holdfast.read.decode import SCHEMA
from holdfast.read.index import Builder, path_of
from holdfast.read.sources import FoldSource

SAMPLES: Final = 64
COSTED_FOLDS: Final = 4
KEPT: Final = "holdfast-day"  # a day made before is taken from there, where others are made
TENANTS_ASKED: Final = 20  # the most frequent ones: each has 100 events in an hour
START_S: Final = 3  # of the process that loads
ACTOR_EVENTS_MAX: Final = 2  # of the pool's: some 190 of six million
CONNECTIONS: Final = 4  # of it, with batches of 1,000
OURS, DUCKDB, OURS_FEW, POSTGRES = "ours", "DuckDB", "ours, few", "PostgreSQL"
INDEX_US_MAX: Final = 1.5
INDEX_BYTES_MAX: Final = 25


@dataclass(frozen=True)
class Sample:
    """What some event is found by."""

    busy: str  # a frequent tenant
    tenant: str
    actor: str
    id: str
    ticket: str


@dataclass(frozen=True)
class Question:
    """ratio_max: of DuckDB's time, to be reached. query: None where all is counted. times: in a
    round."""

    name: str
    ratio_max: float
    query: Callable[[Sample, int], Query] | None
    times: int = 10
    why: str = ""


WHY_FIXED: Final = (
    "DuckDB prunes by the same order and statistics; most of ours is what any search takes: a look "
    "at each fold's index, and at what is hot"
)
QUESTIONS: Final = (
    Question(
        "newest 100 of a tenant's last hour",
        0.04,
        lambda one, now_us: Query(tenant=one.busy, from_us=now_us - HOUR_US),
        why=WHY_FIXED,
    ),
    Question(
        "newest 100 of an actor",
        0.06,
        lambda one, _: Query(actor=one.actor),
        why="a hundred records lie in as many pages of 60 folds, each decompressed for one of them",
    ),
    Question("one id", 0.03, lambda one, _: Query(id=one.id), why=WHY_FIXED),
    Question(
        "count by action and by hour",
        0.05,
        None,
        3,
        "the values that each fold counts are given common numbers, in Python",
    ),
    Question(
        "a ticket's number, a whole word",
        0.05,
        lambda one, _: Query(word=one.ticket),
        1,
        "the filter takes about one block of rows in a hundred for one with the word, and every "
        "hot record is read",
    ),
    Question(
        "text within a word, anywhere",
        0.8,
        lambda *_: Query(q=NEEDLE),
        1,
        "every record is read by both, and one question each on a busy machine says little",
    ),
)
CHEAP: Final = tuple(question for question in QUESTIONS if question.times > 1)


@dataclass
class Trail:
    """What is asked about. few: the newest shares that PostgreSQL has, too."""

    day: Day
    folds: list[FoldSource]
    ours: Ours
    duck: Duck
    few: list[Share]
    ours_few: Ours
    samples: list[Sample]


@dataclass
class Arm:
    """What one of those who are asked took for a question, in ms: all the time, and CPU."""

    took_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


Arms = dict[tuple[str, str], Arm]  # by question and by who is asked


def measure(ground: Ground) -> Part:
    """Takes about eight minutes."""
    plan = ground.plan
    with ground.folder("lookups") as folder, pinned(ground.cores.all):
        trail = _make(ground, folder)
        cost = _index_cost(trail.folds, folder)
        with _postgres(ground, trail.few) as theirs:
            asked: dict[str, Asked] = {OURS: trail.ours, DUCKDB: trail.duck}
            if theirs is not None:
                asked |= {OURS_FEW: trail.ours_few, POSTGRES: theirs}
            ask(asked, trail, ground.random, lambda: False, 1, CHEAP)  # to be warm
            rest = ask(asked, trail, ground.random, lambda: False, plan.lookups_rounds)
            for finding in _ratios(rest, {}):
                say(f"  {finding.name}: {finding.measured}; {finding.note}")
            with _loading(ground) as is_over:
                busy = ask(asked, trail, ground.random, is_over)
    return Part(
        "search",
        (_table(rest, busy, trail),),
        (*_ratios(rest, busy), *cost),
        {"rest": _data(rest), "busy": _data(busy)},
        {"duckdb": duckdb.__version__, "postgresql": postgres.version(ground.binaries)},
    )


def _make(ground: Ground, folder: Path) -> Trail:
    plan = ground.plan
    seed, now_us = ground.random.getrandbits(32), int(time.time() * 1e6)
    begin = time.monotonic()
    day = read_day(ground.directory.parent / KEPT)
    if day is None or day.events != plan.lookups_events:
        day = make_day(layout(plan.lookups_events, seed, now_us, DAY_US, NEEDLES), now_us, folder)
    fold_us = sum(one.cpu_us for one in day.folded) / day.events
    say(
        f"  {day.events:,} events in {len(day.folded) - 1} folds and {len(day.segments)} segments, "
        f"{time.monotonic() - begin:.0f} s; a fold cost {fold_us:.1f} µs of CPU an event"
    )
    return trail_of(day, plan.lookups_few, Random(seed))


def trail_of(day: Day, few_events: int, random: Random) -> Trail:
    """What is asked about a day. few_events: of it, at least, that PostgreSQL has, too."""
    few = len(day.shares) - 1
    while sum(share.events for share in day.shares[few:]) < few_events and few > 0:
        few -= 1
    folds = [one.source for one in day.folded[:-1]]
    return Trail(
        day=day,
        folds=folds,
        ours=Ours([*folds, *day.segments]),
        duck=Duck([one.source.path for one in day.folded]),
        few=day.shares[few:],
        ours_few=Ours([*folds[few:], *day.segments]),
        samples=_samples(day.shares, few, random),
    )


def _samples(shares: Sequence[Share], few: int, random: Random) -> list[Sample]:
    """Of those that everyone has, so that everyone is asked the same; actors that are no busier
    than most: at most two events of the pool are theirs."""
    pool = shares[0].pool
    tenants = pool.tenant_names[:TENANTS_ASKED]
    busy = Counter(actor for template in pool.templates for actor in template.batch.actors)
    found: list[Sample] = []
    for share in random.choices(shares[few:], k=4):
        batch = random.choice(list(share.draw()))
        tickets = [re.search(rb"TCK-\d{6}", line) for line in batch.lines]
        asked = [
            row
            for row, (ticket, actor) in enumerate(zip(tickets, batch.actors, strict=True))
            if ticket and busy[actor] <= ACTOR_EVENTS_MAX
        ]
        for row in random.sample(asked, SAMPLES // 4):
            ticket = tickets[row]
            assert ticket is not None
            found.append(
                Sample(
                    tenants[len(found) % len(tenants)],
                    batch.tenants[row].decode(),
                    batch.actors[row].decode(),
                    batch.ids[row].decode(),
                    ticket[0].decode(),
                )
            )
    return found


# -- what is asked --------------------------------------------------------------------------------


def ask(
    asked: Mapping[str, Asked],
    trail: Trail,
    random: Random,
    is_over: Callable[[], bool],
    rounds: int = 1_000,
    questions: Sequence[Question] = QUESTIONS,
) -> Arms:
    """Rounds of all questions, until it is over; what was measured then does not count."""
    arms: Arms = {(one.name, who): Arm() for one in QUESTIONS for who in asked}
    turns = count(random.randrange(SAMPLES))
    for _ in range(rounds):
        for question in questions:
            for _ in range(question.times):
                sample = trail.samples[next(turns) % SAMPLES]
                answers: dict[str, object] = {}
                for who in random.sample(list(asked), len(asked)):
                    answers[who], took_ms, cpu_ms = _timed(asked[who], who, question, sample, trail)
                    if is_over():
                        return arms
                    arms[question.name, who].took_ms.append(took_ms)
                    arms[question.name, who].cpu_ms.append(cpu_ms)
                _compare(answers, question)
    return arms


def _timed(
    asked: Asked, who: str, question: Question, sample: Sample, trail: Trail
) -> tuple[object, float, float]:
    query = None if question.query is None else question.query(sample, trail.day.end_us)
    if query is not None and query.id and who == POSTGRES:
        query = structs.replace(query, tenant=sample.tenant)
    begin, cpu = time.perf_counter(), time.process_time()
    answer = asked.counts() if query is None else asked.page(query)
    took_ms, cpu_ms = (time.perf_counter() - begin) * 1e3, (time.process_time() - cpu) * 1e3
    return answer if isinstance(answer, dict) else [one[ID] for one in answer], took_ms, cpu_ms


def _compare(answers: Mapping[str, object], question: Question) -> None:
    """Raises RuntimeError: two that hold the same answered something else, or all nothing."""
    for one, other in ((OURS, DUCKDB), (OURS_FEW, POSTGRES)):
        if one in answers and answers[one] != answers[other]:
            raise RuntimeError(f"{question.name}: {one} and {other} answered differently")
    if not answers[OURS]:
        raise RuntimeError(f"{question.name}: nothing was found")


# -- beside it ------------------------------------------------------------------------------------


@contextmanager
def _postgres(ground: Ground, shares: Sequence[Share]) -> Iterator[Postgres | None]:
    """PostgreSQL with the same events, warm; None where it is not installed."""
    if ground.binaries is None:
        yield None
        return
    cores = ground.cores.all
    with (
        ground.folder("postgres") as folder,
        postgres.running(ground.binaries, folder, cores) as cluster,
    ):
        cluster.make_table()
        for share in shares:
            rows = [postgres.rows(batch) for batch in share.draw()]
            postgres.fill(cluster, postgres.copy(rows), share.events, 2)
        with cluster.connect() as connection:
            connection.execute("VACUUM ANALYZE audit_events")
            yield Postgres(connection)


@contextmanager
def _loading(ground: Ground) -> Iterator[Callable[[], bool]]:
    """A server that takes events in; gives what says whether that is over."""
    plan = ground.plan
    with (
        ground.folder("loaded") as folder,
        server.running(folder / "data", ground.cores.side) as running,
        pinned({ground.cores.client}),
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
    ):
        seed, seconds = ground.random.getrandbits(32), plan.lookups_load_s + START_S
        loading = process.submit(_ingest, running.port, seed, seconds)
        time.sleep(START_S)
        with pinned(ground.cores.all):
            yield loading.done
        loaded = loading.result(120)
        say(f"  meanwhile {loaded.rate:,.0f} events a second came in")


def _ingest(port: int, seed: int, seconds: float) -> load.Loaded:
    """As fast as is acknowledged. Runs in a process of its own."""
    stream = Stream(make_pool(seed, 16), seed, int(time.time() * 1e6), 100.0)
    with load.Client(port, CONNECTIONS) as client:
        return client.closed(load.batches(stream), sys.maxsize, seconds)


def _index_cost(folds: Sequence[FoldSource], folder: Path) -> tuple[Finding, Finding]:
    """What an index costs beside the fold, of some of the trail's."""
    costs_us: list[float] = []
    for fold in folds[:COSTED_FOLDS]:
        with pq.ParquetFile(fold.path) as file:
            tables = [file.read_row_group(n).cast(SCHEMA) for n in range(file.num_row_groups)]
        before, index = time.process_time(), Builder()
        for _ in index.each(tables):
            pass
        index.write(Path(fold.path), fold.sha256, folder / "again.parquet")
        costs_us.append((time.process_time() - before) * 1e6 / fold.count)
    sizes = [path_of(fold.path).stat().st_size / fold.count for fold in folds]
    folded = [Path(fold.path).stat().st_size / fold.count for fold in folds]
    return (
        Finding(
            "index: CPU an event",
            median(costs_us),
            INDEX_US_MAX,
            "µs",
            samples=tuple(costs_us),
            why="a record's every byte is looked at for where words begin and end, by numpy",
        ),
        Finding(
            "index: bytes an event",
            sum(sizes) / len(sizes),
            INDEX_BYTES_MAX,
            "bytes",
            note=f"beside a fold of {sum(folded) / len(folded):.0f} bytes an event",
            why="the filter of words takes 11, an event's time, size and place 10",
        ),
    )


# -- what is said of it ---------------------------------------------------------------------------


def _ratios(rest: Arms, busy: Arms) -> Iterator[Finding]:
    for question in QUESTIONS:
        ours, theirs = rest[question.name, OURS].took_ms, rest[question.name, DUCKDB].took_ms
        loaded = [busy.get((question.name, who), Arm()).took_ms for who in (OURS, DUCKDB)]
        cpu = [median(rest[question.name, who].cpu_ms) for who in (OURS, DUCKDB)]
        note = f"p50 {median(ours):.1f} ms, DuckDB {median(theirs):.0f} ms"
        note += f"; of CPU {cpu[0]:.1f} and {cpu[1]:.0f}, {cpu[0] / cpu[1]:.3f}"
        if all(loaded):
            mine, others = map(median, loaded)
            note += f"; while events come in {mine:.1f} and {others:.0f}, {mine / others:.3f}"
        yield Finding(
            f"{question.name}, to DuckDB",
            median(ours) / median(theirs),
            question.ratio_max,
            "x",
            note=note,
            why=question.why,
        )


def _table(rest: Arms, busy: Arms, trail: Trail) -> Table:
    whos = [who for who in (OURS, DUCKDB, OURS_FEW, POSTGRES) if (QUESTIONS[0].name, who) in rest]
    few, every = (sum(share.events for share in some) for some in (trail.few, trail.day.shares))
    of = {OURS: every, DUCKDB: every, OURS_FEW: few, POSTGRES: few}
    rows = [
        (
            question.name,
            *(_cell(rest[question.name, who], busy[question.name, who]) for who in whos),
        )
        for question in QUESTIONS
    ]
    title = "p50 in ms [range] at rest; of CPU, where it is this process's; while events come in"
    head = ("", *(f"{who.removesuffix(', few')}, {of[who]:,} events" for who in whos))
    return Table(title, head, tuple(rows))


def _cell(rest: Arm, busy: Arm) -> str:
    loaded = f"{median(busy.took_ms):.1f}" if busy.took_ms else "-"
    return f"{spread(rest.took_ms)}; {median(rest.cpu_ms):.1f}; {loaded}"


def _data(arms: Arms) -> dict[str, dict[str, Arm]]:
    found: dict[str, dict[str, Arm]] = {}
    for (question, who), arm in arms.items():
        found.setdefault(question, {})[who] = arm
    return found
