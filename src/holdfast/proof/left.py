"""What rules of retention left of segments, in certificates of completeness: version 2 of both.

A record that is not there must be one that a signed floor let go: the floor has a tree over what
went, and the leaf hash that stays, or the tenant's whole leaf, keeps the segment's root.
FORMAT.md, section 10.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from holdfast.proof import floors, merkle, objects, units
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.floors import Floor, ProvableFloor, Went
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.records import let_go_text, time_text

Place = tuple[str, str]  # a unit, and a class of it
FLOOR = b'{"line":"floor"'


@dataclass(frozen=True)
class Stated:
    """A floor, in front of the first line that rests on it. note: a `holdfast-floor/2`."""

    MARK: ClassVar = ("line", "floor")
    note: str


@dataclass(frozen=True)
class Gone:
    """What a floor let go of a segment. leaf: index in the floor's tree of the first of `leaves`,
    which before and after surround. hashes: of the records that went of tenants that have others
    there, in order."""

    MARK: ClassVar = ("line", "gone")
    unit: str
    retention: str
    leaf: int
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    leaves: tuple[str, ...]
    hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class Left:
    """What is left of the tenant in a segment. floors: so many lines `gone` follow. hidden: where
    nothing is left, the second part of its leaf. Others as in `certificate.Shown`."""

    MARK: ClassVar = ("line", "left")
    segment: str
    leaf: int
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    floors: int
    hidden: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    records: int


@dataclass(frozen=True)
class WholeLeft:
    """What is left of all of a segment. floors: as in `Left`. blinds: of the tenants that have
    something left; hidden: of the others. Others as in `certificate.Whole`."""

    MARK: ClassVar = ("line", "whole-left")
    segment: str
    tags: tuple[str, ...]
    blinds: tuple[bytes, ...]
    counts: tuple[int, ...]
    floors: int
    hidden: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    records: int


@dataclass(slots=True)
class Missing:
    """What went of a tenant in a segment. count: its records there. hashes: by line, the leaf hash
    that stays; none where nothing else is left of it."""

    count: int
    hashes: dict[int, bytes] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many records are left."""
        return self.count - len(self.hashes)


class Floors:
    """The floors that a file carries, and how much of each it shows."""

    def __init__(self, trail: str) -> None:
        self.trail = trail
        self._known: dict[Place, ProvableFloor] = {}
        self._rows: dict[Place, int] = {}

    @property
    def shown(self) -> list[tuple[Floor, int]]:
        """Each with how many of its records are missing here; by unit and class."""
        return [(self._known[at], self._rows[at]) for at in sorted(self._known)]

    def take(self, line: Callable[[], bytes], count: int, name: SegmentName) -> dict[str, Missing]:
        """What so many floors let go of a segment, by the tenants' tags. line: gives the next.

        Raises:
            ProofError: a floor does not hold, or does not let that go.
        """
        if not count:
            raise MalformedError(f"nothing went of segment {name.index}")
        several = [self._next(line) for _ in range(count)]
        places = [(gone.unit, gone.retention) for gone in several]
        if places != sorted(set(places)):
            raise MalformedError("floors are not in order, each once")
        went = [self._went(gone, name) for gone in several]
        found: dict[str, Missing] = {}
        for each in (each for some in went for each in some):
            own = found.setdefault(each.tag, Missing(each.count))
            lines = {at: b"" for start, end in each.lines for at in range(start, end)}
            if own.count != each.count or own.hashes.keys() & lines.keys():
                raise MismatchError(f"floors contradict each other on segment {name.index}")
            own.hashes |= lines
        for gone, some in zip(several, went, strict=True):
            _give(gone.hashes, [(found[each.tag], each) for each in some])
        return found

    def _next(self, line: Callable[[], bytes]) -> Gone:
        data, stated = line(), None
        if data.startswith(FLOOR):
            stated = self._state(objects.parse(data, Stated).note.encode())
            data = line()
        gone = objects.parse(data, Gone)
        if stated not in (None, (gone.unit, gone.retention)):
            raise MalformedError("a floor is not in front of what rests on it")
        return gone

    def _state(self, data: bytes) -> Place:
        floor = floors.verify_floor(data, self.trail).statement
        at = (floor.unit, floor.retention)
        if not isinstance(floor, ProvableFloor):
            raise MalformedError("a floor does not say which records it let go")
        if at in self._known:
            raise MalformedError(f"the floor of {floor.retention} of {floor.unit} comes twice")
        due_us = units.end_us(floor.unit) + floor.min * units.DAY_US
        if floor.floored_us < due_us:
            raise MismatchError(f"{floor.unit} was let go before {floor.min} days had passed")
        self._known[at], self._rows[at] = replace(floor, parts=()), 0
        return at

    def _went(self, gone: Gone, name: SegmentName) -> list[Went]:
        """What a line says that a floor let go, if that floor does."""
        at = (gone.unit, gone.retention)
        if at not in self._known:
            raise MalformedError(f"the floor of {gone.retention} of {gone.unit} is not here")
        found = [Went.parse(text) for text in gone.leaves]
        tree, floor = CompactRange(gone.leaf, gone.before), self._known[at]
        tree = tree.extend([merkle.leaf_hash(each.leaf) for each in found])
        if any(each.count > name.count for each in found):
            raise MismatchError(f"segment {name.index} has {name.count} records")
        if not found or tree.root_within(floor.gone.size, gone.after) != floor.gone.root:
            raise MismatchError(f"the floor of {gone.retention} of {gone.unit} let others go")
        if name.sealed_us >= units.end_us(floor.unit):
            raise MismatchError(f"segment {name.index} was sealed after {floor.unit} was over")
        self._rows[at] += sum(each.rows for each in found)
        if self._rows[at] > floor.rows:
            raise MismatchError(f"more is missing of {gone.unit} than the floor let go")
        return found


def told_of(let_go: Sequence[tuple[Floor, int]]) -> list[str]:
    """What is missing, in words: rule by rule, as each node stated it. let_go: by unit."""
    by: dict[tuple[str, str], list[tuple[Floor, int]]] = {}
    for each in let_go:
        by.setdefault((each[0].rule, each[0].by), []).append(each)
    found = []
    for (rule, node), several in by.items():
        (first, _), (last, _) = several[0], several[-1]
        times = sorted({time_text(floor.floored_us) for floor, _ in several})
        of, at = _span(first.unit, last.unit), _span(times[0], times[-1])
        text = let_go_text(sum(count for _, count in several), rule)
        found.append(f"{text}, of {of}, as node {node} stated at {at}")
    return found


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _give(hashes: Sequence[bytes], went: Sequence[tuple[Missing, Went]]) -> None:
    """Put the hashes of a line to the records that went of tenants that have others left."""
    wanted = [
        (own, at)
        for own, each in went
        if own.left
        for start, end in each.lines
        for at in range(start, end)
    ]
    if len(wanted) != len(hashes):
        raise MalformedError(f"{len(wanted)} records that went want a hash, not {len(hashes)}")
    for (own, at), leaf in zip(wanted, hashes, strict=True):
        own.hashes[at] = leaf


def merged(count: int, gone: Missing | None, kept: Iterator[bytes]) -> Iterator[bytes]:
    """The leaf hashes of a tenant's records, of those that are there and of those that went.

    Raises:
        MismatchError: fewer are there.
    """
    for at in range(count):
        leaf = gone.hashes.get(at) if gone is not None else None
        leaf = next(kept, None) if leaf is None else leaf
        if leaf is None:
            raise MismatchError("records are missing that no floor let go")
        yield leaf
