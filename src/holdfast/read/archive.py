"""Units of the archive that a reader has adopted, in place of their segments. Pure.

A manifest says of each ledger from where to where it is in the unit, and was written when all that
was below the watermark and whole in every region: so what it covers is final. The
spans of a ledger in adopted units follow one another from its beginning.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.read import shown
from holdfast.read.partfiles import EVIDENCE, PART
from holdfast.read.shown import Ranges
from holdfast.read.sources import FoldSource, Stretch
from holdfast.read.watermark import End
from holdfast.regions import layout, units
from holdfast.regions.kinds import Archive

EVER_US = 1 << 62


class Span(Struct, frozen=True, array_like=True):
    """The segments [start, end) of a ledger, which hold its events [first, after). lost: which of
    the segments are declared lost."""

    node: NodeId
    start: int
    end: int
    first: int
    after: int
    lost: Ranges = ()


class Piece(Struct, frozen=True):
    """A part. retention: its class. key: where it lies in regions. The others, once its unit is
    told: what the evidence says of its events; at first, what is true of all."""

    retention: str
    key: str
    sha256: str
    rows: int
    time_min_us: int = -EVER_US
    time_max_us: int = EVER_US
    tenants: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """What it is called in the cache."""
        return self.sha256 + PART


class Unit(Struct, frozen=True):
    """An adopted unit, as the manifest has it that was adopted. is_told: its evidence was read."""

    name: str
    generation: int
    evidence: str
    spans: tuple[Span, ...]
    pieces: tuple[Piece, ...]
    is_told: bool = False

    @property
    def file(self) -> str:
        """What its evidence is called in the cache."""
        return self.evidence + EVIDENCE

    @property
    def files(self) -> tuple[str, ...]:
        """The same of all that it has there."""
        return (self.file, *(piece.file for piece in self.pieces))

    def source(self, piece: Piece, folder: str) -> FoldSource:
        """A part of it as a search takes it. Which of the unit's events it has, only its index
        knows."""
        return FoldSource(
            path=f"{folder}/{piece.file}",
            sha256=piece.sha256,
            count=piece.rows,
            time_min_us=piece.time_min_us,
            time_max_us=piece.time_max_us,
            stretches=self.stretches,
            tenants=piece.tenants,
            is_part=True,
        )

    @property
    def evidence_key(self) -> str:
        """Where its evidence lies in regions."""
        return layout.archived_key(units.day_of(self.name), "", self.evidence)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Where its events lie."""
        return tuple(Stretch(span.node, span.first, span.after) for span in self.spans)

    @property
    def segments(self) -> int:
        """How many are in it."""
        lost = sum(end - start for span in self.spans for start, end in span.lost)
        return sum(span.end - span.start for span in self.spans) - lost

    @property
    def events(self) -> int:
        """How many are in its parts."""
        return sum(piece.rows for piece in self.pieces)


def unit_of(archive: Archive) -> Unit:
    """What a manifest says."""
    day = units.day_of(archive.unit)
    return Unit(
        name=archive.unit,
        generation=archive.generation,
        evidence=archive.evidence,
        spans=spans_of(archive),
        pieces=tuple(
            Piece(retention, layout.archived_key(day, retention, sha256), sha256, rows)
            for retention, sha256, _, rows in archive.parts
        ),
    )


def spans_of(archive: Archive) -> tuple[Span, ...]:
    """What a manifest says of ledgers."""
    return tuple(
        Span(*place, tuple((low, high) for of, low, high in archive.gaps if of == place[0]))
        for place in archive.ledgers
    )


