"""PostgreSQL as an organisation would use it for the same purpose, and the ways to fill it.

A cluster of its own in a temporary directory, on loopback, with the defaults of its package:
`synchronous_commit`, `fsync` and `full_page_writes` on. One table: the fields that are searched by
as columns, the whole event as jsonb, and the four indexes that an audit table needs.

What favours it on purpose: statements are prepared once; rows are made and encoded before the clock
starts; duplicates raise an error instead of being looked at; the table starts empty; autovacuum
has its usual minute before it wakes up.
"""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import pq

from bench.events import Batch
from bench.processes import Side, free_port, start, tail

USER: Final = "postgres"  # initdb refuses root
START_S: Final = 30
TABLE: Final = """
    CREATE TABLE audit_events (
        received timestamptz NOT NULL DEFAULT now(),
        time timestamptz NOT NULL,
        tenant text NOT NULL,
        id text NOT NULL,
        actor text NOT NULL,
        action text NOT NULL,
        outcome text NOT NULL,
        ip inet,
        event jsonb NOT NULL
    );
    CREATE UNIQUE INDEX ON audit_events (tenant, id);
    CREATE INDEX ON audit_events (tenant, time);
    CREATE INDEX ON audit_events (actor, time);
    CREATE INDEX ON audit_events (action, time);
"""
_COLUMNS: Final = ("time", "tenant", "id", "actor", "action", "outcome", "ip", "event")
_INTO: Final = f"INSERT INTO audit_events ({', '.join(_COLUMNS)}) VALUES "
_COPY: Final = f"COPY audit_events ({', '.join(_COLUMNS)}) FROM STDIN"

Row = tuple[bytes, ...]


def find_binaries() -> Path | None:
    """The newest installed version's programs; None where it is not installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: path.parts[4]
    )
    return found[-1].parent if found else None


def version(binaries: Path | None) -> str:
    """ "" where it is not installed."""
    if binaries is None:
        return ""
    command = [str(binaries / "postgres"), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return told.split()[2]


def rows(batch: Batch) -> list[Row]:
    """A row an event, as the text that both kinds of statement take."""
    return list(
        zip(
            batch.times,
            batch.tenants,
            batch.ids,
            batch.actors,
            batch.actions,
            batch.outcomes,
            batch.addresses,
            batch.lines,
            strict=True,
        )
    )


class Cluster:
    """A running server. Use `running`."""

    def __init__(self, side: Side, port: int) -> None:
        self.side = side
        self._address = f"host=127.0.0.1 port={port} user={USER} dbname=postgres"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self._address, autocommit=True)

    def make_table(self) -> None:
        """An empty table, and nothing left to write of what was before."""
        with self.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS audit_events")
            connection.execute(TABLE)
            connection.execute("CHECKPOINT")

    def checkpoint(self) -> None:
        """Write every dirty page."""
        with self.connect() as connection:
            connection.execute("CHECKPOINT")

    def size(self) -> tuple[int, int]:
        """Events in the table; bytes of the table with its indexes."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT count(*), pg_total_relation_size('audit_events') FROM audit_events"
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])


@contextmanager
def running(
    binaries: Path, directory: Path, core: int | Set[int], commits_synced: bool = True
) -> Iterator[Cluster]:
    """Start a cluster, made at the first use of the directory; stop it in the end.

    Args:
        commits_synced: Whether a commit waits for its log to be on disk, which is the default.
        directory: Must lie where the user `postgres` may go, when this process is root's.
    """
    user = USER if os.geteuid() == 0 else None
    data = directory / "data"
    if not data.exists():
        _make(binaries, directory, user)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(directory),
        "fsync": "on",
        "synchronous_commit": "on" if commits_synced else "off",
        "full_page_writes": "on",
        "logging_collector": "off",
    }
    command = [str(binaries / "postgres"), "-D", str(data)]
    for key, value in settings.items():
        command += ["-c", f"{key}={value}"]
    side = start(command, core, directory / "log", user)
    try:
        _wait(side, port)
        yield Cluster(side, port)
    finally:
        side.stop(signal.SIGINT)  # its "fast" shutdown


