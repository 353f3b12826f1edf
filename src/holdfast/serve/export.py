"""GET /v1/events/export: all events that match, however many, written while they are read.

A page of a search after the other becomes a piece of the file, so that a file of any size takes
the memory of a page. The statement that goes with it is in the answer's head, taken before.
"""

import csv
import io
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import structs

from holdfast.model import Found, Query
from holdfast.read.query import LIMIT_MAX
from holdfast.serve.faces import Bounds
from holdfast.serve.ui.shown import shown
from holdfast.wiring import System

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


class Writer(Protocol):
    """A kind of file: pieces of it as events come, and what ends it. Blocking."""

    def piece(self, events: Sequence[Found]) -> bytes: ...

    def end(self) -> bytes: ...


class Lines:
    """NDJSON: the records as they are stored."""

    def piece(self, events: Sequence[Found]) -> bytes:
        return b"".join(bytes(each.record) + b"\n" for each in events)

    def end(self) -> bytes:
        return b""


class Table:
    """CSV, RFC 4180, with a head. What a spreadsheet would take for a formula gets an apostrophe:
    much of a trail is what attackers typed."""

    def __init__(self) -> None:
        self._head = True

    def piece(self, events: Sequence[Found]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        if self._head:
            writer.writerow(COLUMNS)
            self._head = False
        for each in events:
            writer.writerow(_harmless(value) for value in _row(each))
        return text.getvalue().encode()

    def end(self) -> bytes:
        return self.piece(()) if self._head else b""


class Columns:
    """Parquet, a row group a page, with the whole record in a column of its own."""

    SCHEMA: Final = pa.schema(
        [(name, pa.int64() if name in NUMBERS else pa.string()) for name in (*COLUMNS, "record")]
    )

    def __init__(self) -> None:
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(_Appended(self._sink), self.SCHEMA, compression="zstd")

    def piece(self, events: Sequence[Found]) -> bytes:
        rows = [(*_row(each), bytes(each.record).decode()) for each in events]
        columns = zip(*rows, strict=True) if rows else ([] for _ in self.SCHEMA)
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, self.SCHEMA, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self.SCHEMA))
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


WRITERS: Final[dict[str, Callable[[], Writer]]] = {
    "ndjson": Lines,
    "csv": Table,
    "parquet": Columns,
}


async def pieces(system: System, query: Query, kind: str, bounds: Bounds) -> AsyncGenerator[bytes]:
    """The file, a piece a page."""
    writer, offload = WRITERS[kind](), system.host.offload
    query = structs.replace(query, limit=LIMIT_MAX)
    while True:
        page = await bounds.ask(system.reader.search(query))
        yield await offload(writer.piece, page.events)
        if not page.next:
            break
        query = structs.replace(query, cursor=page.next)
    yield await offload(writer.end)


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
