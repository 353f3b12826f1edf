"""Fold many small segments into one Parquet file, which any number of events makes quick to search.

Derived and disposable: sorted by (tenant, time), so that one tenant's events lie together, in row
groups small enough to be skipped, with the record itself included. Its index (`index`) is made on
the way. A crash leaves files with the suffix .tmp, an index alone, or nothing. Parts of the archive
are the same files.
"""

import ctypes
import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.read.decode import SCHEMA, cuts, decode, offsets_of
from holdfast.read.index import Builder
from holdfast.read.segments import SourceError, check_fold, read_batches
from holdfast.read.sources import (
    FoldSource,
    SegmentSource,
    Source,
    Stretch,
    joined,
    stretches_of,
)

ROW_GROUP_EVENTS = 10_000
GROUP_BYTES = 16 << 20  # of records; an engine holds several row groups at a time
PART_GROUP_BYTES = 2 << 20
# A search decompresses whole pages for single records. A quarter of this takes a third less to
# read and 11 % more to keep; four times as much takes 2.4 times as long, and 10 % less.
PAGE_BYTES = 64 << 10
PAGE_CHECK_ROWS = 64
HELD_BYTES = 96 << 20  # about 90,000 usual events
LAKE_TIMES = {"time": "time_us", "received": "received_us"}  # columns of parts, and of folds
_INT64_MAX = (1 << 63) - 1
_ORDER = [(name, "ascending") for name in ("tenant", "time_us", "node", "position")]
# Columns of few distinct values.
_FEW = {each.name for each in SCHEMA if pa.types.is_dictionary(each.type)} | {"ip"}
_BLOOMS = {
    "id": {"ndv": ROW_GROUP_EVENTS, "fpp": 0.01},
    "actor": {"ndv": ROW_GROUP_EVENTS // 4, "fpp": 0.01},
    "actor_name": {"ndv": ROW_GROUP_EVENTS // 4, "fpp": 0.01},
}


class FoldFacts(Struct, frozen=True):
    """What the catalog keeps of a fold. day: when its segments were sealed, in days since 1970."""

    count: int
    size_bytes: int
    sha256: str
    time_min_us: int
    time_max_us: int
    received_min_us: int
    received_max_us: int
    tenants: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    day: int = 0

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


def fold(sources: Sequence[Source], destination: str, day: int = 0) -> FoldFacts:
    """Write the events of segments, and of older folds, into one new fold, and its index.

    Runs in a worker. Holds HELD_BYTES of records, and 2 to 50 MB for each fold that goes in: what
    segments hold beyond that is sorted through files beside the new one. No two sources may share
    an event, and all were sealed on that day.

    Raises:
        SourceError: a source that cannot be read, or holds other bytes than it must.
        CorruptError: a segment that holds what is no record.
        OSError: the new file cannot be written.
    """
    path = Path(destination)
    temporary = path.with_name(path.name + ".tmp")
    seen, index = _Seen(), Builder()
    with ExitStack() as parts:
        streams = [_stored(source) for source in sources if isinstance(source, FoldSource)]
        segments = [source for source in sources if isinstance(source, SegmentSource)]
        streams += _sorted_streams(segments, path, parts)
        groups = seen.each(_in_groups(_merged(streams), GROUP_BYTES))
        _write(index.each(groups), temporary)
        streams.clear()
    if seen.count != sum(source.count for source in sources):
        raise SourceError("what was to be folded holds another number of events")
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    index.write(temporary, digest, path)
    temporary.replace(path)
    give_back_memory()
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
        day=day,
    )


def ordered(segments: Sequence[SegmentSource], path: Path, parts: ExitStack) -> Iterator[pa.Table]:
    """The events of segments in order, a table for each row group, as a fold would hold them.

    path: beside it, files are sorted through whose names begin with its own. parts: what will
    remove them. Memory and errors as `fold`.
    """
    return _in_groups(_merged(_sorted_streams(segments, path, parts)), GROUP_BYTES)


def index_fold(source: FoldSource) -> None:
    """Make the index of a fold again, or that of a part. Runs in a worker.

    Raises:
        SourceError: a fold that cannot be read, or holds other bytes than it must.
        OSError: the index cannot be written.
    """
    index = Builder()
    for _ in index.each(_stored(source)):
        pass
    index.write(Path(source.path), source.sha256, Path(source.path))
    give_back_memory()


def give_back_memory() -> None:
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


def _stored(source: FoldSource) -> Iterator[pa.Table]:
    check_fold(source)
    yield from _row_groups(Path(source.path))


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for number in range(file.num_row_groups):
            yield _as_fold(file.read_row_group(number, use_threads=False))


def _as_fold(table: pa.Table) -> pa.Table:
    """Rows with the columns of a fold, if they are those of a part."""
    names = [LAKE_TIMES.get(name, name) for name in table.column_names]
    return table.rename_columns(names).select(SCHEMA.names).cast(SCHEMA)


def _sorted_streams(
    segments: Sequence[SegmentSource], path: Path, parts: ExitStack
) -> list[Iterator[pa.Table]]:
    """The events of segments, as streams in order; all but the last from files.

    parts: what will remove the files.
    """
    streams: list[Iterator[pa.Table]] = []
    tables: list[pa.Table] = []
    size = 0
    for _, lines in read_batches(segments):
        tables.append(decode(lines))
        size += tables[-1].nbytes
        if size >= HELD_BYTES:
            part = path.with_name(f"{path.name}.{len(streams)}.tmp")
            parts.callback(part.unlink, missing_ok=True)
            _spill(_in_groups(_sorted(tables), PART_GROUP_BYTES), part)
            streams.append(_spilled(part))
            tables, size = [], 0
    if tables:
        streams.append(_sorted(tables))
    return streams


def _spill(tables: Iterable[pa.Table], path: Path) -> None:
    """Set tables aside, as Arrow has them: to compress them for that moment took a tenth of all."""
    options = pa.ipc.IpcWriteOptions(use_threads=False)
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_stream(file, SCHEMA, options=options) as writer,
    ):
        for table in tables:
            writer.write_table(table.combine_chunks())