class Adopted:
    """All adopted units."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self._spans: dict[NodeId, list[tuple[Span, str]]] = {}

    def put(self, unit: Unit) -> None:
        """Its spans follow those that are there; or it takes the place of one of the same spans."""
        if unit.name not in self.units:
            for span in unit.spans:
                self._spans.setdefault(span.node, []).append((span, unit.name))
                self._spans[span.node].sort(key=lambda each: each[0].start)
        self.units[unit.name] = unit

    def end(self, node: NodeId) -> End:
        """How far a ledger is adopted."""
        spans = self._spans.get(node)
        return End(spans[-1][0].end, spans[-1][0].after) if spans else End()

    def received(self, from_us: int, to_us: int) -> tuple[int, int] | None:
        """When the units were received that may hold events of [from_us, to_us): from, to."""
        found = [
            received_in(unit)
            for unit in self.units.values()
            if any(p.time_max_us >= from_us and p.time_min_us < to_us for p in unit.pieces)
        ]
        return (min(first for first, _ in found), max(end for _, end in found)) if found else None

    def within(self, node: NodeId, start: int, end: int) -> Iterator[tuple[Unit, Span]]:
        """The units that have some of a ledger's segments [start, end), in order."""
        spans = self._spans.get(node, [])
        at = bisect_right(spans, start, key=lambda each: each[0].end)
        while at < len(spans) and spans[at][0].start < end:
            yield self.units[spans[at][1]], spans[at][0]
            at += 1

    def at(self, node: NodeId, position: int) -> tuple[Unit, Span] | None:
        """The unit that has an event; None: none does, or it was in what is lost."""
        spans = self._spans.get(node, [])
        at = bisect_right(spans, position, key=lambda each: each[0].after)
        if at == len(spans) or spans[at][0].first > position:
            return None
        return self.units[spans[at][1]], spans[at][0]

    def after(self, node: NodeId, position: int) -> tuple[Unit, Span] | None:
        """The first unit that has events at or beyond a position."""
        spans = self._spans.get(node, [])
        at = bisect_right(spans, position, key=lambda each: each[0].after)
        return (self.units[spans[at][1]], spans[at][0]) if at < len(spans) else None


def received_in(unit: Unit) -> tuple[int, int]:
    """When its events were received, at the widest: before the day was over, and little before it
    began, since a segment waits for no more than its seal."""
    start = units.start_us(units.day_of(unit.name))
    return start - units.HOUR_US, start + units.DAY_US


class Within:
    """What some spans of ledgers, each dense, have together."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._indexes: dict[NodeId, Ranges] = {}
        self._positions: dict[NodeId, Ranges] = {}
        for span in spans:
            node, indexes, positions = span.node, self._indexes, self._positions
            indexes[node] = shown.union(indexes.get(node, ()), ((span.start, span.end),))
            positions[node] = shown.union(positions.get(node, ()), ((span.first, span.after),))

    def holds(self, node: NodeId, index: int) -> bool:
        """Whether a segment is in them."""
        return any(start <= index < end for start, end in self._indexes.get(node, ()))

    def touches(self, stretches: Iterable[Stretch]) -> bool:
        """Whether any of these events are in them."""
        return any(self._left(one) != ((one.start, one.end),) for one in stretches)

    def covers(self, stretches: Iterable[Stretch]) -> bool:
        """Whether all of these events are in them."""
        return not any(map(self._left, stretches))

    def _left(self, one: Stretch) -> Ranges:
        return shown.minus(((one.start, one.end),), self._positions.get(one.node, ()))


def plan_adoption(
    known: Mapping[str, Archive], adopted: Adopted
) -> tuple[tuple[Archive, ...], ...]:
    """Which units to adopt, in order, those of a day together: those that go on where a ledger is
    adopted to, and those of which there is a later generation."""
    ends: dict[NodeId, int] = {}
    found: dict[str, list[Archive]] = {}
    for name in sorted(known):
        archive = known[name]
        mine = adopted.units.get(name)
        if mine is not None:
            if archive.generation > mine.generation and spans_of(archive) == mine.spans:
                found.setdefault(units.day_of(name), []).append(archive)
            continue
        spans = spans_of(archive)
        if all(ends.get(s.node, adopted.end(s.node).size) == s.start for s in spans):
            found.setdefault(units.day_of(name), []).append(archive)
            ends |= {span.node: span.end for span in spans}
    return tuple(map(tuple, found.values()))
