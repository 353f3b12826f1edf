"""What a living epoch says about itself: heartbeats with its promise, and signed checkpoints.

Heartbeats are overwritten in place, one object a region; checkpoints are evidence. Both cover
acknowledged segments only, so neither can ever lie beyond the epoch's close. With every heartbeat
goes a look for a fence, and the measuring of the region's clock.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from holdfast.ports import Host
from holdfast.proof import ProofError, statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.note import Checkpoint
from holdfast.proof.statements import Heartbeat, RegionState
from holdfast.regions import Regions, layout, signing
from holdfast.regions.clock import ClockInterval, measure_clock
from holdfast.regions.port import Absent, Present, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.regions.signing import SigningKey
from holdfast.write.identity import Identity
from holdfast.write.replicate import Channel


@dataclass(frozen=True, slots=True)
class Promise:
    """All segments of `end` are acknowledged, every event in a later one is received after `us`."""

    us: int
    end: LedgerEnd


def say_again(found: Iterable[Present | Absent | Unknown], key: SigningKey, now_us: int) -> bytes:
    """A heartbeat between epochs, to compare clocks by. It takes the place of the node's last one,
    so it promises the same again: nobody may close the epoch below that, and what it covers may be
    lost everywhere."""
    last = Heartbeat(
        epoch=0, n=0, time_us=0, promise_us=0, promise_size=0, checkpoint=b"", regions=()
    )
    for answer in found:
        with contextlib.suppress(ProofError):
            if isinstance(answer, Present):
                beat = statements.verify(answer.data, Heartbeat, key.verifier).statement
                last = max(last, beat, key=lambda each: (each.epoch, each.n))
    return signing.write(replace(last, time_us=now_us, regions=()), key.name, key)


class Pulse:
    """One epoch's heartbeats and checkpoints."""

    def __init__(
        self,
        epoch: int,
        identity: Identity,
        regions: Regions,
        host: Host,
        promise: Callable[[], Promise],
        channels: dict[str, Channel],
    ) -> None:
        self.clocks: dict[str, ClockInterval | Unknown] = {}
        self.promised = promise()
        self._epoch = epoch
        self._identity = identity
        self._regions = regions
        self._host = host
        self._promise = promise
        self._channels = channels
        self._beats_count = 0
        self._checkpoint = b""
        self._checkpoint_size = -1
        self._kept_size = self.promised.end.size
        self._beating: dict[str, asyncio.Task[None]] = {}

    async def beat_forever(self, interval_seconds: float) -> None:
        """A heartbeat an interval; a region that is still busy with its last one is passed over."""
        try:
            while True:
                data = self._heartbeat()
                for region in self._regions.members:
                    busy = self._beating.get(region.id)
                    if busy is None or busy.done():
                        self._beating[region.id] = asyncio.create_task(self._beat(region, data))
                await asyncio.sleep(interval_seconds)
        finally:
            for task in self._beating.values():
                task.cancel()

    async def checkpoint_forever(self, interval_seconds: float) -> None:
        while True:
            await asyncio.sleep(interval_seconds)
            await self.checkpoint()

    async def checkpoint(self) -> bool:
        """Keep a checkpoint of all that is acknowledged, if there is anything new.

        Returns whether one of that size is known to lie in W regions.
        """
        size = self._promise().end.size
        if size == self._kept_size:
            return True
        data = self._signed_checkpoint(self._promise().end)
        key = layout.checkpoint_key(self._identity.node, size)
        outcomes = await asyncio.gather(
            *(region.keep(key, data) for region in self._regions.members)
        )
        if sum(isinstance(o, Stored) for o in outcomes) < self._regions.quorum:
            return False
        self._kept_size = size
        return True

    async def _beat(self, region: Region, data: bytes) -> None:
        self.clocks[region.id] = await measure_clock(
            region, layout.heartbeat_key(self._identity.node), data, self._host.now_us
        )
        self._channels[region.id].look_now()

    def _heartbeat(self) -> bytes:
        self._beats_count += 1
        self.promised = self._promise()
        return signing.write(
            Heartbeat(
                epoch=self._epoch,
                n=self._beats_count,
                time_us=self._host.now_us(),
                promise_us=self.promised.us,
                promise_size=self.promised.end.size,
                checkpoint=self._signed_checkpoint(self.promised.end),
                regions=tuple(self._state(region) for region in self._regions.members),
            ),
            self._identity.key.name,
            self._identity.key,
        )

    def _state(self, region: Region) -> RegionState:
        backlog = self._channels[region.id].backlog()
        return RegionState(
            region=region.id,
            state="ok" if region.reachable else "down",
            lag_segments=backlog.segments,
            lag_bytes=backlog.size_bytes,
        )

    def _signed_checkpoint(self, end: LedgerEnd) -> bytes:
        if end.size != self._checkpoint_size:
            origin = self._identity.key.name
            text = Checkpoint(origin, end.size, end.root).text
            self._checkpoint = signing.sign(text, self._identity.key)
            self._checkpoint_size = end.size
        return self._checkpoint
