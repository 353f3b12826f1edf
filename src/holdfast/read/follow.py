"""One pass over all regions: what they show, in an order from which something follows.

    heartbeats  ->  births and closes  ->  gaps, floors  ->  segments  ->  cookies

Each step ends in every region before the next begins (a promise that was read before the births
says nothing of an epoch born later, and so on: `watermark` has the reasons). A region that fails a
step, or keeps the others waiting, is out of this pass: it does not count, and what it did show is a
sighting all the same. So a store of another region or trail is left out before it shows anything.
Notes are verified here; what follows from them is judged there.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec import Struct, structs

from holdfast.model import Gap, NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError
from holdfast.read import notes, shown
from holdfast.read.archives import Archives
from holdfast.read.catalog import RegionFacts
from holdfast.read.clocks import Clocks, start_of
from holdfast.read.ledgers import NodeLedger
from holdfast.read.listings import Plan, plan_listings, with_newest
from holdfast.read.memory import Changes, Memory
from holdfast.read.rounds import Round, begin_round
from holdfast.read.watermark import Ledger, Looked, View, missing
from holdfast.regions import layout
from holdfast.regions.cookie import Foreign, read_cookie
from holdfast.regions.kinds import Cookie
from holdfast.regions.layout import ArchiveKey, EpochKey, GapKey, HeartbeatKey, SegmentKey
from holdfast.regions.port import Absent, Listed, Listing, Present, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out
from holdfast.regions.whole import why_not_whole

READS_AT_ONCE = 8
KEYS_A_SLICE = 2_000  # then the event loop gets its turn
STRAYS_MAX = 100
ROUND_LISTINGS = 4  # shards of a round in one pass

_INDEX = re.compile(r"[0-9a-f]{10}")


class FollowLimits(Struct, frozen=True):
    """clock_error_us: Δ. straggler_s: how long a region may keep R others waiting in a step.

    whole_s: how often a round begins that lists everything, to see what is gone. suspect_s: the
    same, all of it in one pass, while a region is suspect.
    """

    clock_error_us: int
    straggler_s: float = 1.0
    whole_s: float = 3600.0
    suspect_s: float = 60.0


class Stray(Struct, frozen=True):
    """An object that is not what its key says, or has no key of ours."""

    region: str
    key: str
    reason: str


@dataclass(slots=True)
class _Tour:
    """One region's way through a pass. failed: why it left it."""

    region: Region
    from_us: int
    to_us: int = 0
    store: str = ""
    failed: str = ""
    modified_us: int = 0


@dataclass(slots=True)
class _Beat:
    """A heartbeat as it lies in a region. stamp: what tells that it was overwritten."""

    stamp: tuple[int, int]
    data: bytes
    verified: bool = False


