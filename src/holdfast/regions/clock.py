"""How far a region's clock is from this machine's, as an interval that surely holds it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.regions.port import Present, Unknown
from holdfast.regions.region import Region

SECOND_US = 1_000_000
# What a time may lag behind the clock it was taken from: file systems note the last timer tick.
TICK_US = 10_000
JUMP_US_MAX = 50_000


@dataclass(frozen=True, slots=True)
class ClockInterval:
    """The region's clock less this machine's, µs: at least `low_us`, at most `high_us`."""

    low_us: int
    high_us: int

    @property
    def middle_us(self) -> int:
        return (self.low_us + self.high_us) // 2

    def is_within(self, allowed_us: int) -> bool:
        """Whether the clocks are surely no further apart than that."""
        return -allowed_us <= self.low_us and self.high_us <= allowed_us

    def __str__(self) -> str:
        return f"{self.low_us / SECOND_US:+.3f} to {self.high_us / SECOND_US:+.3f} s"


async def measure_clock(
    region: Region, key: str, data: bytes, now_us: Callable[[], int]
) -> ClockInterval | Unknown:
    """Overwrite a control object and compare the time that the store notes for it.

    The store's clock showed that time at some moment between the begin and the end of the put, as
    this machine's clock knows them. Stores that note whole seconds are known by such a time.

    Args:
        key: A control object, the heartbeat, that nobody else writes.
        data: Its new bytes; those of each measurement must differ.
        now_us: This machine's clock.
    """
    loop = asyncio.get_running_loop()
    begun_us, begun = now_us(), loop.time()
    stored = await region.replace(key, data)
    ended_us, ended = now_us(), loop.time()
    if isinstance(stored, Unknown):
        return stored
    if abs((ended_us - begun_us) - (ended - begun) * SECOND_US) > JUMP_US_MAX:
        return Unknown("this machine's clock jumped during the measurement")
    found = await region.read(key)
    if isinstance(found, Unknown):
        return found
    if not isinstance(found, Present) or found.data != data:
        return Unknown(f"{key} is not what was just put there: somebody else writes it")
    if not found.modified_us:
        return Unknown("the store does not say when an object was written")
    coarse_us = SECOND_US if found.modified_us % SECOND_US == 0 else TICK_US
    return ClockInterval(found.modified_us - ended_us, found.modified_us + coarse_us - begun_us)
