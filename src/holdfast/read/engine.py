"""DuckDB, held so that no question can hurt: the one place that knows it.

One connection a process, in memory, that may neither spill to disk nor load extensions, nor read
Python variables as tables. A question is cut off when its time is over. Folds are checked against
their hash when they are first read in a process, so no bit that rotted on the disk is ever shown.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from msgspec import Struct

from holdfast.errors import Problem, RejectedError
from holdfast.read import sql
from holdfast.read.hot import HotMemo
from holdfast.read.query import Spot, Wanted
from holdfast.read.segments import SourceError, check_fold
from holdfast.read.sources import FoldSource, Places, SegmentSource, Source, hidden_in

FOLDS_KNOWN_MAX = 4_096

Row = tuple[Any, ...]


class Limits(Struct, frozen=True):
    """What one process may use for searches.

    group_events: how many events a page reads first, before it knows whether they will do.
    """

    timeout_s: float = 30.0
    memory_bytes: int = 128 << 20
    threads: int = 2
    hot_bytes: int = 64 << 20
    group_events: int = 256


DEFAULTS = Limits()


class Hit(Struct, frozen=True):
    """An event that matched.

    size_bytes: of its record. fold: path of the fold that holds it, "": hot. row: its row there.
    """

    spot: Spot
    segment: int
    size_bytes: int
    fold: str
    row: int


class Engine:
    """What a process searches with. `working` admits one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._turn = threading.Lock()
        self._late = threading.Event()
        self._whole: set[tuple[str, str]] = set()
        self.hot = HotMemo(limits.hot_bytes)
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
        hits: list[Hit] = []
        conditions = sql.matches(wanted)
        for relation, hiding in self._relations(sources, wanted, hidden):
            question = sql.page(relation, conditions, hiding=hiding, limit=limit)
            hits += [
                Hit(Spot(time, node, position), segment, size, fold, row)
                for time, node, position, segment, size, fold, row in self._ask(question)
            ]
        return hits

    def counts(
        self,
        sources: Sequence[Source],
        wanted: Wanted,
        hidden: Places,
        question: Callable[[sql.Part, bool], sql.Part],
    ) -> Iterator[list[Row]]:
        """The answers to one question over each part of the sources.

        Raises:
            SourceError: a file that must be made again.
        """
        for relation, hiding in self._relations(sources, wanted, hidden):
            yield self._ask(question(relation, hiding))

    def records(self, fold: str, rows: Sequence[int]) -> dict[int, bytes]:
        """The records at some rows of a fold."""
        question = sql.records(rows)
        values = ([fold], *question.values)
        return {row: text.encode() for row, text in self._ask(sql.Part(question.text, values))}

    def _relations(
        self, sources: Sequence[Source], wanted: Wanted, hidden: Places
    ) -> Iterator[tuple[sql.Part, bool]]:
        """What the sources are to SQL, a bounded number of events in memory at a time.

        Each comes with whether the table of what is hidden holds any of its events.
        """
        hot = [source for source in sources if isinstance(source, SegmentSource)]
        hidden_hot = _table_of(hot, hidden)
        for table in self.hot.tables(hot, records=bool(wanted.texts)):
            self._check_time()
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
