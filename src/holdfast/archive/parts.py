"""The parts of a unit: Parquet files that anyone reads, made by the code that makes folds."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.archive.lines import Part
from holdfast.proof import MismatchError
from holdfast.read.decode import SCHEMA, Lines, decode
from holdfast.read.fold import open_writer
from holdfast.times import format_us

# A part is put and read whole, within one time-out of a store: well below what one could hold.
PART_BYTES = 48 << 20
PART_BYTES_MAX = 80 << 20  # with the row group that goes beyond the former
# Sixteen times a fold's pages take a quarter less room: what is kept for years is looked at seldom.
# A higher level costs more time than it saves.
LEVEL = 3
PAGE_BYTES = 1 << 20
_TIME = pa.timestamp("us", "UTC")
_RENAMED = {"time_us": "time", "received_us": "received"}
LAKE: pa.Schema = pa.schema(
    [
        pa.field(
            _RENAMED.get(field.name, field.name), _TIME if field.name in _RENAMED else field.type
        )
        for field in SCHEMA
    ]
)
PLACES = frozenset({"node", "segment", "position"})  # which no record says
_ORDER = [(name, "ascending") for name in ("tenant", "time", "node", "position")]


class Made(Struct, frozen=True):
    """An object of a unit, in a file. retention: the class of a part; "": evidence."""

    path: str
    retention: str
    sha256: str
    size_bytes: int
    rows: int = 0


def write_parts(
    groups: Iterable[pa.Table], folder: Path, retention: str, told: dict[str, str]
) -> Iterator[tuple[Made, Part]]:
    """Write row groups in order into as few files as may be.

    Args:
        groups: a fold's tables, each of a row group.
        told: goes into each file's metadata; other values make other bytes of the same rows.
    """
    schema, waiting = LAKE.with_metadata(told), iter(groups)
    table = next(waiting, None)
    number = 0
    while table is not None:
        path = folder / f"{number}.parquet"
        seen: list[tuple[int, int, int, set[str]]] = []
        with path.open("wb") as file:
            with open_writer(file, schema, _ORDER, LEVEL, PAGE_BYTES) as writer:
                while table is not None and file.tell() < PART_BYTES:
                    seen.append(_seen(table))
                    writer.write_table(_as_lake(table, schema), row_group_size=len(table))
                    table = next(waiting, None)
            file.flush()
            os.fsync(file.fileno())
        made = made_of(path, retention, sum(rows for rows, *_ in seen))
        yield made, _facts(made, seen)
        number += 1


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
            pa.default_memory_pool().release_unused()


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
        plain = pa.string() if pa.types.is_dictionary(kind) else kind
        if name not in PLACES and not table[name].cast(plain).equals(derived[name].cast(plain)):
            raise MismatchError(f"the column {name} is not that of its records")


def _as_lake(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.rename_columns(LAKE.names).cast(schema)


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
