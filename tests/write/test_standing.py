"""Regions whose stores are not the right ones any more, while a node writes."""

import asyncio
from collections.abc import Callable

import pytest

from holdfast.errors import UnavailableError
from holdfast.regions.port import Absent, Present, Unknown
from holdfast.write.epoch import WriteLimits
from tests.regions.worlds import MemoryWorld
from tests.write.world import Keys, World, run, send, started

COOKIE = "ev/region.note"


def _lose_cookies(world: World) -> Callable[[], None]:
    """The cookies of a and b are gone; returns what puts them back."""
    kept = {id: world.stores[id].objects.pop(COOKIE) for id in "ab"}

    def put_back() -> None:
        for id, cookie in kept.items():
            world.stores[id].objects[COOKIE] = cookie

    return put_back


def _swap_stores(world: World) -> Callable[[], None]:
    """The stores of a and b change places; returns what changes them back."""
    a, b = world.stores["a"], world.stores["b"]

    def swap() -> None:
        a.objects, b.objects = b.objects, a.objects

    swap()
    return swap


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(_lose_cookies, "its cookie is gone"), (_swap_stores, "its store is that of the region")],
    ids=["lost", "swapped"],
)
def test_stores_that_are_not_the_right_ones_refuse_at_once_until_they_are_back(
    spoil: Callable[[World], Callable[[], None]], why: str
) -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "before")
        mend = spoil(world)
        await asyncio.sleep(2)  # nothing is written: a heartbeat finds it out

        with pytest.raises(UnavailableError, match=f"1 of the 2 regions.*a .{why}.*b .{why}"):
            await send(node, "refused")
        assert [each.reachable for each in node.report().regions] == [False, False, True]
        mend()
        await asyncio.sleep(3)

        answer, _ = await send(node, "after")
        assert len(answer.regions) >= 2
        assert node.report().epoch == 1 and node.report().size == 2
        await node.stop()

    run(story)


def test_what_was_taken_in_counts_once_the_right_stores_are_back() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        put_back = _lose_cookies(world)

        taken = asyncio.create_task(send(node, "not known yet"))
        await asyncio.sleep(20)
        assert not taken.done()
        put_back()
        await asyncio.sleep(3)

        assert taken.done() and len(taken.result()[0].regions) >= 2
        await node.stop()

    run(story)


def test_a_look_that_failed_once_is_repeated_at_once_though_nothing_waits() -> None:
    class Blinking(MemoryWorld):
        blinks = 0

        async def read(self, key: str) -> Present | Absent | Unknown:
            if key == COOKIE and self.blinks:
                self.blinks -= 1
                return Unknown("reset by peer")
            return await super().read(key)

    async def story() -> None:
        world = World()
        blinking = {id: Blinking() for id in "ab"}
        for id, store in blinking.items():
            store.objects = world.stores[id].objects
            world.stores[id] = store
        node = await started(world.node(Keys(), WriteLimits(heartbeat_seconds=60)))
        await send(node, "one")
        for store in blinking.values():
            store.blinks = 1
        await asyncio.sleep(60)

        await send(node, "two")

        assert not any(store.blinks for store in blinking.values())
        await node.stop()

    run(story)


def test_a_node_does_not_begin_on_swapped_regions_and_says_which() -> None:
    async def story() -> None:
        world = World(5, 3)
        mend = _swap_stores(world)
        node = world.node(Keys())
        await node.start()
        await asyncio.sleep(10)
        refused = node.report()

        mend()
        async with asyncio.timeout(10):
            await node.ready()

        assert refused.state == "starting"
        assert "regions.a: its store is that of the region b" in refused.why
        await node.stop()

    run(story)
