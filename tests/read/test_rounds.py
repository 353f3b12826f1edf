"""Going over all that regions have shown, some of it in each pass."""

import asyncio

from holdfast.read.follow import ROUND_LISTINGS, Follow, FollowLimits
from holdfast.regions import layout
from tests.read.test_follow import unusable
from tests.read.trails import DELTA_US, World, Writer, tick

NODES = 2 * ROUND_LISTINGS + 1  # a shard of each: a round takes three passes
WHOLE_S = 100
LIMITS = FollowLimits(clock_error_us=DELTA_US, whole_s=WHOLE_S)


def _many() -> tuple[World, list[Writer]]:
    world = World()
    nodes = [Writer(world, seed) for seed in range(1, NODES + 1)]
    for node in nodes:
        node.born()
        node.seal(f"one of {node.node}")
        node.beat()
    return world, nodes


def _segment_lists(world: World) -> int:
    log = world.stores["a"].log
    count = sum(call == "list" and key.startswith(layout.SEGMENTS_PREFIX) for call, key in log)
    log.clear()
    return count


def test_a_reader_that_begins_lists_what_it_finds_once() -> None:
    world, _ = _many()

    async def main() -> None:
        looks = Follow(world.regions(), world.host, LIMITS, None)
        await looks.look()

        assert _segment_lists(world) == NODES

    asyncio.run(main())


def test_a_round_takes_several_passes_and_then_misses_what_is_gone() -> None:
    world, nodes = _many()
    last = nodes[-1]
    extra = last.seal("two")
    last.beat()

    async def main() -> None:
        looks = Follow(world.regions(), world.host, LIMITS, None)
        await looks.look()
        settled = last.world.keys("a", layout.shard_prefix(last.node, 0))[0]
        world.remove(settled, "a")
        tick(world, WHOLE_S)
        _segment_lists(world)

        seen = []
        for _ in range(3):
            seen.append((unusable(await looks.look()), _segment_lists(world)))
            tick(world, 1)

        assert [why for why, _ in seen] == [{}, {}, {"a": "1 segments that it held are gone"}]
        assert [count - NODES for _, count in seen] == [ROUND_LISTINGS, ROUND_LISTINGS, 1]
        assert extra.name.index == 1

    asyncio.run(main())


def test_what_comes_while_a_round_is_under_way_is_not_missed() -> None:
    world, nodes = _many()

    async def main() -> None:
        looks = Follow(world.regions(), world.host, LIMITS, None)
        await looks.look()
        tick(world, WHOLE_S)
        for number in range(4):
            for node in nodes:
                node.seal(f"{number} of {node.node}")
                node.beat()
            tick(world, 1)
            assert unusable(await looks.look()) == {}

        assert not looks.memory.of("a").gone
        assert looks.memory.of("a").whole_us

    asyncio.run(main())


def test_all_is_listed_at_once_where_the_newest_of_a_region_is_gone() -> None:
    world, nodes = _many()
    lost = nodes[-1].seal("two")
    nodes[-1].beat()

    async def main() -> None:
        looks = Follow(world.regions(), world.host, LIMITS, None)
        await looks.look()
        tick(world, 1)
        world.remove(nodes[-1].key_of(lost.name), "a")

        assert unusable(await looks.look()) == {"a": "1 segments that it held are gone"}
        tick(world, LIMITS.suspect_s)
        nodes[-1].store(lost, ["a"])
        assert unusable(await looks.look()) == {}

    asyncio.run(main())
