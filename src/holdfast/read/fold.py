"""Fold many small segments into one Parquet file, which any number of events makes quick to search.

Derived and disposable: sorted by (tenant, time), so that one tenant's events lie together, in row
groups small enough to be skipped, with the record itself included. A crash leaves a file with the
suffix .tmp or nothing. Parts of the archive are the same files.
"""

import ctypes
import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.read.decode import SCHEMA, decode
from holdfast.read.segments import SourceError, check_fold, read_lines
from holdfast.read.sources import (
    FoldSource,
    SegmentSource,
    Source,
    Stretch,
    batches,
    joined,
    stretches_of,
)

ROW_GROUP_EVENTS = 10_000
_INT64_MAX = (1 << 63) - 1
_WORDS = [field.name for field in SCHEMA if pa.types.is_dictionary(field.type)]
_ORDER = [(name, "ascending") for name in ("tenant", "time_us", "node", "position")]
_BLOOMS = {
    "id": {"ndv": ROW_GROUP_EVENTS, "fpp": 0.01},
    "actor": {"ndv": ROW_GROUP_EVENTS // 4, "fpp": 0.01},
    "actor_name": {"ndv": ROW_GROUP_EVENTS // 4, "fpp": 0.01},
}


class FoldFacts(Struct, frozen=True):
    """What the catalog keeps of a fold."""

    count: int
    size_bytes: int
    sha256: str
    time_min_us: int
    time_max_us: int
    received_min_us: int
    received_max_us: int
    tenants: tuple[str, ...]
    stretches: tuple[Stretch, ...]

    def source(self, path: str) -> FoldSource:
        """The fold as a search takes it."""
        return FoldSource(
            path=path,
            sha256=self.sha256,
            count=self.count,
            time_min_us=self.time_min_us,
            time_max_us=self.time_max_us,
            stretches=self.stretches,
            tenants=self.tenants,
        )


def fold(sources: Sequence[Source], destination: str) -> FoldFacts:
    """Write the events of segments, and of older folds, into one new fold.

    Runs in a worker. Segments are held in memory, about 1.3 kB an event: the caller bounds them.
    Folds are not, but for a row group of each, about 50 MB. No two sources may share an event.

    Raises:
        SourceError: a source that cannot be read, or holds other bytes than it must.
        CorruptError: a segment that holds what is no record.
        OSError: the new file cannot be written.
    """
    segments = [source for source in sources if isinstance(source, SegmentSource)]
    folds = [source for source in sources if isinstance(source, FoldSource)]
    streams = [_stored(source) for source in folds]
    if segments:
        streams.append(_sorted(_decoded(segments)))
    path = Path(destination)
    temporary = path.with_name(path.name + ".tmp")
    seen = _Seen()
    _write(seen.each(_in_groups(_merged(streams))), temporary)
    streams.clear()
    if seen.count != sum(source.count for source in sources):
        raise SourceError("what was to be folded holds another number of events")
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    temporary.replace(path)
    _give_back_memory()
    return FoldFacts(
        count=seen.count,
        size_bytes=path.stat().st_size,
        sha256=digest,
        time_min_us=seen.time_us[0],
        time_max_us=seen.time_us[1],
        received_min_us=seen.received_us[0],
        received_max_us=seen.received_us[1],
        tenants=tuple(sorted(seen.tenants)),
        stretches=joined([s for source in sources for s in stretches_of(source)]),
    )


def _give_back_memory() -> None:
    """Let the system have what both allocators keep: 150 MB after a fold of 100,000 events."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


class _Seen:
    """What went by."""

    def __init__(self) -> None:
        self.count = 0
        self.time_us = (_INT64_MAX, -_INT64_MAX)
        self.received_us = (_INT64_MAX, -_INT64_MAX)
        self.tenants: set[str] = set()

    def each(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            self.count += len(table)
            self.time_us = _wider(self.time_us, table["time_us"])
            self.received_us = _wider(self.received_us, table["received_us"])
            self.tenants.update(pc.unique(table["tenant"].cast(pa.string())).to_pylist())
            yield table


def _wider(bounds: tuple[int, int], column: pa.ChunkedArray) -> tuple[int, int]:
    return min(bounds[0], pc.min(column).as_py()), max(bounds[1], pc.max(column).as_py())


def _decoded(segments: Sequence[SegmentSource]) -> list[pa.Table]:
    return [decode([read_lines(one) for one in batch]) for batch in batches(segments)]


def _stored(source: FoldSource) -> Iterator[pa.Table]:
    """The row groups of a fold, in its order."""
    check_fold(source)
    with pq.ParquetFile(source.path, pre_buffer=False) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, use_threads=False).cast(SCHEMA)


def _sorted(tables: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables in order, some at a time, which costs no second copy of all."""
    # One chunk of columns: taking rows of many would join them again each time. The records,
    # four fifths of all bytes, are taken by their place in the buffers where they lie.
    columns = pa.concat_tables([table.drop_columns("record") for table in tables]).combine_chunks()
    records = [chunk for table in tables for chunk in table.column("record").chunks]
    datas = [memoryview(chunk.buffers()[2] or b"") for chunk in records]
    offsets = [np.frombuffer(chunk.buffers()[1], np.int32, len(chunk) + 1) for chunk in records]
    chunk_of = np.repeat(np.arange(len(records)), [len(chunk) for chunk in records])
    starts = np.concatenate([each[:-1] for each in offsets])
    ends = np.concatenate([each[1:] for each in offsets])
    order = _order(columns)
    for first in range(0, len(order), ROW_GROUP_EVENTS):
        rows = order.slice(first, ROW_GROUP_EVENTS)
        at = rows.to_numpy()
        places = zip(chunk_of[at].tolist(), starts[at].tolist(), ends[at].tolist(), strict=True)
        data = b"".join([datas[chunk][start:end] for chunk, start, end in places])
        bounds = np.zeros(len(at) + 1, np.int32)
        np.cumsum(ends[at] - starts[at], out=bounds[1:])
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
        texts = pa.Array.from_buffers(pa.string(), len(at), buffers)
        yield columns.take(rows).append_column("record", texts)


def _order(columns: pa.Table) -> pa.Array:
    """The rows' numbers, in order."""
    keys = {name: columns[name] for name, _ in _ORDER}
    keys |= {name: keys[name].cast(pa.string()) for name in ("tenant", "node")}
    return pc.sort_indices(pa.table(keys), sort_keys=_ORDER)


def _merged(streams: Sequence[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Many streams in order made one, holding one table of each.

    Whatever lies at or before the least of the tables' last rows is complete and can go out.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [[table, stream] for stream in streams if (table := next(stream, None)) is not None]
    while heads:
        bound = min(_key(table, len(table) - 1) for table, _ in heads)
        counts = [_count_through(table, bound) for table, _ in heads]
        ready = pa.concat_tables(
            [table.slice(0, n) for (table, _), n in zip(heads, counts, strict=True)]
        ).combine_chunks()
        yield ready.take(_order(ready))
        for head, n in zip(heads, counts, strict=True):
            head[0] = head[0].slice(n) if n < len(head[0]) else next(head[1], None)
        heads = [head for head in heads if head[0] is not None]


def _key(table: pa.Table, row: int) -> tuple[bytes, int, str, int]:
    tenant, time, node, position = (table[name][row].as_py() for name, _ in _ORDER)
    return tenant.encode(), time, node, position


def _count_through(table: pa.Table, bound: tuple[bytes, int, str, int]) -> int:
    """How many rows of a table in order lie at or before a bound."""
    return bisect_right(range(len(table)), bound, key=lambda row: _key(table, row))


def _in_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, in tables of ROW_GROUP_EVENTS."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        while count >= ROW_GROUP_EVENTS:
            joint = pa.concat_tables(waiting)
            yield joint.slice(0, ROW_GROUP_EVENTS)
            waiting, count = [joint.slice(ROW_GROUP_EVENTS)], count - ROW_GROUP_EVENTS
    if count:
        yield pa.concat_tables(waiting)


def _write(tables: Iterable[pa.Table], path: Path) -> None:
    """Write a row group a table, durable when this returns: a file that gets its name is whole."""
    with path.open("wb") as file:
        with pq.ParquetWriter(
            file,
            SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=_WORDS,
            bloom_filter_options=_BLOOMS,
            write_page_index=True,
            sorting_columns=pq.SortingColumn.from_ordering(SCHEMA, _ORDER),
        ) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP_EVENTS)
                del table
                pa.default_memory_pool().release_unused()  # it would keep 80 MB a stream
        file.flush()
        os.fsync(file.fileno())
