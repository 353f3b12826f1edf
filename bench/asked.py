"""Who is asked, and how: the same question to ours, to DuckDB over the same files, to PostgreSQL.

A question is one of our own queries. The others' SQL is the obvious one, and they are warm: DuckDB
keeps what it read of the files' ends, PostgreSQL's table is vacuumed and analysed. Where PostgreSQL
is asked for an id it is told the tenant, too, by which its index begins.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Protocol

import duckdb
import psycopg
from msgspec import structs

from holdfast.model import Query
from holdfast.read.engine import Limits
from holdfast.read.search import run_counts, run_page
from holdfast.read.sources import Source

HOUR_US: Final = 3_600_000_000
LIMIT: Final = 100
PATIENT: Final = Limits(timeout_s=600)  # what takes too long is to be measured, not refused
ID: Final = slice(7, 43)  # of a record: its first field

Counted = dict[str | int, int]  # by action, and by hour since 1970


class Asked(Protocol):
    """One that answers."""

    def page(self, query: Query) -> list[bytes]:
        """The newest events that match, each beginning as its record does."""

    def counts(self) -> Counted:
        """All events, by action and by hour."""


class Ours:
    """In this process, as a worker of the server's would."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def page(self, query: Query) -> list[bytes]:
        query = structs.replace(query, limit=LIMIT)
        found = run_page(self._sources, query, limits=PATIENT)
        return [bytes(event.record) for event in found.events]

    def counts(self) -> Counted:
        found = run_counts(self._sources, Query(), ("action",), HOUR_US, limits=PATIENT)
        by_action = {values[0]: n for values, n in found.groups}
        return by_action | {start // HOUR_US: n for start, n in found.histogram}


class Duck:
    """DuckDB over files, with as many threads as ours."""

    _CONDITIONS: Final = {
        "tenant": "tenant = ?",
        "from_us": "time_us >= ?",
        "actor": "actor = ?",
        "id": "id = ?",
        "q": "record ILIKE '%' || ? || '%'",
        "word": "record LIKE '%' || ? || '%'",
    }

    def __init__(self, files: Sequence[str]) -> None:
        self._database = duckdb.connect(":memory:", config={"threads": PATIENT.threads})
        self._database.execute("SET parquet_metadata_cache = true")
        names = ", ".join(f"'{file}'" for file in files)
        self._database.execute(f"CREATE VIEW events AS FROM read_parquet([{names}])")

    def page(self, query: Query) -> list[bytes]:
        asked = _given(query)
        where = " AND ".join(self._CONDITIONS[name] for name in asked)
        text = f"SELECT record FROM events WHERE {where} ORDER BY time_us DESC LIMIT {LIMIT}"
        return [row[0].encode() for row in self._ask(text, list(asked.values()))]

    def counts(self) -> Counted:
        rows = self._ask(
            f"SELECT action, time_us // {HOUR_US} AS hour, count(*) FROM events"
            " GROUP BY GROUPING SETS ((action), (hour))"
        )
        return {hour if action is None else action: n for action, hour, n in rows}

    def _ask(self, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._database.execute(text, values).fetchall()


class Postgres:
    """PostgreSQL, over one connection."""

    _CONDITIONS: Final = {
        "tenant": "tenant = %s",
        "from_us": "time >= to_timestamp(%s / 1e6)",
        "actor": "actor = %s",
        "id": "id = %s",
        "q": "event::text ILIKE '%%' || %s || '%%'",
        "word": "event::text LIKE '%%' || %s || '%%'",
    }

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def page(self, query: Query) -> list[bytes]:
        asked = _given(query)
        where = " AND ".join(self._CONDITIONS[name] for name in asked)
        rows = self._connection.execute(
            f"SELECT id, event::text FROM audit_events WHERE {where}"
            f" ORDER BY time DESC LIMIT {LIMIT}",
            list(asked.values()),
        )
        return [f'{{"id":"{id}",{text}'.encode() for id, text in rows]

    def counts(self) -> Counted:
        rows = self._connection.execute(
            "SELECT action, floor(extract(epoch FROM time) / 3600)::bigint AS hour, count(*)"
            " FROM audit_events GROUP BY GROUPING SETS ((action), (hour))"
        )
        return {hour if action is None else action: n for action, hour, n in rows}


def _given(query: Query) -> dict[str, object]:
    """The filters that a question has."""
    names = chain(("tenant", "from_us"), ("actor", "id", "q", "word"))
    return {name: value for name in names if (value := getattr(query, name))}
