"""The room's face: follow the regions, answer questions, and say what the answers rest on.

One reader serves a server (it follows by itself, and this process's node enters its segments before
they are acknowledged) and the command line (one `pass_once`, then questions). An answer is to be
taken together with the statement as it was just before the question was asked: nothing that the
statement covers can be missing from the answer.
"""

import asyncio
import logging
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from msgspec import Struct, structs

from holdfast.errors import UnavailableError
from holdfast.model import (
    Completeness,
    Contents,
    Counts,
    Found,
    NodeId,
    Page,
    Query,
)
from holdfast.ports import Host
from holdfast.proof.names import SegmentName
from holdfast.read.adopting import Adopting
from holdfast.read.arrival import Arrival
from holdfast.read.catalog import Catalog, Entry
from holdfast.read.clocks import Clocks
from holdfast.read.contents import Preserved, Stored
from holdfast.read.counting import Counting, Question
from holdfast.read.database import ClosedError, DamagedError
from holdfast.read.decode import key_of
from holdfast.read.ids import PLACES_MAX
from holdfast.read.lives import Life, lives_of
from holdfast.read.passes import Passes, PassLimits
from holdfast.read.query import LIMIT_MAX, Wanted, check
from holdfast.read.report import ReaderReport, report_of
from holdfast.read.search import is_newer, run_page
from holdfast.read.segments import SourceError
from holdfast.read.shelf import segment_source, spot_of
from holdfast.read.sources import SegmentSource, Source, Stretch, holds, prune
from holdfast.read.tail import EVENTS_A_STEP, Ends, Step, Tail, matches, matches_in
from holdfast.regions.port import RegionId
from holdfast.regions.regions import Regions

log = logging.getLogger("holdfast.read")

ATTEMPTS_MAX = 3
COMPLAINT_EVERY_S = 60.0
SOURCES_FIRST = 64  # that a search is sent to a worker with, if it has no id

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Ask = Callable[[Sequence[Source]], Awaitable[Result]]


class ReaderLimits(Struct, frozen=True, kw_only=True):
    """interval_s: between passes. match_wait_s: how long a question waits until what was entered
    before it is compared with older events. lost_wait_s: how long it waits until what was lost from
    the cache is back, before it is refused."""

    passes: PassLimits
    interval_s: float = 0.5
    match_wait_s: float = 5.0
    lost_wait_s: float = 20.0