class Follow:
    """Lists regions, pass after pass, and remembers what it saw."""

    def __init__(
        self, regions: Regions, host: Host, limits: FollowLimits, clocks: Clocks | None
    ) -> None:
        """clocks: measured offsets of the regions' clocks, by id, newest first known; None where
        this process may not write: then the newest time that regions have shown begins a pass."""
        self.ledgers: dict[NodeId, NodeLedger] = {}
        self.floors: dict[Out, Floor] = {}  # any region's: what it says was let go is not shown
        self.strays: dict[tuple[str, str], Stray] = {}
        self.memory = Memory()
        self.archives = Archives(regions)
        self._regions = regions
        self._host = host
        self._limits = limits
        self._clocks = clocks
        self._epoch_keys: dict[str, EpochKey | None] = {}
        self._beats: dict[tuple[str, NodeId], _Beat] = {}
        self._plan: Plan = {}
        self._gap_notes: dict[str, bytes] = {}
        self._taken: dict[str, bytes] = {}  # notes that hold, by their keys; one of each
        self._to_look_at_all: set[str] = set()  # regions
        self._rounds: dict[str, Round] = {}  # those that are under way, by region
        self._back = set(regions.by_id)  # those that did not count in the pass before
        self._stragglers: dict[str, asyncio.Task[object]] = {}
        self._reading = asyncio.Semaphore(READS_AT_ONCE)

    def restore(
        self, found: Iterable[tuple[str, str, bytes]], facts: Mapping[str, RegionFacts]
    ) -> None:
        """Take up what an earlier process saw; notes are verified again."""
        self.memory.facts = dict(facts)
        for region, text, data in found:
            key = layout.known_key(text)
            if isinstance(key, ArchiveKey):
                self.archives.restore(region, self.memory.of(region).store, key, data)
            else:
                self._take_note(region, text, data)

    def ledger(self, node: NodeId) -> NodeLedger:
        """The node's ledger, known before or not."""
        found = self.ledgers.get(node)
        if found is None:
            found = self.ledgers[node] = NodeLedger(node)
        return found

    def close(self) -> None:
        """Leave alone what regions have not answered yet."""
        for task in self._stragglers.values():
            task.cancel()

    async def look(self) -> View:
        """Make a pass.

        Returns:
            What is to be judged. Ledgers may be viewed again later: sightings only grow.
        """
        begun = self._host.now_us()
        self.memory.changes = Changes()
        tours = [_Tour(region, begun) for region in self._regions]
        await self._step(tours, self._look_for_heartbeats)
        newest = max((tour.modified_us for tour in tours if not tour.failed), default=0)
        allowed_us = self._limits.clock_error_us // 2
        started, why = start_of(begun, self._regions, allowed_us, self._clocks, newest)
        await self._step(tours, self._look_for_epochs)
        await self._step(tours, self._look_for_gaps)
        self._hear_heartbeats()
        self._plan = plan_listings(self.ledgers, self.memory.facts, begun)
        await self._step(tours, self._look_for_segments)
        await self._step(tours, self._look_at_cookie)
        self._refuse_twins(tours)
        for tour in tours:
            if not tour.failed:
                self.memory.trust(tour.region.id)
        self._back = {each.region.id for each in tours if each.failed} - self.memory.suspects.keys()
        return View(
            started_us=started,
            now_us=self._host.now_us(),
            clock_error_us=self._limits.clock_error_us,
            sets=self._regions.sets,
            regions=tuple(
                Looked(tour.region.id, tour.store, tour.from_us, tour.to_us, tour.failed)
                for tour in tours
            ),
            ledgers=self._views(),
            clock=why,
        )

    def again(self, view: View, most: int | None = None) -> View:
        """The same pass, with what was entered since; of each ledger so many segments at most."""
        return structs.replace(view, ledgers=self._views(most))

    def gaps(self) -> tuple[Gap, ...]:
        """What of the declared gaps is still missing."""
        return missing(self._views(0))

    def _views(self, most: int | None = None) -> tuple[Ledger, ...]:
        return tuple(one.view(most) for one in self.ledgers.values() if one.is_listed)

    # -- steps ---------------------------------------------------------------------------------

    async def _step(self, tours: Iterable[_Tour], work: Callable[[_Tour], Awaitable[str]]) -> None:
        """Run one step in all regions that are still in the pass, to its end in each of them."""
        running: dict[asyncio.Task[object], _Tour] = {}
        for tour in tours:
            late = self._stragglers.get(tour.region.id)
            if tour.failed:
                continue
            if late is not None and not late.done():
                tour.failed = "it has not answered an earlier question yet"
                continue
            running[asyncio.ensure_future(work(tour))] = tour
        try:
            await self._wait(running)
        except asyncio.CancelledError:
            for task in running:
                task.cancel()
            raise

    async def _wait(self, running: Mapping[asyncio.Task[object], _Tour]) -> None:
        """Until all are done, or R are and the others have kept them waiting for too long."""
        waiting = set(running)
        patience: float | None = None
        while waiting:
            done, waiting = await asyncio.wait(
                waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                running[task].failed = str(task.result())
            if not done:
                break
            well = [t.region.id for task, t in running.items() if task.done() and not t.failed]
            if self._regions.are_enough(well):
                patience = self._limits.straggler_s
        for task in waiting:
            running[task].failed = f"it kept the others waiting for {patience:g} s"
            self._stragglers[running[task].region.id] = task

    async def _look_for_heartbeats(self, tour: _Tour) -> str:
        region = tour.region
        cookie, listing = await asyncio.gather(
            read_cookie(region, self._regions.trail), region.list(layout.HEARTBEATS_PREFIX)
        )
        if isinstance(cookie, Absent):
            return self._suspect(tour, "it has no cookie")
        if isinstance(cookie, Foreign | Unknown):
            # What another region's store shows, or another trail's, is not to be noted as shown by
            # this one: once the mix-up is mended, it would be missed here.
            return cookie.reason
        tour.store = cookie.store
        if isinstance(listing, Unknown):
            return f"its heartbeats could not be listed: {listing.reason}"
        changed: list[tuple[NodeId, Listed]] = []
        for each in listing:
            tour.modified_us = max(tour.modified_us, each.modified_us)
            key = self._parse(region.id, each.key)
            if not isinstance(key, HeartbeatKey):
                continue
            known = self._beats.get((region.id, key.node))
            ledger = self.ledgers.get(key.node)
            idle = ledger is not None and ledger.finished
            stamp = (each.modified_us, each.size_bytes)
            if known is None or not (idle or (each.modified_us and known.stamp == stamp)):
                changed.append((key.node, each))
        found = await asyncio.gather(*(self._read(region, each.key) for _, each in changed))
        for (node, each), answer in zip(changed, found, strict=True):
            if isinstance(answer, Present):
                stamp = (each.modified_us, each.size_bytes)
                self._beats[region.id, node] = _Beat(stamp, answer.data)
        return ""

    async def _look_for_epochs(self, tour: _Tour) -> str:
        region = tour.region
        listing = await region.list(layout.NODES_PREFIX)
        if isinstance(listing, Unknown):
            return f"its births could not be listed: {listing.reason}"
        here = {each.key for each in listing}
        if fresh := here - self._epoch_keys.keys():
            self._epoch_keys |= {text: self._epoch_key(region.id, text) for text in fresh}
        noted = self.memory.noted(region.id)
        gone = sorted(key for key in noted - here if key.startswith(layout.NODES_PREFIX))
        epochs: set[tuple[NodeId, int]] = set()
        unread: list[str] = []
        for text in sorted(here):
            key = self._epoch_keys[text]
            if key is None:
                continue
            epochs.add((key.node, key.epoch))
            if key.kind in ("birth", "closed") and text not in noted:
                unread.append(text)
            elif key.kind in ("fence", "retired"):
                noted.add(text)
        await self._read_notes(region, unread)
        for node, epoch in sorted(epochs):
            self.ledger(node).doubt(epoch, "it was listed, and no good copy could be read")
        if gone:
            what = f"{len(gone)} notes on epochs that it held are gone, such as {gone[0]}"
            return await self._lost(tour, what)
        return ""

    async def _look_for_gaps(self, tour: _Tour) -> str:
        region = tour.region
        noted = self.memory.noted(region.id)
        before = len(self._gap_notes)
        listing = await region.list(layout.GAPS_PREFIX)
        if isinstance(listing, Unknown):
            return f"its gaps could not be listed: {listing.reason}"
        await self._read_notes(region, [each.key for each in listing if each.key not in noted])
        # Of years they are thousands, any of which may be new: names alone cost a tenth.
        level = await region.level(layout.FLOORS_PREFIX)
        if isinstance(level, Unknown):
            return f"its floors could not be listed: {level.reason}"
        await self._read_notes(region, [key for key in level.objects if key not in noted])
        if len(self._gap_notes) > before:
            # What is gone may be explained now, and what is stated to be lost may be there.
            self._to_look_at_all = {region.id for region in self._regions}
        return ""

    async def _read_notes(self, region: Region, keys: Sequence[str]) -> None:
        answers = await asyncio.gather(*(self._read(region, key) for key in keys))
        for text, answer in zip(keys, answers, strict=True):
            if isinstance(answer, Present) and self._take_note(region.id, text, answer.data):
                self.memory.changes.statements.append((region.id, text, answer.data))

    async def _look_for_segments(self, tour: _Tour) -> str:
        """Segments that are new; and that what a region showed last is there, of every ledger when
        it is back: a region that is as it was some time ago is listed whole, and found out."""
        region = tour.region
        for node, calls in self._plan.items():
            ledger = self.ledgers[node]
            explained = self._explained(region.id, node)
            before = shown.minus(self.memory.of(region.id).shown.get(node, ()), explained)
            newest = shown.last(before) if calls or region.id in self._back else ()
            now: shown.Ranges = ()
            for prefix, after in with_newest(node, calls, ledger.listed_from, newest):
                listing = await region.list(prefix, after)
                if isinstance(listing, Unknown):
                    return f"its segments could not be listed: {listing.reason}"
                found = await self._sight(region.id, ledger, listing)
                now = shown.union(now, shown.of_indexes(found))
            self.memory.note_shown(region.id, node, now)
            if shown.minus(newest, now) and not self.memory.of(region.id).gone:
                self._to_look_at_all.add(region.id)
        if self._whole_is_due(tour) and (failed := await self._look_at_all(tour)):
            return failed
        if gone := self.memory.of(tour.region.id).gone:
            return await self._lost(tour, f"{gone} segments that it held are gone")
        return ""

    async def _look_at_all(self, tour: _Tour) -> str:
        """List all segments of all nodes, for what was there once and is not any more: some in each
        pass, or all in this one where something seems to be gone."""
        id, facts = tour.region.id, self.memory.of(tour.region.id)
        at_once = id in self._to_look_at_all or facts.gone > 0 or not facts.whole_us
        is_new = not facts.store and id not in self._to_look_at_all | self.memory.suspects.keys()
        known = None if at_once else self._rounds.get(id)
        # Of a region that nobody looked at before, nothing can be gone.
        round = known or begin_round({} if is_new else self.ledgers, facts, tour.from_us)
        self._rounds[id] = round
        for _ in range(len(round.left) if at_once else min(len(round.left), ROUND_LISTINGS)):
            node, prefix = round.left[0]
            listing = await tour.region.list(prefix)
            if isinstance(listing, Unknown):
                return f"its segments could not be listed: {listing.reason}"
            found = await self._sight_all(id, self.ledgers[node], listing)
            round.saw(node, shown.of_indexes(found))
        if not round.left:
            del self._rounds[id]
            if round.gone(partial(self._explained, id)):
                await self.archives.look_into(tour.region, tour.from_us)
            gone = round.gone(partial(self._explained, id))
            self.memory.note_whole(id, round.now, gone, round.begun_us)
            self._to_look_at_all.discard(id)
        return ""

    def _explained(self, region: str, node: NodeId) -> shown.Ranges:
        """What of a ledger need not lie in a region."""
        ledger = self.ledgers.get(node)
        lost = ledger.lost_ranges if ledger else ()
        return shown.union(lost, self.archives.covered(region, node))

    async def _look_at_cookie(self, tour: _Tour) -> str:
        """Last: the store that was listed is the one whose cookie was there before and is now. One
        that was away meanwhile, or came back, lists less than it holds."""
        cookie = await read_cookie(tour.region, self._regions.trail)
        if isinstance(cookie, Absent):
            return self._suspect(tour, "it has no cookie")
        if isinstance(cookie, Foreign):
            return self._suspect(tour, cookie.reason)
        if isinstance(cookie, Unknown):
            return cookie.reason
        known = self.memory.of(tour.region.id)
        if known.store not in ("", cookie.store) and not cookie.replaces:
            return self._suspect(tour, "it is another store than before")
        if why := await why_not_whole(tour.region, cookie, self._regions.trail):
            return why
        if known.store not in ("", cookie.store):
            return self._forget(tour)
        if cookie.store != tour.store:
            return "another store took its place while it was listed"
        self.memory.note_store(tour.region.id, cookie.store)
        tour.to_us = self._host.now_us()
        return ""

    async def _lost(self, tour: _Tour, what: str) -> str:
        """Something that was there once is gone: a loss, unless another store came in its place."""
        cookie = await read_cookie(tour.region, self._regions.trail)
        store = cookie.store if isinstance(cookie, Cookie) and cookie.replaces else ""
        if store and store != self.memory.of(tour.region.id).store:
            return self._forget(tour)
        return self._suspect(tour, what)

    def _suspect(self, tour: _Tour, what: str) -> str:
        self.memory.suspect(tour.region.id, what)
        return what

    def _forget(self, tour: _Tour) -> str:
        self.memory.forget(tour.region.id)
        self._rounds.pop(tour.region.id, None)
        return "another store took the place of the one before, and is looked at anew"

    def _refuse_twins(self, tours: Iterable[_Tour]) -> None:
        """One store under two names is one region (I2)."""
        first: dict[str, str] = {}
        for tour in tours:
            if not tour.failed and first.setdefault(tour.store, tour.region.id) != tour.region.id:
                tour.failed = f"it is the same store as {first[tour.store]}"

    # -- segments ------------------------------------------------------------------------------

    async def _sight(self, region: str, ledger: NodeLedger, listing: Listing) -> set[int]:
        """Take up a listing; the indexes in it."""
        found: set[int] = set()
        for number, each in enumerate(listing):
            if number % KEYS_A_SLICE == KEYS_A_SLICE - 1:
                await asyncio.sleep(0)
            text = each.key.rpartition("/")[2].removesuffix(layout.SEGMENT_SUFFIX)
            known = ledger.seen.get(text)
            if known is not None:
                known.regions.add(region)
                found.add(known.name.index)
                continue
            key = self._parse(region, each.key)
            if isinstance(key, SegmentKey) and key.node == ledger.node:
                found.add(key.name.index)
                if not ledger.is_settled(key.name):
                    ledger.sight(key.name, region)
        return found

    async def _sight_all(self, region: str, ledger: NodeLedger, listing: Listing) -> set[int]:
        """The indexes in a listing, of whatever names; what it has of gaps is taken up."""
        found: set[int] = set()
        late: list[Listed] = []
        for number, each in enumerate(listing):
            if number % KEYS_A_SLICE == KEYS_A_SLICE - 1:
                await asyncio.sleep(0)
            digits = each.key.rpartition("/")[2].partition("-")[0]
            if _INDEX.fullmatch(digits):
                found.add(int(digits, 16))
                if ledger.gaps and ledger.is_lost(int(digits, 16)):
                    late.append(each)
        await self._sight(region, ledger, Listing(tuple(late)))
        return found

    def _whole_is_due(self, tour: _Tour) -> bool:
        if tour.region.id in self._to_look_at_all:
            return True
        facts = self.memory.of(tour.region.id)
        every = self._limits.suspect_s if facts.gone else self._limits.whole_s
        return abs(tour.from_us - facts.whole_us) >= every * 1e6

    # -- notes ---------------------------------------------------------------------------------

    async def _read(self, region: Region, key: str) -> Present | Absent | Unknown:
        async with self._reading:
            return await region.read(key)

    def _parse(self, region: str, text: str) -> layout.Key | None:
        """What a key is of; None, noted as a stray, when it is none of this format."""
        try:
            return layout.parse_key(text)
        except ProofError as error:
            self._stray(region, text, str(error))
            return None

    def _epoch_key(self, region: str, text: str) -> EpochKey | None:
        key = self._parse(region, text)
        return key if isinstance(key, EpochKey) else None

    def _take_note(self, region: str, text: str, data: bytes) -> bool:
        """Verify a birth, close, gap or floor; whether it holds. One that does not is reported, and
        read again in the next pass: it may have been bent on the way."""
        key = self._parse(region, text)
        if not isinstance(key, notes.Key):
            return False
        # All regions have the same bytes of a note: they are verified once.
        known = self._taken.get(text) == data
        trail = self._regions.trail
        why = "" if known else notes.take(self.ledger, self.floors, trail, key, data)
        if why:
            self._stray(region, text, why)
            return False
        self._taken[text] = data
        self.memory.noted(region).add(text)
        self.strays.pop((region, text), None)
        if isinstance(key, GapKey) and self._gap_notes.setdefault(text, data) != data:
            self._stray(region, text, "another region holds another statement of this gap")
        return True

    def _hear_heartbeats(self) -> None:
        """Verify the heartbeats read, now that their nodes' births are known."""
        for (region, node), beat in self._beats.items():
            ledger = self.ledgers.get(node)
            if beat.verified or ledger is None or not ledger.key:
                continue
            beat.verified = True
            if why := notes.hear(ledger, self._regions.trail, beat.data):
                self._stray(region, layout.heartbeat_key(node), why)

    @property
    def partial(self) -> bool:
        """Whether more was to be listed than one pass may."""
        return any(ledger.partial for ledger in self.ledgers.values())

    def _stray(self, region: str, key: str, reason: str) -> None:
        if len(self.strays) < STRAYS_MAX:
            self.strays[region, key] = Stray(region, key, reason)
