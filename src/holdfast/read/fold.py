"""Fold many small segments into one Parquet file, which any number of events makes quick to search.

Derived and disposable: sorted by (tenant, time), so that one tenant's events lie together, in row
groups small enough to be skipped, with the record itself included. A crash leaves a file with the
suffix .tmp or nothing. Parts of the archive are the same files.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.read.decode import SCHEMA, decode
from holdfast.read.segments import read_lines
from holdfast.read.sources import FoldSource, SegmentSource, Source, Stretch, stretches_of

ROW_GROUP_EVENTS = 10_000
_WORDS = [field.name for field in SCHEMA if pa.types.is_dictionary(field.type)]
_DECODE_EVENTS = 8_192


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

    Runs in a worker; holds all of it in memory (about 1.3 kB an event), so the caller bounds it.

    Raises:
        CorruptError: a source whose bytes are not what they must be.
        OSError: the files cannot be read or written.
    """
    table = _read(sources)
    order = pc.sort_indices(
        pa.table(
            {
                "tenant": table["tenant"].cast(pa.string()),
                "time_us": table["time_us"],
                "node": table["node"].cast(pa.string()),
                "position": table["position"],
            }
        ),
        sort_keys=[(n, "ascending") for n in ("tenant", "time_us", "node", "position")],
    )
    path = Path(destination)
    temporary = path.with_name(path.name + ".tmp")
    _write(table, order, temporary)
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    temporary.replace(path)
    time, received = table["time_us"], table["received_us"]
    return FoldFacts(
        count=len(table),
        size_bytes=path.stat().st_size,
        sha256=digest,
        time_min_us=pc.min(time).as_py(),
        time_max_us=pc.max(time).as_py(),
        received_min_us=pc.min(received).as_py(),
        received_max_us=pc.max(received).as_py(),
        tenants=tuple(sorted(pc.unique(table["tenant"].cast(pa.string())).to_pylist())),
        stretches=joined([s for source in sources for s in stretches_of(source)]),
    )


def joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Stretches in order, those that touch made one."""
    done: list[Stretch] = []
    for stretch in sorted(stretches):
        if done and done[-1].node == stretch.node and done[-1].end == stretch.start:
            done[-1] = Stretch(stretch.node, done[-1].start, stretch.end)
        else:
            done.append(stretch)
    return tuple(done)


def _read(sources: Sequence[Source]) -> pa.Table:
    tables: list[pa.Table] = []
    batch: list[SegmentSource] = []
    for source in sources:
        if isinstance(source, SegmentSource):
            batch.append(source)
            if sum(one.count for one in batch) >= _DECODE_EVENTS:
                tables.append(decode([read_lines(one) for one in batch]))
                batch = []
        else:
            tables.append(pq.read_table(source.path, schema=SCHEMA))
    if batch:
        tables.append(decode([read_lines(one) for one in batch]))
    return pa.concat_tables(tables).unify_dictionaries()


def _write(table: pa.Table, order: pa.Array, path: Path) -> None:
    with (
        path.open("wb") as file,
        pq.ParquetWriter(
            file,
            SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=_WORDS,
            write_page_index=True,
            write_page_checksum=True,
        ) as writer,
    ):
        for start in range(0, len(order), ROW_GROUP_EVENTS):
            rows = table.take(order.slice(start, ROW_GROUP_EVENTS))
            writer.write_table(rows, row_group_size=ROW_GROUP_EVENTS)
    _settle(path)


def _settle(path: Path) -> None:
    """Make the bytes durable before the name is: a file that has its name is whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
