"""Which segments make up a unit of the archive. Pure.

A day covers, of each ledger, the segments that were sealed in it; a day too large is cut by hour,
an hour too large into six. All of it follows from names alone, so two keepers decide the same and
do no harm side by side.
"""

from collections.abc import Mapping

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof.names import SegmentName
from holdfast.read import shown
from holdfast.read.shown import Ranges
from holdfast.regions import units

# What one unit takes to make: memory and scratch grow with it, and what one crash costs.
UNIT_EVENTS_MAX = 1 << 22
UNIT_SEGMENTS_MAX = 1 << 17
# Tenants of segments, of which evidence has 75 bytes each, and whoever reads it 200.
UNIT_LEAVES_MAX = 3 << 19
LEAVES_MAX = 2 * UNIT_LEAVES_MAX  # beyond which evidence comes near what a store reads at once


class Span(Struct, frozen=True):
    """The segments [start, end) of a ledger. names: in order; lost: what is declared lost."""

    node: NodeId
    start: int
    end: int
    names: tuple[SegmentName, ...]
    lost: Ranges

    @property
    def first(self) -> int:
        """Events in the ledger before those of the span."""
        return self.names[0].first

    @property
    def after(self) -> int:
        """Events in the ledger before the end of the span."""
        return self.names[-1].first + self.names[-1].count


class Unit(Struct, frozen=True):
    """A day, an hour or ten minutes. spans: by node, none of them empty."""

    name: str
    spans: tuple[Span, ...]

    @property
    def segments(self) -> int:
        return sum(len(span.names) for span in self.spans)

    @property
    def events(self) -> int:
        return sum(name.count for span in self.spans for name in span.names)

    @property
    def leaves(self) -> int:
        """Tenants of its segments."""
        return sum(name.tenants for span in self.spans for name in span.names)


class Size(Struct, frozen=True):
    """What is sealed in some time. leaves: tenants of its segments."""

    segments: int = 0
    events: int = 0
    leaves: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            self.segments + other.segments, self.events + other.events, self.leaves + other.leaves
        )

    @property
    def is_large(self) -> bool:
        """Whether it is more than a unit takes."""
        return (
            self.segments > UNIT_SEGMENTS_MAX
            or self.events > UNIT_EVENTS_MAX
            or self.leaves > UNIT_LEAVES_MAX
        )


class Ledger(Struct, frozen=True):
    """What a unit has of a ledger. start: where the unit before ended. names: sealed before the
    unit ends, in order. lost: declared gaps, anywhere."""

    start: int
    names: tuple[SegmentName, ...]
    lost: Ranges = ()


class HoleError(Exception):
    """A segment that must be there is neither held nor declared lost."""


class TooLargeError(Exception):
    """Not even ten minutes fit into a unit."""


def check_size(unit: Unit) -> None:
    """Raise TooLargeError where no store would give the unit's evidence back."""
    if unit.leaves > LEAVES_MAX:
        raise TooLargeError(
            f"{unit.name} has {unit.leaves} tenants of segments, and an archive takes {LEAVES_MAX}"
            " at most: its segments stay. Seal less often (seal_interval_ms), or give parts of the"
            " organisation trails of their own"
        )


def windows(day: str, hours: Mapping[str, Size], newest: str = "") -> tuple[tuple[str, int], ...]:
    """The units that a day has yet, each with its end in µs: itself, its hours, tenths of an hour.

    hours: what of each is not archived. newest: the last unit of the day that is, "": none. What is
    left of a day, or of an hour, says nothing of its size: it goes on as it was begun.
    """
    start = units.start_us(day)
    if not newest and not sum(hours.values(), Size()).is_large:
        return ((day, start + units.DAY_US),)
    found: list[tuple[str, int]] = []
    for at in range(start, start + units.DAY_US, units.HOUR_US):
        hour = units.hour_at(at)
        if hours.get(hour, Size()).is_large or (hour in newest and hour != newest):
            several = range(at, at + units.HOUR_US, units.MINUTES_US)
            found += [(units.minutes_at(each), each + units.MINUTES_US) for each in several]
        else:
            found.append((hour, at + units.HOUR_US))
    after_us = units.end_us(newest) if newest else 0
    return tuple(each for each in found if each[1] > after_us)


def unit_of(name: str, ledgers: Mapping[NodeId, Ledger]) -> Unit:
    """A unit of what ledgers have in it.

    Raises:
        HoleError: naming the segment.
    """
    spans = (_span(node, ledgers[node]) for node in sorted(ledgers) if ledgers[node].names)
    return Unit(name, tuple(spans))


def _span(node: NodeId, ledger: Ledger) -> Span:
    """Dense from where the unit before ended, but for what is declared lost."""
    end = ledger.names[-1].index + 1
    there = shown.of_indexes(name.index for name in ledger.names)
    missing = shown.minus(((ledger.start, end),), there)
    unexplained = shown.minus(missing, ledger.lost)
    if unexplained:
        raise HoleError(f"segment {unexplained[0][0]} of node {node} is not held")
    if shown.count(there) != len(ledger.names) or there[0][0] < ledger.start:
        raise HoleError(f"two segments of node {node} claim one place")
    return Span(node, ledger.start, end, ledger.names, missing)
