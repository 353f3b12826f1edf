"""Fold many small segments into one Parquet file, which any number of events makes quick to search.

Derived and disposable: sorted by (tenant, time), so that one tenant's events lie together, in row
groups small enough to be skipped, with the record itself included. A crash leaves a file with the
suffix .tmp or nothing. Parts of the archive are the same files.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
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

    Runs in a worker, and holds all of it in memory, about 1.2 kB an event: the caller bounds it.
    Segments and folds must not share an event.

    Raises:
        SourceError: a source that cannot be read, or holds other bytes than it must.
        OSError: the new file cannot be written.
    """
    rows = _Rows(list(_tables(sources)))
    if len(rows) != sum(source.count for source in sources):
        raise SourceError("what is to be folded holds another number of events")
    path = Path(destination)
    temporary = path.with_name(path.name + ".tmp")
    _write(rows, temporary)
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    temporary.replace(path)
    time, received, tenant = (rows.columns[n] for n in ("time_us", "received_us", "tenant"))
    return FoldFacts(
        count=len(rows),
        size_bytes=path.stat().st_size,
        sha256=digest,
        time_min_us=pc.min(time).as_py(),
        time_max_us=pc.max(time).as_py(),
        received_min_us=pc.min(received).as_py(),
        received_max_us=pc.max(received).as_py(),
        tenants=tuple(sorted(pc.unique(tenant.cast(pa.string())).to_pylist())),
        stretches=joined([s for source in sources for s in stretches_of(source)]),
    )


class _Rows:
    """Everything that goes into a fold, and its order."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._records = [chunk for table in tables for chunk in table.column("record").chunks]
        # One chunk: taking rows of many would join them again for each row group.
        self.columns: pa.Table = pa.concat_tables(
            [table.drop_columns("record") for table in tables]
        ).combine_chunks()
        keys = {name: self.columns[name] for name, _ in _ORDER}
        keys |= {name: keys[name].cast(pa.string()) for name in ("tenant", "node")}
        self._order: pa.Array = pc.sort_indices(pa.table(keys), sort_keys=_ORDER)
        self._datas = [memoryview(chunk.buffers()[2]) for chunk in self._records]
        offsets = [
            np.frombuffer(chunk.buffers()[1], np.int32, len(chunk) + 1, 4 * chunk.offset)
            for chunk in self._records
        ]
        self._chunks = np.repeat(np.arange(len(offsets)), [len(o) - 1 for o in offsets])
        self._starts = np.concatenate([o[:-1] for o in offsets])
        self._ends = np.concatenate([o[1:] for o in offsets])

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, start: int, count: int) -> pa.Table:
        """The rows from `start` on, in order."""
        rows = self._order.slice(start, count)
        table = self.columns.take(rows)
        return table.append_column("record", self._take_records(rows.to_numpy()))

    def _take_records(self, rows: npt.NDArray[np.uint64]) -> pa.Array:
        starts, ends = self._starts[rows], self._ends[rows]
        places = zip(self._chunks[rows].tolist(), starts.tolist(), ends.tolist(), strict=True)
        data = b"".join([self._datas[chunk][start:end] for chunk, start, end in places])
        offsets = np.zeros(len(rows) + 1, np.int32)
        np.cumsum(ends - starts, out=offsets[1:])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.string(), len(rows), buffers)


def _tables(sources: Sequence[Source]) -> Iterator[pa.Table]:
    for source in sources:
        if isinstance(source, FoldSource):
            check_fold(source)
            yield pq.read_table(source.path, schema=SCHEMA)
    for batch in batches([one for one in sources if isinstance(one, SegmentSource)]):
        yield decode([read_lines(one) for one in batch])


def _write(rows: _Rows, path: Path) -> None:
    """Write all rows, durable when this returns: a file that gets its name is whole."""
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
            for start in range(0, len(rows), ROW_GROUP_EVENTS):
                table = rows.take(start, ROW_GROUP_EVENTS)
                writer.write_table(table, row_group_size=ROW_GROUP_EVENTS)
        file.flush()
        os.fsync(file.fileno())
