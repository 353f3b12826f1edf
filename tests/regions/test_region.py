"""What a region adds to its stores: time-outs, bounds, the breaker, keeping."""

import asyncio
import gc

import pytest

from holdfast.regions.port import Absent, Differs, Listing, Present, Stored, Unknown
from holdfast.regions.region import Region, RegionLimits
from tests.regions.worlds import MemoryWorld, VirtualTime, run_with_time

KEY = "ev/seg/name"


def verified(store: MemoryWorld, limits: RegionLimits | None = None) -> Region:
    """A region whose store showed the right cookie."""
    region = Region("a", store, limits=limits)
    region.why_unverified = ""
    return region


def test_evidence_and_control_go_to_their_own_stores() -> None:
    async def story(_: VirtualTime) -> None:
        evidence, control = MemoryWorld(), MemoryWorld()
        region = Region("a", evidence, control)

        await region.create("ev/one", b"1")
        await region.replace("ctl/two", b"2")

        assert list(evidence.objects) == ["ev/one"] and list(control.objects) == ["ctl/two"]
        assert isinstance(await region.read("ctl/two"), Present)
        assert await region.read("ev/two") == Absent()
        assert isinstance(await region.list("ctl/"), Listing)

    run_with_time(story)


def test_evidence_is_never_overwritten() -> None:
    async def story(_: VirtualTime) -> None:
        with pytest.raises(ValueError, match="never overwritten"):
            await Region("a", MemoryWorld()).replace("ev/one", b"1")

    run_with_time(story)


def test_a_store_that_hangs_is_unknown_after_the_time_out_and_opens_the_breaker() -> None:
    async def story(time: VirtualTime) -> None:
        world = MemoryWorld()
        world.gate = asyncio.Event()
        region = Region("a", world)

        outcomes = [await region.create(f"ev/{n}", b"") for n in range(4)]

        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        assert time.now == 15.0  # three time-outs; the fourth was not tried
        assert not region.reachable and region.report().writing == "open"
        assert region.counters["create"].calls == 3 and region.counters["create"].refused == 1
        assert await asyncio.wait_for(region.read("ev/0"), 10) == Unknown("no answer within 5 s")

    run_with_time(story)


def test_a_hung_region_holds_a_bounded_number_of_calls() -> None:
    async def story(time: VirtualTime) -> None:
        world = MemoryWorld()
        world.gate = asyncio.Event()
        region = Region("a", world, limits=RegionLimits(in_flight_max=4))

        outcomes = await asyncio.gather(*(region.create(f"ev/{n}", b"") for n in range(50)))

        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        assert time.now == 5.0
        assert world.inside == 4 and region.report().in_flight == 4

    run_with_time(story)


def test_a_region_that_wakes_up_is_found_by_a_probe() -> None:
    async def story(time: VirtualTime) -> None:
        world = MemoryWorld()
        world.gate = asyncio.Event()
        region = verified(world, RegionLimits(in_flight_max=4))
        await asyncio.gather(*(region.create(f"ev/{n}", b"") for n in range(9)))

        world.gate.set()
        await asyncio.sleep(1)
        found = await region.create("ev/again", b"")

        assert found == Stored() and region.reachable
        assert region.report().state == "ok" and region.report().why == ""
        assert region.report().in_flight == 0
        # Late calls really happened, though everyone was told "unknown".
        assert await region.read("ev/0") != Absent()
        assert time.complaints == []

    run_with_time(story)


