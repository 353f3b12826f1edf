"""How readers count stores that came later, sets of regions, and regions that lost something."""

import asyncio
from pathlib import Path

from holdfast.read.follow import Follow, FollowLimits
from holdfast.read.watermark import Judgement, View, judge
from holdfast.regions import Region, Regions, kinds, layout, signing
from holdfast.regions.kinds import Whole
from holdfast.regions.port import Unknown
from holdfast.regions.sets import RegionSet
from tests.read.test_follow import looking, one_pass, small_trail, unusable
from tests.read.trails import DELTA_US, START_US, TRAIL, World, Writer, tick
from tests.regions.worlds import MemoryWorld

NEW = "9" * 32
NOT_WHOLE = "its store came later and was not found whole yet"


def first(region: str) -> str:
    return kinds.verify_cookie(TRAIL.cookie(region), TRAIL.trail).statement.store


def replace_a(world: World, *, whole: str = "", content: bool = True) -> None:
    """Another store is in a's place. whole: the store that its whole.note speaks of."""
    kept = dict(world.stores["a"].objects) if content else {}
    world.stores["a"].objects = kept
    world.put("ev/region.note", TRAIL.cookie("a", NEW, first("a")), "a")
    if whole:
        world.put("ev/whole.note", whole_note(whole), "a")


def whole_note(store: str) -> bytes:
    teller = Writer(World(), seed=5)
    others = (("b", first("b")), ("c", first("c")))
    found = Whole(store, teller.node, START_US, teller.certificate(), others)
    return signing.write(found, f"holdfast/{TRAIL.trail}", teller.key)


def kinds_of(view: View) -> set[str]:
    return {hold.kind for hold in judge(view, Judgement()).holding_back}


def test_a_store_that_came_later_counts_once_it_was_found_whole_and_not_before() -> None:
    world = World()
    small_trail(world).close()

    replace_a(world)
    before = unusable(one_pass(world))
    world.put("ev/whole.note", whole_note(first("a")), "a")
    of_another_store = unusable(one_pass(world))
    world.put("ev/whole.note", whole_note(NEW), "a")

    assert before == of_another_store == {"a": NOT_WHOLE}
    assert unusable(one_pass(world)) == {}


def test_a_whole_note_that_cannot_be_read_makes_nothing_whole() -> None:
    class Blind(MemoryWorld):
        async def read(self, key: str) -> object:  # type: ignore[override]
            return Unknown("reset") if key == "ev/whole.note" else await super().read(key)

    world = World()
    small_trail(world)
    replace_a(world, whole=NEW)
    blind = Blind()
    blind.objects = world.stores["a"].objects
    world.stores["a"] = blind

    assert "could not be read: reset" in unusable(one_pass(world))["a"]


def test_a_reader_that_knew_the_old_store_looks_at_the_new_one_anew() -> None:
    """What only the lost store had is no loss of the new one."""
    world = World()
    node = small_trail(world)
    node.close()
    lone = Writer(world, seed=8)
    lone.born(regions="a")  # in a quorum of nothing

    async def main() -> None:
        looks = looking(world)
        await looks.look()
        replace_a(world, whole=NEW)
        world.remove(layout.birth_key(lone.node, 1), "a")

        told = [unusable(await looks.look()) for _ in range(2)]

        assert "is looked at anew" in told[0]["a"]
        assert told[1] == {}
        assert looks.memory.suspects == {}

    asyncio.run(main())


def test_the_next_process_knows_nothing_of_the_old_store_either(tmp_path: Path) -> None:
    world = World()
    small_trail(world).close()
    lone = Writer(world, seed=8)
    lone.born(regions="a")

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        replace_a(world, whole=NEW)
        world.remove(layout.birth_key(lone.node, 1), "a")
        await reader.pass_once()
        await reader.pass_once()
        await reader.stop()

        again = world.reader(tmp_path)
        await again.pass_once()

        assert [basis.region for basis in again.completeness().basis] == ["a", "b", "c"]
        assert again.report().suspects == ()
        await again.stop()

    asyncio.run(main())


