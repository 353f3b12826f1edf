"""The catalog: what a reader knows, so that it need not look again. SQLite, derived, disposable.

A row a segment whose bytes were verified and entered; the local folds; the groups of records that
share (tenant, id); the verified statements of nodes; what each region has shown. Nothing here is
evidence: damaged, truncated, of another version or of another trail, the file is set aside and
everything is read again from the regions. So nothing waits for fsync (a crash of the machine may
cost the last transactions, which the next pass enters again), and every call is one transaction.

All functions block: they are called in threads (`Host.offload`). One process at a time owns a
catalog (`slot`). A call that finds the disk full raises OSError and has changed nothing: a catalog
is not damaged by that, and what was reported stays true.
"""

import errno
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from holdfast.errors import HoldfastError
from holdfast.model import NodeId, Place
from holdfast.read.decode import Part
from holdfast.read.repeats import Copy, Standing
from holdfast.read.tables import SCHEMA, SEGMENT_COLUMNS, VERSION
from holdfast.read.watermark import End

QUICK_CHECK_BYTES_MAX = 64 << 20
BUSY_S = 5.0
NAMES_A_QUERY = 500


class DamagedError(HoldfastError):
    """The catalog cannot be used: set it aside and build it again."""


class ClosedError(HoldfastError):
    """The catalog was closed, perhaps to be made anew: look again soon."""


class Entry(Struct, frozen=True, array_like=True):
    """A segment that searches see.

    fold: number of the fold that holds its events, None: hot. matched: whether it was decided which
    of its events are repeats. pack, offset: where its bytes lay in the cache.
    """

    node: NodeId
    index: int
    epoch: int
    first: int
    count: int
    name: str
    size_bytes: int
    time_min_us: int
    time_max_us: int
    received_min_us: int
    received_max_us: int
    tenants: dict[str, Part]
    fold: int | None = None
    matched: bool = True
    pack: int = -1
    offset: int = 0


class Settled(Struct, frozen=True):
    """How far a node's ledger is final; epoch: that of the last segment before `end`.

    passed: segments and events of declared gaps that were passed over on the way from what was
    settled before. All others are held.
    """

    node: NodeId
    end: End
    epoch: int
    passed: End = End()


class RegionFacts(Struct, frozen=True):
    """What a region has shown. store: its cookie's; whole_us: when it was last listed whole.

    shown: per node, the segment indexes that it held, as ascending [start, end) pairs.
    gone: how many objects it showed once and no longer did when last listed whole.
    """

    store: str = ""
    whole_us: int = 0
    shown: dict[NodeId, tuple[tuple[int, int], ...]] = {}
    gone: int = 0


