"""A node's life: find where its ledger stands, be born, write, be fenced or stop, and again.

    start -> [ find the last epoch -> close it -> birth in W regions -> Epoch.run ] ... -> stop

It goes on by itself after anything: a crash, a fence, regions that were away. What cannot go on
under the same key (a directory that was cloned, an epoch whose votes are split while a store is
silent) goes on under a new one, as a new node, and says so.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from holdfast.errors import HoldfastError, Problem, RejectedError, UnavailableError
from holdfast.ports import Host
from holdfast.proof import ProofError, statements
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.statements import Birth
from holdfast.regions import Regions, layout, signing
from holdfast.regions.clock import ClockInterval, measure_clock
from holdfast.regions.cookie import read_cookie
from holdfast.regions.kinds import Cookie, Retired
from holdfast.regions.port import Absent, Differs, Listing, Present, RegionId, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.regions.sets import lacking_quorum
from holdfast.regions.signing import SigningKey
from holdfast.regions.whole import why_not_whole
from holdfast.write.admit import Admitted
from holdfast.write.batch import Taken
from holdfast.write.closing import Undecided, close_epoch
from holdfast.write.epoch import Born, Entered, Epoch, WriteLimits
from holdfast.write.identity import Identity, Keyring, identify, renew
from holdfast.write.pulse import say_again
from holdfast.write.retired import find_retirement

log = logging.getLogger("holdfast.write")

RETRY_FIRST_SECONDS = 0.25
RETRY_MAX_SECONDS = 5.0
CLOSE_ATTEMPTS_MAX = 5

Offset = ClockInterval | Unknown


class RegionBacklog(Struct, frozen=True):
    """What a region lacks, as far as this node's own sending goes."""

    region: str
    reachable: bool
    segments: int
    size_bytes: int
    oldest_us: int
    dropped_count: int
    clock_offset_us: int | None


class NodeReport(Struct, frozen=True):
    """How this node stands. state: "starting", "open", "stopping", "stopped" or, for ever,
    "retired"; why: for people."""

    node: str
    epoch: int
    state: str
    why: str
    size: int
    events_count: int
    waiting_events: int
    waiting_bytes: int
    waiting_segments: int
    promise_us: int
    last_acknowledged_us: int
    regions: tuple[RegionBacklog, ...]


class _NewNodeError(Exception):
    """Its ledger cannot go on here; the reason, for people."""


class _RetiredError(Exception):
    """The trail's key has stated that this node writes no more; the words for people."""


class _UncertifiedError(Exception):
    """It needs a new key, and nobody here can certify that; the reason, for people."""


class _NotYetError(Exception):
    """Try again; the reason, for people."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The node's last epoch as the regions show it; number 0: there is none."""

    number: int
    births: Sequence[bytes]


