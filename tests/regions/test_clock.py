"""Measuring how far a region's clock is from ours."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.regions.clock import ClockInterval, measure_clock
from holdfast.regions.port import Absent, Present, Stored, Unknown
from holdfast.regions.region import Region
from tests.regions.worlds import MemoryWorld, VirtualTime, run_with_time

KEY = "ctl/hb/0a.note"
START_US = 1_795_514_400_000_000


class ClockWorld(MemoryWorld):
    """Notes times by a clock of its own, at some moment within a slow put."""

    def __init__(self, offset_us: int, before: float, after: float, coarse_us: int = 1) -> None:
        super().__init__()
        self.offset_us, self.before, self.after = offset_us, before, after
        self.coarse_us = coarse_us

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.before)
        now_us = START_US + round(loop.time() * 1e6) + self.offset_us
        self.objects[key] = (data, now_us // self.coarse_us * self.coarse_us)
        await asyncio.sleep(self.after)
        return self.deaf or Stored()


def measure(world: MemoryWorld) -> ClockInterval | Unknown:
    async def story(_: VirtualTime) -> ClockInterval | Unknown:
        loop = asyncio.get_running_loop()
        region = Region("a", world)
        return await measure_clock(
            region, KEY, b"beat", lambda: START_US + round(loop.time() * 1e6)
        )

    return run_with_time(story)


@given(
    offset_us=st.integers(-(10**9), 10**9),
    before=st.floats(0, 2),
    after=st.floats(0, 2),
    coarse_us=st.sampled_from([1, 1_000, 10_000, 1_000_000]),
)
def test_the_interval_holds_the_true_offset(
    offset_us: int, before: float, after: float, coarse_us: int
) -> None:
    seen = measure(ClockWorld(offset_us, before, after, coarse_us))

    assert isinstance(seen, ClockInterval)
    assert seen.low_us <= offset_us
    assert offset_us <= seen.high_us
    assert seen.high_us - seen.low_us <= (before + after) * 1e6 + 2 + 1_000_000


def test_a_fast_store_with_a_fine_clock_gives_a_narrow_interval() -> None:
    seen = measure(ClockWorld(123_456, 0.001, 0.001))

    assert isinstance(seen, ClockInterval)
    assert (seen.low_us, seen.middle_us, seen.high_us) == (122_456, 128_456, 134_456)
    assert str(seen) == "+0.122 to +0.134 s"


@pytest.mark.parametrize(
    ("low_us", "high_us", "within"),
    [(-5, 5, True), (-10, 10, True), (-11, 0, False), (0, 11, False), (-99, 99, False)],
)
def test_clocks_are_within_only_if_the_whole_interval_is(
    low_us: int, high_us: int, within: bool
) -> None:
    assert ClockInterval(low_us, high_us).is_within(10) is within


def test_a_failed_put_tells_nothing() -> None:
    world = ClockWorld(0, 0, 0)
    world.deaf = Unknown("reset")

    assert measure(world) == Unknown("reset")


def test_an_object_that_somebody_else_writes_tells_nothing() -> None:
    class Shared(ClockWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            return Present(b"another beat", START_US)

    class Gone(ClockWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            return Absent()

    for world in (Shared(0, 0, 0), Gone(0, 0, 0)):
        assert isinstance(measure(world), Unknown)


def test_a_store_that_says_no_times_tells_nothing() -> None:
    class Timeless(ClockWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            return Present(b"beat", 0)

    assert isinstance(measure(Timeless(0, 0, 0)), Unknown)


def test_a_measurement_during_which_our_clock_jumps_tells_nothing() -> None:
    async def story(_: VirtualTime) -> ClockInterval | Unknown:
        times = iter((START_US, START_US + 3_600_000_000))
        return await measure_clock(
            Region("a", ClockWorld(0, 0, 0)), KEY, b"beat", lambda: next(times)
        )

    assert isinstance(run_with_time(story), Unknown)