class Reader:
    """See the module. `start` or the first `pass_once` opens it; `stop` ends it."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        cache: Path,
        limits: ReaderLimits,
        clocks: Clocks | None = None,
    ) -> None:
        """cache: a folder that may be deleted at any time. clocks: see `Follow`."""
        self._host = host
        self._limits = limits
        self._passes = Passes(regions, host, cache, limits.passes, clocks)
        self._counting = Counting(self._run)
        self._passes.changed = self._tell
        self._passes.taken_back = self._take_back
        self._news = asyncio.Event()
        self._tails: WeakSet[Tail] = WeakSet()
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self._opened = False
        self._failed = ""
        self._complain_at = 0.0

    # -- life ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up what the cache holds; idempotent.

        Raises:
            UnavailableError: the cache cannot be used.
        """
        async with self._opening:
            if not self._opened:
                await self._passes.open()
                self._opened = True

    async def start(self) -> None:
        """Open, and follow the regions from now on; idempotent."""
        await self.open()
        self._tasks = self._tasks or [
            asyncio.create_task(self._follow_forever()),
            asyncio.create_task(self._tidy_forever()),
        ]

    async def stop(self) -> None:
        """End what runs and close; idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._opened:
            self._opened = False
            await self._passes.close()

    async def pass_once(self) -> None:
        """Look at all regions, fetch what is new, and judge through which time all is known."""
        await self.open()
        await self._passes.once()
        while self._passes.follow.partial:
            await self._passes.once()
        while not self._tasks and await self._passes.tidy():
            pass

    async def _follow_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            self._passes.wake.clear()
            try:
                await self._passes.once()
                self._failed = ""
            except Exception as error:
                # Whatever it is, the next pass begins afresh; health is judged by progress.
                self._failed = f"{type(error).__name__}: {error}"
                if isinstance(error, OSError):
                    self._complain("a pass over the regions ended early", error)
                else:
                    log.exception("a pass over the regions ended early")
            if self._failed or not self._passes.follow.partial:
                await _wait(self._passes.wake, begun + self._limits.interval_s - loop.time())

    async def _tidy_forever(self) -> None:
        while True:
            try:
                while await self._passes.tidy() or await self._passes.adopting.tell_some():
                    pass
            except OSError as error:
                self._complain("folding failed; it is tried again", error)
            except Exception:
                log.exception("folding failed; it is tried again")
            await asyncio.sleep(self._limits.interval_s)

    async def enter(self, node: NodeId, name: SegmentName, data: bytes, contents: Contents) -> None:
        """Let searches see a segment of this process's own node, before it is acknowledged.

        Never raises: what cannot be entered now is fetched from a region later, and until then the
        watermark waits for it.
        """
        await self.enter_arrival(Arrival(node, name, data=data, contents=contents))

    async def enter_arrival(self, arrival: Arrival) -> None:
        """The same of a node in another process, which waits for this with its acknowledgement."""
        try:
            await self._passes.enter(arrival)
        except OSError as error:
            self._complain(f"segment {arrival.name.index} of the own node was not entered", error)
        except Exception:
            log.exception("segment %d of the own node was not entered", arrival.name.index)

    def _complain(self, what: str, error: OSError) -> None:
        """The cache's disk is full or fails, for every segment: a line a minute says it."""
        now = asyncio.get_running_loop().time()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAINT_EVERY_S
            log.error("the cache cannot be written: %s: %s", what, error)

    # -- questions -----------------------------------------------------------------------------

    def completeness(self) -> Completeness:
        """The statement that goes with the answers to questions asked from now on."""
        gone = self._passes.holdings.stack.retained_out
        return structs.replace(self._passes.judgement.statement(), retained_out=gone)

    def search(self, query: Query) -> Coroutine[Any, Any, Page]:
        """A page, newest first. What is true of the answer is what `completeness` says now.

        Raises:
            RejectedError: a query that cannot be answered.
            UnavailableError: part of the cache was lost and is not back yet.
        """
        return self._search(query, self._passes.judgement.complete_through_us)

    def count(
        self, query: Query, by: tuple[str, ...] = (), bucket_us: int | None = None
    ) -> Coroutine[Any, Any, Counts]:
        """How many events match, grouped. As `search`."""
        return self._count(query, by, bucket_us, self._passes.judgement.complete_through_us)

    def event(self, tenant: str | None, id: str) -> Coroutine[Any, Any, tuple[Found, ...]]:
        """The events of an id in a tenant or (None) any; several in conflict. As `search`."""
        query = Query(tenant=tenant, id=id, limit=LIMIT_MAX)
        return self._events(query, self._passes.judgement.complete_through_us)

    def tail(self, query: Query) -> Tail:
        """Events as they come; `query.cursor` is a tail's, or "" for what comes from now on.

        Raises:
            RejectedError: a query or cursor that is none.
        """
        tail = Tail(self, query)
        self._tails.add(tail)
        return tail

    # -- what proofs are made of; errors as `search` ---------------------------------------------

    async def names(self, node: NodeId, start: int, end: int) -> tuple[str, ...]:
        """The names of a node's segments [start, end) that are held, in order. One that is not is
        left out, an index that two claim has both."""
        return await self._answer(lambda: self._names(node, start, end), None)

    async def _names(self, node: NodeId, start: int, end: int) -> tuple[str, ...]:
        passes = self._passes
        while True:
            until = passes.holdings.stack.adopted.end(node)
            archived = await passes.adopting.names(node, start, end)
            others = await self._host.offload(passes.holdings.catalog.names, node, start, end)
            if until == passes.holdings.stack.adopted.end(node):
                return tuple(sorted([*archived, *others]) if archived else others)

    async def notes(self, node: NodeId) -> tuple[tuple[str, bytes], ...]:
        """The node's births, closed notes and gaps as regions showed them, with their keys."""
        kept = await self._catalog(Catalog.statements)
        own = {(key, data): None for _, key, data in kept if key.split("/")[2] == node}
        return tuple(own)

    def nodes(self) -> tuple[NodeId, ...]:
        """All nodes of which any region has shown anything, in order."""
        ledgers = self._passes.follow.ledgers
        return tuple(sorted(node for node, ledger in ledgers.items() if ledger.is_listed))

    async def lives(self) -> tuple[Life, ...]:
        """How each node's ledger went, and how far each is known."""
        kept, passes = await self._catalog(Catalog.statements), self._passes
        listed = [one.view(0) for one in passes.follow.ledgers.values() if one.is_listed]
        return await self._host.offload(lives_of, listed, passes.judgement.runs, kept)

    async def received(self, from_us: int, to_us: int) -> tuple[int, int] | None:
        """When the segments were received that may hold events of [from_us, to_us): from, to."""
        await self._answer(self.adopting.tell, None)
        found = await self._catalog(lambda catalog: catalog.received(from_us, to_us))
        archived = self._passes.holdings.stack.adopted.received(from_us, to_us)
        if found is None or archived is None:
            return found or archived
        return min(found[0], archived[0]), max(found[1], archived[1])

    @property
    def adopting(self) -> Adopting:
        """What it has taken over of the archive."""
        return self._passes.adopting

    async def _catalog(self, question: Callable[[Catalog], Result]) -> Result:
        """Ask the one that there is, also where it was made anew meanwhile."""
        holdings = self._passes.holdings
        return await self._answer(lambda: self._host.offload(question, holdings.catalog), None)

    async def catch_up(self) -> None:
        """See what came since: look once, or where it follows by itself, wait for the next news."""
        if self._tasks:
            await _wait(self._news, self._limits.interval_s)
        else:
            await self.pass_once()

    async def segments(
        self, node: NodeId, start: int, end: int, tenant: str | None = None
    ) -> tuple[Preserved, ...]:
        """What there is of the segments [start, end) that are held, in order. Bytes hash to their
        names. tenant: whose records are enough; None: all."""
        return await self._answer(lambda: self._segments(node, start, end, tenant), None)

    async def _segments(
        self, node: NodeId, start: int, end: int, tenant: str | None
    ) -> tuple[Preserved, ...]:
        holdings, found = self._passes.holdings, list[Preserved]()
        found += await self.adopting.contents(node, start, end, tenant)
        for entry in await self._host.offload(holdings.catalog.within, node, start, end):
            there = await self._passes.bring(entry)
            name = SegmentName.parse(entry.name)
            data = None
            if there is not None:
                data = await self._host.offload(holdings.packs.read, spot_of(there), name)
            if data is None:
                raise UnavailableError(f"segment {name.index} of node {node} cannot be read now")
            found.append(Stored(name, data))
        return tuple(sorted(found, key=lambda one: one.name.index))

    async def segment(self, node: NodeId, index: int) -> Preserved:
        """The segment that is held there."""
        found = await self.segments(node, index, index + 1)
        if len(found) != 1:
            raise UnavailableError(f"segment {index} of node {node} cannot be read now")
        return found[0]

    async def _search(self, query: Query, stated: int | None) -> Page:
        wanted = check(query)

        async def page(sources: Sequence[Source]) -> Page:
            shelf = self._passes.holdings.shelf
            of = (query, shelf.repeats, shelf.conflicts)
            count = len(sources) if wanted.id else SOURCES_FIRST
            while True:
                # Sorted by their newest: of years, a page mostly comes out of the first few.
                found = await self._run(run_page, sources[:count], *of)
                if count >= len(sources) or is_newer(found, query, sources[count]):
                    return found
                count *= 8

        return await self._answer(lambda: self._of_sources(wanted, page), stated)

    async def _of_sources(self, wanted: Wanted, ask: Ask[Result], *, every: bool = False) -> Result:
        """What is asked of all that may hold what is wanted, once it is here. every: see
        `Adopting.with_parts`."""
        await self.adopting.tell_most()
        sources = self._sources(wanted)

        async def asked() -> Result:
            await self._match()  # with what a part brought, too
            return await ask(sources)

        return await self.adopting.with_parts(sources, asked, every=every)

    async def _events(self, query: Query, stated: int | None) -> tuple[Found, ...]:
        return (await self._search(query, stated)).events

    async def _count(
        self, query: Query, by: tuple[str, ...], bucket_us: int | None, stated: int | None
    ) -> Counts:
        question = Question(structs.replace(query, cursor="", limit=1), by, bucket_us)
        wanted = check(question.query)

        def counts(sources: Sequence[Source]) -> Awaitable[Counts]:
            repeats, unknown = self._passes.holdings.shelf.repeats, self.adopting.unknown()
            return self._counting.count(sources, question, repeats, unknown)

        return await self._answer(lambda: self._of_sources(wanted, counts, every=True), stated)

    async def _answer(self, ask: Callable[[], Awaitable[Result]], stated: int | None) -> Result:
        """Ask, once all that was stated is there; and again, if a file was lost meanwhile."""
        await self.open()
        for _ in range(ATTEMPTS_MAX):
            try:
                await self._match()
                await self._wait_for(stated)
                return await ask()
            except SourceError as error:
                await self._passes.heal(error)
            except DamagedError as error:
                self._passes.spoil(str(error))
            except ClosedError:
                await _wait(self._news, self._limits.match_wait_s)
        raise UnavailableError("the local cache keeps losing files")

    async def _match(self) -> None:
        """What was entered before a question is compared with older events first."""
        try:
            async with asyncio.timeout(self._limits.match_wait_s):
                await self._passes.match()
        except TimeoutError:
            log.warning("an answer may show an event twice: comparing takes long")
        except OSError as error:
            log.warning("an answer may show an event twice: %s", error)

    async def _wait_for(self, stated: int | None) -> None:
        """Until what was stated is true again, if some of it was lost since."""
        if self._is_true(stated):
            return
        if not self._tasks:
            await self.pass_once()
        try:
            async with asyncio.timeout(self._limits.lost_wait_s if self._tasks else 0):
                while not self._is_true(stated):
                    await self._news.wait()
        except TimeoutError:
            raise UnavailableError("part of the local cache was lost and is read again") from None

    def _is_true(self, stated: int | None) -> bool:
        now = self._passes.judgement.complete_through_us
        return stated is None or (now is not None and now >= stated)

    def _sources(self, wanted: Wanted) -> list[Source]:
        """What a search must read; by the id index where an id of a tenant is asked for."""
        found = prune(self._passes.holdings.shelf.sources, wanted)
        if not wanted.id or wanted.tenant is None:
            return found
        holdings, stack = self._passes.holdings, self._passes.holdings.stack
        places = holdings.ids.find(key_of(wanted.tenant, wanted.id))
        if len(places) == PLACES_MAX:
            return found  # the index may know no more of them
        unindexed = [stack.adopted.units[name] for name in stack.unindexed]
        unknown = {piece.sha256 for unit in unindexed for piece in unit.pieces}
        return [
            source
            for source in found
            if source.sha256 in unknown or any(holds(source, place) for place in places)
        ]

    async def _run(
        self,
        job: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        return await asyncio.wrap_future(self._host.compute.submit(job, *arguments, **named))

    # -- what a tail is fed from ---------------------------------------------------------------

    def ends(self) -> Mapping[NodeId, Ends]:
        """See `tail.Feed`."""
        return {
            node: Ends(max(ledger.tip, ledger.settled.end.first), ledger.settled.end.first)
            for node, ledger in self._passes.follow.ledgers.items()
        }

    def changed(self) -> asyncio.Event:
        """See `tail.Feed`."""
        return self._news

    async def entered(self, node: NodeId, position: int) -> Sequence[Step]:
        """See `tail.Feed`."""
        end = self.ends()[node].known
        catalog = self._passes.holdings.catalog
        archived = self._passes.holdings.stack.adopted.after(node, position)
        if archived is not None:
            first = max(position, archived[1].first)
            return [Stretch(node, first, min(archived[1].after, first + EVENTS_A_STEP))]
        found: list[Entry] = []
        for entry in await self._host.offload(catalog.after, node, position, 64):
            if entry.first + entry.count > end or (found and entry.first != position):
                break
            position = entry.first + entry.count
            found.append(entry)
        return found

    async def matching(self, steps: Sequence[Step], query: Query) -> Sequence[Found]:
        """See `tail.Feed`."""
        holdings = self._passes.holdings
        shelf, packs = holdings.shelf, holdings.packs
        sources: list[SegmentSource] = []
        found: list[Found] = []
        for entry in steps:
            if isinstance(entry, Stretch):
                found += await self._answer(partial(self._in_unit, entry, query), None)
                continue
            there = await self._passes.bring(entry)
            if there is None:
                raise UnavailableError(f"segment {entry.index} of {entry.node} cannot be read now")
            sources.append(segment_source(packs, there))
        found += await self._run(matches, sources, query, shelf.repeats, shelf.conflicts)
        return sorted(found, key=lambda one: (one.node, one.position))

    async def _in_unit(self, stretch: Stretch, query: Query) -> tuple[Found, ...]:
        holdings = self._passes.holdings
        parts = holdings.stack.parts_at(stretch.node, stretch.start, query.tenant)

        async def ask() -> tuple[Found, ...]:
            await self._match()
            of = (query, holdings.shelf.repeats, holdings.shelf.conflicts)
            return await self._run(matches_in, parts, stretch, *of)

        return await self.adopting.with_parts(parts, ask)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _take_back(self, node: NodeId, position: int) -> None:
        for tail in self._tails:
            tail.rewind(node, position)

    def suspects(self) -> Collection[RegionId]:
        """The regions that lost something that was seen in them."""
        return self._passes.follow.memory.suspects if self._opened else ()

    def report(self) -> ReaderReport:
        """How reading stands. Only once it is open."""
        return report_of(self._passes, self._failed, len(self._tails))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event, or so long."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        pass
