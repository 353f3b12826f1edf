"""Hot segments, decoded: the columns that filters need, and the records that answers show.

A worker process keeps what it decoded for its next searches, within two budgets of bytes: columns
(about 0.2 kB an event, so that a hot set of hundreds of thousands stays) and records (0.8 kB, so
only the newest). Beyond them the least recently used goes; reading it again costs 4 µs an event.

Segments of one event arrive twenty a second where little happens. Decoded and searched one by one
they would cost a hundred times what their events do; so small neighbours share one block of
columns, and blocks that stayed small are copied together.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from holdfast.read.decode import NARROW, Lines, decode, records_of
from holdfast.read.segments import read_lines
from holdfast.read.sources import SegmentSource

BLOCK_EVENTS = 2_048
SMALL_BLOCKS_MAX = 16
SLICES_MAX = 16  # a block of which more pieces are wanted is copied

_Key = str  # the hash in a segment's name
_Span = tuple[int, int]  # first row, end


class _Block:
    """Columns of some segments. spans: which rows are whose."""

    def __init__(self, table: pa.Table, spans: dict[_Key, _Span]) -> None:
        self.table = table
        self.spans = spans
        self.size_bytes: int = table.get_total_buffer_size()


class _Text:
    """A segment's records. ends: where each line ends."""

    def __init__(self, lines: Lines) -> None:
        self.data = lines.data
        self.ends: npt.NDArray[np.int64] = np.flatnonzero(np.frombuffer(lines.data, np.uint8) == 10)
        self.size_bytes = len(lines.data) + self.ends.nbytes

    def line(self, number: int) -> bytes:
        start = self.ends[number - 1] + 1 if number else 0
        return self.data[start : self.ends[number]]


class HotMemo:
    """What one worker remembers of hot segments. For one thread at a time."""

    def __init__(self, columns_bytes_max: int, texts_bytes_max: int) -> None:
        self._columns_bytes_max = columns_bytes_max
        self._texts_bytes_max = texts_bytes_max
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._block_of: dict[_Key, int] = {}
        self._blocks_bytes = 0
        self._blocks_made = 0
        self._texts: OrderedDict[_Key, _Text] = OrderedDict()
        self._texts_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What is remembered now."""
        return self._blocks_bytes + self._texts_bytes

    def columns(self, sources: Sequence[SegmentSource]) -> tuple[pa.Table, list[SegmentSource]]:
        """The NARROW columns of segments, and these in the order of their rows.

        Raises:
            SourceError: a segment cannot be read.
        """
        missing = [source for source in sources if source.sha256 not in self._block_of]
        blocks: dict[int, tuple[_Block, list[SegmentSource]]] = {}
        for source in sources:
            number = self._block_of.get(source.sha256)
            if number is not None:
                self._blocks.move_to_end(number)
                blocks.setdefault(number, (self._blocks[number], []))[1].append(source)
        for batch in batches(missing):
            block = self._decode(batch)
            blocks[self._keep(block)] = (block, batch)
        tables = [_rows(block, wanted) for block, wanted in blocks.values()]
        self._compact()
        self._evict()
        order = [source for _, wanted in blocks.values() for source in wanted]
        return (pa.concat_tables(tables) if tables else NARROW.empty_table()), order

    def with_records(self, sources: Sequence[SegmentSource]) -> pa.Table:
        """The columns and the record, for a search inside the text.

        Raises:
            SourceError: a segment cannot be read.
        """
        table, order = self.columns(sources)
        records = [
            records_of([self._text(source).data for source in batch]) for batch in batches(order)
        ]
        return table.append_column("record", pa.chunked_array(records, pa.string()))

    def record(self, source: SegmentSource, position: int) -> bytes:
        """One event as stored.

        Raises:
            SourceError: the segment cannot be read.
        """
        text = self._text(source)
        self._texts.move_to_end(source.sha256)
        return text.line(position - source.first)

    def _text(self, source: SegmentSource) -> _Text:
        text = self._texts.get(source.sha256)
        if text is None:
            text = self._texts[source.sha256] = _Text(read_lines(source))
            self._texts_bytes += text.size_bytes
            while self._texts_bytes > self._texts_bytes_max and len(self._texts) > 1:
                self._texts_bytes -= self._texts.popitem(last=False)[1].size_bytes
        return text

    def _decode(self, batch: Sequence[SegmentSource]) -> _Block:
        parts = [read_lines(source) for source in batch]
        for source, part in zip(batch, parts, strict=True):
            # Newest first is how a search reads: only while there is room, older ones stay out.
            if self._texts_bytes + len(part.data) < self._texts_bytes_max // 2:
                text = self._texts[source.sha256] = _Text(part)
                self._texts_bytes += text.size_bytes
        spans: dict[_Key, _Span] = {}
        start = 0
        for source in batch:
            spans[source.sha256] = (start, start + source.count)
            start += source.count
        return _Block(decode(parts).drop_columns("record"), spans)

    def _keep(self, block: _Block) -> int:
        self._blocks_made += 1
        self._blocks[self._blocks_made] = block
        self._blocks_bytes += block.size_bytes
        self._block_of.update(dict.fromkeys(block.spans, self._blocks_made))
        return self._blocks_made

    def _forget(self, number: int) -> _Block:
        block = self._blocks.pop(number)
        self._blocks_bytes -= block.size_bytes
        for key in block.spans:
            if self._block_of.get(key) == number:
                del self._block_of[key]
        return block

    def _evict(self) -> None:
        while self._blocks_bytes > self._columns_bytes_max and self._blocks:
            self._forget(next(iter(self._blocks)))

    def _compact(self) -> None:
        """Copy small blocks together once there are many."""
        small = [n for n, block in self._blocks.items() if len(block.table) < BLOCK_EVENTS // 2]
        if len(small) <= SMALL_BLOCKS_MAX:
            return
        blocks = [self._forget(number) for number in small]
        spans: dict[_Key, _Span] = {}
        offset = 0
        for block in blocks:
            for key, (start, end) in block.spans.items():
                spans[key] = (offset + start, offset + end)
            offset += len(block.table)
        self._keep(_Block(pa.concat_tables([b.table for b in blocks]).combine_chunks(), spans))


def batches(sources: Sequence[SegmentSource]) -> Iterator[list[SegmentSource]]:
    """Neighbours that are decoded together: a large one alone, small ones up to BLOCK_EVENTS."""
    batch: list[SegmentSource] = []
    events = 0
    for source in sources:
        if batch and events + source.count > BLOCK_EVENTS:
            yield batch
            batch, events = [], 0
        batch.append(source)
        events += source.count
    if batch:
        yield batch


def _rows(block: _Block, wanted: Sequence[SegmentSource]) -> pa.Table:
    """The rows of some of a block's segments, in their order."""
    pieces: list[_Span] = []
    for source in wanted:
        start, end = block.spans[source.sha256]
        if pieces and pieces[-1][1] == start:
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces.append((start, end))
    if len(pieces) <= SLICES_MAX:
        return pa.concat_tables([block.table.slice(s, e - s) for s, e in pieces])
    return block.table.take(pa.array(np.concatenate([np.arange(s, e) for s, e in pieces])))
