"""What a question is answered with, as JSON. Pure; the command line prints the very same.

The shapes here are the contract: /schema is made of them, and docs/API.md explains every key.
Records are spliced in as they are stored, never decoded and written anew.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct, field

from holdfast.model import Completeness, Counts, Found, Page
from holdfast.times import MIN_US, format_us

_encode: Final = msgspec.json.Encoder().encode

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
EventJson = Annotated[Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/FoundEvent"})]


class BasisShape(Struct, frozen=True):
    """A region whose listing an answer rests on, and when that listing began and ended."""

    region: str
    listed_from: Time
    listed_to: Time


class HoldingShape(Struct, frozen=True):
    """What keeps `complete_through` from advancing; `node` is "" where no single node does."""

    node: str
    kind: str
    reason: str
    since: Time


class GapShape(Struct, frozen=True):
    """Segments [start, end) of a node's ledger that are known to be missing, and why."""

    node: str
    start: int
    end: int
    from_: Time = field(name="from")
    to: Time
    cause: str


class RetainedOutShape(Struct, frozen=True):
    """What a rule of retention let go of a class: `units` are days, or hours of large ones."""

    retention: str = field(name="class")
    rule: str
    from_: Time = field(name="from")
    to: Time
    units: int
    events: int


class SearchAnswer(Struct, frozen=True):
    """A page of a search, newest first, and the statement under it. `next`: null at the end."""

    events: tuple[EventJson, ...]
    complete_through: Time | None
    basis: tuple[BasisShape, ...]
    holding_back: tuple[HoldingShape, ...]
    gaps: tuple[GapShape, ...]
    retained_out: tuple[RetainedOutShape, ...]
    next: str | None


class EventAnswer(Struct, frozen=True):
    """All events under one id: one, unless tenants share the id or contents differ."""

    events: tuple[EventJson, ...]
    complete_through: Time | None
    basis: tuple[BasisShape, ...]
    holding_back: tuple[HoldingShape, ...]
    gaps: tuple[GapShape, ...]
    retained_out: tuple[RetainedOutShape, ...]


class BarShape(Struct, frozen=True):
    """A bar of a histogram that is not empty: when it begins, and how many."""

    from_: Time = field(name="from")
    count: int


class CountAnswer(Struct, frozen=True):
    """How many events match: in all, by group (largest first), over time (oldest first)."""

    count: int
    groups: tuple[dict[str, str | int], ...]
    histogram: tuple[BarShape, ...]
    complete_through: Time | None
    basis: tuple[BasisShape, ...]
    holding_back: tuple[HoldingShape, ...]
    gaps: tuple[GapShape, ...]
    retained_out: tuple[RetainedOutShape, ...]


class CompletenessAnswer(Struct, frozen=True):
    """Through when everything is known, on what that rests, and what is known to be missing."""

    complete_through: Time | None
    basis: tuple[BasisShape, ...]
    holding_back: tuple[HoldingShape, ...]
    gaps: tuple[GapShape, ...]
    retained_out: tuple[RetainedOutShape, ...]


def time_of(us: int | None) -> str | None:
    """A time as every answer has it; None and 0 (never) are null."""
    return format_us(us) if us else None


def element(found: Found) -> bytes:
    """One event: the record's fields, then where it lies.

    A record is never empty and never has these fields of its own: unknown ones are refused.
    """
    record = bytes(found.record)
    conflict = b',"conflict":true' if found.conflict else b""
    place = (found.node.encode(), found.segment, found.position, conflict)
    return record[:-1] + b',"node":"%b","segment":%d,"position":%d%b}' % place


def completeness_answer(said: Completeness) -> CompletenessAnswer:
    """The statement."""
    return CompletenessAnswer(
        complete_through=time_of(said.complete_through_us),
        basis=tuple(
            BasisShape(each.region, format_us(each.listed_from_us), format_us(each.listed_to_us))
            for each in said.basis
        ),
        holding_back=tuple(
            HoldingShape(each.node, each.kind, each.reason, format_us(each.since_us))
            for each in said.holding_back
        ),
        gaps=tuple(
            GapShape(
                each.node,
                each.start,
                each.end,
                format_us(each.from_us),
                format_us(each.to_us),
                each.cause,
            )
            for each in said.gaps
        ),
        retained_out=tuple(
            RetainedOutShape(
                *(each.retention, each.rule, format_us(each.from_us), format_us(each.to_us)),
                *(each.units, each.events),
            )
            for each in said.retained_out
        ),
    )


def search_answer(page: Page, said: Completeness) -> SearchAnswer:
    """The search object."""
    events = tuple(Raw(element(found)) for found in page.events)
    return SearchAnswer(events=events, next=page.next or None, **_under(said))


def event_answer(found: Iterable[Found], said: Completeness) -> EventAnswer:
    """All events under an id."""
    return EventAnswer(events=tuple(Raw(element(each)) for each in found), **_under(said))


def count_answer(by: tuple[str, ...], counts: Counts, said: Completeness) -> CountAnswer:
    """How many. by: the fields that the groups are made by, in order."""
    groups: list[dict[str, str | int]] = [
        dict(zip((*by, "count"), (*values, count), strict=True)) for values, count in counts.groups
    ]
    # The first bar of all begins before the year 1, unless its width is a whole part of that.
    bars = tuple(BarShape(format_us(max(at, MIN_US)), count) for at, count in counts.histogram)
    return CountAnswer(count=counts.count, groups=tuple(groups), histogram=bars, **_under(said))


def _under(said: Completeness) -> dict[str, Any]:
    return msgspec.structs.asdict(completeness_answer(said))


def write(answer: Struct) -> bytes:
    """An answer as JSON."""
    return _encode(answer)
