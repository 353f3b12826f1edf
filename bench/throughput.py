"""CPU and bytes an event, both sides, in rounds of shuffled order.

Each run has a program of its own, freshly started, warmed up, and idle when the clock starts. Only
one side runs at a time. Both are measured before the work that they put off: PostgreSQL's vacuum,
and the folding of our segments, which has a figure of its own (`searching`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench import load, postgres, server
from bench.events import BATCH_EVENTS, Stream
from bench.plan import (
    BATCH_CONNECTIONS,
    ROW_CONNECTIONS,
    SINGLE_CONNECTIONS,
    STATEMENT_CONNECTIONS,
    Ground,
    say,
)
from bench.postgres import Row, Statement
from bench.report import Finding, Table, median, spread

BATCH: Final = "Holdfast, batches of 1,000"
SINGLE: Final = "Holdfast, single events, 1,024 connections"
MULTI_ROW: Final = "PostgreSQL, multi-row INSERT of 1,000"
COPY: Final = "PostgreSQL, COPY of 1,000"
SINGLE_ROW: Final = "PostgreSQL, single-row commits, 32 connections"

WHY_BATCH: Final = (
    "where our CPU goes, by profile: admission a third, sealing with its decoding back and hashing "
    "a third, catalog and id index a fifth, the rest HTTP and three copies with fsync"
)
WHY_SINGLE: Final = (
    "where our CPU goes, by profile: HTTP in Python and the socket half, admission a sixth, "
    "sealing and copying a segment every 50 ms a quarter"
)
LOAD_S_MAX: Final = 60
WARM_EVENTS: Final = 10_000
SETTLED_S: Final = 3.0  # what follows a load by itself begins within that
WARM_STATEMENT_BATCHES: Final = 4


@dataclass(frozen=True)
class Sample:
    """One run of one side.

    cpu_us: an event, until it can be searched (PostgreSQL: until it is committed).
    settled_us: an event, until nothing is left to do (PostgreSQL: until after a CHECKPOINT).
    stored_bytes: an event: evidence of one region (PostgreSQL: table and indexes).
    ack_ms: median while the side is saturated; 0 where nothing is answered.
    resident_bytes: of all its processes, at most; 0 where that says nothing, since they share most
    of it.
    """

    rate: float
    cpu_us: float
    settled_us: float
    stored_bytes: float
    ack_ms: float
    resident_bytes: int


Arms = dict[str, list[Sample]]
Run = Callable[[], Sample]


@dataclass(frozen=True)
class Way:
    """A way to send events to our server."""

    requests: Callable[[Stream], load.Requests]
    connections: int
    events: int


@dataclass(frozen=True)
class Loader:
    """A way to fill PostgreSQL's table."""

    statements: Callable[[Sequence[list[Row]]], list[Statement]]
    connections: int
    events: int


def measure(ground: Ground, runs: Mapping[str, Run]) -> Arms:
    """All of them, `plan.rounds` times."""
    arms: Arms = {name: [] for name in runs}
    for round_ in range(ground.plan.rounds):
        for name in ground.random.sample(list(runs), len(runs)):
            sample = runs[name]()
            arms[name].append(sample)
            say(
                f"  round {round_ + 1}: {name}: {sample.rate:,.0f}/s, "
                f"{sample.cpu_us:.1f} µs/event, settled {sample.settled_us:.1f}"
            )
    return arms


def ours(ground: Ground) -> dict[str, Run]:
    singles = Way(load.singles, SINGLE_CONNECTIONS, ground.plan.single_events)
    ways = {BATCH: batches(ground), SINGLE: singles}
    return {name: partial(run_ours, ground, way) for name, way in ways.items()}


def theirs(ground: Ground) -> dict[str, Run]:
    """PostgreSQL's; none where it is not installed."""
    plan = ground.plan
    loaders = {
        MULTI_ROW: Loader(postgres.multi_row, STATEMENT_CONNECTIONS, plan.multi_row_events),
        COPY: Loader(postgres.copy, STATEMENT_CONNECTIONS, plan.copy_events),
        SINGLE_ROW: Loader(postgres.single_row, ROW_CONNECTIONS, plan.single_row_events),
    }
    if ground.binaries is None:
        return {}
    return {name: partial(run_theirs, ground, loader) for name, loader in loaders.items()}


def batches(ground: Ground) -> Way:
    return Way(load.batches, BATCH_CONNECTIONS, ground.plan.batch_events)