def test_of_an_open_epoch_only_the_stores_that_its_birth_names_show_enough() -> None:
    """What the lost store counted may lie in b alone, which could have been away."""
    world = World()
    node = small_trail(world)
    replace_a(world, whole=NEW)
    world.stores["b"].failing = Unknown("away")

    view = one_pass(world)
    waits = kinds_of(view)
    node.close(regions="ac")

    assert set(unusable(view)) == {"b"} and "settings" in waits
    assert "settings" not in kinds_of(one_pass(world))


def _of_five(world: World, earlier: RegionSet) -> Regions:
    for id, store in (("d", "4" * 32), ("e", "5" * 32)):
        world.stores.setdefault(id, MemoryWorld())
        world.put("ev/region.note", TRAIL.cookie(id, store, store), id)
        world.put("ev/whole.note", whole_note(store), id)
    regions = [Region(id, store) for id, store in world.stores.items()]
    return Regions(regions, 3, TRAIL.trail, earlier=[earlier])


def test_a_reader_needs_enough_regions_of_every_set_that_the_settings_name() -> None:
    world = World()
    small_trail(world).close()
    regions = _of_five(world, RegionSet(frozenset("abc"), 2))
    for away in "bc":
        world.stores[away].failing = Unknown("away")

    view = asyncio.run(Follow(regions, world.host, FollowLimits(DELTA_US), None).look())

    judgement = judge(view, Judgement())
    assert judgement.complete_through_us is None
    reasons = [hold.reason for hold in judgement.holding_back if hold.kind == "regions"]
    assert "1 of the 2 regions that are needed of the earlier set a, b, c" in reasons[0]


def test_a_fence_that_is_gone_makes_its_region_suspect_until_one_is_put_again() -> None:
    world = World()
    node = small_trail(world)
    fence = layout.fence_key(node.node, 1)
    world.put(fence, b"whatever it says")

    async def main() -> None:
        looks = looking(world)
        await looks.look()
        world.remove(fence, "a")
        lost = unusable(await looks.look())

        world.put(fence, b"another's", "a")

        assert fence in lost["a"]
        assert unusable(await looks.look()) == {}

    asyncio.run(main())


def test_a_region_whose_cookie_was_away_counts_again_only_after_all_of_it_was_listed() -> None:
    world = World()
    node = small_trail(world)
    gone = node.key_of(node.seal("two").name)
    node.beat()

    async def main() -> None:
        looks = looking(world)
        await looks.look()
        cookie = world.stores["a"].objects["ev/region.note"]
        segment = world.stores["a"].objects[gone]
        world.remove("ev/region.note", "a")
        without = unusable(await looks.look())
        world.remove(gone, "a")  # lost along with it

        world.stores["a"].objects["ev/region.note"] = cookie
        back = unusable(await looks.look())
        world.stores["a"].objects[gone] = segment
        tick(world, 61)

        assert without == {"a": "it has no cookie"}
        assert back == {"a": "1 segments that it held are gone"}
        assert unusable(await looks.look()) == {} and looks.memory.suspects == {}

    asyncio.run(main())


def test_a_suspect_region_stays_one_while_it_does_not_answer(tmp_path: Path) -> None:
    world = World()
    small_trail(world)

    async def main() -> None:
        reader = world.reader(tmp_path)
        await reader.pass_once()
        world.remove("ev/region.note", "a")
        await reader.pass_once()
        world.stores["a"].failing = Unknown("away")
        await reader.pass_once()

        assert reader.report().suspects == (("a", "it has no cookie"),)
        assert set(reader.suspects()) == {"a"}
        assert [basis.region for basis in reader.completeness().basis] == ["b", "c"]
        await reader.stop()

    asyncio.run(main())
