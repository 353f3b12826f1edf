"""How much is measured, and what every experiment needs."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

from bench.events import Pool, Stream
from bench.processes import Cores


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Amounts. Events are those of one round."""

    rounds: int
    batch_events: int
    single_events: int
    multi_row_events: int
    copy_events: int
    single_row_events: int
    settle_s: int
    fold_s: int  # how long to wait until what is old enough was folded
    latency_s: int
    lone_events: int
    search_events: int
    search_s: int
    lookups_events: int
    lookups_few: int  # of them, which a database takes, too
    lookups_rounds: int
    lookups_load_s: int  # as long again, while events come in
    console_rounds: int  # requests of each page
    growth_rounds: int
    growth_segments: int  # of the smaller trail, before the rounds
    growth_events: int
    ok_requests: int  # one after another, under strace
    ok_kills: int
    ok_events: int  # before each kill
    outage_s: int  # before a region goes away; half as long again while it is
    catch_up_events: int
    catch_up_segments: int  # small ones
    catch_up_far_events: int  # where the regions are buckets
    probes: int  # of how long until an event is found
    puts: int  # of each size
    receivers_rounds: int
    receivers_events: int  # of each way
    workers_rounds: int
    workers_events: int
    verify_rounds: int
    verify_names: int  # segments, looked at by name
    verify_segments: int  # looked at by event
    certificate_s: int  # of a trail
    archive_rounds: int
    archive_events: int  # of a day
    years_days: int  # of the longest trail
    years_events: int  # a day
    years_rounds: int  # servers on each


FULL: Final = Plan(
    rounds=5,
    batch_events=80_000,
    single_events=80_000,
    multi_row_events=80_000,
    copy_events=80_000,
    single_row_events=25_000,
    settle_s=40,
    fold_s=75,
    latency_s=10,
    lone_events=30,
    search_events=1_000_000,
    search_s=20,
    lookups_events=6_000_000,
    lookups_few=1_000_000,
    lookups_rounds=1,
    lookups_load_s=60,
    console_rounds=50,
    growth_rounds=8,
    growth_segments=150,
    growth_events=60_000,
    ok_requests=20,
    ok_kills=5,
    ok_events=1_000,
    outage_s=10,
    catch_up_events=2_000_000,
    catch_up_segments=4_000,
    catch_up_far_events=700_000,
    probes=100,
    puts=200,
    receivers_rounds=3,
    receivers_events=30_000,
    workers_rounds=4,
    workers_events=300_000,
    verify_rounds=5,
    verify_names=10_000,
    verify_segments=150,
    certificate_s=300,
    archive_rounds=3,
    archive_events=200_000,
    years_days=365,
    years_events=1_000,
    years_rounds=5,
)
QUICK: Final = Plan(
    rounds=1,
    batch_events=60_000,
    single_events=15_000,
    multi_row_events=20_000,
    copy_events=20_000,
    single_row_events=6_000,
    settle_s=3,
    fold_s=4,
    latency_s=3,
    lone_events=6,
    search_events=60_000,
    search_s=4,
    lookups_events=40_000,
    lookups_few=20_000,
    lookups_rounds=1,
    lookups_load_s=3,
    console_rounds=3,
    growth_rounds=2,
    growth_segments=20,
    growth_events=20_000,
    ok_requests=3,
    ok_kills=1,
    ok_events=200,
    outage_s=4,
    catch_up_events=100_000,
    catch_up_segments=300,
    catch_up_far_events=50_000,
    probes=10,
    puts=20,
    receivers_rounds=1,
    receivers_events=2_000,
    workers_rounds=1,
    workers_events=50_000,
    verify_rounds=1,
    verify_names=200,
    verify_segments=4,
    certificate_s=5,
    archive_rounds=1,
    archive_events=10_000,
    years_days=10,
    years_events=200,
    years_rounds=1,
)

BATCH_CONNECTIONS: Final = 16
SINGLE_CONNECTIONS: Final = 1_024
# Two are kinder to PostgreSQL than one or four: the core is always busy, and nobody waits for a
# lock.
STATEMENT_CONNECTIONS: Final = 2
ROW_CONNECTIONS: Final = 32


@dataclass
class Ground:
    """Where it is measured, and with what."""

    plan: Plan
    cores: Cores
    directory: Path
    binaries: Path | None  # of PostgreSQL
    pool: Pool
    random: Random
    _streams: int = field(default=0)

    def stream(self, step_us: float = 10.0, ago_s: float = 0.0) -> Stream:
        """Events that no other stream has, the first of them so long ago."""
        self._streams += 1
        start_us = int((time.time() - ago_s) * 1_000_000)
        return Stream(self.pool, self.random.getrandbits(32), start_us, step_us)

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A new directory that is gone afterwards, with the log beside it."""
        path = Path(mkdtemp(prefix=f"{name}-", dir=self.directory))
        try:
            yield path
        finally:
            rmtree(path, ignore_errors=True)


def say(text: str) -> None:
    """Progress, for whoever watches; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)
