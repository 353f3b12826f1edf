"""Counts of hot events, and of folds' rows by what their indexes know of each exactly, without
reading the folds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from holdfast.read import sql
from holdfast.read.index import HOUR_US, Index
from holdfast.read.lookup import Lookup
from holdfast.read.matching import Rows

GROUPS = ("tenant", "action", "outcome", "node")
TABLE_MIN = 1 << 16

Numbers = npt.NDArray[Any]


class Column(Struct, frozen=True):
    """A field of some rows: codes, and what these stand for."""

    codes: Numbers
    names: Sequence[str]


class _Part(Struct, frozen=True):
    """Counts that are not summed yet: by a number for each field's value, and by time."""

    codes: list[Numbers]
    counts: Numbers
    times_us: Numbers


class Tally:
    """Counts of many sources in one, by the values of some fields, of folds by GROUPS only, and by
    time."""

    def __init__(self, by: Sequence[str], bucket_us: int | None) -> None:
        self.by = by
        self._bucket_us = bucket_us
        self._total = 0
        self._groups: Counter[tuple[str, ...]] = Counter()
        self._buckets: Counter[int] = Counter()
        self._numbers: list[dict[str, int]] = [{} for _ in by]  # of each field's values
        self._waiting: list[_Part] = []
        self._waiting_rows = 0

    def __len__(self) -> int:
        """How many counts there are so far, beside the one of all, or some fewer."""
        return len(self._groups) + len(self._buckets)

    def add_whole(self, lookup: Lookup) -> bool:
        """Add a fold of which every row counts, save by its action and outcome, by the hours that
        were counted before; False: these are not enough, and nothing was added."""
        if not set(self.by) <= {"action", "outcome"} or (self._bucket_us or HOUR_US) % HOUR_US:
            return False
        index = lookup.index
        codes = {name: index.array(f"cell_{name}") for name in ("action", "outcome")}
        counts = index.array("cell_count")
        hours = index.array("cell_hour").astype(np.int64) + index.footer.time_us // HOUR_US
        for name, values in (("action", lookup.actions()), ("outcome", lookup.outcomes())):
            if values is not None:
                kept = values[codes[name]]
                codes = {name: some[kept] for name, some in codes.items()}
                counts, hours = counts[kept], hours[kept]
        columns = [_named(index, name, codes[name]) for name in self.by]
        self._add(columns, counts, hours * HOUR_US)
        return True

    def add_rows(self, index: Index, rows: Rows) -> None:
        """Add some rows of a fold."""
        columns = [_column(index, name, rows) for name in self.by]
        self._add(columns, np.ones(len(rows), np.int64), index.times_us(rows))

    def add_table(self, table: pa.Table, rows: Rows) -> None:
        """Add some rows of a table of hot events."""
        columns = [_coded(table[name].take(pa.array(rows))) for name in self.by]
        self._add(columns, np.ones(len(rows), np.int64), table["time_us"].to_numpy()[rows])

    def _add(self, columns: Sequence[Column], counts: Numbers, times_us: Numbers) -> None:
        """Take a source's counts over, to be summed with those of others."""
        codes: list[Numbers] = []
        for numbers, column in zip(self._numbers, columns, strict=True):
            known = [numbers.setdefault(name, len(numbers)) for name in column.names]
            codes.append(np.array(known, np.int64)[column.codes])
        self._waiting.append(_Part(codes, counts.astype(np.int64), times_us))
        self._waiting_rows += len(counts)
        if self._waiting_rows > TABLE_MIN:
            self._sum()

    def _sum(self) -> None:
        parts, self._waiting, self._waiting_rows = self._waiting, [], 0
        counts = np.concatenate([part.counts for part in parts] or [np.zeros(0, np.int64)])
        if not len(counts):
            return
        self._total += int(counts.sum())
        if self.by:
            every = [np.concatenate(some) for some in zip(*(p.codes for p in parts), strict=True)]
            codes, sums = _summed(every, counts)
            names = [list(numbers) for numbers in self._numbers]
            values = [[of[code] for code in some] for of, some in zip(names, codes, strict=True)]
            _add(self._groups, zip(*values, strict=True), sums)
        if self._bucket_us is not None:
            starts = np.concatenate([part.times_us for part in parts]) // self._bucket_us
            first = int(starts.min())
            codes, sums = _summed([starts - first], counts)
            _add(self._buckets, ((codes[0] + first) * self._bucket_us).tolist(), sums)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """What was counted, as `sql.counts` gives it."""
        self._sum()
        none = ("",) * len(self.by)
        yield (*none, 0, self._total, sql.ALL)
        for values, n in self._groups.items():
            yield (*values, 0, n, sql.GROUP)
        for start, n in self._buckets.items():
            yield (*none, start, n, sql.BUCKET)


def _add(counter: Counter[Any], keys: Iterable[object], counts: Numbers) -> None:
    for key, n in zip(keys, counts.tolist(), strict=True):
        counter[key] += n


def _summed(codes: Sequence[Numbers], counts: Numbers) -> tuple[Numbers, Numbers]:
    """Each combination of codes that there is, a column each, and the sum of its counts."""
    sizes = tuple(int(some.max()) + 1 for some in codes)
    size = prod(sizes)
    if size <= max(TABLE_MIN, 4 * len(counts)):  # as a table: no need to sort
        key = np.ravel_multi_index([some.astype(np.int64) for some in codes], sizes)
        sums = np.bincount(key, counts, size)
        every = np.flatnonzero(sums)
        return np.array(np.unravel_index(every, sizes)), sums[every].astype(np.int64)
    found, where = np.unique(np.array(codes), axis=1, return_inverse=True)
    return found, np.bincount(where.reshape(-1), counts).astype(np.int64)


def _column(index: Index, name: str, rows: Rows) -> Column:
    if name == "node":
        cuts = index.footer.cuts
        numbers: dict[str, int] = {}
        of_cut = np.array([numbers.setdefault(cut.node, len(numbers)) for cut in cuts])
        return Column(of_cut[index.array("cut")[rows]], list(numbers))
    if name == "tenant":
        ends = np.array([run.end for run in index.footer.runs])
        names = [run.tenant for run in index.footer.runs]
        return Column(np.searchsorted(ends, rows, side="right"), names)
    return _named(index, name, index.array(name)[rows])


def _coded(column: pa.ChunkedArray) -> Column:
    whole = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return Column(whole.indices.to_numpy(), whole.dictionary.to_pylist())


def _named(index: Index, name: str, codes: Numbers) -> Column:
    names = {"action": index.footer.actions, "outcome": index.footer.outcomes}
    return Column(codes, names[name])
