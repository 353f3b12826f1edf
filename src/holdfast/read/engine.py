"""DuckDB, held so that no question can hurt: the one place that knows it.

One connection a process, in memory, that may neither spill to disk nor load extensions, nor read
Python variables as tables. A question is cut off when its time is over. Folds are checked against
their hash when they are first read in a process, and pages that an index names against their CRC,
so no bit that rotted on the disk is ever shown.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from msgspec import Struct

from holdfast.errors import Problem, RejectedError
from holdfast.read import sql
from holdfast.read.ahead import Ahead, Events
from holdfast.read.hot import HotMemo
from holdfast.read.indexed import Indexed
from holdfast.read.lookup import Question, question
from holdfast.read.matching import Rows, matching, newest
from holdfast.read.query import Spot, Wanted
from holdfast.read.segments import SourceError, check_fold
from holdfast.read.sources import (
    FoldSource,
    Hit,
    Places,
    SegmentSource,
    Source,
    Stretch,
    hidden_in,
)
from holdfast.read.tally import Tally

FOLDS_KNOWN_MAX = 4_096

Row = tuple[Any, ...]


class Limits(Struct, frozen=True):
    """What one process may use for searches.

    index_bytes: of indexes that are mapped, of which only what is looked at takes memory.
    """

    timeout_s: float = 30.0
    memory_bytes: int = 128 << 20
    threads: int = 2
    hot_bytes: int = 64 << 20
    index_bytes: int = 256 << 20


DEFAULTS = Limits()


class Grouping(Struct, frozen=True):
    """What is counted: by the values of some fields, and by time. rows_max: of an answer."""

    by: tuple[str, ...]
    bucket_us: int | None
    rows_max: int


class Engine:
    """What a process searches with. `working` admits one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._turn = threading.Lock()
        self._late = threading.Event()
        self._whole: set[tuple[str, str]] = set()
        self.hot = HotMemo(limits.hot_bytes)
        self._indexed = Indexed(limits.index_bytes, limits.threads, self._check_time)
        self._ahead = Ahead(self._indexed.within)
        self._watch = ThreadPoolExecutor(1, "watch")
        self._database = duckdb.connect(
            ":memory:",
            config={
                "threads": limits.threads,
                "memory_limit": f"{limits.memory_bytes}B",
                "temp_directory": "",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        self._database.execute("SET parquet_metadata_cache = true")
        self._database.execute("SET lock_configuration = true")

    @contextmanager
    def working(self) -> Iterator["Engine"]:
        """Do one search, within its time.

        Raises:
            RejectedError: the time was over, or it needed more memory than it may have.
        """
        with self._turn:
            self._late, done = threading.Event(), threading.Event()
            # One thread for all searches: where the machine is busy, to wait until one has started
            # took as long as the search.
            self._watch.submit(self._cut_off, self._late, done)
            try:
                yield self
            except duckdb.InterruptException:
                raise self._too_long() from None
            except duckdb.OutOfMemoryException:
                problem = Problem(0, "", "the search needs too much memory: narrow it")
                raise RejectedError("too-large", problem) from None
            finally:
                done.set()

    def hits(
        self, sources: Sequence[Source], asked: Question, hidden: Places, limit: int
    ) -> list[Hit]:
        """The newest matches within sources; in order for hot ones, and again for folds.

        Raises:
            SourceError: a file that must be made again.
        """
        folds = [source for source in sources if isinstance(source, FoldSource)]
        hits, left = self._indexed.hits(folds, asked, hidden, limit)
        wanted = asked.wanted
        for table, rows in self._hot(sources, wanted, hidden):
            hits += newest(table, rows, limit)
        for some in _alike(left):
            with self._files(some, hidden) as (relation, hiding):
                ask = sql.page(relation, sql.matches(wanted), hiding=hiding, limit=limit)
                hits += [
                    Hit(Spot(time, node, position), segment, size, fold, row)
                    for time, node, position, segment, size, fold, row in self._ask(ask)
                ]
        return hits

    def counts(
        self, sources: Sequence[Source], wanted: Wanted, hidden: Places, grouping: Grouping
    ) -> Iterator[Iterable[Row]]:
        """The counts of each part of the sources, as `sql.counts` gives them.

        Raises:
            SourceError: a file that must be made again.
        """
        by, bucket_us, most = grouping.by, grouping.bucket_us, grouping.rows_max
        folds = [source for source in sources if isinstance(source, FoldSource)]
        tally = Tally(by, bucket_us)
        left = self._indexed.counts(folds, question(wanted), hidden, tally, most)
        for table, rows in self._hot(sources, wanted, hidden):
            tally.add_table(table, rows)
            if len(tally) > most:
                break
        yield tally.rows()
        for some in _alike(left):
            with self._files(some, hidden) as (relation, hiding):
                parts = sql.matches(wanted)
                ask = sql.counts(relation, parts, by, bucket_us, hiding=hiding, limit=most)
                yield self._ask(ask)

    def records(self, fold: FoldSource, rows: Sequence[int]) -> dict[int, bytes]:
        """The records at some rows of a fold."""
        found = self._indexed.records(fold, rows)
        if found is None:
            self._check_whole(fold)
            question = sql.records(rows)
            values = ([fold.path], *question.values)
            found = {row: text.encode() for row, text in self._ask(sql.Part(question.text, values))}
        return found

    def within(
        self, parts: Sequence[FoldSource], stretch: Stretch, tenant: str | None = None
    ) -> Events:
        """The events at some positions of a node, in order, as far as parts have them; of one
        tenant or (None) of all.

        Raises:
            SourceError: a part or its index is missing, or is not what it was.
        """
        return self._ahead.within(parts, stretch, tenant)

    def _hot(
        self, sources: Sequence[Source], wanted: Wanted, hidden: Places
    ) -> Iterator[tuple[pa.Table, Rows]]:
        """The hot events and which of them match, a bounded number in memory at a time."""
        hot = [source for source in sources if isinstance(source, SegmentSource)]
        hidden_hot = hidden_in(hot, hidden)
        for table in self.hot.tables(hot, records=bool(wanted.phrases)):
            self._check_time()
            yield table, matching(table, wanted, hidden_hot)

    @contextmanager
    def _files(
        self, folds: Sequence[FoldSource], hidden: Places
    ) -> Iterator[tuple[sql.Part, bool]]:
        """What folds, or parts, are to SQL; and whether the table of what is hidden, which is there
        meanwhile, has any of their events."""
        for fold in folds:
            self._check_time()
            self._check_whole(fold)
        table = _table_of(folds, hidden)
        if len(table):
            self._database.register(sql.HIDDEN, table)
        try:
            files = sql.PARTS if folds[0].is_part else sql.FOLDS
            yield sql.Part(files, ([fold.path for fold in folds],)), bool(len(table))
        finally:
            if len(table):
                self._database.unregister(sql.HIDDEN)

    def _ask(self, question: sql.Part) -> list[Row]:
        try:
            return self._database.execute(question.text, list(question.values)).fetchall()
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            raise
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            # A fold that was deleted or overwritten after it was checked.
            self._whole.clear()
            raise SourceError(f"a fold cannot be read: {error}") from error

    def _check_whole(self, fold: FoldSource) -> None:
        """Hash a fold the first time; after that it must only still be there."""
        key = (fold.path, fold.sha256)
        if key in self._whole and Path(fold.path).exists():
            return
        check_fold(fold)
        if len(self._whole) >= FOLDS_KNOWN_MAX:
            self._whole.clear()
        self._whole.add(key)

    def _check_time(self) -> None:
        if self._late.is_set():
            raise self._too_long()

    def _cut_off(self, late: threading.Event, done: threading.Event) -> None:
        if done.wait(self.limits.timeout_s):
            return
        late.set()
        if self._late is late:  # and not yet the next search's
            self._database.interrupt()

    def _too_long(self) -> RejectedError:
        reason = f"took longer than {self.limits.timeout_s:g} s: narrow its times or filters"
        return RejectedError("too-slow", Problem(0, "", f"the search {reason}"))


def _alike(folds: Sequence[FoldSource]) -> Iterator[list[FoldSource]]:
    """Folds, and parts, whose columns are others."""
    for is_part in (False, True):
        if some := [fold for fold in folds if fold.is_part is is_part]:
            yield some


def _table_of(sources: Sequence[Source], hidden: Places) -> pa.Table:
    """Those of some places that lie in some sources."""
    within = hidden_in(sources, hidden)
    nodes = [node for node, positions in within.items() for _ in range(len(positions))]
    positions = [pa.array(positions.astype(np.int64)) for positions in within.values()]
    return pa.table(
        {
            "node": pa.array(nodes, pa.string()),
            "position": pa.chunked_array(positions, pa.int64()),
        }
    )
