"""What the stages hand to each other, and what an answer says.

Plain frozen data; no behaviour beyond what the data itself defines. Times are µs since 1970, UTC.
"""

from typing import Any, Final, Literal

from msgspec import Raw, Struct

NodeId = str  # 32 hex digits
Record = bytes  # one stored line, without its line end


class Place(Struct, frozen=True, order=True):
    """Where an event lies for ever: a node's ledger and the event's position in it (0-based)."""

    node: NodeId
    position: int


class Contents(Struct, frozen=True):
    """What a segment's events are known by. ids, times and sizes run side by side, as stored.

    tenants: whose the events are, and how many in a row. times: RFC 3339; when it was received,
    where none was sent. sizes: of the records, in bytes.
    """

    tenants: tuple[tuple[str, int], ...]
    ids: tuple[str, ...]
    times: tuple[str, ...]
    sizes: tuple[int, ...]
    received_min_us: int
    received_max_us: int


class Query(Struct, frozen=True, kw_only=True):
    """A search. Empty strings and None filter nothing; filters are joined by AND.

    from_us, to_us: half-open range of the event's `time` (what was received, where none was sent).
    action: exact, or a prefix when it ends with "*". target: a target's id or name. q: text
    anywhere in the record, without regard to case; word: text that neither begins nor ends within
    a word there. limit: 1..1000 events a page.
    cursor: opaque, from a page's `next`.
    """

    from_us: int | None = None
    to_us: int | None = None
    tenant: str | None = None
    actor: str = ""
    action: str = ""
    target: str = ""
    outcome: str = ""
    ip: str = ""
    id: str = ""
    q: str = ""
    word: str = ""
    limit: int = 100
    cursor: str = ""


class Found(Struct, frozen=True):
    """One event that a search found: the record as stored, and where it lies."""

    record: Raw
    node: NodeId
    segment: int
    position: int
    conflict: bool = False


class Basis(Struct, frozen=True):
    """A region that a statement rests on, and when its listing began and ended."""

    region: str
    listed_from_us: int
    listed_to_us: int


HoldingKind = Literal[
    "hole",
    "unreadable",
    "conflict",
    "regions",
    "clock",
    "birth",
    "close",
    "fetch",
    "silent",
    "settings",
]
LOSSES: Final[frozenset[HoldingKind]] = frozenset({"hole", "unreadable", "conflict"})
"""Those by which something that was acknowledged may be lost."""


class Holding(Struct, frozen=True):
    """What keeps `complete_through` from advancing.

    node: "" when no single node is the cause. kind: a stable word for programs. "hole" (a segment
    that must exist is in no region), "unreadable" (no region has a good copy of one) and "conflict"
    (what is stored contradicts itself) do not go away by waiting; the others may.
    """

    node: NodeId
    kind: HoldingKind
    reason: str
    since_us: int


class Gap(Struct, frozen=True):
    """A range of a node's ledger that is known to be missing. Segments: indexes [start, end)."""

    node: NodeId
    start: int
    end: int
    from_us: int
    to_us: int
    cause: str


class RetainedOut(Struct, frozen=True):
    """What a rule of retention let go of a class: events of so many units (days, or hours), the
    first of which began at from_us, and the last ended at to_us. retention: the class. rule: in
    words."""

    retention: str
    rule: str
    from_us: int
    to_us: int
    units: int
    events: int


class Completeness(Struct, frozen=True):
    """The statement under every answer.

    complete_through_us: everything received through then is known, but for gaps and what was let
    go; None: never was.
    """

    complete_through_us: int | None
    basis: tuple[Basis, ...]
    holding_back: tuple[Holding, ...]
    gaps: tuple[Gap, ...]
    retained_out: tuple[RetainedOut, ...] = ()


class Page(Struct, frozen=True):
    """A page of a search, newest first. next: cursor of the next page, "" at the end."""

    events: tuple[Found, ...]
    next: str


class Counts(Struct, frozen=True):
    """How many events match; grouped where asked for.

    groups: rows of (values of the grouping fields in order, count), largest first.
    histogram: (start of the bucket µs, count), oldest first, empty buckets left out.
    """

    count: int
    groups: tuple[tuple[tuple[str, ...], int], ...] = ()
    histogram: tuple[tuple[int, int], ...] = ()


JsonObject = dict[str, Any]
