"""Folds, searched by their indexes: only the pages are read that may hold what is wanted.

What one process keeps for its next searches: indexes that it opened, mapped, within a budget of
bytes, and the pages that it read last. Folds of which an index does not tell are handed back, to
have their columns read.
"""

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np

from holdfast.errors import CorruptError
from holdfast.read.ahead import Events
from holdfast.read.decode import Lines, decode
from holdfast.read.index import Index, path_of
from holdfast.read.lookup import Lookup, Question, pages_with, records, records_of
from holdfast.read.matching import Rows, matching
from holdfast.read.pages import read_page
from holdfast.read.query import Wanted
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Hit, Places, Stretch, hidden_in
from holdfast.read.tally import GROUPS, Tally

PAGES_BYTES = 32 << 20
AHEAD_BYTES = 16 << 20  # of pages, read by all threads before one of them is looked at

Wish = tuple[Index, int]  # a fold's page, by its number


def _read(wishes: Sequence[Wish]) -> list[bytes]:
    return [read_page(index.fold_path, index.footer.pages[number]) for index, number in wishes]


class Indexed:
    """See the module. For one thread at a time; it has others read and decompress for it."""

    def __init__(self, index_bytes: int, threads: int, pulse: Callable[[], None]) -> None:
        """pulse: raises when the time is over."""
        self._index_bytes = index_bytes
        self._pulse = pulse
        self._count = threads
        self._threads = ThreadPoolExecutor(threads, "pages")
        self._indexes: OrderedDict[tuple[str, str], Index] = OrderedDict()
        self._size_bytes = 0
        self._pages: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._pages_bytes = 0

    def hits(
        self, folds: Sequence[FoldSource], asked: Question, hidden: Places, limit: int
    ) -> tuple[list[Hit], list[FoldSource]]:
        """The newest matches within each fold, and the folds of which no index tells.

        Raises:
            SourceError: a fold that must be made again.
        """
        rest: list[FoldSource] = []
        found: list[tuple[FoldSource, Lookup, Rows, Iterator[Rows]]] = []
        for fold in folds:
            self._pulse()
            index = self._index(fold)
            if index is not None and not index.may_hold(asked.wanted.id, asked.words):
                continue
            lookup = None if index is None else self._lookup(index, asked, hidden)
            rows = None if lookup is None else lookup.rows()
            if lookup is None or rows is None:
                rest.append(fold)
            elif len(rows):
                self._check_there(fold)
                parts = lookup.newest(rows, limit)
                found.append((fold, lookup, next(parts), parts))
        if not asked.is_exact:
            self._read_ahead((lookup.index, first) for _, lookup, first, _ in found)
        hits: list[Hit] = []
        for fold, lookup, first, more in found:
            hits += self._newest(fold, lookup, chain((first,), more), asked, limit)
        return hits, rest

    def _newest(
        self, fold: FoldSource, lookup: Lookup, parts: Iterable[Rows], asked: Question, limit: int
    ) -> list[Hit]:
        hits: list[Hit] = []
        for maybe in parts:
            self._pulse()
            some = maybe if asked.is_exact else self._sure(lookup, maybe, asked)
            sizes = lookup.index.array("size")[some].tolist()
            places = zip(lookup.spots(some), lookup.cuts(some), sizes, some.tolist(), strict=True)
            hits += [Hit(spot, cut.index, size, fold.path, row) for spot, cut, size, row in places]
            if len(hits) >= limit:
                break
        return sorted(hits, key=lambda hit: hit.spot, reverse=True)[:limit]

    def counts(
        self, folds: Sequence[FoldSource], asked: Question, hidden: Places, tally: Tally, most: int
    ) -> list[FoldSource]:
        """Add the counts of folds; those that were left out, as no index tells of them.

        most: rows that an answer may have; whoever has more is refused anyway.
        """
        if not asked.is_exact or not set(tally.by) <= set(GROUPS):
            return list(folds)
        wanted, rest = asked.wanted, []
        for fold in folds:
            self._pulse()
            index = self._index(fold)
            if index is None:
                rest.append(fold)
                continue
            lookup = self._lookup(index, asked, hidden)
            is_whole = wanted.tenant is None and not hidden_in([fold], hidden)
            is_whole &= wanted.from_us <= fold.time_min_us and fold.time_max_us <= wanted.newest_us
            if not (is_whole and tally.add_whole(lookup)):
                rows = lookup.rows()
                assert rows is not None, "an index answers what it knows exactly"
                tally.add_rows(index, rows)
            if len(tally) > most:
                break
        return rest

    def records(self, fold: FoldSource, rows: Sequence[int]) -> dict[int, bytes] | None:
        """The records at some rows of a fold; None: it has no index."""
        index = self._index(fold)
        return None if index is None else records(index, self._reader(index), rows)

    def within(self, fold: FoldSource, stretch: Stretch, tenant: str | None) -> Events:
        """The events at some positions of a node, in any order; of one tenant or (None) of all.

        Raises:
            SourceError: a fold, or index, that must be made again.
        """
        index = self._index(fold)
        if index is None:
            raise SourceError("a fold has no index", str(path_of(fold.path)))
        rows, positions, segments = index.within(stretch, tenant)
        found = records_of(index, self._reader(index), rows) if len(rows) else []
        return Events(positions, segments, found)

    def _sure(self, lookup: Lookup, rows: Rows, asked: Question) -> Rows:
        """Those rows of which the record itself matches."""
        found = lookup.records(rows.tolist())
        verdicts = [asked.verdict(found[row]) for row in rows.tolist()]
        doubtful = rows[[verdict is None for verdict in verdicts]]
        sure = self._checked(lookup, doubtful, found, asked.wanted) if len(doubtful) else set()
        kept = zip(rows.tolist(), verdicts, strict=True)
        return np.array([row for row, verdict in kept if verdict or row in sure], np.int64)

    def _checked(
        self, lookup: Lookup, rows: Rows, found: dict[int, bytes], wanted: Wanted
    ) -> set[int]:
        """Those rows whose records match in every way that a letter can be written."""
        every = zip(rows.tolist(), lookup.spots(rows), lookup.cuts(rows), strict=True)
        table = decode(
            [Lines(cut.node, cut.index, at.position, found[row] + b"\n") for row, at, cut in every]
        )
        return set(rows[matching(table, wanted, {})].tolist())

    # -- what is kept ----------------------------------------------------------------------------

    def _lookup(self, index: Index, asked: Question, hidden: Places) -> Lookup:
        return Lookup(index, asked, hidden, self._reader(index))

    def _index(self, fold: FoldSource) -> Index | None:
        """None: there is none that can be used."""
        key = (fold.path, fold.sha256)
        index = self._indexes.get(key)
        if index is not None:
            self._indexes.move_to_end(key)
            return index
        try:
            index = Index(fold.path, fold.sha256)
        except CorruptError:
            # So that it is missing, and whoever keeps the folds makes it again.
            with contextlib.suppress(OSError):
                path_of(fold.path).unlink()
            return None
        except OSError:
            return None
        self._indexes[key] = index
        self._size_bytes += index.size_bytes
        while self._size_bytes > self._index_bytes and len(self._indexes) > 1:
            _, least = self._indexes.popitem(last=False)
            self._size_bytes -= least.size_bytes
        return index

    def _check_there(self, fold: FoldSource) -> None:
        """Though pages that are kept would do: whoever keeps folds is to know that one is gone."""
        if not os.path.exists(fold.path):  # noqa: PTH110 (asked of many folds by one search)
            raise SourceError("a fold is gone", fold.path)

    def _reader(self, index: Index) -> Callable[[Sequence[int]], Iterator[bytes]]:
        """What gives a fold's pages by their numbers, in their order."""

        def pages(numbers: Sequence[int]) -> Iterator[bytes]:
            for some in _parts([(index, number) for number in numbers]):
                self._pulse()
                yield from self._pages_at(some)

        return pages

    def _read_ahead(self, found: Iterable[tuple[Index, Rows]]) -> None:
        """Have the pages read that are looked at first, in all folds at once."""
        first = [(index, number) for index, rows in found for number in pages_with(index, rows)]
        if len(first) > 1:
            self._pages_at(next(_parts(first)))

    def _pages_at(self, wanted: Sequence[Wish]) -> list[bytes]:
        """Pages from what is kept, or by all threads at once."""
        keys = [(index.footer.fold, number) for index, number in wanted]
        missing = [wish for key, wish in zip(keys, wanted, strict=True) if key not in self._pages]
        # A job a thread: a job costs as much as it does to decompress a page.
        share = -(-len(missing) // self._count) or 1
        jobs = [missing[start : start + share] for start in range(0, len(missing), share)]
        read = self._threads.map(_read, jobs) if len(jobs) > 1 else map(_read, jobs)
        for (index, number), page in zip(missing, chain.from_iterable(read), strict=True):
            self._pages[index.footer.fold, number] = page
            self._pages_bytes += len(page)
        pages = [self._pages[key] for key in keys]
        while self._pages_bytes > PAGES_BYTES and len(self._pages) > 1:
            self._pages_bytes -= len(self._pages.popitem(last=False)[1])
        return pages


def _parts(wishes: Sequence[Wish]) -> Iterator[Sequence[Wish]]:
    """Some pages at a time, of not much more than AHEAD_BYTES together."""
    part: list[Wish] = []
    size = 0
    for wish in wishes:
        index, number = wish
        part.append(wish)
        size += index.footer.pages[number].raw_size
        if size >= AHEAD_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
