"""Which segments make up a unit of the archive. Pure.

A day covers, of each ledger, the segments that were sealed in it; a day too large is cut by hour.
All of it follows from names alone, so two keepers decide the same and do no harm side by side.
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
    """A day or an hour. spans: by node, none of them empty."""

    name: str
    spans: tuple[Span, ...]

    @property
    def segments(self) -> int:
        return sum(len(span.names) for span in self.spans)

    @property
    def events(self) -> int:
        return sum(name.count for span in self.spans for name in span.names)


class Ledger(Struct, frozen=True):
    """What a unit has of a ledger. start: where the unit before ended. names: sealed before the
    unit ends, in order. lost: declared gaps, anywhere."""

    start: int
    names: tuple[SegmentName, ...]
    lost: Ranges = ()


class HoleError(Exception):
    """A segment that must be there is neither held nor declared lost."""


def windows(day: str, segments: int, events: int) -> tuple[tuple[str, int], ...]:
    """The units that a day may have, each with its end in µs: itself, or its hours.

    segments, events: how many were sealed in it.
    """
    start = units.start_us(day)
    if segments <= UNIT_SEGMENTS_MAX and events <= UNIT_EVENTS_MAX:
        return ((day, start + units.DAY_US),)
    hours = range(start, start + units.DAY_US, units.HOUR_US)
    return tuple((units.hour_at(at), at + units.HOUR_US) for at in hours)


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