class Catalog:
    """One open catalog. Calls may come from any thread; they take turns."""

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

    def _check_settled(self) -> None:
        """Every ledger holds exactly the rows that its settled end says, less what is lost."""
        rows = self._db.execute(
            "SELECT node, settled - lost, settled_first - lost_events,"
            " count(s.idx), coalesce(sum(s.count), 0)"
            " FROM nodes LEFT JOIN segments s ON s.n = nodes.n AND s.idx < settled"
            " GROUP BY nodes.n"
        )
        for node, size, first, segments, events in rows:
            if (size, first) != (segments, events):
                raise DamagedError(f"rows of node {node} are missing")

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

    # -- what was ever reported ----------------------------------------------------------------

    def reported_us(self) -> int | None:
        """The `complete_through` that was last reported from this catalog."""
        with self._damage():
            value = self._meta("complete_through_us")
            return None if value is None else int(value)

    def report(self, through_us: int | None, settled: Iterable[Settled]) -> None:
        """Remember what is reported, and how far ledgers are final."""
        with self._write() as db:
            if through_us is not None:
                db.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('complete_through_us', ?)",
                    (str(through_us),),
                )
            db.executemany(
                "UPDATE nodes SET settled = ?, settled_first = ?, settled_epoch = ?,"
                " lost = lost + ?, lost_events = lost_events + ? WHERE n = ?",
                [
                    (
                        *(s.end.size, s.end.first, s.epoch, s.passed.size, s.passed.first),
                        self._number(s.node),
                    )
                    for s in settled
                ],
            )

    def settled(self) -> tuple[Settled, ...]:
        """How far each node's ledger is held and final."""
        with self._damage():
            rows = self._db.execute("SELECT node, settled, settled_first, settled_epoch FROM nodes")
            return tuple(
                Settled(node, End(size, first), epoch) for node, size, first, epoch in rows
            )

    # -- segments ------------------------------------------------------------------------------

    def enter(self, entries: Iterable[Entry]) -> None:
        """Add segments; one that is there already stays as it is."""
        with self._write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO segments VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (
                        self._number(e.node),
                        *(e.index, e.epoch, e.first, e.count, e.name, e.size_bytes),
                        *(e.time_min_us, e.time_max_us, e.received_min_us, e.received_max_us),
                        msgspec.json.encode(e.tenants).decode(),
                        *(e.fold, e.matched, e.pack, e.offset),
                    )
                    for e in entries
                ],
            )

    def move(self, entry: Entry) -> None:
        """A segment's bytes lie elsewhere in the cache now."""
        with self._write() as db:
            db.execute(
                "UPDATE segments SET pack = ?, offset = ? WHERE n = ? AND idx = ? AND epoch = ?",
                (entry.pack, entry.offset, self._number(entry.node), entry.index, entry.epoch),
            )

    def remove(self, entries: Iterable[Entry]) -> None:
        """Take segments out: orphans, or ones whose bytes are lost."""
        with self._write() as db:
            for entry in entries:
                number = self._number(entry.node)
                self._rewind(number, entry.index)
                db.execute(
                    "DELETE FROM segments WHERE n = ? AND idx = ? AND epoch = ? AND name = ?",
                    (number, entry.index, entry.epoch, entry.name),
                )

    def _rewind(self, number: int, index: int) -> None:
        """A ledger is final up to `index` at most, if that segment is lost."""
        self._db.execute(
            "UPDATE nodes SET settled = s.idx, settled_first = s.first, settled_epoch ="
            " coalesce((SELECT max(epoch) FROM segments WHERE n = s.n AND idx = s.idx - 1), 0),"
            " lost = s.idx - (SELECT count(*) FROM segments WHERE n = s.n AND idx < s.idx),"
            " lost_events = s.first - (SELECT coalesce(sum(count), 0) FROM segments"
            "  WHERE n = s.n AND idx < s.idx)"
            " FROM segments s"
            " WHERE nodes.n = ? AND s.n = nodes.n AND s.idx = ? AND settled > s.idx",
            (number, index),
        )

    def hot(self) -> tuple[Entry, ...]:
        """Segments in no fold, in order of their ledgers."""
        return self._entries("fold IS NULL ORDER BY s.n, idx")

    def unmatched(self) -> tuple[Entry, ...]:
        """Segments of which it is not decided yet what repeats what."""
        return self._entries("matched = 0 ORDER BY s.n, idx")

    def from_settled(self) -> tuple[Entry, ...]:
        """Segments that are not final yet, hot or not."""
        return self._entries("idx >= settled ORDER BY s.n, idx")

    def within(self, node: NodeId, start: int, end: int) -> tuple[Entry, ...]:
        """The segments with indexes [start, end) of a node."""
        return self._entries("node = ? AND idx >= ? AND idx < ? ORDER BY idx", node, start, end)

    def received(self, from_us: int, to_us: int) -> tuple[int, int] | None:
        """When the segments were received that may hold events of [from_us, to_us): from, to."""
        with self._damage():
            first, last = self._db.execute(
                "SELECT min(received_min), max(received_max) FROM segments"
                " WHERE time_max >= ? AND time_min < ?",
                (from_us, to_us),
            ).fetchone()
            return None if first is None else (first, last + 1)

    def names(self, node: NodeId, start: int, end: int) -> tuple[str, ...]:
        """The names of a node's segments [start, end), in order. One that is not held is left out,
        an index that two claim has both."""
        with self._damage():
            rows = self._db.execute(
                "SELECT name FROM segments JOIN nodes USING (n)"
                " WHERE node = ? AND idx >= ? AND idx < ? ORDER BY idx",
                (node, start, end),
            ).fetchall()
            return tuple(name for (name,) in rows)

    def of_fold(self, fold: int) -> tuple[Entry, ...]:
        """The segments whose events a fold holds."""
        return self._entries("fold = ? ORDER BY s.n, idx", fold)

    def at(self, place: Place) -> Entry | None:
        """The segment that holds an event."""
        found = self._entries(
            "node = ? AND first <= ? AND first + count > ? ORDER BY first DESC LIMIT 1",
            place.node,
            place.position,
            place.position,
        )
        return found[0] if found else None

    def after(self, node: NodeId, position: int, limit: int = -1) -> tuple[Entry, ...]:
        """The next segments of a node with events at or beyond a position; -1: all of them."""
        return self._entries(
            "node = ? AND first + count > ? ORDER BY first LIMIT ?", node, position, limit
        )

    def totals(self) -> tuple[int, int]:
        """How many segments and events are in."""
        with self._damage():
            row = self._db.execute("SELECT count(*), coalesce(sum(count), 0) FROM segments")
            segments, events = row.fetchone()
            return int(segments), int(events)

    def _entries(self, condition: str, *values: object) -> tuple[Entry, ...]:
        with self._damage():
            rows = self._db.execute(
                f"SELECT {SEGMENT_COLUMNS} FROM segments s JOIN nodes USING (n)"  # noqa: S608
                f" WHERE {condition}",
                values,
            ).fetchall()
            return tuple(
                msgspec.convert(
                    (*row[:11], msgspec.json.decode(row[11]), row[12], bool(row[13]), *row[14:]),
                    Entry,
                )
                for row in rows
            )

    # -- folds ---------------------------------------------------------------------------------

    def fold(self, fold: int, facts: bytes, entries: Iterable[Entry], old: Sequence[int]) -> None:
        """Let a fold hold these segments' events, in place of the segments and of older folds."""
        with self._write() as db:
            db.execute("INSERT INTO folds VALUES (?, ?)", (fold, facts))
            db.executemany(
                "UPDATE segments SET fold = ? WHERE n = ? AND idx = ? AND epoch = ?",
                [(fold, self._number(e.node), e.index, e.epoch) for e in entries],
            )
            for number in old:
                db.execute("UPDATE segments SET fold = ? WHERE fold = ?", (fold, number))
                db.execute("DELETE FROM folds WHERE id = ?", (number,))

    def unfold(self, fold: int) -> None:
        """Forget a fold that is lost: its segments must be read again."""
        with self._write() as db:
            lost = db.execute(
                "SELECT n, min(idx) FROM segments WHERE fold = ? GROUP BY n", (fold,)
            ).fetchall()
            for number, index in lost:
                self._rewind(number, index)
            db.execute("DELETE FROM folds WHERE id = ?", (fold,))
            db.execute("DELETE FROM segments WHERE fold = ?", (fold,))

    def folds(self) -> tuple[tuple[int, bytes], ...]:
        """Number and facts of every fold, oldest first."""
        with self._damage():
            return tuple(self._db.execute("SELECT id, facts FROM folds ORDER BY id").fetchall())

    # -- records that share (tenant, id) -------------------------------------------------------

    def copies(self, names: Iterable[bytes]) -> tuple[Copy, ...]:
        """All known copies under these names."""
        wanted = sorted(set(names))
        with self._damage():
            found: list[Copy] = []
            for start in range(0, len(wanted), NAMES_A_QUERY):
                some = wanted[start : start + NAMES_A_QUERY]
                marks = ",".join("?" * len(some))
                rows = self._db.execute(
                    "SELECT node, position, name, received, content, standing FROM copies"  # noqa: S608
                    f" JOIN nodes USING (n) WHERE name IN ({marks})",
                    some,
                )
                found += [_copy(*row) for row in rows]
            return tuple(found)

    def stand(self, copies: Iterable[Copy], matched: Iterable[Entry] = ()) -> None:
        """Write copies with their standing, in place of what was known of their places.

        matched: segments of which all is decided with that.
        """
        with self._write() as db:
            db.executemany(
                "INSERT OR REPLACE INTO copies VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(self._number(c.place.node), c.place.position, c.name),
                        *(c.received_us, c.content, int(c.standing)),
                    )
                    for c in copies
                ],
            )
            db.executemany(
                "UPDATE segments SET matched = 1 WHERE n = ? AND idx = ? AND epoch = ?",
                [(self._number(e.node), e.index, e.epoch) for e in matched],
            )

    def drop_copies(self, node: NodeId, start: int, end: int) -> tuple[bytes, ...]:
        """Forget a node's copies at positions [start, end); their names, to be settled again."""
        with self._write() as db:
            where = "n = ? AND position >= ? AND position < ?"
            values = (self._number(node), start, end)
            names = db.execute(
                f"SELECT DISTINCT name FROM copies WHERE {where}",  # noqa: S608
                values,
            ).fetchall()
            db.execute(f"DELETE FROM copies WHERE {where}", values)  # noqa: S608
            return tuple(row[0] for row in names)

    def standings(self) -> tuple[tuple[Place, Standing], ...]:
        """Places that a search leaves out or flags."""
        with self._damage():
            rows = self._db.execute(
                "SELECT node, position, standing FROM copies JOIN nodes USING (n)"
                " WHERE standing != 0 ORDER BY copies.n, position"
            ).fetchall()
            return tuple((Place(node, at), Standing(standing)) for node, at, standing in rows)

    # -- nodes' statements and regions ---------------------------------------------------------

    def keep_statements(self, found: Iterable[tuple[str, str, bytes]]) -> None:
        """Remember (region, key, bytes) of births, closed notes and gaps, which never change."""
        with self._write() as db:
            db.executemany("INSERT OR REPLACE INTO statements VALUES (?, ?, ?)", list(found))

    def forget_statements(self, region: str) -> None:
        """The region has another store, which has shown none of them yet."""
        with self._write() as db:
            db.execute("DELETE FROM statements WHERE region = ?", (region,))

    def statements(self) -> tuple[tuple[str, str, bytes], ...]:
        """All (region, key, bytes) that were kept."""
        with self._damage():
            rows = self._db.execute("SELECT region, key, data FROM statements ORDER BY key, region")
            return tuple(rows.fetchall())

    def keep_region(self, region: str, facts: RegionFacts) -> None:
        """Remember what a region has shown."""
        with self._write() as db:
            data = msgspec.msgpack.encode(facts)
            db.execute("INSERT OR REPLACE INTO regions VALUES (?, ?)", (region, data))

    def regions(self) -> dict[str, RegionFacts]:
        """What each region has shown."""
        with self._damage():
            rows = self._db.execute("SELECT region, facts FROM regions").fetchall()
            return {region: msgspec.msgpack.decode(data, type=RegionFacts) for region, data in rows}


def _copy(
    node: NodeId, position: int, name: bytes, received: int, content: bytes, standing: int
) -> Copy:
    return Copy(Place(node, position), name, received, content, Standing(standing))
