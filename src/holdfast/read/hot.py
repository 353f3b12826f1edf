"""Hot segments, decoded: the columns that filters need, and the records that answers show.

A worker process keeps what it decoded for its next searches, within a budget of bytes; beyond it
the least recently used goes, and reading that again costs about 4 µs an event. Records are kept
packed, 64 to a zstd frame: 0.15 kB an event instead of 0.8, and a page of a hundred events from a
hundred segments is unpacked in 4 ms, where reading their files again took 80.

Segments of one event arrive twenty a second where little happens. Decoded and searched one by one
they would cost a hundred times what their events do; so small neighbours share one block, and
blocks that stayed small are joined.

For who asks for one tenant, only that tenant's part of a segment is decoded: its records lie
together, and are few of all. The lines of the segments that were read last stay as they are, for
who asks for another tenant next: to decompress them takes 1 ms, a part of them 0.1.
"""

import sys
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
from msgspec import structs

from holdfast.read.decode import Lines, Part, cuts, decode, offsets_of
from holdfast.read.segments import (
    BATCH_BYTES,
    BATCH_EVENTS,
    SourceError,
    read_batches,
    read_lines,
)
from holdfast.read.sources import SegmentSource

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALL_BLOCKS_MAX = 16
SLICES_MAX = 16  # a block of which more pieces are wanted is copied
TABLE_BYTES = 48 << 20
LINES_PART = 4  # of the budget, one part in so many is for lines
PACK_EVENTS = 64
PACK_BYTES = 64 << 10
PACK_LEVEL = 1

_Key = tuple[str, Part | None]  # the hash in a segment's name, and which part of it, None: all
_Span = tuple[int, int]  # first row, end


class _Records:
    """The records of a block, packed."""

    def __init__(self, records: pa.Array) -> None:
        self._offsets = offsets_of(records)
        self._starts = cuts(self._offsets, PACK_EVENTS, PACK_BYTES)
        view = memoryview(records.buffers()[2] or b"")
        bounds = pairwise(self._offsets[self._starts].tolist())
        self._packs = [zstd.compress(view[start:end], PACK_LEVEL) for start, end in bounds]
        self.raw_bytes = int(self._offsets[-1])
        self.size_bytes = self._offsets.nbytes + sum(map(len, self._packs))

    def some(self, rows: Iterable[int]) -> dict[int, bytes]:
        """The records of some rows."""
        found: dict[int, bytes] = {}
        number_of = partial(bisect_right, self._starts)
        for number, within in groupby(sorted(rows), number_of):
            pack = zstd.decompress(self._packs[number - 1])
            first = self._offsets[self._starts[number - 1]]
            for row in within:
                found[row] = pack[self._offsets[row] - first : self._offsets[row + 1] - first]
        return found

    def all(self) -> pa.Array:
        """The records of all rows."""
        data = b"".join(map(zstd.decompress, self._packs))
        buffers = [None, pa.py_buffer(self._offsets), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.string(), len(self._offsets) - 1, buffers)


class _Block:
    """Some segments. spans: which rows are whose."""

    def __init__(self, table: pa.Table, spans: dict[_Key, _Span]) -> None:
        self.records = _Records(table.column("record").chunk(0))
        self.columns = table.drop_columns("record")
        self.spans = spans
        self.size_bytes: int = self.columns.get_total_buffer_size() + self.records.size_bytes

        self.row_bytes = (self.size_bytes + self.records.raw_bytes) // len(self)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def is_small(self) -> bool:
        return len(self) < BATCH_EVENTS // 2 and self.records.raw_bytes < BATCH_BYTES // 4

    def whole(self) -> pa.Table:
        """The columns and the records."""
        return self.columns.append_column("record", self.records.all())