def _spilled(path: Path) -> Iterator[pa.Table]:
    options = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file, options=options) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _sorted(tables: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables in order, some at a time, which costs no second copy of all."""
    # One chunk of columns: taking rows of many would join them again each time. The records,
    # four fifths of all bytes, are taken by their place in the buffers where they lie.
    columns = pa.concat_tables([table.drop_columns("record") for table in tables]).combine_chunks()
    records = [chunk for table in tables for chunk in table.column("record").chunks]
    datas = [memoryview(chunk.buffers()[2] or b"") for chunk in records]
    offsets_in = [offsets_of(chunk) for chunk in records]
    chunk_of = np.repeat(np.arange(len(records)), [len(chunk) for chunk in records])
    starts = np.concatenate([each[:-1] for each in offsets_in])
    ends = np.concatenate([each[1:] for each in offsets_in])
    order = _order(columns).to_numpy()
    bounds = np.zeros(len(order) + 1, np.int64)
    np.cumsum((ends - starts)[order], out=bounds[1:])
    for first, end in pairwise(cuts(bounds, ROW_GROUP_EVENTS, GROUP_BYTES)):
        at = order[first:end]
        places = zip(chunk_of[at].tolist(), starts[at].tolist(), ends[at].tolist(), strict=True)
        data = b"".join([datas[chunk][start:end] for chunk, start, end in places])
        offsets = (bounds[first : end + 1] - bounds[first]).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        texts = pa.Array.from_buffers(pa.string(), len(at), buffers)
        yield columns.take(pa.array(at)).append_column("record", texts)


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


def _in_groups(tables: Iterable[pa.Table], bytes_max: int) -> Iterator[pa.Table]:
    """The same rows, in tables of ROW_GROUP_EVENTS, or fewer where these hold more bytes."""
    waiting: list[pa.Table] = []
    count = size = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        size += pc.sum(table["size_bytes"]).as_py()
        if count >= ROW_GROUP_EVENTS or size >= bytes_max:
            joint = pa.concat_tables(waiting)
            *whole, rest = _cut(joint, bytes_max)
            yield from whole
            waiting, count, size = [rest], len(rest), pc.sum(rest["size_bytes"]).as_py()
    if count:
        yield from _cut(pa.concat_tables(waiting), bytes_max)


def _cut(table: pa.Table, bytes_max: int) -> list[pa.Table]:
    offsets = np.zeros(len(table) + 1, np.int64)
    np.cumsum(table["size_bytes"].to_numpy(), out=offsets[1:])
    bounds = pairwise(cuts(offsets, ROW_GROUP_EVENTS, bytes_max))
    return [table.slice(start, end - start) for start, end in bounds]


def _write(tables: Iterable[pa.Table], path: Path) -> None:
    """Write a row group a table, durable when this returns: a file that gets its name is whole."""
    with path.open("wb") as file:
        with open_writer(file, SCHEMA, _ORDER, 1, PAGE_BYTES) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP_EVENTS)
                del table
                pa.default_memory_pool().release_unused()
        file.flush()
        os.fsync(file.fileno())


def open_writer(
    file: BinaryIO,
    schema: pa.Schema,
    order: Sequence[tuple[str, str]],
    level: int | dict[str, int],
    page_bytes: int,
    encodings: Mapping[str, str] | None = None,
) -> pq.ParquetWriter:
    """What writes files as folds are; each table given is a row group. level: of zstd, or by
    column. encodings: Parquet's, by column, where not plain or a dictionary."""
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=[name for name in schema.names if name in _FEW],
        column_encoding=dict(encodings or {}),
        # Of records and targets they say nothing that a search could use, and cost a fifth of all.
        write_statistics=[name for name in schema.names if name not in ("record", "targets")],
        bloom_filter_options=_BLOOMS,
        write_page_index=True,
        data_page_version="1.0",
        data_page_size=page_bytes,
        write_batch_size=PAGE_CHECK_ROWS,
        sorting_columns=pq.SortingColumn.from_ordering(schema, order),
    )
