"""DuckDB, held so that no question can hurt: the one place that knows it.

One connection a process, in memory, that may neither spill to disk nor load extensions, nor read
Python variables as tables. A question is cut off when its time is over. Folds are checked against
their hash when they are first read in a process, and pages that an index names against their CRC,
so no bit that rotted on the disk is ever shown.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from holdfast.errors import Problem, RejectedError
from holdfast.model import Place
from holdfast.read import sql
from holdfast.read.hot import HotMemo
from holdfast.read.indexed import Duties, Indexed
from holdfast.read.lookup import question
from holdfast.read.query import Spot, Wanted
from holdfast.read.segments import SourceError, check_fold
from holdfast.read.sources import FoldSource, Hit, Places, SegmentSource, Source, hidden_in
from holdfast.read.tally import Tally

FOLDS_KNOWN_MAX = 4_096

Row = tuple[Any, ...]


class Limits(Struct, frozen=True):
    """What one process may use for searches.

    index_bytes: of indexes that are mapped, of which only what is looked at takes memory.
    group_events: how many events a page reads first, before it knows whether they will do.
    """

    timeout_s: float = 30.0
    memory_bytes: int = 128 << 20
    threads: int = 2
    hot_bytes: int = 64 << 20
    index_bytes: int = 256 << 20
    group_events: int = 256


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
        self._indexed = Indexed(
            limits.index_bytes,
            limits.threads,
            Duties(self._check_time, self.matching),
        )
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
            self._late = late = threading.Event()
            # No daemon: one that has not yet noticed its end would keep DuckDB from being closed
            # when the interpreter ends, which DuckDB reports at length.
            timer = threading.Timer(self.limits.timeout_s, self._cut_off, (late,))
            timer.start()
            try:
                yield self
            except duckdb.InterruptException:
                raise self._too_long() from None
            except duckdb.OutOfMemoryException:
                problem = Problem(0, "", "the search needs too much memory: narrow it")
                raise RejectedError("too-large", problem) from None
            finally:
                timer.cancel()

    def hits(
        self, sources: Sequence[Source], wanted: Wanted, hidden: Places, limit: int
    ) -> list[Hit]:
        """The newest matches within sources; in order for hot ones, and again for folds.

        Raises:
            SourceError: a file that must be made again.
        """
        folds = [source for source in sources if isinstance(source, FoldSource)]
        hits, left = self._indexed.hits(folds, question(wanted), hidden, limit)
        hot = [source for source in sources if isinstance(source, SegmentSource)]
        conditions = sql.matches(wanted)
        rest: list[Source] = [*hot, *left]
        for relation, hiding in self._relations(rest, wanted, hidden) if rest else ():
            hits += self._page(sql.page(relation, conditions, hiding=hiding, limit=limit))
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
        yield tally.rows()
        hot = [source for source in sources if isinstance(source, SegmentSource)]
        conditions = sql.matches(wanted)
        for relation, hiding in self._relations([*hot, *left], wanted, hidden):
            yield self._ask(
                sql.counts(relation, conditions, by, bucket_us, hiding=hiding, limit=most)
            )

    def records(self, fold: FoldSource, rows: Sequence[int]) -> dict[int, bytes]:
        """The records at some rows of a fold."""
        found = self._indexed.records(fold, rows)
        if found is None:
            self._check_whole(fold)
            question = sql.records(rows)
            values = ([fold.path], *question.values)
            found = {row: text.encode() for row, text in self._ask(sql.Part(question.text, values))}
        return found

    def matching(self, table: pa.Table, wanted: Wanted) -> set[Place]:
        """The events of a table that match."""
        with self._tables({sql.HOT: table}):
            conditions = sql.matches(wanted)
            hits = self._page(
                sql.page(sql.Part(sql.HOT), conditions, hiding=False, limit=len(table))
            )
        return {Place(hit.spot.node, hit.spot.position) for hit in hits}

    def _page(self, question: sql.Part) -> list[Hit]:
        return [
            Hit(Spot(time, node, position), segment, size, fold, row)
            for time, node, position, segment, size, fold, row in self._ask(question)
        ]

    def _relations(
        self, sources: Sequence[Source], wanted: Wanted, hidden: Places
    ) -> Iterator[tuple[sql.Part, bool]]:
        """What the sources are to SQL, a bounded number of events in memory at a time.

        Each comes with whether the table of what is hidden holds any of its events.
        """
        hot = [source for source in sources if isinstance(source, SegmentSource)]
        hidden_hot = _table_of(hot, hidden)
        for whole in self.hot.tables(hot, records=bool(wanted.phrases)):
            self._check_time()
            # One event of all that is hot: DuckDB takes 4 ms to say no.
            table = whole.filter(pc.equal(whole["id"], wanted.id)) if wanted.id else whole
            if not len(table):
                continue
            with self._tables({sql.HOT: table, sql.HIDDEN: hidden_hot}) as names:
                yield sql.Part(sql.HOT), sql.HIDDEN in names
        folds = [source for source in sources if isinstance(source, FoldSource)]
        if folds:
            for fold in folds:
                self._check_time()
                self._check_whole(fold)
            paths = [fold.path for fold in folds]
            with self._tables({sql.HIDDEN: _table_of(folds, hidden)}) as names:
                yield sql.Part(sql.FOLDS, (paths,)), sql.HIDDEN in names

    @contextmanager
    def _tables(self, tables: dict[str, pa.Table]) -> Iterator[set[str]]:
        """Show tables to SQL; empty ones of what is hidden not at all."""
        shown = {name for name, table in tables.items() if name == sql.HOT or len(table)}
        for name in shown:
            self._database.register(name, tables[name])
        try:
            yield shown
        finally:
            for name in shown:
                self._database.unregister(name)

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

    def _cut_off(self, late: threading.Event) -> None:
        late.set()
        if self._late is late:  # and not yet the next search's
            self._database.interrupt()

    def _too_long(self) -> RejectedError:
        reason = f"took longer than {self.limits.timeout_s:g} s: narrow its times or filters"
        return RejectedError("too-slow", Problem(0, "", f"the search {reason}"))


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
