"""One life of a node: from its birth in W regions until it stops or is fenced.

    take -> batch -> seal -> send to every region -> enter the catalog -> count -> acknowledge

Everything runs on one event loop and only `_seal` moves the ledger on, so it has one order. A crash
anywhere loses only what was not acknowledged: the next start closes this epoch from what the
regions hold.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from holdfast.errors import FencedError, OutcomeUnknownError, UnavailableError
from holdfast.model import Contents
from holdfast.ports import Host
from holdfast.proof import ledger
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.regions import Regions, layout, signing
from holdfast.regions.cookie import Fenced, Free, Newcomer, look
from holdfast.regions.kinds import Receipt
from holdfast.regions.port import Unknown
from holdfast.regions.region import Region, why_too_few
from holdfast.write import seal
from holdfast.write.admit import Admitted, finish
from holdfast.write.batch import Acknowledgement, Batch, Taken, Way
from holdfast.write.identity import Identity
from holdfast.write.pulse import Promise, Pulse
from holdfast.write.quorum import Tally
from holdfast.write.record import times_of
from holdfast.write.replicate import Channel, Flight
from holdfast.write.stamp import Stamp

Entered = Callable[[str, SegmentName, bytes, Contents], Awaitable[None]]
EXPIRE_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """How a node writes; from the settings."""

    seal_interval_seconds: float = 0.05
    heartbeat_seconds: float = 1.0
    checkpoint_seconds: float = 3600.0
    ack_timeout_seconds: float = 30.0
    drain_seconds: float = 10.0
    queue_bytes_max: int = 64 * 1024 * 1024
    clock_error_us: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Born:
    """An epoch whose birth is known to lie in W regions.

    stores: region id and store uuid, as the birth names them. floor_us: every event is received
    later: the latest of the base's `sealed_us`, the birth's start time, and the clock as it was
    read once the birth was known to lie in W.
    """

    epoch: int
    birth_bytes: bytes
    base: LedgerEnd
    stores: tuple[tuple[str, str], ...]
    floor_us: int


@dataclass(slots=True, eq=False)
class _Sealed:
    """A segment that waits to be acknowledged. end: the ledger with it. The rest as in `Way`."""

    name: SegmentName
    data: bytes
    contents: Contents | None  # until it was entered
    requests: Sequence[Taken]
    end: LedgerEnd
    size_bytes: int
    sealed_at: float
    entered_at: float | None = None
    stored: dict[str, tuple[float, float]] = field(default_factory=dict)


class Epoch:
    """`take` is the way in; `run` works until fenced or finished; `drain` comes before a stop."""

    def __init__(
        self,
        born: Born,
        identity: Identity,
        regions: Regions,
        host: Host,
        limits: WriteLimits,
        entered: Entered,
    ) -> None:
        """entered: awaited with every sealed segment before its ack; must not raise.

        fenced_by, outdated_by: the region that made it end; the second has a store now that the
        birth does not name, so that only a next epoch can count it.
        """
        self.born = born
        self.acknowledged_end = born.base
        self.last_acknowledged_us = 0
        self.waiting_bytes = 0
        self.fenced_by = ""
        self.outdated_by = ""
        self._identity = identity
        self._regions = regions
        self._host = host
        self._limits = limits
        self._entered = entered
        self._end = born.base  # of the ledger as sealed
        self._stamp = Stamp(born.floor_us)
        self._tally = Tally(regions.quorum, born.base.size)
        self._batch = Batch()
        self._sealed: deque[_Sealed] = deque()
        self._to_enter: deque[_Sealed] = deque()
        self._arrived = asyncio.Event()
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._over = asyncio.Event()
        self._outdated = asyncio.Event()
        self._accepting = True
        self.channels = {region.id: self._channel(region) for region in regions.members}
        self.pulse = Pulse(born.epoch, identity, regions, host, self._promise, self.channels)

    def _channel(self, region: Region) -> Channel:
        store = dict(self.born.stores).get(region.id, "")  # one that no birth names never counts
        return Channel(region, lambda: self._look(region, store), self._on_counted, self._on_fenced)

    async def _look(self, region: Region, store: str) -> Free | Fenced | Unknown:
        trail, node = self._regions.trail, self._identity.node
        seen = await look(region, trail, node, self.born.epoch, store)
        if not isinstance(seen, Newcomer):
            return seen
        self._regions.recognise(region, seen.cookie)
        if region.store_uuid == seen.cookie.store:
            self.outdated_by = region.id
            self._outdated.set()
        return Unknown(f"its store is {seen.cookie.store}, which the birth does not name")

    # The way in

    def take(self, admitted: Admitted, principal: str) -> Taken:
        """Take a request in; its outcome is a future of the acknowledgement.

        Raises:
            UnavailableError: nothing was taken in: stopping, full, or too few regions to count.
        """
        self._refuse_if_unable(admitted.size_bytes)
        received_us = self._stamp.next(self._host.now_us())
        records, ids = finish(admitted, received_us, principal, self._host.random)
        size_bytes = sum(map(len, records)) + len(records)
        taken = Taken(
            tenants=admitted.tenants,
            records=records,
            ids=ids,
            times=times_of(admitted, received_us),
            size_bytes=size_bytes,
            received_us=received_us,
            taken_at=asyncio.get_running_loop().time(),
            outcome=asyncio.get_running_loop().create_future(),
        )
        if not self._batch.fits(size_bytes):
            self._seal()
        self._batch.add(taken)
        self.waiting_bytes += size_bytes
        self._idle.clear()
        self._arrived.set()
        if self._batch.is_due:
            self._due.set()
        return taken

    def _refuse_if_unable(self, size_bytes: int) -> None:
        if not self._accepting:
            raise UnavailableError("the epoch is ending")
        members = self._regions.members
        if sum(region.reachable for region in members) < self._regions.quorum:
            reports = (region.report() for region in members)
            raise UnavailableError(why_too_few(reports, self._regions.quorum), 5)
        if self.waiting_bytes + size_bytes > self._limits.queue_bytes_max:
            raise UnavailableError("the queue is full: the regions are slower than what arrives")

    # Life

    async def run(self) -> None:
        """Work until fenced or finished; what is in flight then ends as unknown."""
        work = [
            self._over.wait(),
            self._seal_forever(),
            self._expire_forever(),
            self._end_when_outdated(),
            self.pulse.beat_forever(self._limits.heartbeat_seconds),
            self.pulse.checkpoint_forever(self._limits.checkpoint_seconds),
            *(channel.run() for channel in self.channels.values()),
        ]
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._accepting = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._fail_waiting()

    async def _end_when_outdated(self) -> None:
        await self._outdated.wait()
        await self.drain()

    async def drain(self) -> bool:
        """Accept no more, wait until all that was taken in is acknowledged, and sign it.

        Returns whether all of that happened within the time for it.
        """
        self._accepting = False
        self._due.set()
        try:
            async with asyncio.timeout(self._limits.drain_seconds):
                await self._idle.wait()
                return await self.pulse.checkpoint()
        except TimeoutError:
            return False

    def finish(self) -> None:
        """Let `run` end."""
        self._over.set()

    @property
    def waiting_events(self) -> int:
        return self._batch.events_count + sum(sealed.name.count for sealed in self._sealed)

    @property
    def waiting_segments(self) -> int:
        return len(self._sealed)

    # Sealing

    async def _seal_forever(self) -> None:
        """Seal at once after a pause, else an interval after the last, or when large enough."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            await self._arrived.wait()
            if loop.time() < next_at and not self._due.is_set():
                try:
                    async with asyncio.timeout_at(next_at):
                        await self._due.wait()
                except TimeoutError:
                    pass
            next_at = loop.time() + self._limits.seal_interval_seconds
            self._arrived.clear()
            self._due.clear()
            if self._batch.requests:
                self._seal()
            while self._to_enter:
                await self._enter(self._to_enter.popleft())

    def _seal(self) -> None:
        """Make a segment of the batch and send it on its way. Nothing is awaited in between.

        Raises:
            ProofError: the segment cannot be trusted; the epoch ends, and its requests are told.
        """
        batch = self._batch
        grouped = batch.by_tenant()
        encoded = seal.encode(
            self._identity.key,
            self._regions.tag_key,
            self._end,
            self.born.epoch,
            self._stamp.seal(),
            grouped.records(),
        )
        self._end = ledger.extend(self._end, encoded.name)
        self._batch = Batch()
        sealed = _Sealed(
            name=encoded.name,
            data=encoded.data,
            contents=grouped.contents(encoded.tenants, tuple(map(len, encoded.records))),
            requests=batch.requests,
            end=self._end,
            size_bytes=batch.size_bytes,
            sealed_at=asyncio.get_running_loop().time(),
        )
        self._sealed.append(sealed)
        self._to_enter.append(sealed)
        flight = Flight(
            index=encoded.name.index,
            key=layout.segment_key(self._identity.node, encoded.name),
            data=encoded.data,
            sealed_us=encoded.name.sealed_us,
        )
        for channel in self.channels.values():
            channel.send(flight, self._tally.acknowledged_size)

    async def _enter(self, sealed: _Sealed) -> None:
        """Into this process's own catalog, so that whoever is acknowledged finds it at once."""
        assert sealed.contents is not None, "a segment is entered once"
        await self._entered(self._identity.node, sealed.name, sealed.data, sealed.contents)
        sealed.entered_at = asyncio.get_running_loop().time()
        sealed.data, sealed.contents = b"", None
        self._acknowledge()

    # Counting and acknowledging

    def _on_counted(self, index: int, region: str, stored_at: float) -> None:
        self._tally.count(index, region)
        if self._sealed and index >= (first := self._sealed[0].name.index):
            counted_at = asyncio.get_running_loop().time()
            self._sealed[index - first].stored[region] = stored_at, counted_at
        self._acknowledge()

    def _on_fenced(self, region: str) -> None:
        self.fenced_by = region
        self._accepting = False
        self._over.set()

    def _acknowledge(self) -> None:
        """Acknowledge, in the ledger's order, what W regions count and the catalog knows."""
        while self._sealed and not self.fenced_by:
            sealed = self._sealed[0]
            if sealed.name.index >= self._tally.acknowledged_size or sealed.entered_at is None:
                break
            self._sealed.popleft()
            self.acknowledged_end = sealed.end
            self.last_acknowledged_us = self._host.now_us()
            self._answer(sealed)
        if not self._sealed and not self._batch.requests:
            self._idle.set()

    def _answer(self, sealed: _Sealed) -> None:
        assert sealed.entered_at is not None, "it was entered before it is acknowledged"
        counted = self._tally.take(sealed.name.index)
        receipt = signing.write(
            Receipt(
                segment=sealed.name.text,
                regions=tuple(store for store in self.born.stores if store[0] in counted),
            ),
            self._identity.key.name,
            self._identity.key,
        )
        way = Way(sealed.sealed_at, sealed.entered_at, sealed.stored)
        answer = Acknowledgement(self._identity.node, sealed.name.text, receipt, counted, way)
        for request in sealed.requests:
            if not request.outcome.done():
                request.outcome.set_result(answer)
        self.waiting_bytes -= sealed.size_bytes

    def _promise(self) -> Promise:
        oldest = self._sealed[0].requests if self._sealed else self._batch.requests
        oldest_us = oldest[0].received_us if oldest else None
        return Promise(self._stamp.promise(self._host.now_us(), oldest_us), self.acknowledged_end)

    # Ending without an acknowledgement

    async def _expire_forever(self) -> None:
        """Tell who has waited too long that the outcome is unknown; the events stay in flight."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(EXPIRE_EVERY_SECONDS)
            latest = loop.time() - self._limits.ack_timeout_seconds
            for request in self._waiting_requests():
                if request.taken_at > latest:
                    break
                _fail(request, OutcomeUnknownError("not enough regions answered in time"))

    def _fail_waiting(self) -> None:
        for request in self._waiting_requests():
            _fail(
                request,
                FencedError(f"the epoch ended, fenced in region {self.fenced_by}")
                if self.fenced_by
                else OutcomeUnknownError("the epoch ended"),
            )
        self._sealed.clear()
        self._batch = Batch()

    def _waiting_requests(self) -> list[Taken]:
        waiting = [request for sealed in self._sealed for request in sealed.requests]
        return waiting + self._batch.requests


def _fail(request: Taken, error: OutcomeUnknownError) -> None:
    if not request.outcome.done():
        error.ids = request.ids
        request.outcome.set_exception(error)
