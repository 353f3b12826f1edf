"""The parts of a unit: Parquet files that anyone reads, made by the code that makes folds."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.archive.lines import Part
from holdfast.proof import MismatchError
from holdfast.proof.floors import Tree
from holdfast.read.decode import SCHEMA, Lines, decode
from holdfast.read.fold import GROUP_BYTES, ROW_GROUP_EVENTS, open_writer
from holdfast.times import format_us

# A part is put and read whole, within one time-out of a store: well below what one could hold.
PART_BYTES = 48 << 20
PART_BYTES_MAX = 80 << 20  # with the row group that goes beyond the former
# Sixteen times a fold's pages take a quarter less room: what is kept for years is looked at seldom.
PAGE_BYTES = 1 << 20
_LISTED = ".list.element"  # a column of lists, as Parquet calls it
_TIME = pa.timestamp("us", "UTC")
_RENAMED = {"time_us": "time", "received_us": "received"}
_DELTA = "DELTA_BINARY_PACKED"
# What rises from row to row, at least within a tenant. Records stay plain: `read.pages` reads them.
_ENCODINGS = dict.fromkeys(("time", "received", "segment", "position"), _DELTA)
_ENCODINGS["id"] = "DELTA_BYTE_ARRAY"


def _kind_of(field: pa.Field) -> pa.DataType:
    """Plain strings, of which a file has a dictionary all the same, but one of its own alone."""
    if field.name in _RENAMED:
        return _TIME
    return field.type.value_type if pa.types.is_dictionary(field.type) else field.type


LAKE: pa.Schema = pa.schema(
    [pa.field(_RENAMED.get(field.name, field.name), _kind_of(field)) for field in SCHEMA]
)
# Records, four fifths of all, are no larger at level 1 than at 3, in two thirds of the time; 6
# takes 6 % off them, for three times the time.
LEVELS = {
    field.name + (_LISTED if pa.types.is_list(field.type) else ""): 1
    if field.name == "record"
    else 3
    for field in LAKE
}
PLACES = frozenset({"node", "segment", "position"})  # which no record says
_ORDER = [(name, "ascending") for name in ("tenant", "time", "node", "position")]


class Made(Struct, frozen=True):
    """An object of a unit, in a file. retention: the class of a part; "": evidence. gone: of what
    stays of a class, the tree over what went, if a floor says."""

    path: str
    retention: str
    sha256: str
    size_bytes: int
    rows: int = 0
    gone: Tree | None = None


class Parts:
    """Writes the rows of a class, which come in order, into as few files as may be."""

    def __init__(self, folder: Path, retention: str, told: dict[str, str]) -> None:
        """told: goes into each file's metadata; other values make other bytes of the same rows."""
        self._folder = folder
        self._retention = retention
        self._schema = LAKE.with_metadata(told)
        self._waiting: list[pa.Table] = []
        self._open: tuple[BinaryIO, pq.ParquetWriter] | None = None
        self._seen: list[tuple[int, int, int, set[str]]] = []
        self._done: list[tuple[Made, Part]] = []

    def take(self, table: pa.Table) -> None:
        """Take some rows of a fold, as many as a row group may have at most."""
        waiting = [*self._waiting, table]
        rows = sum(map(len, waiting))
        if rows > ROW_GROUP_EVENTS or sum(map(_bytes_of, waiting)) > GROUP_BYTES:
            self._write()
        self._waiting.append(table)

    def close(self) -> list[tuple[Made, Part]]:
        """All files, once they are durable."""
        self._write()
        self._end()
        return self._done

    def _write(self) -> None:
        """What waits becomes a row group."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting.clear()
        file, writer = self._open = self._open or self._begun()
        self._seen.append(_seen(table))
        writer.write_table(_as_lake(table, self._schema), row_group_size=len(table))
        if file.tell() >= PART_BYTES:
            self._end()

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._retention}-{len(self._done)}.parquet"

    def _begun(self) -> tuple[BinaryIO, pq.ParquetWriter]:
        file = self._path.open("wb")
        return file, open_writer(file, self._schema, _ORDER, LEVELS, PAGE_BYTES, _ENCODINGS)

    def _end(self) -> None:
        if self._open is None:
            return
        (file, writer), self._open = self._open, None
        with file:
            writer.close()
            file.flush()
            os.fsync(file.fileno())
        made = made_of(self._path, self._retention, sum(rows for rows, *_ in self._seen))
        self._done.append((made, _facts(made, self._seen)))
        self._seen = []


def made_of(path: Path, retention: str, rows: int = 0) -> Made:
    """A file as an object."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Made(str(path), retention, digest, path.stat().st_size, rows)


def read_groups(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """A part's row groups."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=columns, use_threads=False)


def check_columns(table: pa.Table) -> None:
    """Check that the columns of some rows are what is read off their records.

    Raises:
        MismatchError: naming the column. CorruptError: a record is none.
    """
    records = table["record"].cast(pa.binary()).to_pylist()
    lines = Lines("", 0, 0, b"".join(record + b"\n" for record in records))
    derived = _as_lake(decode([lines]), LAKE)
    for name in LAKE.names:
        kind = LAKE.field(name).type
        if name not in PLACES and not table[name].cast(kind).equals(derived[name]):
            raise MismatchError(f"the column {name} is not that of its records")


def _as_lake(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.rename_columns(LAKE.names).cast(schema)


def _bytes_of(table: pa.Table) -> int:
    size: int = pc.sum(table["size_bytes"]).as_py()
    return size


def _seen(table: pa.Table) -> tuple[int, int, int, set[str]]:
    bounds = pc.min_max(table["time_us"]).as_py()
    tenants = set(pc.unique(table["tenant"].cast(pa.string())).to_pylist())
    return len(table), bounds["min"], bounds["max"], tenants


def _facts(made: Made, seen: list[tuple[int, int, int, set[str]]]) -> Part:
    return Part(
        sha256=made.sha256,
        rows=made.rows,
        earliest=format_us(min(low for _, low, _, _ in seen)),
        latest=format_us(max(high for _, _, high, _ in seen)),
        tenants=tuple(sorted(set().union(*(tenants for *_, tenants in seen)))),
    )
