"""One pass over the regions: its order, and which of them count."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.model import Query
from holdfast.read import listings
from holdfast.read.follow import Follow, FollowLimits
from holdfast.read.watermark import View
from holdfast.regions import layout
from holdfast.regions.clock import ClockInterval
from holdfast.regions.port import Absent, Listing, Present, Unknown
from holdfast.regions.trailkey import TrailKey
from tests.read.trails import DELTA_US, START_US, TRAIL, World, Writer, all_ids, tick
from tests.regions.worlds import MemoryWorld, VirtualTime, run_with_time

LIMITS = FollowLimits(clock_error_us=DELTA_US)


def looking(world: World, limits: FollowLimits = LIMITS) -> Follow:
    return Follow(world.regions(), world.host, limits, None)


def unusable(view: View) -> dict[str, str]:
    return {look.region: look.unusable for look in view.regions if look.unusable}


def one_pass(world: World) -> View:
    return asyncio.run(looking(world).look())


def small_trail(world: World) -> Writer:
    node = Writer(world)
    node.born()
    node.seal("one")
    node.beat()
    return node


def step_of(call: tuple[str, str]) -> int:
    """Which step of a pass a call belongs to."""
    _, key = call
    if key.startswith("ctl/hb/"):
        return 0
    if key.startswith("ev/node/"):
        return 1
    if key.startswith(("ev/gap/", "ev/ret/")):
        return 2
    return 3 if key.startswith("ev/seg/") else 4


class Ordered(MemoryWorld):
    """A store that tells a common log when each call began and ended."""

    def __init__(self, log: list[tuple[str, int]], pause_s: float) -> None:
        super().__init__()
        self._log = log
        self._pause_s = pause_s
        self._is_known = False

    async def _noted(self, kind: str, key: str) -> None:
        first = not self._is_known and key == "ev/region.note"  # first of all, whose store it is
        self._is_known |= first
        step = 0 if first else step_of((kind, key))
        self._log.append(("begin", step))
        await asyncio.sleep(self._pause_s)
        self._log.append(("end", step))

    async def read(self, key: str) -> Present | Absent | Unknown:
        await self._noted("read", key)
        return await super().read(key)

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        await self._noted("list", prefix)
        return await super().list(prefix, after)


def test_each_step_ends_in_all_regions_before_the_next_begins() -> None:
    world = World()
    log: list[tuple[str, int]] = []
    small_trail(world)
    for number, (id, store) in enumerate(world.stores.items()):
        ordered = Ordered(log, 0.1 * (number + 1))
        ordered.objects = store.objects
        world.stores[id] = ordered

    view = run_with_time(lambda _: looking(world).look())

    ended = {step: max(i for i, e in enumerate(log) if e == ("end", step)) for step in range(5)}
    begun = {step: min(i for i, e in enumerate(log) if e == ("begin", step)) for step in range(5)}
    assert unusable(view) == {}
    assert all(ended[step] < begun[step + 1] for step in range(4))


def test_a_region_that_fails_a_step_does_not_count_and_is_left_alone() -> None:
    world = World()
    small_trail(world)
    world.stores["b"].failing = Unknown("no route")

    view = one_pass(world)

    assert "no route" in unusable(view)["b"]
    calls = world.stores["b"].log
    assert sorted(calls) == [("list", "ctl/hb/"), ("read", "ev/region.note")]  # the first step


def test_a_hung_region_keeps_the_others_waiting_for_a_moment_only_once() -> None:
    world = World()
    small_trail(world)

    async def main(time: VirtualTime) -> None:
        world.stores["a"].gate = asyncio.Event()
        looks = looking(world)

        first = await looks.look()
        took = time.now
        second = await looks.look()

        assert "waiting" in unusable(first)["a"]
        assert took == LIMITS.straggler_s
        assert "earlier question" in unusable(second)["a"]
        assert time.now == took
        looks.close()

    run_with_time(main)


def test_when_too_many_regions_hang_the_pass_ends_with_their_time_outs() -> None:
    world = World()
    small_trail(world)

    async def main(time: VirtualTime) -> None:
        world.stores["a"].gate = world.stores["b"].gate = asyncio.Event()

        view = await looking(world).look()

        assert set(unusable(view)) == {"a", "b"}
        assert time.now <= 6

    run_with_time(main)


def test_a_store_without_the_right_cookie_does_not_count() -> None:
    world = World()
    small_trail(world)
    world.remove("ev/region.note", "a")
    world.put("ev/region.note", TRAIL.cookie("a"), "b")

    view = one_pass(world)

    assert set(unusable(view)) == {"a", "b"}


def test_a_store_that_comes_back_while_it_is_listed_does_not_count() -> None:
    """A disk that is mounted again: its cookie is right in the end, and what it listed was not."""
    world = World()
    small_trail(world)
    away, world.stores["a"].objects = world.stores["a"].objects, {}
    read = world.stores["a"].read

    async def read_and_come_back(key: str) -> Present | Absent | Unknown:
        found = await read(key)
        world.stores["a"].objects = away
        return found

    world.stores["a"].read = read_and_come_back  # type: ignore[method-assign]

    assert set(unusable(one_pass(world))) == {"a"}


def test_what_a_foreign_store_shows_is_noted_nowhere_and_missed_nowhere_once_it_is_mended() -> None:
    world = World()
    node = small_trail(world)
    node.seal("two", regions="bc")
    node.beat()
    a, b = world.stores["a"], world.stores["b"]

    async def main() -> None:
        looks = looking(world)
        a.objects, b.objects = b.objects, a.objects
        swapped = await looks.look()
        shown = dict(looks.memory.facts)
        a.objects, b.objects = b.objects, a.objects

        mended = await looks.look()

        assert unusable(swapped) == {
            "a": "its store is that of the region b",
            "b": "its store is that of the region a",
        }
        assert set(shown) == {"c"}
        assert unusable(mended) == {}

    asyncio.run(main())


def test_another_trails_store_holds_up_nobody() -> None:
    world, other = World(), World()
    small_trail(world)
    small_trail(other)
    world.stores["a"].objects = dict(other.stores["a"].objects)
    stranger = TrailKey(bytes(32), "stranger")
    world.put("ev/region.note", stranger.cookie("a"), "a")
    world.put(layout.birth_key("9" * 32, 1), b"a birth of that trail", "a")

    view = one_pass(world)

    assert set(unusable(view)) == {"a"} and stranger.trail in unusable(view)["a"]
    assert [ledger.node for ledger in view.ledgers if ledger.unverified] == []


def test_a_store_that_replaced_another_does_not_count() -> None:
    world = World()
    small_trail(world)
    world.put("ev/region.note", TRAIL.cookie("a", "9" * 32, "8" * 32), "a")

    assert "was not found whole yet" in unusable(one_pass(world))["a"]


def test_another_store_than_before_does_not_count() -> None:
    world = World()
    small_trail(world)

    async def main() -> None:
        looks = looking(world)
        await looks.look()
        world.put("ev/region.note", TRAIL.cookie("a", "9" * 32), "a")

        view = await looks.look()

        assert unusable(view) == {"a": "it is another store than before"}

    asyncio.run(main())


def test_one_store_behind_two_names_counts_once() -> None:
    world = World()
    small_trail(world)
    world.put("ev/region.note", TRAIL.cookie("a", "9" * 32), "a")
    world.put("ev/region.note", TRAIL.cookie("b", "9" * 32), "b")

    assert unusable(one_pass(world)) == {"b": "it is the same store as a"}


def test_a_birth_that_is_gone_makes_its_region_suspect() -> None:
    world = World()
    node = small_trail(world)

    async def main() -> None:
        looks = looking(world)
        await looks.look()
        world.remove(layout.birth_key(node.node, 1), "a")

        view = await looks.look()

        assert "are gone" in unusable(view)["a"]
        assert len(view.ledgers[0].births) == 1

    asyncio.run(main())


def test_segments_that_are_gone_make_their_region_suspect_until_they_are_back() -> None:
    world = World()
    node = small_trail(world)
    second = node.seal("two")
    limits = FollowLimits(clock_error_us=DELTA_US, whole_s=10, suspect_s=10)

    async def main() -> None:
        looks = looking(world, limits)
        await looks.look()
        world.remove(node.key_of(second.name), "a")
        tick(world, 20)
        assert unusable(await looks.look()) == {"a": "1 segments that it held are gone"}
        tick(world, 1)
        assert set(unusable(await looks.look())) == {"a"}

        node.store(second, "a")
        tick(world, 20)

        assert unusable(await looks.look()) == {}

    asyncio.run(main())


@pytest.mark.parametrize("meanwhile", ["nothing", "more was written", "the node ended"])
def test_a_region_that_is_as_it_was_some_time_ago_is_suspect_with_the_next_pass(
    tmp_path: Path, meanwhile: str
) -> None:
    world = World()
    node = small_trail(world)

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        old = dict(world.stores["a"].objects)
        sealed = [node.seal("two"), node.seal("three")]
        node.beat()
        await reader.pass_once()
        well = tuple(reader.suspects())
        if meanwhile != "nothing":
            world.stores["a"].failing = Unknown("away")
            node.seal("four")
            node.beat()
            if meanwhile == "the node ended":
                node.close()
            await reader.pass_once()

        world.stores["a"].failing, world.stores["a"].objects = None, old
        tick(world, 1)
        await reader.pass_once()

        assert not well
        assert dict(reader.report().suspects) == {"a": "2 segments that it held are gone"}
        assert [basis.region for basis in reader.completeness().basis] == ["b", "c"]

        for each in sealed:
            node.store(each, "a")
        tick(world, 61)
        await reader.pass_once()
        assert not reader.suspects()
        await reader.stop()

    asyncio.run(main())


def test_what_a_region_has_shown_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    world = World()
    node = small_trail(world)

    async def main() -> None:
        first = world.reader(tmp_path)
        await first.pass_once()
        await first.stop()
        world.remove(node.key_of(node.seal("two").name), "abc")
        for key in world.keys("a", "ev/seg/"):
            world.remove(key, "a")
        tick(world, 2 * 3600)

        second = world.reader(tmp_path)
        await second.pass_once()

        assert [basis.region for basis in second.completeness().basis] == ["b", "c"]
        await second.stop()

    asyncio.run(main())


def test_a_birth_that_no_trail_certified_is_reported_and_holds_the_statement() -> None:
    world = World()
    node = small_trail(world)
    key = layout.birth_key(node.node, 2)
    world.put(key, b"no birth", "a")

    async def main() -> None:
        looks = looking(world)

        view = await looks.look()

        assert ("a", key) in looks.strays
        assert [epoch for epoch, _ in view.ledgers[0].unverified] == [2]

    asyncio.run(main())


def test_one_good_copy_of_a_birth_is_enough() -> None:
    world = World()
    node = small_trail(world)
    world.put(layout.birth_key(node.node, 1), b"rotten", "a")

    view = one_pass(world)

    assert view.ledgers[0].unverified == ()
    assert [birth.epoch for birth in view.ledgers[0].births] == [1]


def test_a_birth_that_was_read_badly_once_is_read_again() -> None:
    world = World()
    node = small_trail(world)
    key = layout.birth_key(node.node, 1)
    good = world.stores["a"].objects[key][0]

    async def main() -> None:
        looks = looking(world)
        world.put(key, good[:-9])
        bad = await looks.look()
        strays = set(looks.strays)
        world.put(key, good)

        view = await looks.look()

        assert bad.ledgers[0].births == () and strays == {(id, key) for id in "abc"}
        assert len(view.ledgers[0].births) == 1
        assert view.ledgers[0].unverified == () and looks.strays == {}

    asyncio.run(main())


def test_a_heartbeat_of_another_key_is_not_believed() -> None:
    world = World()
    node, other = small_trail(world), Writer(world, seed=9)
    forged = Writer(world, seed=9)
    forged.epoch = 1
    forged.beat(promise_us=START_US * 2, size=1)
    world.put(
        layout.heartbeat_key(node.node),
        world.stores["a"].objects[layout.heartbeat_key(other.node)][0],
    )

    view = one_pass(world)

    assert view.ledgers[0].promises == ()


def test_a_heartbeat_of_an_epoch_whose_birth_is_nowhere_is_a_reason_to_wait() -> None:
    world = World()
    node = small_trail(world)
    node.beat(epoch=2)

    view = one_pass(world)

    assert [epoch for epoch, _ in view.ledgers[0].unverified] == [2]


def test_a_promise_that_was_overwritten_by_an_older_one_still_counts() -> None:
    world = World()
    node = small_trail(world)

    async def main() -> None:
        looks = looking(world)
        tick(world, 5)
        node.beat()
        newest = world.now_us
        await looks.look()
        tick(world, 5)
        node.beat(promise_us=START_US)

        view = await looks.look()

        assert max(promise.time_us for promise in view.ledgers[0].promises) == newest

    asyncio.run(main())


def test_objects_that_are_none_of_ours_are_reported_and_passed_over() -> None:
    world = World()
    node = small_trail(world)
    world.put("ev/node/readme", b"?", "a")
    world.put(f"ev/seg/{node.node}/0000000/junk.ndjson.zst", b"?", "a")
    world.put("ctl/hb/junk.note", b"?", "a")

    async def main() -> None:
        looks = looking(world)

        view = await looks.look()

        assert unusable(view) == {}
        assert len(looks.strays) == 3

    asyncio.run(main())


def test_without_a_measured_clock_the_newest_heartbeat_begins_the_pass() -> None:
    world = World()
    small_trail(world)
    written = world.now_us
    tick(world, 500)

    assert one_pass(world).started_us == written


def test_an_own_clock_that_is_behind_the_regions_is_believed() -> None:
    world = World()
    small_trail(world)
    world.now_us -= 5_000_000

    assert one_pass(world).started_us == world.now_us


def test_a_clock_that_enough_regions_agree_with_begins_the_pass() -> None:
    world = World()
    small_trail(world)
    written = world.now_us
    tick(world, 500)

    def start(clocks: Mapping[str, ClockInterval | Unknown]) -> int | None:
        looks = Follow(world.regions(), world.host, LIMITS, lambda: clocks)
        return asyncio.run(looks.look()).started_us

    good, bad = ClockInterval(-1000, 1000), ClockInterval(0, 3_000_000)
    assert start({"a": good, "b": good, "c": Unknown("")}) == world.now_us
    assert start({"a": good, "b": bad, "c": Unknown("")}) == written
    assert start({}) == written


def test_only_what_is_new_is_listed(tmp_path: Path) -> None:
    world = World()
    node = small_trail(world)

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        for store in world.stores.values():
            store.log.clear()
        await reader.pass_once()

        # The heartbeat did not change, the births are known, the segment is held.
        assert sorted(set(world.stores["a"].log)) == [
            ("list", "ctl/hb/"),
            ("list", "ev/gap/"),
            ("list", "ev/node/"),
            ("list", "ev/ret/floor/"),
            ("list", f"ev/seg/{node.node}/"),
            ("read", "ev/region.note"),
        ]
        await reader.stop()

    asyncio.run(main())


def test_a_region_that_is_back_and_well_is_asked_for_its_newest_segment_only_once(
    tmp_path: Path,
) -> None:
    world = World()
    node = small_trail(world)

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        world.stores["a"].failing = Unknown("away", answered=True)
        for _ in range(3):
            node.seal("more")
            node.beat()
            await reader.pass_once()
        world.stores["a"].failing = None
        listed = []
        for _ in range(2):
            world.stores["a"].log.clear()
            await reader.pass_once()
            calls = [key for _, key in world.stores["a"].log]
            listed.append([key for key in calls if key.startswith("ev/seg/")])

        all_new, shard = layout.segments_prefix(node.node), layout.shard_prefix(node.node, 0)
        assert listed == [[shard, all_new], [all_new]] and not reader.suspects()
        await reader.stop()

    asyncio.run(main())


def test_a_node_that_is_closed_and_whole_is_not_listed_any_more(tmp_path: Path) -> None:
    world = World()
    node = small_trail(world)
    node.close()

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        await reader.pass_once()
        world.stores["a"].log.clear()

        await reader.pass_once()

        assert ("list", f"ev/seg/{node.node}/") not in world.stores["a"].log
        node.born()
        node.seal("two")
        await reader.pass_once()
        assert await all_ids(reader) == ["one", "two"]
        await reader.stop()

    asyncio.run(main())


def test_a_long_ledger_is_listed_shard_by_shard_and_pass_by_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "BEYOND_MAX", 10)
    monkeypatch.setattr(listings, "SHARDS_MAX", 1)
    monkeypatch.setattr(layout, "SHARD_SEGMENTS", 8)
    world = World()
    node = Writer(world)
    node.born()
    for number in range(40):
        node.seal(f"{number:02}")
    node.beat()

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()

        page = await reader.search(Query(limit=100))
        assert len(page.events) == 40
        assert reader.completeness().complete_through_us == world.now_us - DELTA_US
        assert reader.report().passes > 1
        await reader.stop()

    asyncio.run(main())