def run_ours(ground: Ground, way: Way) -> Sample:
    """Found a trail, load it, and wait until all is found, and then until all is done."""
    with (
        ground.folder("ours") as folder,
        server.running(folder / "data", ground.cores.side) as running,
    ):
        side = running.side
        with load.Client(running.port, way.connections) as client:
            requests = way.requests(ground.stream())
            warm = client.closed(requests, WARM_EVENTS, LOAD_S_MAX)
            running.wait_found(*warm.last)  # starts the processes that search
            before_us = side.wait_idle(ground.plan.settle_s)
            before_bytes = running.evidence_bytes()
            with side.watched():
                loaded = client.closed(requests, way.events, LOAD_S_MAX)
            running.wait_found(*loaded.last)
            found_us = side.cpu_us()
            settled_us = side.wait_idle(ground.plan.settle_s, SETTLED_S)
        stored_bytes = running.evidence_bytes() - before_bytes
        found = running.count()
        if found < WARM_EVENTS + loaded.events:
            raise RuntimeError(f"{found} found of {WARM_EVENTS} + {loaded.events} acknowledged")
        if loaded.events < way.events:
            say(f"  not everything was acknowledged: {dict(loaded.statuses)}")
        return Sample(
            loaded.rate,
            (found_us - before_us) / loaded.events,
            (settled_us - before_us) / loaded.events,
            stored_bytes / loaded.events,
            median(loaded.ack_ms),
            side.resident_bytes_max,
        )


def run_theirs(ground: Ground, loader: Loader) -> Sample:
    """Fill an empty table of a new cluster."""
    assert ground.binaries is not None
    with (
        ground.folder("postgres") as folder,
        postgres.running(ground.binaries, folder, ground.cores.side) as cluster,
    ):
        return _fill(ground, cluster, loader)


def _fill(ground: Ground, cluster: postgres.Cluster, loader: Loader) -> Sample:
    stream = ground.stream()

    def statements(batches: int) -> list[Statement]:
        return loader.statements([postgres.rows(stream.draw()) for _ in range(batches)])

    side = cluster.side
    cluster.make_table()
    warm = statements(WARM_STATEMENT_BATCHES)
    postgres.fill(cluster, warm, WARM_STATEMENT_BATCHES * BATCH_EVENTS, loader.connections)
    upcoming = statements(loader.events // BATCH_EVENTS)
    before_us = side.cpu_us()
    filled = postgres.fill(cluster, upcoming, loader.events, loader.connections)
    committed_us = side.cpu_us()
    cluster.checkpoint()
    settled_us = side.cpu_us()
    events, stored_bytes = cluster.size()
    return Sample(
        filled.rate,
        (committed_us - before_us) / filled.events,
        (settled_us - before_us) / filled.events,
        stored_bytes / events,
        median(filled.ack_ms),
        resident_bytes=0,
    )


def table(arms: Mapping[str, Sequence[Sample]]) -> Table:
    """A row for each side and way, medians and ranges over the rounds."""
    head = (
        *("", "events/s", "CPU µs/event until found", "until idle, or a CHECKPOINT"),
        *("bytes/event and copy", "ack p50 ms, saturated", "memory MiB, at most"),
    )
    return Table("", head, tuple(_row(name, samples) for name, samples in arms.items() if samples))


def _row(name: str, samples: Sequence[Sample]) -> tuple[str, ...]:
    resident_mib = max(sample.resident_bytes for sample in samples) / 2**20
    return (
        name,
        spread([sample.rate for sample in samples], 0),
        spread([sample.cpu_us for sample in samples]),
        spread([sample.settled_us for sample in samples]),
        f"{median([sample.stored_bytes for sample in samples]):,.0f}",
        spread([sample.ack_ms for sample in samples if sample.ack_ms]),
        f"{resident_mib:,.0f}" if resident_mib else "-",
    )


def findings(arms: Arms) -> list[Finding]:
    """The ratios that were to be reached, of medians; their range is that of the rounds' ratios."""

    def cpu(name: str) -> list[float]:
        return [sample.cpu_us for sample in arms.get(name, ())]

    def stored(name: str) -> list[float]:
        return [sample.stored_bytes for sample in arms.get(name, ())]

    batch, single = cpu(BATCH), cpu(SINGLE)
    copies = stored(BATCH), stored(COPY)
    return [
        _ratio("batches: CPU of multi-row INSERT / ours", cpu(MULTI_ROW), batch, 2.0, WHY_BATCH),
        _ratio("batches: CPU of COPY / ours", cpu(COPY), batch, 1.3, WHY_BATCH),
        _ratio(
            "single: CPU of single-row commits / ours", cpu(SINGLE_ROW), single, 2.0, WHY_SINGLE
        ),
        _ratio("evidence a copy / table and indexes", *copies, 0.15, is_least=False),
    ]


def _ratio(
    name: str,
    above: list[float],
    below: list[float],
    limit: float,
    why: str = "",
    is_least: bool = True,
) -> Finding:
    """Of the medians."""
    if not above or not below:
        return Finding(name, None, limit, "x", is_least, "PostgreSQL is not installed here")
    rounds = tuple(a / b for a, b in zip(above, below, strict=False))
    value = median(above) / median(below)
    return Finding(name, value, limit, "x", is_least, samples=rounds, why=why)
