"""Following a query live: events as they enter the catalog, each node's in its ledger's order.

A subscriber pulls: what it has not taken yet stays in the catalog, not in memory, so a slow one
falls behind and costs nothing. What lies above the watermark may still go (an orphan); a cursor
never stands beyond what is final, so who goes on from one may see some events again, and misses
none.
"""

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import msgspec
from msgspec import Raw, Struct, structs

from holdfast.errors import Problem, RejectedError
from holdfast.model import Found, NodeId, Place, Query
from holdfast.read.catalog import Entry
from holdfast.read.query import LIMIT_MAX, check
from holdfast.read.search import lines_within, run_matching, run_page
from holdfast.read.sources import FoldSource, Places, SegmentSource, Stretch

SEGMENTS_A_STEP = 64
EVENTS_A_STEP = 10_000
PAUSE_S = 0.25  # between two steps: each costs a search
_CURSOR_VERSION = 1


Step = Entry | Stretch


class Ends(Struct, frozen=True):
    """How far a node's events go: known to searches, and final, so that none before can go."""

    known: int
    final: int


class Feed(Protocol):
    """What a tail is fed from."""

    def ends(self) -> Mapping[NodeId, Ends]:
        """How far each node's events go now."""

    def changed(self) -> asyncio.Event:
        """Set when anything was entered, or taken out, after this call."""

    async def entered(self, node: NodeId, position: int) -> Sequence[Step]:
        """The next segments of a node from a position on, as far as searches see them; or events of
        the archive."""

    async def matching(self, steps: Sequence[Step], query: Query) -> Sequence[Found]:
        """The events of these that match, in the order of their ledgers."""


class _Cursor(Struct, frozen=True, array_like=True):
    version: int
    positions: dict[NodeId, int]


class Tail:
    """One subscriber: an asynchronous iterator without end.

    cursor: to go on from after the event that was given out last. What was final then does not come
    again, and nothing is left out.
    """

    def __init__(self, feed: Feed, query: Query) -> None:
        """query: its `cursor` is one of a tail, or "" to start with what is new from now on.

        Raises:
            RejectedError: a query or a cursor that is none.
        """
        check(structs.replace(query, cursor=""))
        self._feed = feed
        self._query = structs.replace(query, cursor="", limit=LIMIT_MAX)
        if query.cursor:
            self._positions = _read(query.cursor)
        else:
            self._positions = {node: end.known for node, end in feed.ends().items()}
        self._given = dict(self._positions)
        self._ready: deque[Found] = deque()
        self._next_step = 0.0

    @property
    def cursor(self) -> str:
        """See the class."""
        positions = self._given if self._ready else self._positions
        ends = self._feed.ends()
        final = {node: min(at, ends[node].final) for node, at in positions.items() if node in ends}
        data = msgspec.msgpack.encode(_Cursor(_CURSOR_VERSION, positions | final))
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Found:
        while not self._ready:
            changed = self._feed.changed()
            if not await self._step():
                await changed.wait()
        found = self._ready.popleft()
        self._given[found.node] = found.position + 1
        return found

    def rewind(self, node: NodeId, position: int) -> None:
        """A node's events from a position on are gone, and others may come in their place."""
        if self._positions.get(node, 0) > position:
            self._positions[node] = position

    async def _step(self) -> bool:
        """Look for more; whether there may be more still. Safe to be cancelled."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next_step - loop.time())
        entries: list[Step] = []
        for node, end in self._feed.ends().items():
            at = self._positions.get(node, 0)
            if at < end.known:
                entries += await self._feed.entered(node, at)
        batch = _bounded(entries)
        if not batch:
            return False
        found = await self._feed.matching(batch, self._query)
        before = dict(self._positions)
        self._ready.extend(one for one in found if one.position >= before.get(one.node, 0))
        self._given = before
        for step in batch:
            self._positions[step.node] = _range(step).stop
        self._next_step = loop.time() + PAUSE_S
        return True


def matches(
    sources: Sequence[SegmentSource], query: Query, hidden: Places, conflicts: Places
) -> tuple[Found, ...]:
    """All events of some segments that match, in the order of their ledgers. Runs in a worker.

    Raises:
        RejectedError, SourceError: as `run_page`.
    """
    page = run_page(sources, query, hidden, conflicts)
    found = list(page.events)
    while page.next:
        page = run_page(sources, structs.replace(query, cursor=page.next), hidden, conflicts)
        found += page.events
    return tuple(sorted(found, key=lambda one: (one.node, one.position)))


def matches_in(
    parts: Sequence[FoldSource],
    stretch: Stretch,
    query: Query,
    hidden: Places,
    conflicts: Places,
) -> tuple[Found, ...]:
    """The same of events that a unit of the archive has, from its parts.

    Raises:
        RejectedError, SourceError: as `run_page`.
    """
    several = lines_within(parts, stretch, query.tenant)
    places = run_matching(several, query)
    return tuple(
        Found(Raw(record), stretch.node, lines.segment, position, place in conflicts)
        for lines in several
        for position, record in enumerate(lines.data.split(b"\n")[:-1], lines.first)
        if (place := Place(stretch.node, position)) in places and place not in hidden
    )


def _range(step: Step) -> range:
    """The positions of its events."""
    if isinstance(step, Stretch):
        return range(step.start, step.end)
    return range(step.first, step.first + step.count)


def _bounded(steps: Sequence[Step]) -> list[Step]:
    """The first of them, as many as one step takes."""
    batch: list[Step] = []
    events = 0
    for step in steps[:SEGMENTS_A_STEP]:
        if batch and events + len(_range(step)) > EVENTS_A_STEP:
            break
        batch.append(step)
        events += len(_range(step))
    return batch


def _read(cursor: str) -> dict[NodeId, int]:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        read = msgspec.msgpack.decode(data, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        read = None
    if (
        read is None
        or read.version != _CURSOR_VERSION
        or min(read.positions.values(), default=0) < 0
    ):
        raise RejectedError("bad-cursor", Problem(0, "cursor", "is not one of a tail"))
    return read.positions
