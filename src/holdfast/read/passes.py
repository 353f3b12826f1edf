"""From one look at the regions to a judgement: fetch what is new, let searches see it, judge.

    look -> judge (orphans) -> drop -> fetch, enter, match -> judge again -> report

A judgement counts a segment once searches see it and its repeats are known, so that what is
reported as complete is what a search finds. If something that was held is lost (the cache was
deleted, a file rotted), the statement is withdrawn in the same moment, and comes back when the
regions have given it again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from holdfast.errors import UnavailableError
from holdfast.model import Holding, NodeId
from holdfast.ports import Host
from holdfast.proof import names
from holdfast.proof.names import SegmentName
from holdfast.read import jobs
from holdfast.read.adopting import Adopting
from holdfast.read.arrival import Arrival
from holdfast.read.catalog import Entry, Settled
from holdfast.read.clocks import Clocks
from holdfast.read.comparing import Ways
from holdfast.read.database import DamagedError
from holdfast.read.decode import SegmentFacts
from holdfast.read.fetch import Fetcher
from holdfast.read.follow import Follow, FollowLimits
from holdfast.read.holdings import Holdings, Sizes
from holdfast.read.ledgers import NodeLedger, Seen
from holdfast.read.packs import Spot
from holdfast.read.segments import SourceError
from holdfast.read.shelf import FoldLimits, spot_of
from holdfast.read.watermark import Judgement, Trouble, View, judge
from holdfast.regions.regions import Regions
from holdfast.regions.retained import Floor

log = logging.getLogger("holdfast.read")

BATCH_SEGMENTS = 64
STEP_SEGMENTS = 2048  # read before what is final leaves memory
OWN_PASSES = 8  # how long this process's node is left to enter its own segments
UNMATCHED_MAX = 200_000  # events that may be repeats, before who brings more has to wait
UNMATCHED_WAIT_S = 5.0


class PassLimits(Struct, frozen=True, kw_only=True):
    """cache: how much is kept here. fetches: reads from regions at once."""

    follow: FollowLimits
    fold: FoldLimits = FoldLimits()
    cache: Sizes = Sizes()
    fetches: int = 16


class Passes:
    """Everything that is known of the trail here, and how it comes to be known.

    changed: called when what searches see has changed. taken_back: (node, position): events from
    there on are gone, others may come in their place.
    """

    def __init__(
        self,
        regions: Regions,
        host: Host,
        cache: Path,
        limits: PassLimits,
        clocks: Clocks | None,
    ) -> None:
        self._regions = regions
        self._host = host
        self._limits = limits
        self.judgement = Judgement()
        self.holdings = Holdings(cache, regions.trail, limits.cache, host)
        self.follow = Follow(regions, host, limits.follow, clocks)
        self.adopting = self._adopting()
        self.changed: Callable[[], None] = lambda: None
        self.taken_back: Callable[[NodeId, int], None] = lambda node, position: None
        self.wake = asyncio.Event()  # a pass is wanted now
        self.count = 0
        self.ended_us = 0
        self.seconds = 0.0
        self._clocks = clocks
        self._turn = asyncio.Lock()
        self._fetching = asyncio.Semaphore(limits.fetches)
        self._entering = asyncio.Lock()  # nothing is fetched and told by its node at once
        self._comparing: set[asyncio.Future[None]] = set()
        self._own: set[NodeId] = set()
        self._lost: list[Entry | int] = []  # segments and folds to be forgotten in the next pass
        self._to_forget: list[Floor] = []  # whose events others may stand for
        self._spoilt = ""  # why the catalog is to be made anew in the next pass

    # -- life ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up what the cache holds."""
        await self.holdings.open()
        await self._take_up()

    async def close(self) -> None:
        """Close what is open."""
        self.follow.close()
        for comparing in self._comparing:
            comparing.cancel()
        await asyncio.gather(*self._comparing, return_exceptions=True)
        await self.holdings.close()

    async def _take_up(self) -> None:
        catalog = self.holdings.catalog
        self.fetcher = Fetcher(self._regions, self.holdings.packs, self._host)
        notes = await self._host.offload(catalog.statements)
        facts = await self._host.offload(catalog.regions)
        self.follow.restore(notes, facts)
        self.holdings.stack.let_go(self.follow.floors)
        await self._take_up_ledgers()
        reported = await self._host.offload(catalog.reported_us)
        why = "the regions were not listed yet"
        self._withdraw(why, None if self.holdings.damaged else reported)

    async def _take_up_ledgers(self) -> None:
        catalog = self.holdings.catalog
        entries: dict[NodeId, list[Entry]] = {}
        for entry in await self._host.offload(catalog.from_settled):
            entries.setdefault(entry.node, []).append(entry)
        settled = {one.node: one for one in await self._host.offload(catalog.settled)}
        for node in settled.keys() | self.follow.ledgers.keys():
            self.follow.ledger(node).restore(settled.get(node), entries.get(node, ()))

    def _withdraw(self, why: str, through_us: int | None = None) -> None:
        held = Holding("", "fetch", why, self._host.now_us())
        self.judgement = Judgement(
            complete_through_us=through_us, holding_back=(held,), gaps=self.follow.gaps()
        )

    async def _renew(self, why: str) -> None:
        """Begin anew with nothing but what regions were seen to have."""
        self._withdraw("the catalog was lost and is made again from the regions")
        facts = self.follow.memory.facts
        self.follow.close()
        self.follow = Follow(self._regions, self._host, self._limits.follow, self._clocks)
        self.adopting = self._adopting()
        self._lost.clear()
        await self.holdings.reopen(why)
        self._spoilt = ""
        await self._take_up()
        self.follow.memory.facts = dict(facts)
        self._withdraw("the catalog was lost and is made again from the regions")
        self.changed()

    # -- a pass --------------------------------------------------------------------------------

    async def once(self) -> None:
        """Make one pass to its end."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            try:
                if self._spoilt or not self.holdings.is_alive():
                    await self._renew(self._spoilt or "its folder is gone")
                await self._pass()
            except (DamagedError, OSError) as error:
                if isinstance(error, OSError) and self.holdings.is_alive():
                    raise
                await self._renew(str(error))
                await self._pass()
            self.seconds = loop.time() - begun
            self.ended_us = self._host.now_us()
            self.count += 1

    async def _pass(self) -> None:
        await self._forget_lost()
        archives = self.follow.archives
        await archives.look(self._host.now_us())
        await self._adopt()
        view = await self.follow.look()
        await self._host.offload(self._remember)
        await self._let_go()
        await self._recognise_late()
        first = judge(view, self.judgement)
        if any(holding.kind == "hole" for holding in first.holding_back):
            # It may have come into an archive, and gone, since that was looked at.
            await archives.look_again(self._regions, self._host.now_us())
            await self._adopt(anyway=True)
            first = judge(self.follow.again(view), self.judgement)
        await self._drop_orphans(first)
        todo = self._to_fetch({orphan.name for orphan in first.orphans})
        for start in range(0, len(todo), STEP_SEGMENTS):
            await self._fetch_all(todo[start : start + STEP_SEGMENTS])
            await self.match()
            if start + STEP_SEGMENTS < len(todo):
                await self._settle_some(view)
        await self.match()
        judgement = judge(self.follow.again(view), self.judgement)
        # A late region may have told of a close since, and so of orphans that were fetched.
        while await self._drop_orphans(judgement):
            await self.match()
            judgement = judge(self.follow.again(view), self.judgement)
        await self._conclude(judgement)

    def _adopting(self) -> Adopting:
        return Adopting(self.holdings, self.follow.archives, lambda: self.fetcher, self._host)

    async def _adopt(self, *, anyway: bool = False) -> None:
        """Take from the archive what it has. anyway: see `Archives.units`."""
        fresh, self.follow.archives.fresh = self.follow.archives.fresh, []
        if fresh:
            await self._host.offload(self.holdings.catalog.keep_statements, fresh)
        for unit in await self.adopting.adopt(anyway=anyway):
            for span in unit.spans:
                self.follow.ledger(span.node).adopt(span)

    async def _let_go(self) -> None:
        """Show nothing more of what floors say was let go, and keep no copy of it here."""
        stack, archives = self.holdings.stack, self.follow.archives
        fresh = self.follow.floors.keys() - stack.floors.keys()
        if any(unit not in stack.adopted.units for unit, _ in fresh):
            # It is shown as segments still: its manifest came since archives were looked at.
            for region in self._regions:
                await archives.look_into(region, self._host.now_us())
            await self._adopt(anyway=True)
        if fresh:
            gone = stack.let_go(self.follow.floors)
            for piece in gone:
                await self._host.offload(stack.files.drop, piece.file)
            self._to_forget += [self.follow.floors[out] for out in fresh]
        while self._to_forget:
            try:
                await self.adopting.forget(self._to_forget[-1])
            except (UnavailableError, SourceError) as error:
                log.warning("what repeats let-go events is not shown yet: %s", error)
                break
            self._to_forget.pop()
            self.changed()

    def _remember(self) -> None:
        catalog, memory = self.holdings.catalog, self.follow.memory
        changes = memory.changes
        for region in changes.forgotten:
            catalog.forget_statements(region)
        if changes.statements:
            catalog.keep_statements(changes.statements)
        for region in changes.regions:
            catalog.keep_region(region, memory.facts[region])

    async def _conclude(self, judgement: Judgement) -> None:
        """Report: first where it outlives this process, then in answers."""
        advanced = self._advance(judgement)
        through = judgement.complete_through_us
        if self._lost or self._spoilt:
            return
        if advanced or through != self.judgement.complete_through_us:
            await self._host.offload(self.holdings.catalog.report, through, advanced)
        if not self._lost and not self._spoilt:
            self.judgement = judgement
            self.changed()

    async def _settle_some(self, view: View) -> None:
        """In the midst of a long pass: let go of what is final, and fold it."""
        so_far = judge(self.follow.again(view, 2 * STEP_SEGMENTS), Judgement())
        advanced = self._advance(so_far)
        await self._host.offload(self.holdings.catalog.report, None, advanced)
        self.changed()
        await self.tidy()

    def _advance(self, judgement: Judgement) -> list[Settled]:
        ledgers = self.follow.ledgers
        moved = [run.node for run in judgement.runs if ledgers[run.node].advance(run)]
        return [ledgers[node].settled for node in moved]

    # -- segments ------------------------------------------------------------------------------

    async def _recognise_late(self) -> None:
        """What regions show again of a gap, and is in the catalog: it was never lost here."""
        for ledger in self.follow.ledgers.values():
            late = ledger.late()
            if not late:
                continue
            indexes = [seen.name.index for seen in late]
            within = self.holdings.catalog.within
            held = await self._host.offload(within, ledger.node, min(indexes), max(indexes) + 1)
            entries = {entry.name: entry for entry in held}
            for seen in late:
                if seen.name.text in entries:
                    ledger.entered(seen, entries[seen.name.text])

    def _to_fetch(self, orphans: set[str]) -> list[tuple[NodeLedger, Seen]]:
        """Segments to bring in, in the order of their ledgers."""
        todo: list[tuple[NodeLedger, Seen]] = []
        for ledger in self.follow.ledgers.values():
            if not ledger.key:
                continue
            claims: dict[tuple[int, int], int] = {}
            for seen in ledger.seen.values():
                place = (seen.name.epoch, seen.name.index)
                claims[place] = claims.get(place, 0) + 1
            todo += [
                (ledger, seen)
                for text, seen in ledger.seen.items()
                if seen.entry is None
                and not seen.refused
                and text not in orphans
                and seen.name.epoch <= ledger.last
                and claims[seen.name.epoch, seen.name.index] == 1
                and not ledger.is_superseded(seen.name)
                and not self._leave_to_owner(ledger, seen)
            ]
        todo.sort(key=lambda one: (one[1].name.sealed_us, one[1].name.index))
        return todo

    def _leave_to_owner(self, ledger: NodeLedger, seen: Seen) -> bool:
        """Whether this process's own node is about to enter the segment itself."""
        seen.waited += 1
        return ledger.node in self._own and seen.waited <= OWN_PASSES

    async def _fetch_all(self, todo: Sequence[tuple[NodeLedger, Seen]]) -> None:
        for start in range(0, len(todo), BATCH_SEGMENTS):
            await self._fetch_batch(todo[start : start + BATCH_SEGMENTS])

    async def _fetch_batch(self, todo: Sequence[tuple[NodeLedger, Seen]]) -> None:
        spots = await asyncio.gather(
            *(self._fetch(ledger.node, seen.name, seen.regions) for ledger, seen in todo)
        )
        for (ledger, seen), spot in zip(todo, spots, strict=True):
            seen.trouble = None if spot else self.fetcher.trouble(ledger.node, seen.name)
        there = [
            (ledger, seen, spot)
            for (ledger, seen), spot in zip(todo, spots, strict=True)
            if spot is not None
        ]
        asked = [
            jobs.Fetched(
                str(self.holdings.packs.path(spot.pack)),
                spot,
                seen.name.text,
                names.ledger_origin(self._regions.trail, ledger.node),
                ledger.key,
            )
            for ledger, seen, spot in there
        ]
        if not asked:
            return
        answers = await asyncio.wrap_future(self._host.background.submit(jobs.inspect, asked))
        async with self._entering:
            await self._enter_fetched(there, answers)
        self.changed()

    async def _enter_fetched(
        self,
        there: Sequence[tuple[NodeLedger, Seen, Spot]],
        answers: Sequence[SegmentFacts | jobs.Refused],
    ) -> None:
        arrivals: list[Arrival] = []
        of: list[tuple[NodeLedger, Seen]] = []
        for (ledger, seen, spot), facts in zip(there, answers, strict=True):
            if isinstance(facts, jobs.Refused):
                seen.refused = facts.reason if facts.lasting else ""
                seen.trouble = Trouble(facts.reason, facts.lasting)
                log.error("segment %s of node %s: %s", seen.name.index, ledger.node, facts.reason)
            elif seen.entry is None and not ledger.is_superseded(seen.name):
                arrivals.append(Arrival(ledger.node, seen.name, facts, spot))
                of.append((ledger, seen))
        entries = await self.holdings.enter(arrivals)
        for (ledger, seen), entry in zip(of, entries, strict=True):
            ledger.entered(seen, entry)

    async def _fetch(
        self, node: NodeId, name: SegmentName, holders: set[str], spot: Spot | None = None
    ) -> Spot | None:
        async with self._fetching:
            return await self.fetcher.fetch(node, name, holders, spot)

    async def bring(self, entry: Entry) -> Entry | None:
        """A segment whose bytes are in the cache, wherever they lie now; None: not to be had."""
        lay = spot_of(entry)
        spot = await self._fetch(entry.node, SegmentName.parse(entry.name), set(), lay)
        if spot is None or spot == lay:
            return None if spot is None else entry
        return await self.holdings.move(entry, spot)

    async def enter(self, arrival: Arrival) -> None:
        """Enter a segment of an own node: one of this process, or of one that tells it of each."""
        self._own.add(arrival.node)
        await self._make_room()
        ledger, name = self.follow.ledger(arrival.node), arrival.name
        if ledger.own(name):
            await self._drop(
                [(ledger, seen) for seen in ledger.seen.values() if ledger.is_superseded(seen.name)]
            )
        seen = ledger.sight(name)
        async with self._entering:
            if seen.entry is not None:
                return
            (entry,) = await self.holdings.enter([arrival])
            ledger.entered(seen, entry)
        self.changed()

    async def _make_room(self) -> None:
        """Who sends much again waits for its comparison, but not for ever: acks depend on it."""
        if self.holdings.unmatched_events > UNMATCHED_MAX:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNMATCHED_WAIT_S):
                    await self.match()

    async def match(self) -> None:
        """Decide what repeats what, among all that was entered so far.

        Whoever gives up waiting leaves the comparison running: ended half-way, it would have told
        the catalog what searches were not told.
        """
        ways = Ways(self.bring, self.adopting.bring)
        comparing = asyncio.ensure_future(self.holdings.match(ways, self._matched))
        self._comparing.add(comparing)
        comparing.add_done_callback(self._comparing.discard)
        await asyncio.shield(comparing)

    def _matched(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            ledger = self.follow.ledger(entry.node)
            seen = ledger.seen.get(entry.name)
            if seen is not None and seen.entry is not None:
                ledger.entered(seen, entry)

    async def _drop_orphans(self, judgement: Judgement) -> bool:
        """Take from searches what a judgement calls an orphan; whether anything was there."""
        orphans = {orphan.name for orphan in judgement.orphans}
        held = [
            (ledger, seen)
            for ledger in self.follow.ledgers.values()
            for name, seen in ledger.seen.items()
            if name in orphans and seen.entry is not None
        ]
        await self._drop(held)
        return bool(held)

    async def _drop(self, orphans: Sequence[tuple[NodeLedger, Seen]]) -> None:
        held = [(ledger, seen, seen.entry) for ledger, seen in orphans if seen.entry is not None]
        if not held:
            return
        for ledger, seen, entry in held:
            seen.entry = None
            ledger.tip = min(ledger.tip, entry.first)
        await self.holdings.drop([entry for _, _, entry in held])
        for _, _, entry in held:
            self.taken_back(entry.node, entry.first)
        self.changed()

    async def tidy(self) -> bool:
        """Fold what is due; whether there may be more to do at once."""
        settled = {node: one.settled.end.size for node, one in self.follow.ledgers.items()}
        try:
            more = await self.holdings.tidy(settled, self._limits.fold)
            return await self.adopting.tidy() or more
        except SourceError as error:
            with contextlib.suppress(UnavailableError):  # a question for it will say so
                await self.heal(error)
            return False

    # -- losses --------------------------------------------------------------------------------

    async def heal(self, error: SourceError) -> None:
        """A file that searches read is gone or damaged: get it again, or withdraw the statement.

        Raises:
            UnavailableError: it is the archive's, and no region has it now.
        """
        log.warning("%s", error)
        if not self.holdings.is_alive():
            self.spoil("its folder is gone")
            return
        if await self.adopting.heal(error.path):
            return
        for hot in self.holdings.shelf.hot:
            if hot.source.path == error.path and await self.bring(hot.entry) is None:
                self.holdings.shelf.remove([hot.entry])
                self._lose(hot.entry)
        for fold in self.holdings.shelf.folds:
            if fold.source.path == error.path:
                self.holdings.shelf.remove_folds([fold.number])
                self._lose(fold.number)
                return

    def spoil(self, why: str) -> None:
        """The catalog cannot be used any more; the next pass, wanted at once, makes it anew."""
        self._withdraw("the catalog was lost and is made again from the regions")
        self._spoilt = why
        self.wake.set()

    def _lose(self, what: Entry | int) -> None:
        self._withdraw("a file of the cache was lost and is made again from the regions")
        self._lost.append(what)
        self.wake.set()

    async def _forget_lost(self) -> None:
        if not self._lost:
            return
        lost, self._lost = self._lost, []
        for what in lost:
            if isinstance(what, Entry):
                await self.holdings.lose([what])
            else:
                await self.holdings.lose_fold(what)
        await self._take_up_ledgers()