class Node:
    """One writer: a key, a ledger, and at most one epoch at a time."""

    def __init__(
        self,
        regions: Regions,
        keyring: Keyring,
        trail_key: SigningKey | None,
        host: Host,
        limits: WriteLimits,
        entered: Entered,
    ) -> None:
        """trail_key: where it is at hand, the node certifies itself. entered: see `Epoch`.

        Raises:
            RejectedError: the node has no certificate and cannot make one.
        """
        self.identity: Identity = identify(keyring, regions.trail, trail_key, host)
        self._regions = regions
        self._keyring = keyring
        self._trail_key = trail_key
        self._host = host
        self._limits = limits
        self._entered = entered
        self._epoch: Epoch | None = None
        self._created = 0  # the last epoch that this very process gave birth to
        self._close_attempts = 0
        self._life: asyncio.Task[None] | None = None
        self._state, self._why = "starting", "not started"
        self._opened = asyncio.Event()

    async def refuse_if_retired(self) -> None:
        """To be asked before `start`, once regions answer.

        Raises:
            RejectedError: the trail's key has stated that this node writes no more.
        """
        try:
            await self._check_retirement(await self._list_epochs())
        except _RetiredError as reason:
            raise RejectedError("retired", Problem(0, "", str(reason))) from None

    def _why_retired(self, retired: Retired) -> str:
        return (
            f"node {self.identity.node} was retired by {retired.by} ({retired.why}) and writes no "
            f"more: its ledger ends with {retired.end.size} segments. To write from here again as "
            "a new node, put the directory of the node's key aside"
        )

    async def start(self) -> None:
        """Begin; `ready` tells when events are accepted."""
        self._life = asyncio.create_task(self._live())

    async def stop(self) -> None:
        """Drain, checkpoint, close the epoch; what cannot be drained is left to the next start."""
        self._state, self._why = "stopping", "stopping"
        epoch = self._epoch
        is_drained = epoch is not None and await epoch.drain()
        if self._life is not None:
            # Before the close, whose fence would look like another's: a next epoch would be begun.
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        if epoch is not None and is_drained:
            outcome = await close_epoch(
                self._regions, epoch.born.birth_bytes, self.identity, self._host, "stopped"
            )
            if isinstance(outcome, Undecided):
                log.warning("epoch %d stays open: %s", epoch.born.epoch, outcome.reason)
        self._state, self._why = "stopped", "stopped"

    async def close_last(self) -> bool:
        """End the last epoch and begin none: for a node that nobody starts any more.

        Whoever calls this knows that no process runs the node. Returns whether it is closed now,
        or will not be by this process.
        """
        try:
            await self._check_regions()
            last = await self._find_last()
            if last.number:
                await self._close(last)
        except (_RetiredError, _NewNodeError) as reason:
            log.warning("node %s, which is not started: %s", self.identity.node, reason)
        except (_NotYetError, ProofError, HoldfastError) as reason:
            log.warning("node %s, which is not started: %s", self.identity.node, reason)
            return False
        return True

    async def ready(self) -> None:
        """Wait until an epoch is open."""
        await self._opened.wait()

    def take(self, admitted: Admitted, principal: str) -> Taken:
        """Take a request in. Its `outcome` is a future of the acknowledgement; that fails with
        OutcomeUnknownError, which carries the ids, where there was none.

        Raises:
            UnavailableError: nothing was taken in.
        """
        if self._epoch is None:
            raise UnavailableError(f"this node accepts nothing now: {self._why}")
        return self._epoch.take(admitted, principal)

    def living_identity(self) -> Identity | None:
        """Who this is while an epoch is open, and others can thus know its key; else None."""
        return self.identity if self._epoch else None

    def birth(self) -> tuple[str, bytes] | None:
        """The key and the bytes of the birth of the epoch that is open; None while none is."""
        if self._epoch is None:
            return None
        born = self._epoch.born
        return layout.birth_key(self.identity.node, born.epoch), born.birth_bytes

    def clocks(self) -> Mapping[str, ClockInterval | Unknown]:
        """How far each region's clock is from this machine's, as last measured; empty at first."""
        return self._epoch.pulse.clocks if self._epoch else {}

    def report(self) -> NodeReport:
        epoch = self._epoch
        end = epoch.acknowledged_end if epoch else EMPTY_END
        return NodeReport(
            node=self.identity.node,
            epoch=epoch.born.epoch if epoch else 0,
            state=self._state,
            why=self._why,
            size=end.size,
            events_count=end.first,
            waiting_events=epoch.waiting_events if epoch else 0,
            waiting_bytes=epoch.waiting_bytes if epoch else 0,
            waiting_segments=epoch.waiting_segments if epoch else 0,
            promise_us=epoch.pulse.promised.us if epoch else 0,
            last_acknowledged_us=epoch.last_acknowledged_us if epoch else 0,
            regions=tuple(_backlog(epoch, r.id, r.reachable) for r in self._regions.members),
        )

    # One epoch after the other

    async def _live(self) -> None:
        pause = RETRY_FIRST_SECONDS
        while True:
            try:
                try:
                    await self._write(await self._begin())
                    pause = RETRY_FIRST_SECONDS
                except _NewNodeError as reason:
                    self._become_new(str(reason))
            except (_RetiredError, _UncertifiedError) as reason:
                self._state = "retired" if isinstance(reason, _RetiredError) else "starting"
                self._why = str(reason)
                log.error("%s", reason)
                return
            except Exception as reason:
                # Whatever it is, the node goes on: nobody else would start it again.
                is_foreseen = isinstance(reason, _NotYetError | ProofError | HoldfastError)
                self._state, self._why = "starting", str(reason) or type(reason).__name__
                log.warning("not writing yet: %s", self._why, exc_info=not is_foreseen)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MAX_SECONDS)

    async def _write(self, born: Born) -> None:
        epoch = Epoch(born, self.identity, self._regions, self._host, self._limits, self._entered)
        self._epoch = epoch
        self._state, self._why = "open", f"epoch {born.epoch}"
        log.info("node %s accepts events in epoch %d", self.identity.node, born.epoch)
        self._opened.set()
        try:
            await epoch.run()
            if epoch.fenced_by:
                log.warning("epoch %d was fenced in %s", born.epoch, epoch.fenced_by)
            elif epoch.outdated_by:
                log.warning("epoch %d ends: %s has a new store", born.epoch, epoch.outdated_by)
        finally:
            self._epoch = None
            self._opened.clear()

    def _become_new(self, reason: str) -> None:
        old = self.identity.node
        try:
            self.identity = renew(self._keyring, self._regions.trail, self._trail_key, self._host)
        except RejectedError as refused:
            raise _UncertifiedError(str(refused)) from None
        self._created = 0
        self._close_attempts = 0
        log.warning("node %s cannot go on here (%s); now node %s", old, reason, self.identity.node)

    async def _begin(self) -> Born:
        """Be born as the next epoch."""
        self._state, self._why = "starting", "finding where the ledger stands"
        await self._check_regions()
        last = await self._find_last()
        if self._created and last.number > self._created:
            raise _NewNodeError(f"epoch {last.number} of this node was begun by another process")
        self._check_set(last)
        base = await self._close(last) if last.number else EMPTY_END
        return await self._birth(last.number + 1, base)

    async def _list_epochs(self) -> Mapping[RegionId, Listing]:
        """What each region that answers lists of the node's epochs."""
        prefix = layout.epochs_prefix(self.identity.node)
        listings = await asyncio.gather(*(region.list(prefix) for region in self._regions))
        return {
            region.id: listing
            for region, listing in zip(self._regions, listings, strict=True)
            if isinstance(listing, Listing)
        }

    async def _check_retirement(self, epochs: Mapping[RegionId, Listing]) -> None:
        found = await find_retirement(self._regions, self.identity.node, epochs)
        if found is not None:
            raise _RetiredError(self._why_retired(found))

    async def _check_regions(self) -> None:
        """Cookies, and clocks: a wrong clock at the birth would make promises lie."""
        verified = await self._regions.verify()
        self._regions.refuse_mix_ups()
        shown = {region.id for region in verified}
        if lacking := lacking_quorum(self._regions.sets, shown):
            raise _NotYetError(
                f"{lacking.count(shown)} of the {lacking.quorum} regions needed show their cookie: "
                + "; ".join(
                    f"{r.id}: {r.why_unverified}" for r in self._regions if not r.store_uuid
                )
            )
        await self._check_clocks()

    async def _check_clocks(self) -> None:
        key = layout.heartbeat_key(self.identity.node)
        found = await asyncio.gather(*(region.read(key) for region in self._regions))
        beat = say_again(found, self.identity.key, self._host.now_us())

        async def measure(region: Region, read: Present | Absent | Unknown) -> Offset:
            if isinstance(read, Unknown):
                return read  # not overwritten either: it may hold the newest promise
            return await measure_clock(region, key, beat, self._host.now_us)

        seen = await asyncio.gather(*map(measure, self._regions, found))
        allowed_us = self._limits.clock_error_us // 2
        clocks = dict(zip(self._regions.by_id, seen, strict=True))
        good = {
            id
            for id, clock in clocks.items()
            if not isinstance(clock, Unknown) and clock.is_within(allowed_us)
        }
        if lacking := lacking_quorum(self._regions.sets, good):
            told = "; ".join(f"{id}: {clock}" for id, clock in clocks.items())
            raise _NotYetError(
                f"{lacking.count(good)} of the {lacking.quorum} regions needed have a clock within "
                f"{allowed_us / 1e6:g} s of this machine's: {told}"
            )

    async def _find_last(self) -> _Found:
        """The node's last epoch in R regions of every set, with every birth that was seen of it."""
        listings = await self._list_epochs()
        seen: dict[int, list[RegionId]] = {}
        for id, listing in listings.items():
            for entry in listing:
                key = layout.known_key(entry.key)
                if isinstance(key, layout.EpochKey) and key.kind == "birth":
                    seen.setdefault(key.epoch, []).append(id)
        await self._check_retirement(listings)
        if not self._regions.are_enough(listings.keys() & await self._whole_stores()):
            raise _NotYetError("too few regions could be listed to find the node's last epoch")
        if not seen:
            return _Found(0, ())
        number = max(seen)
        birth_key, by_id = layout.birth_key(self.identity.node, number), self._regions.by_id
        answers = await asyncio.gather(*(by_id[id].read(birth_key) for id in seen[number]))
        births = [
            answer.data
            for answer in answers
            if isinstance(answer, Present) and self._is_birth(answer.data)
        ]
        if not births:
            raise _NotYetError(f"the birth of epoch {number} is listed but cannot be read intact")
        # The one that most stores hold first: only a birth in W of its stores ever counted.
        return _Found(number, sorted(set(births), key=lambda each: (-births.count(each), each)))

    def _is_birth(self, data: bytes) -> bool:
        try:
            statements.verify_birth(data, self._regions.trail)
        except ProofError:
            return False  # a corrupt copy; it must not hold up the start
        return True

    async def _whole_stores(self) -> set[RegionId]:
        """Those of the true stores that show all that they should: not one that came later, and
        that nobody has compared with others yet."""
        true = await self._true_stores(self._regions.stores)
        by_id, trail = self._regions.by_id, self._regions.trail
        whys = await asyncio.gather(
            *(why_not_whole(by_id[id], cookie, trail) for id, cookie in true.items())
        )
        return {id for id, why in zip(true, whys, strict=True) if not why}

    async def _true_stores(
        self, members: Iterable[tuple[RegionId, str]]
    ) -> Mapping[RegionId, Cookie]:
        """The regions that are, now, the stores that they are taken for, with their cookies.

        members: what the members are taken for, as a birth names them.

        To be asked after whatever is to be counted: a store that was wiped takes a birth as well
        as any, and lists nothing.
        """
        named = {region.id: region.named_uuid for region in self._regions.leaving} | dict(members)
        cookies = await asyncio.gather(
            *(read_cookie(region, self._regions.trail) for region in self._regions)
        )
        return {
            region.id: cookie
            for region, cookie in zip(self._regions, cookies, strict=True)
            if isinstance(cookie, Cookie) and cookie.store == named.get(region.id)
        }

    def _check_set(self, last: _Found) -> None:
        """Others may go by the set that the last epoch was written to: it must not be dropped by a
        change of the settings itself, or they would miss this birth."""
        if not last.births:
            return
        birth = statements.verify_birth(last.births[0], self._regions.trail).statement
        ids = {id for id, _ in birth.regions}  # all of its set but those that nobody could name
        if any(each.quorum == birth.quorum and ids <= each.ids for each in self._regions.sets):
            return
        told = ", ".join(sorted(ids))
        raise _NotYetError(
            f"epoch {last.number} of this node was written to {told} with a quorum of "
            f"{birth.quorum}: name that set in [[earlier]] of the settings"
        )

    async def _close(self, last: _Found) -> LedgerEnd:
        self._why = f"closing epoch {last.number}"
        outcome = await close_epoch(
            self._regions, last.births[0], self.identity, self._host, "the node's next start"
        )
        if isinstance(outcome, LedgerEnd):
            self._close_attempts = 0
            return outcome
        self._close_attempts += 1
        if self._close_attempts >= CLOSE_ATTEMPTS_MAX:
            raise _NewNodeError(f"epoch {last.number} cannot be closed: {outcome.reason}")
        raise _NotYetError(f"epoch {last.number} is not closed yet: {outcome.reason}")

    async def _birth(self, number: int, base: LedgerEnd) -> Born:
        """Put the birth and see it in W regions; only then may anything be accepted (I7).

        In W of every set: whoever still reads one of the earlier ones finds it too.
        """
        started_us = self._host.now_us()
        stores = self._regions.stores
        birth = signing.write(
            Birth(
                trail_key=self._regions.trail_key,
                node_key=self.identity.key.public,
                certificate=self.identity.certificate,
                epoch=number,
                instance=self._host.random(16).hex(),
                started_us=started_us,
                quorum=self._regions.quorum,
                regions=stores,
                base=base,
            ),
            self.identity.key.name,
            self.identity.key,
        )
        self._created = number
        key = layout.birth_key(self.identity.node, number)
        outcomes = await asyncio.gather(*(region.keep(key, birth) for region in self._regions))
        # Whoever retires a node looks for its births once that is stated: one of the two sees the
        # other's note, and nothing is acknowledged in an epoch that nobody will count.
        epochs = await self._list_epochs()
        true = await self._true_stores(stores)
        counted = {
            region.id: outcome
            for region, outcome in zip(self._regions, outcomes, strict=True)
            if region.id in true
        }
        own = {id for id, outcome in counted.items() if isinstance(outcome, Stored)}
        if lacking := lacking_quorum(self._regions.sets, own):
            foreign = {id for id, outcome in counted.items() if isinstance(outcome, Differs)}
            if any(each.count(foreign) >= each.needed for each in self._regions.sets):
                raise _NewNodeError(f"another process was born as epoch {number}")
            raise _NotYetError(
                f"the birth of epoch {number} lies in {lacking.count(own)} of the {lacking.quorum} "
                "regions needed only"
            )
        await self._check_clocks()
        await self._give_up_if_retired(birth, {id: epochs[id] for id in epochs if id in true})
        floor_us = max(base.sealed_us, started_us, self._host.now_us())
        return Born(number, birth, base, stores, floor_us)

    async def _give_up_if_retired(self, birth: bytes, epochs: Mapping[RegionId, Listing]) -> None:
        """End an epoch that came too late. epochs: in true stores, once its birth was put."""
        if not self._regions.are_enough(epochs.keys()):
            raise _NotYetError("too few regions tell whether this node was retired")
        try:
            await self._check_retirement(epochs)
        except _RetiredError:
            await close_epoch(self._regions, birth, self.identity, self._host, "retired")
            raise


def _backlog(epoch: Epoch | None, region: str, reachable: bool) -> RegionBacklog:
    backlog = epoch.channels[region].backlog() if epoch else None
    clock = epoch.pulse.clocks.get(region) if epoch else None
    return RegionBacklog(
        region=region,
        reachable=reachable,
        segments=backlog.segments if backlog else 0,
        size_bytes=backlog.size_bytes if backlog else 0,
        oldest_us=backlog.oldest_us if backlog else 0,
        dropped_count=backlog.dropped_count if backlog else 0,
        clock_offset_us=None if clock is None or isinstance(clock, Unknown) else clock.middle_us,
    )
