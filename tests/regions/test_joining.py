"""A region is added or gets a new store: what is refused, and that it can be done again."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest

from holdfast.errors import RejectedError, UnavailableError
from holdfast.regions import Region, Regions, kinds, layout
from holdfast.regions.joining import Joined, add_region, replace_region
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Stored, Unknown
from holdfast.regions.sets import RegionSet
from holdfast.regions.trailkey import TrailKey
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, Keys, World, kill, run, send, started

OTHER = TrailKey(bytes(32), "other")
_numbers = count(1)


def random(size: int) -> bytes:
    return next(_numbers).to_bytes(size, "big")


class Rooted(MemoryWorld):
    """A store whose place may be missing."""

    def __init__(self, *, root: bool) -> None:
        super().__init__()
        self.root = root

    async def has_root(self) -> bool | Unknown:
        return self.failing or self.root

    async def make_root(self) -> Stored | Unknown:
        self.root = True
        return self.failing or Stored()


async def _trail() -> World:
    """Three regions to which a node wrote, which was killed."""
    world = World()
    node = await started(world.node(Keys()))
    await send(node, "one")
    await asyncio.sleep(1)
    await kill(node)
    return world


def _lose(world: World, region: str) -> Rooted:
    """Its store is gone, and another disk is in its place."""
    world.stores[region] = store = Rooted(root=False)
    return store


def _with_d(world: World, store: MemoryWorld | None = None) -> Regions:
    world.stores["d"] = store or Rooted(root=False)
    made = [Region(id, each) for id, each in world.stores.items()]
    return Regions(made, 3, TRAIL.trail, earlier=[RegionSet(frozenset("abc"), 2)])


def _cookie(world: World, region: str) -> Cookie:
    data = world.stores[region].objects[layout.REGION_KEY][0]
    return kinds.verify_cookie(data, TRAIL.trail).statement


def _first(region: str) -> str:
    return kinds.verify_cookie(TRAIL.cookie(region), TRAIL.trail).statement.store


def test_a_lost_store_is_replaced_by_one_that_names_it() -> None:
    async def story() -> None:
        world = await _trail()
        _lose(world, "b")

        joined = await replace_region(world.regions(), "b", TRAIL, random)

        cookie = _cookie(world, "b")
        assert joined == Joined(cookie.store, _first("b"), is_new=True)
        assert (cookie.region, cookie.replaces) == ("b", _first("b"))
        assert cookie.tag_key == _cookie(world, "a").tag_key

    run(story)


def test_a_region_is_added_with_a_cookie_that_says_that_it_came_later() -> None:
    async def story() -> None:
        world = await _trail()

        joined = await add_region(_with_d(world), "d", TRAIL, random)

        cookie = _cookie(world, "d")
        assert joined == Joined(cookie.store, "", is_new=True)
        assert cookie.replaces == cookie.store

    run(story)


@pytest.mark.parametrize("verb", [add_region, replace_region])
def test_either_can_be_done_again_after_it_died_anywhere(
    verb: Callable[..., Coroutine[Any, Any, Joined]],
) -> None:
    async def story() -> None:
        world = await _trail()
        store = Rooted(root=False)
        id = "d" if verb is add_region else "b"
        world.stores[id] = store
        regions = _with_d(world, store) if id == "d" else world.regions()

        store.deaf = Unknown("reset")  # the cookie is put, and nobody is told
        with pytest.raises(UnavailableError):
            store.failing = Unknown("reset")  # dies before the root is made
            await verb(regions, id, TRAIL, random)
        store.failing, store.root = None, True  # dies between the root and the cookie
        first = await verb(regions, id, TRAIL, random)
        store.deaf = None
        again = await verb(regions, id, TRAIL, random)

        assert again.store == first.store == _cookie(world, id).store
        assert not again.is_new

    run(story)


def test_of_two_at_once_one_cookie_stays_and_both_are_told_of_it() -> None:
    async def story() -> None:
        world = await _trail()
        _lose(world, "b")

        one, other = await asyncio.gather(
            replace_region(world.regions(), "b", TRAIL, random),
            replace_region(world.regions(), "b", TRAIL, random),
        )

        assert one.store == other.store == _cookie(world, "b").store
        assert one.is_new != other.is_new

    run(story)


def test_a_store_that_is_there_is_not_replaced() -> None:
    async def story() -> None:
        world = await _trail()

        with pytest.raises(RejectedError, match="nothing is to be replaced"):
            await replace_region(world.regions(), "b", TRAIL, random)
        with pytest.raises(RejectedError, match="is not a store of b"):
            _lose(world, "b")
            await replace_region(world.regions(), "b", TRAIL, random, "9" * 32)

    run(story)


def test_a_region_that_had_a_store_is_not_added_again() -> None:
    async def story() -> None:
        world = await _trail()
        _lose(world, "b")

        with pytest.raises(RejectedError, match="use `holdfast region replace b`"):
            await add_region(world.regions(), "b", TRAIL, random)

        assert layout.REGION_KEY not in world.stores["b"].objects

    run(story)


def test_another_trails_store_and_that_of_another_region_are_refused() -> None:
    async def story() -> None:
        world = await _trail()
        foreign = MemoryWorld()
        foreign.objects[layout.REGION_KEY] = (OTHER.cookie("d"), 1)

        with pytest.raises(RejectedError, match=f"belongs to the trail {OTHER.trail}"):
            await add_region(_with_d(world, foreign), "d", TRAIL, random)
        with pytest.raises(RejectedError, match="regions a and d have one store"):
            await add_region(_with_d(world, world.stores["a"]), "d", TRAIL, random)
        del world.stores["d"]
        with pytest.raises(RejectedError, match="belongs to the trail"):
            await replace_region(world.regions(), "b", OTHER, random)
        with pytest.raises(RejectedError, match="no region that the settings write to"):
            await add_region(world.regions(), "x", TRAIL, random)

    run(story)


def test_who_cannot_see_enough_is_told_so_and_nothing_is_made() -> None:
    async def story() -> None:
        world = await _trail()
        for region in "abc":
            world.stores[region].failing = Unknown("no route")

        with pytest.raises(UnavailableError, match="too few other regions answer: a: no route"):
            await add_region(_with_d(world), "d", TRAIL, random)
        del world.stores["d"]
        store = _lose(world, "b")
        with pytest.raises(UnavailableError, match="name it with --store"):
            await replace_region(world.regions(), "b", TRAIL, random)
        assert not store.objects and not store.root

        joined = await replace_region(world.regions(), "b", TRAIL, random, _first("b"))
        assert joined.replaces == _first("b")

    run(story)


def test_a_store_that_replaced_one_can_itself_be_replaced() -> None:
    async def story() -> None:
        world = await _trail()
        _lose(world, "b")
        second = await replace_region(world.regions(), "b", TRAIL, random)
        node = await started(world.node(Keys()))  # its birth names the second
        await kill(node)
        _lose(world, "b")

        third = await replace_region(world.regions(), "b", TRAIL, random)

        assert third.replaces == second.store

    run(story)
