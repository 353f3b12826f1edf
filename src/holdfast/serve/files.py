"""The kinds of file that events are exported as, written from the beginning to the end.

`form` is done in any process; what it gives is added in order, so that a file of any size takes the
memory of a piece of it.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.model import Found
from holdfast.serve.ui.shown import shown

COLUMNS: Final = (
    *("id", "time", "received", "tenant", "actor_type", "actor_id", "actor_name", "action"),
    *("targets", "outcome", "reason", "ip", "user_agent", "request_id", "principal"),
    *("node", "segment", "position"),
)
NUMBERS: Final = frozenset({"segment", "position"})
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
MEDIA_TYPES: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
SCHEMA: Final = pa.schema(
    [(name, pa.int64() if name in NUMBERS else pa.string()) for name in (*COLUMNS, "record")]
)


def lines_of(events: Sequence[Found]) -> bytes:
    """The records as they are stored."""
    return b"".join(bytes(each.record) + b"\n" for each in events)


def rows_of(events: Sequence[Found]) -> bytes:
    """Rows of a table. What a spreadsheet would take for a formula gets an apostrophe: much of a
    trail is what attackers typed."""
    return _csv((_harmless(value) for value in _row(each)) for each in events)


def columns_of(events: Sequence[Found]) -> bytes:
    """Columns in Arrow's own form, the whole record in one of them."""
    rows = [(*_row(each), bytes(each.record).decode()) for each in events]
    columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as stream:
        stream.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
    return bytes(sink.getvalue())


class Lines:
    """NDJSON."""

    form = staticmethod(lines_of)

    def add(self, formed: bytes) -> bytes:
        return formed

    def end(self) -> bytes:
        return b""


class Table:
    """CSV, RFC 4180, with a head."""

    form = staticmethod(rows_of)

    def __init__(self) -> None:
        self._head = _csv([COLUMNS])

    def add(self, formed: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + formed

    def end(self) -> bytes:
        return self.add(b"")


class Columns:
    """Parquet, a row group a piece."""

    form = staticmethod(columns_of)

    def __init__(self) -> None:
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(_Appended(self._sink), SCHEMA, compression="zstd")

    def add(self, formed: bytes) -> bytes:
        with pa.ipc.open_stream(formed) as stream:
            found = stream.read_all()
        if len(found):
            self._writer.write_table(found)
        return self._taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        data = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return data


class _Appended(io.RawIOBase):
    """A file that is only ever added to, and knows how much was."""

    def __init__(self, sink: io.BytesIO) -> None:
        self._sink = sink
        self._size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        written = self._sink.write(data)  # type: ignore[arg-type]
        self._size_bytes += written
        return written

    def tell(self) -> int:
        return self._size_bytes


File = Lines | Table | Columns
FILES: Final[dict[str, Callable[[], File]]] = {
    "ndjson": Lines,
    "csv": Table,
    "parquet": Columns,
}


def _row(found: Found) -> tuple[str | int, ...]:
    event = shown(found)
    targets = " ".join(target.key for target in event.targets)
    actor, source = event.actor, event.source
    return (
        *(event.id, event.time, event.received, event.tenant, actor.type, actor.id, actor.name),
        *(event.action, targets, event.outcome, event.reason, source.ip, source.user_agent),
        *(event.trace.request_id, event.principal, found.node, found.segment, found.position),
    )


def _harmless(value: str | int) -> str | int:
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
