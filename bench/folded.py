"""A trail's cache, made without waiting for its day to pass: folds by the code that folds.

What a server keeps of a day at a constant rate: folds of as many events as one may hold, behind
them a few of what was folded last and is not merged yet, and what is not folded yet, in segments of
a batch each.
"""

import hashlib
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

from bench.events import BATCH_EVENTS, POOL_BATCHES, Batch, Pool, Stream, make_pool
from holdfast.model import Record
from holdfast.read.decode import facts
from holdfast.read.fold import fold
from holdfast.read.shelf import FOLD_EVENTS_MAX, MERGE_FAN, FoldLimits
from holdfast.read.sources import FoldSource, SegmentSource
from holdfast.write.seal import LEVEL

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NODE: Final = "0" * 32
DAY_US: Final = 24 * 3_600_000_000
NEEDLES: Final = 123
_NAME: Final = "day.json"


@dataclass(frozen=True)
class Share:
    """Events of a trail that lie together: `batches` of them, the first at position `first`.

    seed, pool_batches: of the pool that all of a trail's are drawn from.
    """

    seed: int
    pool_batches: int
    first: int
    batches: int
    start_us: int
    step_us: float
    needle_every: int

    @property
    def events(self) -> int:
        return self.batches * BATCH_EVENTS

    @property
    def pool(self) -> Pool:
        return _pool_of(self.seed, self.pool_batches)

    def draw(self) -> Iterator[Batch]:
        """The events, the same ones each time."""
        seed = self.seed + self.first
        stream = Stream(self.pool, seed, self.start_us, self.step_us, self.needle_every)
        return islice(stream, self.batches)


@dataclass(frozen=True)
class Folded:
    """A share as a fold, and what it took to make it of segments."""

    source: FoldSource
    cpu_us: float


@dataclass(frozen=True)
class Day:
    """A trail's cache in a folder. end_us: where it ends.

    folded: of every share, the last one too, for who knows files only; segments: of the last.
    """

    shares: list[Share]
    folded: list[Folded]
    segments: list[SegmentSource]
    end_us: int

    @property
    def events(self) -> int:
        return sum(share.events for share in self.shares)


def make_day(shares: Sequence[Share], end_us: int, folder: Path) -> Day:
    """Write the folds by two processes, and what is needed to read them again."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        folded = [*processes.map(make_fold, shares, [folder] * len(shares))]
    day = Day([*shares], folded, write_segments(shares[-1], folder), end_us)
    (folder / _NAME).write_bytes(msgspec.json.encode(day))
    return day


def read_day(folder: Path) -> Day | None:
    """The one that was made there; None: there is none."""
    file = folder / _NAME
    return msgspec.json.decode(file.read_bytes(), type=Day) if file.exists() else None


@cache
def _pool_of(seed: int, batches: int) -> Pool:
    """Made once a process."""
    return make_pool(seed, batches, is_fresh=True)


def layout(events: int, seed: int, end_us: int, span_us: int, needles: int) -> list[Share]:
    """A trail of so many events in so much time, oldest first; the last share is not folded yet."""
    limits = FoldLimits()
    small = [limits.old_events // BATCH_EVENTS] * min(MERGE_FAN, events // limits.old_events)
    whole = FOLD_EVENTS_MAX // BATCH_EVENTS
    left = events // BATCH_EVENTS - sum(small)
    sizes = [min(whole, left - done) for done in range(0, left, whole)] + small
    step_us, pool = span_us / events, min(POOL_BATCHES, events // BATCH_EVENTS)
    shares: list[Share] = []
    first = 0
    for batches in sizes:
        start_us = end_us - span_us + int(first * step_us)
        shares.append(Share(seed, pool, first, batches, start_us, step_us, events // needles))
        first += batches * BATCH_EVENTS
    return shares


def make_fold(share: Share, folder: Path) -> Folded:
    """Write a share as segments and fold them. Runs in a process of its own."""
    segments = write_segments(share, folder)
    before = time.process_time()
    path = str(folder / f"{share.first}.parquet")
    made = fold(segments, path)
    cpu_us = (time.process_time() - before) * 1e6
    for segment in segments:
        Path(segment.path).unlink()
    return Folded(made.source(path), cpu_us)


def write_segments(share: Share, folder: Path) -> list[SegmentSource]:
    """A segment a batch."""
    batches = enumerate(share.draw(), share.first // BATCH_EVENTS)
    return [_segment(number, records_of(batch), folder) for number, batch in batches]


def records_of(batch: Batch) -> list[Record]:
    """The events as they are stored: received as they happen, a tenant's beside each other."""
    lines = zip(batch.tenants, batch.times, batch.lines, strict=True)
    return [
        line[:-1] + b',"received":"' + time + b'","principal":"token:bench"}'
        for _, time, line in sorted(lines, key=itemgetter(0))
    ]


def _segment(index: int, records: Sequence[Record], folder: Path) -> SegmentSource:
    data = zstd.compress(b"".join(record + b"\n" for record in records), LEVEL)
    path = folder / f"{index}.ndjson.zst"
    path.write_bytes(data)
    known = facts(records)
    return SegmentSource(
        node=NODE,
        index=index,
        first=index * BATCH_EVENTS,
        count=len(records),
        path=str(path),
        sha256=hashlib.sha256(data).hexdigest(),
        time_min_us=known.time_min_us,
        time_max_us=known.time_max_us,
        tenants=known.tenants,
    )


def main() -> None:
    """Make a day for later runs: of so many events, in this folder."""
    events, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True)
    end_us = int(time.time() * 1e6)
    make_day(layout(events, 1, end_us, DAY_US, NEEDLES), end_us, folder)


if __name__ == "__main__":
    main()
