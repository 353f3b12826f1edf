"""Segments that are lost: what is stated is passed over and named, and hides nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.model import Completeness
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.write.seal import Encoded
from tests.read.trails import World, Writer, all_ids, tick

AT_ONCE = FoldLimits(events=1, segments=1)


def known(reader: Reader) -> Completeness:
    return reader.completeness()


def ranges(reader: Reader) -> list[tuple[int, int]]:
    return [(gap.start, gap.end) for gap in known(reader).gaps]


def kinds(reader: Reader) -> list[str]:
    return [holding.kind for holding in known(reader).holding_back]


@asynccontextmanager
async def reading(
    world: World, cache: Path, fold: FoldLimits | None = None
) -> AsyncIterator[Reader]:
    """A reader that has made its first pass."""
    reader = world.reader(cache, fold=fold)
    await reader.pass_once()
    try:
        yield reader
    finally:
        await reader.stop()


def written(count: int = 5) -> tuple[World, Writer, list[Encoded]]:
    """A node that sealed so many segments of two events each."""
    world = World()
    node = Writer(world)
    node.born()
    return world, node, [node.seal(f"e{n}", f"f{n}") for n in range(count)]


def test_a_declared_gap_is_passed_and_named_and_without_it_the_same_hole_stops_all(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.beat()
        for each in sealed[1:3]:
            world.remove(node.key_of(each.name))
        tick(world)
        async with reading(world, tmp_path) as reader:
            before = known(reader)
            node.lose(*sealed[1:3])

            await reader.pass_once()

            assert before.complete_through_us is None and before.holding_back[0].kind == "hole"
            assert known(reader).complete_through_us is not None
            assert ranges(reader) == [(1, 3)]
            assert known(reader).gaps[0].cause == "a fire"
            assert await all_ids(reader) == ["e0", "e3", "e4", "f0", "f3", "f4"]

    asyncio.run(story())


def test_a_region_whose_losses_are_declared_counts_again(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.beat()
        tick(world)
        async with reading(world, tmp_path) as reader:
            for each in sealed[1:3]:
                world.remove(node.key_of(each.name))
            tick(world, 4000)
            await reader.pass_once()
            frozen = kinds(reader)
            node.beat()

            node.lose(*sealed[1:3])
            await reader.pass_once()

            assert "regions" in frozen
            assert kinds(reader) == []
            assert [basis.region for basis in known(reader).basis] == ["a", "b", "c"]
            assert ranges(reader) == [(1, 3)], "held here, but no region has them"

    asyncio.run(story())


def test_a_gap_shrinks_when_its_segment_is_back_long_after_it_was_read_and_lost(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.beat()
        tick(world)
        async with reading(world, tmp_path) as reader:
            world.remove(node.key_of(sealed[2].name))
            tick(world)
            await reader.pass_once()
            node.declare(sealed[2])
            for _ in range(5):  # until nobody misses it any more
                tick(world, 3)
                node.beat()
                await reader.pass_once()
            declared = ranges(reader)
            world.put(node.key_of(sealed[2].name), sealed[2].data, "b")
            tick(world, 61)
            node.beat()
            await reader.pass_once()

            assert declared == [(2, 3)]
            assert ranges(reader) == []
            assert known(reader).complete_through_us is not None
            assert len(await all_ids(reader)) == 10

    asyncio.run(story())


def test_a_cache_with_a_gap_in_it_is_taken_up_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.lose(*sealed[1:3])
        node.beat()
        tick(world)
        async with reading(world, tmp_path, AT_ONCE) as reader:
            await reader._passes.tidy()
            before = known(reader)

        again = world.reader(tmp_path)
        await again.open()
        at_start = known(again)
        await again.pass_once()

        assert not again._passes.holdings.lost
        assert at_start.complete_through_us == before.complete_through_us
        assert at_start.gaps == known(again).gaps == before.gaps
        assert await all_ids(again) == ["e0", "e3", "e4", "f0", "f3", "f4"]
        await again.stop()

    asyncio.run(story())


def test_a_lost_segment_that_turns_up_is_shown_again_and_the_gap_shrinks(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.lose(*sealed[1:4])
        node.beat()
        tick(world)
        async with reading(world, tmp_path, AT_ONCE) as reader:
            await reader._passes.tidy()
            node.store(sealed[2], ["c"])
            tick(world, 4000)
            await reader.pass_once()
            await reader.pass_once()
            shrunk, found = ranges(reader), await all_ids(reader)
            await reader._passes.tidy()

        async with reading(world, tmp_path) as again:
            assert not again._passes.holdings.lost
            assert shrunk == [(1, 2), (3, 4)] == ranges(again)
            assert {"e2", "f2"} <= set(found)
            assert await all_ids(again) == found

    asyncio.run(story())


def test_a_gap_hides_no_segment_that_a_region_has(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.lose(*sealed[1:4])
        node.store(sealed[2], ["b"])
        node.beat()
        tick(world)

        async with reading(world, tmp_path) as reader:
            assert ranges(reader) == [(1, 2), (3, 4)]
            assert await all_ids(reader) == ["e0", "e2", "e4", "f0", "f2", "f4"]

    asyncio.run(story())


def test_what_was_held_here_and_turns_up_in_a_region_is_not_entered_twice(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.beat()
        tick(world)
        async with reading(world, tmp_path, AT_ONCE) as reader:
            await reader._passes.tidy()
            node.lose(sealed[2])
            await reader.pass_once()
            stated = ranges(reader)
            node.store(sealed[2], ["a"])
            tick(world, 4000)

            await reader.pass_once()

            assert stated == [(2, 3)]
            assert ranges(reader) == []
            assert len(await all_ids(reader)) == 10
            assert reader.report().events == 10

    asyncio.run(story())


def test_what_was_listed_before_it_was_lost_does_not_make_the_gap_smaller(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        tick(world)
        async with reading(world, tmp_path) as reader:
            node.lose(sealed[1])
            node.beat()

            await reader.pass_once()

            assert ranges(reader) == [(1, 2)]

    asyncio.run(story())


def test_a_gap_over_the_end_of_an_epoch_goes_on_where_the_next_birth_says(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written(3)
        node.close()
        node.born()
        sealed += [node.seal(f"e{n}", f"f{n}") for n in range(3, 6)]
        node.lose(*sealed[2:4])
        node.beat()
        node.close()
        tick(world)
        async with reading(world, tmp_path) as reader:
            first = kinds(reader), ranges(reader)
        async with reading(world, tmp_path) as again:
            taken_up = kinds(again), ranges(again)

        assert first == taken_up == ([], [(2, 4)])

    asyncio.run(story())


def test_a_gap_at_the_end_of_the_ledger_is_passed_and_the_ledger_goes_on_behind_it(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world, node, sealed = written(3)
        node.lose(sealed[2])
        node.beat()
        tick(world)
        async with reading(world, tmp_path) as reader:
            at_end = known(reader).complete_through_us
            node.seal("late")
            node.beat()
            tick(world)

            await reader.pass_once()
            await reader.pass_once()

            assert at_end is not None and kinds(reader) == []
            assert (known(reader).complete_through_us or 0) > at_end
            assert "late" in await all_ids(reader)

    asyncio.run(story())


def test_two_statements_of_one_gap_are_reported(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.lose(sealed[2], regions=["a"], cause="a fire")
        node.lose(sealed[2], regions=["b"], cause="a flood")

        async with reading(world, tmp_path) as reader:
            assert [stray.region for stray in reader.report().strays] == ["b"]
            assert ranges(reader) == [(2, 3)]

    asyncio.run(story())


def test_neighbouring_gaps_that_were_declared_in_any_order_explain_what_is_gone(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.beat()
        tick(world)
        async with reading(world, tmp_path) as reader:
            node.lose(sealed[2])
            await reader.pass_once()
            node.lose(sealed[1])
            tick(world, 4000)
            node.beat()

            await reader.pass_once()

            assert kinds(reader) == []
            assert [basis.region for basis in known(reader).basis] == ["a", "b", "c"]
            assert sorted(ranges(reader)) == [(1, 2), (2, 3)]

    asyncio.run(story())


def test_corrupt_copies_of_what_is_declared_lost_alarm_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        world, node, sealed = written()
        node.beat()
        tick(world)
        for store in world.stores.values():
            data, at_us = store.objects[node.key_of(sealed[1].name)]
            store.objects[node.key_of(sealed[1].name)] = (bytes(len(data)), at_us)
        async with reading(world, tmp_path) as reader:
            before, stuck = reader.report(), kinds(reader)
            node.declare(sealed[1])

            await reader.pass_once()

            after = reader.report()
            assert stuck == ["unreadable"]
            assert len(before.alarms) == 1 and len(before.corrupt) == 3
            assert kinds(reader) == [] and ranges(reader) == [(1, 2)]
            assert not after.alarms and not after.corrupt
            assert known(reader).complete_through_us is not None

    asyncio.run(story())
