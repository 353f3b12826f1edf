"""The SQLite file below the catalog: opened, checked, and asked so that what is wrong with it has a
name. Derived, disposable: nothing waits for fsync, and every call is one transaction.
"""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from holdfast.errors import HoldfastError
from holdfast.model import NodeId
from holdfast.read.tables import SCHEMA, VERSION

QUICK_CHECK_BYTES_MAX = 64 << 20
BUSY_S = 5.0


class DamagedError(HoldfastError):
    """The catalog cannot be used: set it aside and build it again."""


class ClosedError(HoldfastError):
    """The catalog was closed, perhaps to be made anew: look again soon."""


class Database:
    """One open file. Calls may come from any thread; they take turns."""

    def __init__(self, path: Path, trail: str) -> None:
        """Open or create.

        Raises:
            DamagedError: the file is there and cannot be used, and why.
        """
        self._turn = threading.RLock()
        self._numbers: dict[NodeId, int] = {}
        self._closed = False
        self.path = path
        try:
            self._db = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise DamagedError(f"it cannot be opened: {error}") from error
        try:
            self._prepare(trail)
        except OSError as error:
            self._db.close()
            raise DamagedError(f"it cannot be opened: {error}") from error  # anew, it is smaller
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._turn:
            self._closed = True
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, trail: str) -> None:
        with self._damage():
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and tables == 0:
                self._create(trail)
            elif version != VERSION:
                raise DamagedError(f"it has version {version}, this program writes {VERSION}")
            if self.path.stat().st_size <= QUICK_CHECK_BYTES_MAX:
                said = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
                if said != "ok":
                    raise DamagedError(str(said))
            if self._meta("trail") != trail:
                raise DamagedError("it belongs to another trail")
            self._numbers = dict(self._db.execute("SELECT node, n FROM nodes"))
            self._check_settled()

    def _create(self, trail: str) -> None:
        self._db.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
        )
        self._db.execute("INSERT INTO meta VALUES ('trail', ?)", (trail,))

    @contextmanager
    def _damage(self) -> Iterator[None]:
        with self._turn:
            if self._closed:
                raise ClosedError("the catalog is closed")
            try:
                yield
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, str(error), str(self.path)) from error
                raise DamagedError(str(error)) from error
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                raise DamagedError(f"it holds what cannot be read: {error}") from error
            except OSError as error:
                raise DamagedError(f"it is gone: {error}") from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._damage():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite has rolled some back by itself
                    self._db.execute("ROLLBACK")
                self._numbers = dict(self._db.execute("SELECT node, n FROM nodes"))
                raise

    def _number(self, node: NodeId) -> int:
        """A node's small number; makes one inside the transaction that is open."""
        number = self._numbers.get(node)
        if number is None:
            self._db.execute("INSERT OR IGNORE INTO nodes (node) VALUES (?)", (node,))
            row = self._db.execute("SELECT n FROM nodes WHERE node = ?", (node,)).fetchone()
            number = self._numbers[node] = int(row[0])
        return number

    def _meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _check_settled(self) -> None:
        """Raise DamagedError if what is final is not all there: whoever knows the rows can tell."""
