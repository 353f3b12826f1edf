"""The catalog: what a reader knows, so that it need not look again. SQLite, derived, disposable.

A row a segment whose bytes were verified and entered, and a row a unit of the archive that was
adopted in place of its segments' rows; the local folds; the groups of records that
share (tenant, id); the verified statements of nodes; what each region has shown. Nothing here is
evidence: damaged, truncated, of another version or of another trail, the file is set aside and
everything is read again from the regions. So nothing waits for fsync (a crash of the machine may
cost the last transactions, which the next pass enters again), and every call is one transaction.

All functions block: they are called in threads (`Host.offload`). One process at a time owns a
catalog (`slot`). A call that finds the disk full raises OSError and has changed nothing: a catalog
is not damaged by that, and what was reported stays true.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from holdfast.model import NodeId, Place
from holdfast.read.archive import Span, Unit
from holdfast.read.database import DamagedError, Database
from holdfast.read.decode import Part
from holdfast.read.repeats import Copy, Standing
from holdfast.read.sources import Stretch
from holdfast.read.tables import SEGMENT_COLUMNS
from holdfast.read.watermark import End

NAMES_A_QUERY = 500
_PUT_UNIT = "INSERT OR REPLACE INTO units VALUES (?, ?)"
_COUNT_LOST = (
    "UPDATE nodes SET (lost, lost_events) = ("
    " SELECT settled - archived - count(s.idx),"
    " settled_first - archived_first - coalesce(sum(s.count), 0)"
    " FROM segments s WHERE s.n = nodes.n AND s.idx >= archived AND s.idx < settled)"
    " WHERE n = ?"
)


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


class Catalog(Database):
    """One open catalog. Calls may come from any thread; they take turns."""

    def _check_settled(self) -> None:
        """Behind what units have, every ledger holds exactly the rows that its settled end says,
        less what is lost; and units have it to where it is said to be archived."""
        rows = self._db.execute(
            "SELECT node, settled - archived - lost, settled_first - archived_first - lost_events,"
            " count(s.idx), coalesce(sum(s.count), 0), archived"
            " FROM nodes"
            " LEFT JOIN segments s ON s.n = nodes.n AND s.idx >= archived AND s.idx < settled"
            " GROUP BY nodes.n"
        ).fetchall()
        ends: dict[NodeId, int] = {}
        for unit in self.units():
            ends |= {s.node: max(s.end, ends.get(s.node, 0)) for s in unit.spans}
        for node, size, first, segments, events, archived in rows:
            if (size, first) != (segments, events):
                raise DamagedError(f"rows of node {node} are missing")
            if ends.get(node, 0) != archived:
                raise DamagedError(f"units of node {node} are missing")

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
            " lost = s.idx - archived - (SELECT count(*) FROM segments"
            "  WHERE n = s.n AND idx >= archived AND idx < s.idx),"
            " lost_events = s.first - archived_first - (SELECT coalesce(sum(count), 0)"
            "  FROM segments WHERE n = s.n AND idx >= archived AND idx < s.idx)"
            " FROM segments s WHERE nodes.n = ? AND s.n = nodes.n AND s.idx = ?"
            " AND archived <= s.idx AND settled > s.idx",
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

    # -- units of the archive ------------------------------------------------------------------

    def units(self) -> tuple[Unit, ...]:
        """All that were adopted."""
        with self._damage():
            rows = self._db.execute("SELECT facts FROM units ORDER BY unit").fetchall()
            return tuple(msgspec.msgpack.decode(facts, type=Unit) for (facts,) in rows)

    def keep_units(self, units: Iterable[Unit]) -> None:
        """More is known of units that were adopted."""
        with self._write() as db:
            db.executemany(_PUT_UNIT, map(_row_of, units))

    def adopt(self, units: Iterable[Unit], folds: Iterable[int]) -> None:
        """Let units hold their events, in place of their segments and of the folds with these."""
        with self._write() as db:
            for unit in units:
                db.execute(_PUT_UNIT, _row_of(unit))
                for span in unit.spans:
                    self._adopt(span)
            db.executemany("DELETE FROM folds WHERE id = ?", [(fold,) for fold in folds])

    def _adopt(self, span: Span) -> None:
        number, end = self._number(span.node), (span.end, span.after)
        self._db.execute(
            "DELETE FROM segments WHERE n = ? AND idx >= ? AND idx < ?",
            (number, span.start, span.end),
        )
        self._db.execute(
            "UPDATE nodes SET settled_epoch = 0, settled = ?, settled_first = ?"
            " WHERE n = ? AND settled < ?",
            (*end, number, span.end),
        )
        self._db.execute(
            "UPDATE nodes SET archived = ?, archived_first = ? WHERE n = ? AND archived < ?",
            (*end, number, span.end),
        )
        self._db.execute(_COUNT_LOST, (number,))

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

    def has_copies(self, stretches: Iterable[Stretch]) -> bool:
        """Whether any copy lies in them."""
        with self._damage():
            ask = (
                "SELECT 1 FROM copies JOIN nodes USING (n)"
                " WHERE node = ? AND position >= ? AND position < ? LIMIT 1"
            )
            return any(
                self._db.execute(ask, (s.node, s.start, s.end)).fetchone() for s in stretches
            )

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


def _row_of(unit: Unit) -> tuple[str, bytes]:
    return unit.name, msgspec.msgpack.encode(unit)


def _copy(
    node: NodeId, position: int, name: bytes, received: int, content: bytes, standing: int
) -> Copy:
    return Copy(Place(node, position), name, received, content, Standing(standing))
