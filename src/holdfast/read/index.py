"""What a search must know of a fold to leave most of it unread: a small file beside each.

    arrays   of one number a row, in the fold's order, and the filter of words by blocks of rows
    footer   what the numbers stand for; it ends as `read.footer` says

Of each row: its time, where it lies in its ledger, what it says of action and outcome (exactly),
16 bits of a hash of its id, its actor's id and name, and its record's size. Counts by action,
outcome and hour are ready-made. Page by page it says where the records' bytes lie.

Derived, and disposable: a fold without one is searched as a whole, and one that is missing, of
another version or of another fold is made again from the fold (`jobs.index_fold`). One that is
damaged is deleted by who finds it, and so is missing.
"""

import mmap
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from holdfast.errors import CorruptError
from holdfast.model import NodeId
from holdfast.read import footer as footers
from holdfast.read.decode import cuts, offsets_of
from holdfast.read.pages import Page, pages_of
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Stretch
from holdfast.read.words import (
    BLOCK_ROWS,
    PIECE_BYTES,
    Block,
    Filter,
    UInt32s,
    hashes_at,
    hashes_of,
    make_filter,
)

SUFFIX = ".index"
HOUR_US = 3_600_000_000
KEY_MASK = 0xFFFF
LOW_MASK = 0xFFFFFFFF  # of a time: in 71 minutes, the other bits do not change
_MAGIC = b"hf-fix-2"
_PAD = b" " * 8
_CHUNK_BYTES = 1 << 20
_VALUES = ("id", "actor", "actor_name", "ip")

Numbers = npt.NDArray[Any]


class Cut(Struct, frozen=True, array_like=True):
    """A segment of which events are in a fold. first: the least position that is there."""

    node: NodeId
    index: int
    first: int


class Run(Struct, frozen=True, array_like=True):
    """Rows [start, end) are a tenant's."""

    tenant: str
    start: int
    end: int


class Footer(Struct, frozen=True):
    """What is in an index.

    fold: SHA-256 of the file that it belongs to. arrays: type, first byte, count. time_us: what
    the rows' times are counted from.
    """

    crc: int
    fold: str
    count: int
    arrays: dict[str, tuple[str, int, int]]
    time_us: int
    runs: tuple[Run, ...]
    actions: tuple[str, ...]
    outcomes: tuple[str, ...]
    cuts: tuple[Cut, ...]
    pages: tuple[Page, ...]
    ids: tuple[str, str]  # the least and the greatest


def path_of(fold: str) -> Path:
    """Where a fold's index lies."""
    return Path(fold).with_suffix(SUFFIX)


def without_index(folds: Iterable[FoldSource]) -> list[FoldSource]:
    """Those folds of which the index is missing, be it because it was damaged or out of date."""
    return [fold for fold in folds if not path_of(fold.path).exists()]


def remove(fold: str) -> None:
    """Delete a fold and its index. A crash between them leaves an index that belongs to none."""
    Path(fold).unlink(missing_ok=True)
    path_of(fold).unlink(missing_ok=True)