def _make(binaries: Path, directory: Path, user: str | None) -> None:
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(directory, entry.pw_uid, entry.pw_gid)
    command = [str(binaries / "initdb"), "-D", str(directory / "data"), "-U", USER]
    command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
    subprocess.run(
        command, user=user, check=True, cwd=directory, stdout=subprocess.DEVNULL, timeout=120
    )


def _wait(side: Side, port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            address = f"host=127.0.0.1 port={port} user={USER} dbname=postgres"
            psycopg.connect(address, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if side.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{tail(side.log)}") from None
            time.sleep(0.05)


@dataclass(frozen=True)
class Filled:
    """events: committed. ack_ms: latency of each statement."""

    events: int
    seconds: float
    ack_ms: list[float]

    @property
    def rate(self) -> float:
        """Committed events a second."""
        return self.events / self.seconds


Statement = Callable[[psycopg.Connection], None]


def multi_row(batches: Sequence[list[Row]]) -> list[Statement]:
    """An INSERT of all rows of a batch, prepared once on each connection."""
    count = len(batches[0])
    text = _INTO + ",".join(_values(row) for row in range(count))

    def statement(batch: list[Row]) -> Statement:
        parameters = [value for row in batch for value in row]
        return lambda connection: _execute(connection, f"rows{count}", text, parameters)

    return [statement(batch) for batch in batches]


def single_row(batches: Sequence[list[Row]]) -> list[Statement]:
    """An INSERT and a commit for every row."""
    text = _INTO + _values(0)

    def statement(row: Row) -> Statement:
        return lambda connection: _execute(connection, "row", text, row)

    return [statement(row) for batch in batches for row in batch]


def copy(batches: Sequence[list[Row]]) -> list[Statement]:
    """A COPY of each batch."""

    def statement(batch: list[Row]) -> Statement:
        data = b"".join(
            b"\t".join(value.replace(b"\\", b"\\\\") for value in row) + b"\n" for row in batch
        )

        def run(connection: psycopg.Connection) -> None:
            with connection.cursor() as cursor, cursor.copy(_COPY) as out:
                out.write(data)

        return run

    return [statement(batch) for batch in batches]


def _values(row: int) -> str:
    first = row * len(_COLUMNS) + 1
    return "(" + ",".join(f"${first + column}" for column in range(len(_COLUMNS))) + ")"


def _execute(
    connection: psycopg.Connection, name: str, text: str, parameters: Sequence[bytes]
) -> None:
    """Run a prepared statement by libpq itself, which waits without Python's lock."""
    result = connection.pgconn.exec_prepared(name.encode(), parameters)
    if result.status == pq.ExecStatus.FATAL_ERROR and b"does not exist" in result.error_message:
        connection.pgconn.prepare(name.encode(), text.encode())
        result = connection.pgconn.exec_prepared(name.encode(), parameters)
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise RuntimeError(result.error_message.decode("utf-8", "replace"))


def fill(
    cluster: Cluster, statements: Sequence[Statement], events: int, connections: int
) -> Filled:
    """Run the statements over so many connections, each in turn as soon as one is free."""
    upcoming = iter(statements)
    latencies: list[list[float]] = [[] for _ in range(connections)]
    opened = [cluster.connect() for _ in range(connections)]

    def work(number: int) -> None:
        # One iterator for all: next() on a list's iterator is atomic.
        for statement in upcoming:
            begin = time.perf_counter()
            statement(opened[number])
            latencies[number].append((time.perf_counter() - begin) * 1000)

    begin = time.perf_counter()
    try:
        with ThreadPoolExecutor(connections) as threads:
            for done in [threads.submit(work, number) for number in range(connections)]:
                done.result()
        seconds = time.perf_counter() - begin
    finally:
        for connection in opened:
            connection.close()
    return Filled(events, seconds, [value for each in latencies for value in each])
