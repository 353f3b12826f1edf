"""Records that may be copies of each other, brought together to be compared."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

from msgspec import Struct

from holdfast.model import NodeId, Place
from holdfast.ports import Host
from holdfast.read import jobs
from holdfast.read.archive import Unit
from holdfast.read.catalog import Catalog, Entry
from holdfast.read.packs import Packs
from holdfast.read.repeats import Copy, settle
from holdfast.read.segments import SourceError
from holdfast.read.shelf import segment_source
from holdfast.read.stack import Stack

JOB_SEGMENTS_MAX = 64
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

Matches = tuple[tuple[int, Place], ...]  # (index from `first` on, where its key was seen before)


class Unmatched(Struct, frozen=True):
    """Events of a node, from `first` on, some of which may be repeats. entry: of the segment that
    they are; None: they were archived before they came here."""

    node: NodeId
    first: int
    matches: Matches
    entry: Entry | None = None

    @property
    def places(self) -> set[Place]:
        """All that its matches speak of."""
        own = {Place(self.node, self.first + index) for index, _ in self.matches}
        return own | {place for _, place in self.matches}


class Ways(Struct, frozen=True):
    """How records are come by. fetch: brings a segment into the cache, if it is not there, and says
    where it lies now. bring: does so with what is missing of a unit; whether it is there then."""

    fetch: Callable[[Entry], Awaitable[Entry | None]]
    bring: Callable[[Unit], Awaitable[bool]]


class Comparing:
    """See the module."""

    def __init__(self, host: Host, catalog: Catalog, packs: Packs, stack: Stack) -> None:
        self._host = host
        self._catalog = catalog
        self._packs = packs
        self._stack = stack

    async def copies(self, some: Sequence[Unmatched], ways: Ways) -> dict[Place, Copy | None]:
        """Every record that is concerned, digested; None for places that no longer are any."""
        places = sorted(set().union(*(one.places for one in some)))
        found: dict[Place, Copy | None] = {}
        by_segment: dict[str, tuple[Entry, list[int]]] = {}
        by_unit: dict[tuple[str, NodeId], list[int]] = {}
        entries = await self._host.offload(entries_at, self._catalog, places)
        for place, entry in entries.items():
            if entry is not None:
                by_segment.setdefault(entry.name, (entry, []))[1].append(place.position)
            elif (there := self._stack.adopted.at(place.node, place.position)) is not None:
                by_unit.setdefault((there[0].name, place.node), []).append(place.position)
            else:
                found[place] = None
        found |= await self._of_segments(by_segment, ways)
        for (name, node), positions in by_unit.items():
            found |= await self._of_unit(self._stack.adopted.units[name], node, positions, ways)
        return found

    async def _of_segments(
        self, wanted: dict[str, tuple[Entry, list[int]]], ways: Ways
    ) -> dict[Place, Copy]:
        found: dict[Place, Copy] = {}
        asked: list[jobs.Wanted] = []
        for entry, positions in wanted.values():
            there = await ways.fetch(entry)
            if there is not None:
                asked.append(jobs.Wanted(segment_source(self._packs, there), tuple(positions)))
        for start in range(0, len(asked), JOB_SEGMENTS_MAX):
            part = asked[start : start + JOB_SEGMENTS_MAX]
            for answer in await self._run(jobs.copies_in, part):
                if not isinstance(answer, jobs.Refused):
                    found |= jobs.by_place(answer)
        return found

    async def _of_unit(
        self, unit: Unit, node: NodeId, positions: Sequence[int], ways: Ways
    ) -> dict[Place, Copy | None]:
        """None for places in it that have no event any more."""
        if not await ways.bring(unit):
            return {}
        parts = self._stack.parts_of(unit)
        try:
            answer = await self._run(jobs.copies_at, parts, node, positions)
        except SourceError:
            return {}  # to be tried again, once the file is back
        nothing: dict[Place, Copy | None] = {Place(node, at): None for at in positions}
        return nothing | jobs.by_place(answer)

    async def _run(
        self,
        job: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        return await asyncio.wrap_future(self._host.compute.submit(job, *arguments, **named))


def entries_at(catalog: Catalog, places: Sequence[Place]) -> dict[Place, Entry | None]:
    """The segments that hold some events, which are in order."""
    found: dict[Place, Entry | None] = {}
    entry: Entry | None = None
    for place in places:
        inside = (
            entry is not None
            and entry.node == place.node
            and entry.first <= place.position < entry.first + entry.count
        )
        entry = entry if inside else catalog.at(place)
        found[place] = entry
    return found


def forget_at(
    catalog: Catalog, node: NodeId, ranges: Sequence[tuple[int, int]]
) -> tuple[Copy, ...]:
    """Forget the copies at these positions; those of the same names, decided anew."""
    names = {name for start, end in ranges for name in catalog.drop_copies(node, start, end)}
    settled = settle(catalog.copies(names))
    catalog.stand(settled)
    return settled