class Index:
    """One open file, mapped: what is not touched costs no memory."""

    def __init__(self, fold: str, sha256: str) -> None:
        """Open and check every byte.

        Raises:
            CorruptError: not a whole index of this fold.
            OSError: it cannot be read.
        """
        path = path_of(fold)
        with path.open("rb") as file:
            self.footer = footer = _checked(file, path.name)
            if footer.fold != sha256:
                raise CorruptError(f"{path.name} belongs to another fold")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._arrays: Mapping[str, Numbers] = {
            name: np.frombuffer(self._map, kind, count, start)
            for name, (kind, start, count) in footer.arrays.items()
        }
        self.size_bytes = len(self._map)
        self.fold_path = fold
        self.words = Filter(self.array("words"), -(-footer.count // BLOCK_ROWS))
        self.runs: Mapping[str, Run] = {run.tenant: run for run in footer.runs}
        self.page_rows = np.array([page.row for page in footer.pages], np.int64)
        self._firsts = np.array([cut.first for cut in footer.cuts], np.int64)

    def __len__(self) -> int:
        return self.footer.count

    def may_hold(self, id: str, ways: Sequence[Sequence[tuple[int, ...]]]) -> bool:
        """Whether an event may be here, by its id, if it has one, and by its words."""
        least, most = self.footer.ids
        if id and not least <= id <= most:
            return False
        return any(not words or self.words.blocks_with(words) for words in ways)

    def array(self, name: str) -> Numbers:
        """One of the arrays."""
        return self._arrays[name]

    def times_us(self, rows: Numbers | slice) -> npt.NDArray[np.int64]:
        """When some rows' events were."""
        times: npt.NDArray[np.int64] = self.array("time_high")[rows].astype(np.int64)
        times <<= 32
        times += self.array("time_low")[rows]
        times += self.footer.time_us
        return times

    def positions(self, rows: Numbers | slice) -> tuple[Numbers, npt.NDArray[np.int64]]:
        """Which of the footer's cuts some rows are of, and their positions."""
        cut = self.array("cut")[rows]
        return cut, self._firsts[cut] + self.array("offset")[rows]

    def within(self, stretch: Stretch, tenant: str | None) -> tuple[Numbers, Numbers, Numbers]:
        """The rows of a ledger's events that lie there, of one tenant or (None) of all, ascending;
        with their positions, and the segments that they are of."""
        nodes, of, segments = self._cuts
        run = Run("", 0, len(self)) if tenant is None else self.runs.get(tenant, Run("", 0, 0))
        mine = (of == nodes.get(stretch.node, -1)) & (self._firsts < stretch.end)
        # What lies before the last segment that begins at or before the first position ends there.
        before = self._firsts[mine & (self._firsts <= stretch.start)]
        if len(before):
            mine &= self._firsts >= before.max()
        rows = run.start + np.flatnonzero(mine[self.array("cut")[run.start : run.end]])
        cut, positions = self.positions(rows)
        there = (positions >= stretch.start) & (positions < stretch.end)
        return rows[there], positions[there], segments[cut[there]]

    @cached_property
    def _cuts(self) -> tuple[dict[NodeId, int], Numbers, Numbers]:
        """A number for each node; and of each cut, its node's number and its segment."""
        nodes: dict[NodeId, int] = {}
        of = [nodes.setdefault(cut.node, len(nodes)) for cut in self.footer.cuts]
        segments = [cut.index for cut in self.footer.cuts]
        return nodes, np.array(of, np.int64), np.array(segments, np.int64)


class Builder:
    """Collects what goes into an index, from the rows of a fold as they are written."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Numbers]] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._cuts: dict[tuple[int, int], int] = {}
        self._blocks: list[Block] = []
        self._count = 0
        self._ids: list[str] = []

    def each(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, which hold the fold's rows in order."""
        for table in tables:
            self._add(table)
            yield table

    def _add(self, table: pa.Table) -> None:
        columns = {name: self._codes(table, name) for name in ("tenant", "action", "outcome")}
        columns |= {
            name: _hashes(table[name].cast(pa.string()).combine_chunks()) & KEY_MASK
            for name in ("id", "actor", "actor_name")
        }
        columns["time"] = table["time_us"].to_numpy()
        columns["position"] = table["position"].to_numpy()
        columns["size"] = table["size_bytes"].to_numpy()
        columns["cut"] = self._cut(table)
        for name, numbers in columns.items():
            self._columns.setdefault(name, []).append(numbers)
        bounds = pc.min_max(table["id"])
        self._ids += [bounds["min"].as_py(), bounds["max"].as_py()]
        self._add_words(table)
        self._count += len(table)

    def _codes(self, table: pa.Table, name: str) -> Numbers:
        """A column of few values as numbers, the same ones in every table."""
        numbers = self._names.setdefault(name, {})
        column = table[name].unify_dictionaries().combine_chunks()
        values = column.dictionary.to_pylist()
        codes = np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)
        found: Numbers = codes[column.indices.to_numpy()]
        return found

    def _cut(self, table: pa.Table) -> Numbers:
        pairs = (self._codes(table, "node") << 44) | table["segment"].to_numpy()
        every, where = np.unique(pairs, return_inverse=True)
        known = [
            self._cuts.setdefault((pair >> 44, pair & ((1 << 44) - 1)), len(self._cuts))
            for pair in every.tolist()
        ]
        return np.array(known, np.int64)[where]

    def _add_words(self, table: pa.Table) -> None:
        start = 0
        while start < len(table):
            if self._count + start == len(self._blocks) * BLOCK_ROWS:
                self._blocks.append(Block())
            end = min(len(table), start + len(self._blocks) * BLOCK_ROWS - self._count - start)
            _add_words(self._blocks[-1], table.slice(start, end - start))
            start = end

    def write(self, fold: Path, sha256: str, named: Path) -> None:
        """Write the index of a fold, whose bytes lie in a file now and under that name later.

        Raises:
            SourceError: the fold is not as `fold` writes it.
            OSError: the file cannot be written.
        """
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        tenants = list(self._names["tenant"])
        starts = np.flatnonzero(np.diff(columns["tenant"], prepend=-1)).tolist()
        runs = [
            Run(tenants[columns["tenant"][start]], start, end)
            for start, end in pairwise([*starts, self._count])
        ]
        firsts = np.full(len(self._cuts), np.iinfo(np.int64).max)
        np.minimum.at(firsts, columns["cut"], columns["position"])
        nodes = list(self._names["node"])
        time_us = int(columns["time"].min())
        arrays = {
            "time_low": (columns["time"] - time_us & LOW_MASK).astype(np.uint32),
            "time_high": _least(columns["time"] - time_us >> 32),
            "offset": _least(columns["position"] - firsts[columns["cut"]]),
            **{name: _least(columns[name]) for name in ("cut", "action", "outcome", "size")},
            **{name: columns[name].astype(np.uint16) for name in ("id", "actor", "actor_name")},
            **_cells(columns),
            "words": make_filter(self._blocks),
        }
        footer = Footer(
            crc=0,
            fold=sha256,
            count=self._count,
            arrays={},
            time_us=time_us,
            runs=tuple(runs),
            actions=tuple(self._names["action"]),
            outcomes=tuple(self._names["outcome"]),
            cuts=tuple(
                Cut(nodes[node], index, int(first))
                for (node, index), first in zip(self._cuts, firsts, strict=True)
            ),
            pages=pages_of(fold, "record"),
            ids=(min(self._ids), max(self._ids)),
        )
        if sum(page.rows for page in footer.pages) != self._count:
            raise SourceError("a fold's pages hold another number of records", str(named))
        _write(path_of(str(named)), footer, arrays)


def _least(numbers: Numbers) -> Numbers:
    """The same numbers, none of them below 0, in as few bytes as they need."""
    return numbers.astype(np.min_scalar_type(int(numbers.max())))


def _cells(columns: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """How many rows there are of each action, outcome and hour, counted from the first one's."""
    hours = columns["time"] // HOUR_US
    outcomes, since = int(columns["outcome"].max()) + 1, int(hours.min())
    key = ((hours - since) << 32 | columns["action"]) * outcomes + columns["outcome"]
    cells, counts = np.unique(key, return_counts=True)
    kinds, hours = cells // outcomes & 0xFFFFFFFF, cells // outcomes >> 32
    return {
        "cell_action": _least(kinds),
        "cell_outcome": _least(cells % outcomes),
        "cell_hour": _least(hours),
        "cell_count": _least(counts),
    }


def _hashes(texts: pa.StringArray) -> Numbers:
    """A hash of each text."""
    offsets = offsets_of(texts).astype(np.int64)
    data = memoryview(texts.buffers()[2] or b"")[offsets[0] : offsets[-1]]
    bounds = offsets - offsets[0] + len(_PAD)
    text = b"".join((_PAD, data, _PAD))
    return hashes_at(text, bounds[:-1], bounds[1:]).astype(np.int64)


def _add_words(block: Block, table: pa.Table) -> None:
    is_escaping = False
    for chunk in table["record"].chunks:
        offsets = offsets_of(chunk)
        view = memoryview(chunk.buffers()[2] or b"")
        for first, end in pairwise(cuts(offsets, len(chunk), PIECE_BYTES)):
            data = bytes(view[offsets[first] : offsets[end]])
            block.add(hashes_of(data))
            is_escaping = is_escaping or b"\\u" in data
    if is_escaping:
        block.add(_values_in(table))


def _values_in(table: pa.Table) -> UInt32s:
    """The words of what filters look at, as they are once no letter is escaped any more."""
    texts: list[str] = []
    for name in _VALUES:
        texts += table[name].cast(pa.string()).unique().to_pylist()
    for targets in table["targets"].to_pylist():
        texts += targets
    return hashes_of('"'.join(texts).encode())


# -- the file -------------------------------------------------------------------------------------


def _write(path: Path, footer: Footer, arrays: Mapping[str, Numbers]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    places: dict[str, tuple[str, int, int]] = {}
    crc = 0
    with temporary.open("wb") as file:
        for name, array in sorted(arrays.items(), key=lambda one: -one[1].itemsize):
            places[name] = (array.dtype.str, file.tell(), len(array))
            data = array.tobytes()
            crc = zlib.crc32(data, crc)
            file.write(data)
        text = msgspec.msgpack.encode(msgspec.structs.replace(footer, crc=crc, arrays=places))
        file.write(footers.closed(text, _MAGIC))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _checked(file: BinaryIO, name: str) -> Footer:
    """Every byte, read rather than mapped: what is mapped and touched counts as memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - footers.TAIL_BYTES, 0))
    tail = file.read()
    start = footers.start_of(tail, size, _MAGIC, name)
    file.seek(start)
    text = file.read(size - footers.TAIL_BYTES - start)
    footers.check(text, tail, name)
    try:
        footer = msgspec.msgpack.decode(text, type=Footer)
    except msgspec.MsgspecError as error:
        raise CorruptError(f"{name} has a damaged footer: {error}") from error
    file.seek(0)
    crc, left = 0, start
    while left and (data := file.read(min(left, _CHUNK_BYTES))):
        crc, left = zlib.crc32(data, crc), left - len(data)
    if crc != footer.crc:
        raise CorruptError(f"{name} is damaged")
    return footer
