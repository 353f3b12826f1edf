"""Which rows of a fold a search wants, by the fold's index: exact where the index is, else checked.

What the index says exactly (time, tenant, action, outcome, place) needs no record. What it knows by
hashes or by words leaves few rows, whose records are read, looked at for what every match must
contain, and given to whoever checks them like hot ones.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, product, repeat

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from holdfast.read.decode import names_in
from holdfast.read.index import KEY_MASK, Cut, Index
from holdfast.read.matching import Rows
from holdfast.read.pages import records_at, starts_in
from holdfast.read.query import Phrase, Spot, Wanted
from holdfast.read.segments import SourceError
from holdfast.read.sources import Places, Stretch
from holdfast.read.words import BLOCK_ROWS, hash_of, probes, whole, within

ROWS_READ_MAX = 16_384  # of a fold; of more than that, its columns are read as a whole

Reader = Callable[[Sequence[int]], Iterator[bytes]]
_ESCAPED = b"\\u"  # any letter may hide behind it
_PLAIN = re.compile(rb"[ !#-.0-\[\]-~]+")  # no escape but that of a letter stands for any of it
_CASELESS = re.compile(rb"[\x00-@\[-`{-\x7f]{3,}")
_LETTERS = re.compile(
    rb"[\x00-JL-RT-jl-rt-\x7f]+"
)  # all but those that letters beyond ASCII fold to


class Needle(Struct, frozen=True):
    """Bytes that a record must contain. any_case: in upper or lower case."""

    text: bytes
    any_case: bool = False


class Question(Struct, frozen=True):
    """A query as an index is asked it; the same for all folds.

    words: ways of which one must be in a block, each the `probes` of the words that it needs.
    keys: columns of hashes, of which one must agree for each. needles: a record contains one of
    each. phrases: what finds each of `Wanted` for certain. is_exact: the index alone tells.
    """

    wanted: Wanted
    words: tuple[tuple[tuple[int, ...], ...], ...]
    keys: tuple[tuple[tuple[str, ...], int], ...]
    needles: tuple[tuple[Needle, ...], ...]
    phrases: tuple[re.Pattern[bytes], ...]

    @property
    def is_exact(self) -> bool:
        wanted = self.wanted
        return not (wanted.id or wanted.ip or wanted.actor or wanted.target or wanted.phrases)

    def verdict(self, record: bytes) -> bool | None:
        """Whether a record matches in all that an index is not exact about; None: that takes more
        than to compare bytes."""
        wanted = self.wanted
        if wanted.id or wanted.ip or wanted.actor or wanted.target:
            names = names_in(record)
            if not (
                wanted.id in ("", names.id)
                and wanted.ip in ("", names.ip)
                and (not wanted.actor or wanted.actor in (names.actor, names.actor_name))
                and (not wanted.target or wanted.target in names.targets)
            ):
                return False
        if all(phrase.search(record) for phrase in self.phrases):
            return True
        # Beyond ASCII, what a letter's other cases are is the engine's to say.
        is_certain = record.isascii() and all(phrase.pattern.isascii() for phrase in self.phrases)
        return False if is_certain else None


def question(wanted: Wanted) -> Question:
    """What an index can be asked of a query."""
    fields = [value.encode() for value in (wanted.id, wanted.actor, wanted.ip, wanted.target)]
    always = [probes(word) for field in fields for word in within(field, is_whole=True)]
    ways = [
        tuple(chain(always, *some))
        for some in product(*(map(_words, repeat(p.is_whole), p.spellings) for p in wanted.phrases))
    ]
    keys: list[tuple[tuple[str, ...], int]] = []
    if wanted.id:
        keys.append((("id",), hash_of(wanted.id.encode()) & KEY_MASK))
    if wanted.actor:
        keys.append((("actor", "actor_name"), hash_of(wanted.actor.encode()) & KEY_MASK))
    needles: list[tuple[Needle, ...]] = [
        (Needle(field), Needle(_ESCAPED)) for field in fields[2:] if _PLAIN.fullmatch(field)
    ]
    for phrase in wanted.phrases:
        found = [_needle(text.encode()) for text in phrase.spellings]
        if all(found):
            needles.append(tuple(needle for needle in found if needle))
    patterns = map(_pattern, wanted.phrases)
    return Question(wanted, tuple(ways), tuple(keys), tuple(needles), tuple(patterns))


def _words(is_whole: bool, text: str) -> list[tuple[int, ...]]:
    return [probes(word) for word in within(text.encode(), is_whole=is_whole)]


def _pattern(phrase: Phrase) -> re.Pattern[bytes]:
    expression = whole if phrase.is_whole else re.escape
    return re.compile("|".join(map(expression, phrase.spellings)).encode(), re.IGNORECASE)


def _needle(text: bytes) -> Needle | None:
    """What is in every record that has a text in any case."""
    plain = max(_CASELESS.findall(text), key=len, default=b"")
    if plain:
        return Needle(plain)
    letters = max(_LETTERS.findall(text), key=len, default=b"").lower()
    return Needle(letters, any_case=True) if letters else None


class Lookup:
    """One question to one fold."""

    def __init__(self, index: Index, asked: Question, hidden: Places, read: Reader) -> None:
        """read: what gives the fold's pages by number."""
        self.index = index
        self._asked = asked
        self._wanted = asked.wanted
        self._hidden = hidden
        self._read = read

    def rows(self) -> Rows | None:
        """Rows that may match, all that do among them; None: the index leaves too many."""
        spans = self._spans()
        size = sum(end - start for start, end in spans)
        rows = np.concatenate([np.arange(*span) for span in spans]) if size else np.arange(0)
        for names, key in self._asked.keys:
            some = [self.index.array(name)[rows] == key for name in names]
            rows = rows[np.logical_or.reduce(some)]
        for name, values in (("action", self.actions()), ("outcome", self.outcomes())):
            if values is not None:
                rows = rows[values[self.index.array(name)[rows]]]
        rows = rows[self._in_time(rows)] if len(rows) else rows
        rows = self._shown(rows)
        if self._asked.is_exact:
            return rows
        if not self._asked.keys and len(rows) > ROWS_READ_MAX:
            return None
        for needles in self._asked.needles:
            rows = self._containing(rows, needles)
        return rows

    def _spans(self) -> list[tuple[int, int]]:
        """Rows by their tenant and their words."""
        start, end = 0, len(self.index)
        if self._wanted.tenant is not None:
            run = self.index.runs.get(self._wanted.tenant)
            start, end = (run.start, run.end) if run else (0, 0)
        if not all(self._asked.words):
            return [(start, end)]
        blocks = {
            block for words in self._asked.words for block in self.index.words.blocks_with(words)
        }
        spans = [
            (max(start, block * BLOCK_ROWS), min(end, (block + 1) * BLOCK_ROWS))
            for block in sorted(blocks)
        ]
        return [span for span in spans if span[0] < span[1]]

    def actions(self) -> npt.NDArray[np.bool_] | None:
        """Which of the footer's actions are wanted; None: all."""
        action, names = self._wanted.action, self.index.footer.actions
        if not action:
            return None
        if self._wanted.prefix:
            return np.array([name.startswith(action) for name in names])
        return np.array([name == action for name in names])

    def outcomes(self) -> npt.NDArray[np.bool_] | None:
        """Which of the footer's outcomes are wanted; None: all."""
        outcome = self._wanted.outcome
        if not outcome:
            return None
        return np.array([name == outcome for name in self.index.footer.outcomes])

    def _in_time(self, rows: Rows) -> npt.NDArray[np.bool_]:
        times = self.index.times_us(rows)
        fits = (times >= self._wanted.from_us) & (times <= self._wanted.newest_us)
        before = self._wanted.before
        if before is not None:
            for at in np.flatnonzero(times == before.time_us).tolist():
                fits[at] &= self.spots(rows[at : at + 1])[0] < before
        return fits

    def _shown(self, rows: Rows) -> Rows:
        """Without what is hidden."""
        if not self._hidden or not len(rows):
            return rows
        cut, positions = self.index.positions(rows)
        kept = np.ones(len(rows), np.bool_)
        cuts = self.index.footer.cuts
        for node in {each.node for each in cuts} & self._hidden.positions.keys():
            every = self._hidden.within(Stretch(node, 0, 1 << 62)).astype(np.int64)
            mine = np.array([each.node == node for each in cuts])[cut]
            kept &= ~(mine & np.isin(positions, every))
        return rows[kept]

    def newest(self, rows: Rows, size: int) -> Iterator[Rows]:
        """The same rows, if there are more than `size` the newest first: as many at a time, and
        then more; rows of one time are never parted."""
        if len(rows) <= size:
            yield rows  # in any order, for whoever has few sorts them all
            return
        times = self.index.times_us(rows)
        order = np.argsort(-times, kind="stable")
        rows, times = rows[order], times[order]
        start = 0
        while start < len(rows):
            last = times[min(start + size, len(rows)) - 1]
            end = int(np.searchsorted(-times, -last, side="right"))
            yield rows[start:end]
            start, size = end, size * 4

    def spots(self, rows: Rows) -> list[Spot]:
        """Where some rows stand in the order of events."""
        cut, positions = self.index.positions(rows)
        cuts = self.index.footer.cuts
        times = self.index.times_us(rows).tolist()
        return [
            Spot(time, cuts[number].node, position)
            for time, number, position in zip(times, cut.tolist(), positions.tolist(), strict=True)
        ]

    def cuts(self, rows: Rows) -> list[Cut]:
        """The segments of some rows."""
        cuts = self.index.footer.cuts
        return [cuts[number] for number in self.index.array("cut")[rows].tolist()]

    def _containing(self, rows: Rows, needles: Sequence[Needle]) -> Rows:
        """Those whose record contains one of some texts."""
        found: list[int] = []
        sizes, pages = self.index.array("size"), self.index.footer.pages
        numbers = pages_with(self.index, rows)
        for number, data in zip(numbers, self._read(numbers), strict=True):
            page = pages[number]
            starts = starts_in(sizes[page.row : page.row + page.rows])
            found += [page.row + row for row in _found(data, needles, starts)]
        return np.intersect1d(rows, np.array(found, np.int64))

    def records(self, rows: Sequence[int]) -> dict[int, bytes]:
        """The records at some rows."""
        return records(self.index, self._read, rows)