def test_a_call_that_fails_after_its_time_out_complains_to_nobody() -> None:
    class Late(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            await asyncio.sleep(7)
            raise RuntimeError("long after anyone asked")

    async def story(time: VirtualTime) -> None:
        outcome = await Region("a", Late()).create(KEY, b"")
        await asyncio.sleep(10)
        gc.collect()

        assert outcome == Unknown("no answer within 5 s")
        assert time.complaints == []

    run_with_time(story)


def test_a_cancelled_call_goes_on_and_keeps_its_place() -> None:
    async def story(time: VirtualTime) -> None:
        world = MemoryWorld()
        world.gate = asyncio.Event()
        region = Region("a", world)
        call = asyncio.create_task(region.create(KEY, b"bytes"))
        await asyncio.sleep(1)

        call.cancel()
        await asyncio.wait((call,))
        held = region.report().in_flight
        world.gate.set()
        await asyncio.sleep(1)

        assert call.cancelled() and held == 1 and region.report().in_flight == 0
        assert KEY in world.objects
        assert time.complaints == []

    run_with_time(story)


def test_a_mistake_of_ours_reaches_the_caller() -> None:
    async def story(_: VirtualTime) -> None:
        region = verified(MemoryWorld())

        with pytest.raises(ValueError):
            await region.create("ev/Not a key", b"")
        with pytest.raises(ValueError):
            await region.create("other/key", b"")

        assert region.reachable and region.report().in_flight == 0

    run_with_time(story)


def test_a_cancelled_probe_does_not_leave_the_region_alone_for_ever() -> None:
    async def story(_: VirtualTime) -> None:
        world = MemoryWorld()
        world.failing = Unknown("refused", permanent=True)
        region = verified(world)
        await region.read(KEY)
        world.failing, world.gate = None, asyncio.Event()
        await asyncio.sleep(60)
        probe = asyncio.create_task(region.read(KEY))
        await asyncio.sleep(1)

        probe.cancel()
        await asyncio.wait((probe,))
        world.gate.set()

        assert await region.read(KEY) == Absent() and region.reachable

    run_with_time(story)


def test_one_permanent_failure_opens_the_breaker_and_its_reason_is_told() -> None:
    async def story(_: VirtualTime) -> None:
        world = MemoryWorld()
        world.failing = Unknown("403 forbidden", permanent=True)
        region = verified(world)

        await region.create(KEY, b"")
        refused = await region.create(KEY, b"")

        assert isinstance(refused, Unknown) and refused.permanent and "403" in refused.reason
        assert region.report().why == "403 forbidden"
        assert len(world.log) == 1

    run_with_time(story)


def test_a_region_is_relied_on_while_it_answers_and_its_cookie_is_right() -> None:
    async def story(_: VirtualTime) -> None:
        region = Region("a", MemoryWorld())
        at_first = region.report()
        region.why_unverified = ""
        right = region.report()
        region.why_unverified = "its cookie is gone"

        wrong = region.report()

        assert (at_first.state, at_first.why) == ("unverified", "its cookie was not read yet")
        assert (right.state, right.why) == ("ok", "")
        assert (wrong.state, wrong.why) == ("unverified", "its cookie is gone")
        assert (wrong.reading, wrong.writing) == ("closed", "closed") and not region.reachable

    run_with_time(story)


def test_a_region_that_cannot_be_written_is_still_read() -> None:
    class Full(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            return Unknown("No space left on device (ENOSPC)")

    async def story(_: VirtualTime) -> None:
        region = Region("a", Full())

        for number in range(5):
            await region.create(f"ev/{number}", b"")
            assert await region.read(KEY) == Absent()

        assert not region.reachable
        assert (region.report().reading, region.report().writing) == ("closed", "open")

    run_with_time(story)


def test_a_region_that_takes_nothing_since_its_cookie_is_gone_is_said_to_be_unverified() -> None:
    class Wiped(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            return Unknown("wiped", permanent=True)

    async def story(_: VirtualTime) -> None:
        region = Region("a", Wiped())
        region.why_unverified = "its cookie is gone"

        await region.create(KEY, b"")

        report = region.report()
        assert (report.state, report.why) == ("unverified", "its cookie is gone")
        region.why_unverified = ""
        assert (region.report().state, region.report().why) == ("open", "wiped")

    run_with_time(story)


def test_answers_that_refuse_a_call_are_no_failures_of_the_region() -> None:
    async def story(_: VirtualTime) -> None:
        region = verified(MemoryWorld())
        await region.create(KEY, b"")

        outcomes = [await region.create(KEY, data) for data in (b"", b"1", b"2") * 3]

        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        assert region.reachable
        assert region.counters["create"].calls == 10
        assert region.counters["create"].failures == 0

    run_with_time(story)


def test_keeping_stores_what_is_not_there() -> None:
    async def story(_: VirtualTime) -> None:
        world = MemoryWorld()

        assert await Region("a", world).keep(KEY, b"bytes") == Stored()
        assert world.log == [("create", KEY)]

    run_with_time(story)


def test_keeping_finds_equal_bytes_and_tells_other_bytes() -> None:
    async def story(_: VirtualTime) -> None:
        region = Region("a", MemoryWorld())
        await region.create(KEY, b"bytes")

        assert await region.keep(KEY, b"bytes") == Stored()
        assert await region.keep(KEY, b"other") == Differs(b"bytes")

    run_with_time(story)


def test_keeping_believes_no_refusal_that_stored_nothing() -> None:
    class Conflict(MemoryWorld):
        conflicts = 1

        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            if self.conflicts:
                self.conflicts -= 1
                return Unknown("already exists", answered=True)  # as a 409 is told
            return await super().create(key, data)

    async def story(_: VirtualTime) -> None:
        once, always = Conflict(), Conflict()
        always.conflicts = 99

        assert await Region("a", once).keep(KEY, b"bytes") == Stored()
        assert isinstance(await Region("a", always).keep(KEY, b"bytes"), Unknown)
        assert KEY in once.objects and not always.objects

    run_with_time(story)


def test_keeping_does_not_count_what_it_can_read_before_a_create_was_answered() -> None:
    """A directory shows a name before its fsync is through: seen is not yet durable."""

    async def story(_: VirtualTime) -> None:
        world = MemoryWorld()
        world.deaf = Unknown("no answer within 5 s")

        assert await Region("a", world).keep(KEY, b"bytes") == Stored()
        assert [call for call, _ in world.log] == ["create", "read", "create", "read"]

    run_with_time(story)


def test_keeping_in_a_region_that_is_away_is_unknown() -> None:
    async def story(_: VirtualTime) -> None:
        for failing in (Unknown("reset"), Unknown("forbidden", permanent=True)):
            world = MemoryWorld()
            world.failing = failing

            assert await Region("a", world).keep(KEY, b"bytes") == failing
            assert [call for call, _ in world.log] == ["create", "read"]

    run_with_time(story)


def test_counters_know_calls_failures_and_seconds() -> None:
    class Slow(MemoryWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            await asyncio.sleep(2)
            return await super().read(key)

    async def story(_: VirtualTime) -> None:
        world = Slow()
        region = Region("a", world)

        await region.read(KEY)
        world.failing = Unknown("reset")
        await region.read(KEY)

        counter = region.counters["read"]
        assert (counter.calls, counter.failures, counter.seconds) == (2, 1, 4.0)
        assert region.report().ok_seconds_ago == 2.0

    run_with_time(story)
