"""Bring sealed segments to one region, and find out when it counts.

A region counts for a segment when the segment is known to lie there (the PUT said so, or the bytes
read back are equal) *and* a look begun after that found no fence for this epoch and the right
cookie. One look covers every PUT that was finished before it began. Everything else is unknown, and
asked again.

A crash at any line leaves at most a segment that nobody counted: the closing of the epoch finds it,
or it is an orphan that was never acknowledged.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdfast.regions.cookie import Fenced, Free
from holdfast.regions.port import Differs, Stored, Unknown
from holdfast.regions.region import Region

PUTS_AT_ONCE = 4
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
UNCOUNTED_MAX = 16_384  # segments that lie there, while no look can tell that they count
RETRY_FIRST_SECONDS = 0.05
RETRY_MAX_SECONDS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A sealed segment on its way."""

    index: int
    key: str
    data: bytes
    sealed_us: int


@dataclass(frozen=True, slots=True)
class _Put:
    """A segment that lies there and waits for a look, however long: its bytes are let go."""

    index: int
    size_bytes: int
    sealed_us: int
    stored_at: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a region still lacks, as far as this writer knows. oldest_us: 0 where it lacks nothing.

    dropped_count: segments given up for this region; repair brings them.
    """

    segments: int
    size_bytes: int
    oldest_us: int
    dropped_count: int


class Channel:
    """One epoch's way to one region."""

    def __init__(
        self,
        region: Region,
        look: Callable[[], Awaitable[Free | Fenced | Unknown]],
        counted: Callable[[int, str, float], None],
        fenced: Callable[[str], None],
    ) -> None:
        """look: one look at this region, for a fence. counted(index, region id, stored at): it
        counts for that segment, which was known to lie there then, by the event loop's time.
        fenced(region id): a fence was seen; nothing more will be counted."""
        self.region = region
        self._look = look
        self._counted = counted
        self._fenced = fenced
        self._waiting: deque[Flight] = deque()
        self._waiting_bytes = 0
        self._dropped_count = 0
        self._put: list[_Put] = []
        self._in_flight: dict[int, Flight] = {}
        self._work = asyncio.Event()
        self._to_look = asyncio.Event()
        self._acknowledged_size = 0

    def send(self, flight: Flight, acknowledged_size: int) -> None:
        """Queue a segment. What is acknowledged already gives way when the queue is too long."""
        self._acknowledged_size = acknowledged_size
        self._waiting.append(flight)
        self._waiting_bytes += len(flight.data)
        while (
            self._waiting_bytes > BACKLOG_BYTES_MAX and self._waiting[0].index < acknowledged_size
        ):
            dropped = self._waiting.popleft()
            self._waiting_bytes -= len(dropped.data)
            self._dropped_count += 1
        self._work.set()

    def look_now(self) -> None:
        """Look even though nothing waits for it: an idle writer wants to know of a fence."""
        self._to_look.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(PUTS_AT_ONCE):
                tasks.create_task(self._put_forever())
            tasks.create_task(self._look_forever())

    def backlog(self) -> Backlog:
        lacking = [(put.size_bytes, put.sealed_us) for put in self._put]
        lacking += [
            (len(flight.data), flight.sealed_us)
            for flight in (*self._in_flight.values(), *self._waiting)
        ]
        return Backlog(
            segments=len(lacking),
            size_bytes=sum(size for size, _ in lacking),
            oldest_us=min((sealed_us for _, sealed_us in lacking), default=0),
            dropped_count=self._dropped_count,
        )

    async def _put_forever(self) -> None:
        while True:
            while not self._waiting:
                self._work.clear()
                await self._work.wait()
            flight = self._waiting.popleft()
            self._waiting_bytes -= len(flight.data)
            self._in_flight[flight.index] = flight
            if await self._bring(flight):
                now = asyncio.get_running_loop().time()
                self._put.append(_Put(flight.index, len(flight.data), flight.sealed_us, now))
                self._to_look.set()
            del self._in_flight[flight.index]

    async def _bring(self, flight: Flight) -> bool:
        """Until the segment is known to lie there; False where that can never be."""
        pause = RETRY_FIRST_SECONDS
        while True:
            outcome = await self.region.keep(flight.key, flight.data)
            if isinstance(outcome, Stored):
                return True
            if isinstance(outcome, Differs):
                # The name holds the hash of its bytes, so what lies there is corrupt and stays:
                # this region can never count for the segment. The survey reports it.
                return False
            if self._waiting_bytes > BACKLOG_BYTES_MAX and flight.index < self._acknowledged_size:
                self._dropped_count += 1
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MAX_SECONDS)

    def _bounded(self, puts: list[_Put]) -> list[_Put]:
        """Without the oldest where they are too many, as far as others acknowledged them: that
        they are here is left to surveys."""
        excess, done = len(puts) - UNCOUNTED_MAX, self._acknowledged_size
        kept = [put for at, put in enumerate(puts) if at >= excess or put.index >= done]
        self._dropped_count += len(puts) - len(kept)
        return kept

    async def _look_forever(self) -> None:
        pause = RETRY_FIRST_SECONDS
        while True:
            await self._to_look.wait()
            self._to_look.clear()
            covered, self._put = self._put, []
            seen = await self._look()
            if isinstance(seen, Free):
                pause = RETRY_FIRST_SECONDS
                for put in covered:
                    self._counted(put.index, self.region.id, put.stored_at)
            elif isinstance(seen, Fenced):
                self._fenced(self.region.id)
                return
            else:
                # Nothing follows from a look that failed: these PUTs wait for the next one. It
                # comes soon even where none waits: until then the region is not relied on.
                self._put = self._bounded([*covered, *self._put])
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MAX_SECONDS)
                self._to_look.set()