def pages_with(index: Index, rows: Rows) -> list[int]:
    """The numbers of the pages that hold some rows."""
    return [*np.unique(_pages_of(index, rows)).tolist()]


def records(index: Index, read: Reader, rows: Sequence[int]) -> dict[int, bytes]:
    """The records at some rows of a fold. read: what gives its pages by number."""
    every = np.unique(np.array(rows, np.int64))
    return dict(zip(every.tolist(), records_of(index, read, every), strict=True))


def records_of(index: Index, read: Reader, rows: Rows) -> list[bytes]:
    """The same of ascending rows, in their order."""
    found: list[bytes] = []
    sizes, pages = index.array("size"), index.footer.pages
    numbers, starts = np.unique(_pages_of(index, rows), return_index=True)
    every = numbers.tolist()
    for number, some, data in zip(every, np.split(rows, starts[1:]), read(every), strict=True):
        first = pages[number].row
        several = records_at(data, sizes[first : some[-1] + 1], some - first)
        if several is None:
            reason = "a fold's page holds other records than its index says"
            raise SourceError(reason, index.fold_path)
        found += several
    return found


def _pages_of(index: Index, rows: Rows) -> Rows:
    """The number of the page that holds each row."""
    return np.searchsorted(index.page_rows, rows, side="right") - 1


def _found(data: bytes, needles: Sequence[Needle], starts: Rows) -> Iterator[int]:
    """Which records of a page contain one of some texts."""
    folded = data.lower() if any(needle.any_case for needle in needles) else data
    for needle in needles:
        where = folded if needle.any_case else data
        at = where.find(needle.text)
        while at >= 0:
            record = int(np.searchsorted(starts, at, side="right")) - 1
            yield record
            at = where.find(needle.text, int(starts[record + 1]))