class HotMemo:
    """What one process remembers of hot segments. For one thread at a time."""

    def __init__(self, size_bytes_max: int) -> None:
        self._lines_bytes_max = size_bytes_max // LINES_PART
        self._size_bytes_max = size_bytes_max - self._lines_bytes_max
        self.size_bytes = 0
        self._lines: OrderedDict[str, bytes] = OrderedDict()  # by the hash in a segment's name
        self._lines_bytes = 0
        self._blocks: OrderedDict[int, _Block] = OrderedDict()  # least recently used first
        self._block_of: dict[_Key, int] = {}
        self._made = 0

    def tables(self, sources: Sequence[SegmentSource], *, records: bool) -> Iterator[pa.Table]:
        """The columns of segments, of SCHEMA with `records` and of NARROW without, in any order.

        In tables of about TABLE_BYTES, so that a search holds no more than that beside the memo.

        Raises:
            SourceError: a segment cannot be read.
        """
        waiting: list[pa.Table] = []
        size = 0
        for block, wanted in self._blocks_with(sources):
            waiting.append(_rows(block.whole() if records else block.columns, block.spans, wanted))
            size += len(waiting[-1]) * block.row_bytes  # to ask Arrow takes as long as a search
            if size >= TABLE_BYTES:
                yield pa.concat_tables(waiting)
                waiting, size = [], 0
        if waiting:
            yield pa.concat_tables(waiting)
        self._join_small()

    def _blocks_with(
        self, sources: Sequence[SegmentSource]
    ) -> Iterator[tuple[_Block, list[SegmentSource]]]:
        """The blocks that hold segments, and which ones; those that must be decoded last."""
        known: dict[int, list[SegmentSource]] = {}
        missing: list[SegmentSource] = []
        for source in sources:
            number = self._number_of(source)
            if number is None:
                missing.append(source)
            else:
                known.setdefault(number, []).append(source)
        for block, wanted in [(self._blocks[number], known[number]) for number in known]:
            yield block, wanted
        for number in known:
            self._blocks.move_to_end(number)
        for batch, parts in read_batches(missing, self._read):
            block = _decode(batch, parts)
            self._keep(block)
            yield block, batch

    def records(self, places: Sequence[tuple[SegmentSource, int]]) -> list[bytes]:
        """Events as stored, by segment and position.

        Raises:
            SourceError: a segment cannot be read.
        """
        blocks: dict[int, tuple[_Block, list[int]]] = {}
        rows: list[tuple[int, int]] = []
        for source, position in places:
            number = self._number_of(source)
            if number is None:
                number = self._keep(_decode([source], [self._read(source)]))
            block, wanted = blocks.setdefault(number, (self._blocks[number], []))
            before = source.first + source.lines.start
            wanted.append(_rows_of(block.spans, source)[0] + position - before)
            rows.append((number, wanted[-1]))
        found = {number: block.records.some(wanted) for number, (block, wanted) in blocks.items()}
        return [found[number][row] for number, row in rows]

    def _read(self, source: SegmentSource) -> Lines:
        """As `read_lines`."""
        if source.part is None:
            return read_lines(source)
        lines = self._lines.pop(source.sha256, None)
        if lines is None:
            lines = read_lines(structs.replace(source, part=None)).data
            self._lines_bytes += len(lines)
        self._lines[source.sha256] = lines
        while self._lines_bytes > self._lines_bytes_max and len(self._lines) > 1:
            self._lines_bytes -= len(self._lines.popitem(last=False)[1])
        first = source.first + source.part.start
        data = lines[source.part.start_byte : source.part.end_byte]
        return Lines(source.node, source.index, first, data)

    def _number_of(self, source: SegmentSource) -> int | None:
        """The block that holds the lines that are wanted of a segment."""
        whole = self._block_of.get((source.sha256, None))
        return self._block_of.get((source.sha256, source.part)) if whole is None else whole

    def _keep(self, block: _Block) -> int:
        self._made += 1
        self._blocks[self._made] = block
        self.size_bytes += block.size_bytes
        self._block_of.update(dict.fromkeys(block.spans, self._made))
        while self.size_bytes > self._size_bytes_max and len(self._blocks) > 1:
            self._forget(next(iter(self._blocks)))
        return self._made

    def _forget(self, number: int) -> _Block:
        block = self._blocks.pop(number)
        self.size_bytes -= block.size_bytes
        for key in block.spans:
            del self._block_of[key]
        return block

    def _join_small(self) -> None:
        small = [number for number, block in self._blocks.items() if block.is_small]
        if len(small) > SMALL_BLOCKS_MAX:
            self._keep(_joined([self._forget(number) for number in small]))


def _decode(batch: Sequence[SegmentSource], parts: Sequence[Lines]) -> _Block:
    spans: dict[_Key, _Span] = {}
    start = 0
    for source in batch:
        spans[source.sha256, source.part] = (start, start + len(source.lines))
        start += len(source.lines)
    table = decode(parts)
    if len(table) != start:
        raise SourceError("cached segments hold another number of events", batch[0].path)
    return _Block(table, spans)


def _joined(blocks: Sequence[_Block]) -> _Block:
    spans: dict[_Key, _Span] = {}
    offset = 0
    for block in blocks:
        spans |= {key: (offset + start, offset + end) for key, (start, end) in block.spans.items()}
        offset += len(block)
    return _Block(pa.concat_tables([block.whole() for block in blocks]).combine_chunks(), spans)


def _rows_of(spans: dict[_Key, _Span], source: SegmentSource) -> _Span:
    """Where a block has the lines that are wanted of a segment."""
    whole = spans.get((source.sha256, None))
    if whole is None:
        return spans[source.sha256, source.part]
    return whole[0] + source.lines.start, whole[0] + source.lines.stop


def _rows(table: pa.Table, spans: dict[_Key, _Span], wanted: Sequence[SegmentSource]) -> pa.Table:
    """The rows of some of a block's segments."""
    pieces: list[_Span] = []
    for start, end in sorted(_rows_of(spans, source) for source in wanted):
        if pieces and pieces[-1][1] == start:
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces.append((start, end))
    if pieces == [(0, len(table))]:
        return table
    if len(pieces) <= SLICES_MAX:
        return pa.concat_tables([table.slice(start, end - start) for start, end in pieces])
    return table.take(pa.array(np.concatenate([np.arange(*piece) for piece in pieces])))
