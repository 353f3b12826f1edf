"""A node whose regions change: stores that are replaced or added, and sets of regions."""

import asyncio
from collections.abc import Mapping

import pytest

from holdfast.errors import UnavailableError
from holdfast.proof import names, statements
from holdfast.proof.names import SegmentName
from holdfast.regions import layout
from holdfast.regions.port import Unknown
from holdfast.regions.sets import RegionSet
from holdfast.write.identity import speak_for_trail
from holdfast.write.node import Node
from tests.keep.test_late import FIRST, NEW
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, Keys, World, kill, run, send, started

ABC = RegionSet(frozenset("abc"), 2)


def _put_cookie(world: World, region: str, cookie: bytes) -> None:
    """Another disk with a cookie is there."""
    store = world.stores.setdefault(region, MemoryWorld())
    store.objects.clear()
    store.objects[layout.REGION_KEY] = (cookie, 1)


def _stores(world: World, node: Node, epoch: int, at: str = "a") -> Mapping[str, str]:
    data = world.stores[at].objects[layout.birth_key(node.identity.node, epoch)][0]
    return dict(statements.verify_birth(data, TRAIL.trail).statement.regions)


async def _in_epoch(node: Node, epoch: int) -> None:
    for _ in range(600):
        if node.report().epoch == epoch:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(node.report())


async def _refuses(node: Node) -> str:
    """Why it does not write, though it had time to begin."""
    await node.start()
    await asyncio.sleep(20)
    with pytest.raises(UnavailableError) as refused:
        await send(node, "refused")
    await kill(node)
    return str(refused.value)


def test_a_node_that_writes_goes_on_with_the_new_store_as_its_next_epoch() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "before")

        _put_cookie(world, "b", TRAIL.cookie("b", NEW, FIRST["b"]))
        await _in_epoch(node, 2)
        world.stores["c"].failing = Unknown("away")  # from now on b must count
        answer, _ = await send(node, "after")

        assert answer.regions == ("a", "b")
        assert SegmentName.parse(answer.segment).index == 1
        assert _stores(world, node, 2)["b"] == NEW
        await kill(node)

    run(story)


def test_what_is_under_way_when_a_store_is_replaced_is_acknowledged_before_the_epoch_ends() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        world.stores["a"].gate = gate = asyncio.Event()
        _put_cookie(world, "b", TRAIL.cookie("b", NEW, FIRST["b"]))
        sending = asyncio.create_task(send(node, "one"))
        await asyncio.sleep(2)  # only c counts; b is seen to be another
        with pytest.raises(UnavailableError, match="the epoch is ending"):
            await send(node, "refused")

        gate.set()
        answer, _ = await sending
        await _in_epoch(node, 2)

        assert SegmentName.parse(answer.segment).epoch == 1
        assert SegmentName.parse((await send(node, "after"))[0].segment).epoch == 2
        await node.stop()

    run(story)


def test_a_store_that_took_nobodys_place_is_not_taken_up_by_a_node_that_writes() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))

        _put_cookie(world, "b", TRAIL.cookie("b", NEW))
        await asyncio.sleep(20)

        assert node.report().epoch == 1
        assert (await send(node, "still"))[0].regions == ("a", "c")
        await node.stop()

    run(story)


def test_of_stores_that_followed_each_other_the_last_one_stays() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        second, third = (TRAIL.cookie("b", "2" * 32, FIRST["b"]), TRAIL.cookie("b", NEW, "8" * 32))

        _put_cookie(world, "b", second)
        await _in_epoch(node, 2)
        _put_cookie(world, "b", third)  # in between there was one that nobody saw
        await _in_epoch(node, 3)
        _put_cookie(world, "b", second)  # somebody brings the old one back
        await asyncio.sleep(20)

        assert node.report().epoch == 3
        assert _stores(world, node, 3)["b"] == NEW
        await node.stop()

    run(story)


def test_a_region_that_is_made_after_a_node_began_is_taken_up_too() -> None:
    async def story() -> None:
        world = World()
        world.stores["d"] = MemoryWorld()
        world.quorum, world.earlier = 3, (ABC,)
        node = await started(world.node(Keys()))

        _put_cookie(world, "d", TRAIL.cookie("d", NEW, NEW))
        await _in_epoch(node, 2)

        assert set(_stores(world, node, 1)) == set("abc")
        assert _stores(world, node, 2)["d"] == NEW
        assert len((await send(node, "one"))[0].regions) >= 3
        await node.stop()

    run(story)


def test_a_store_that_came_later_does_not_help_to_find_where_a_ledger_stands() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        await (await started(world.node(keys))).stop()
        world.stores["a"].failing = Unknown("away")
        node = await started(world.node(keys))
        await send(node, "one")  # its second birth and segment lie in b and c alone
        await kill(node)
        world.stores["a"].failing = None
        _put_cookie(world, "b", TRAIL.cookie("b", NEW, FIRST["b"]))
        world.stores["c"].failing = Unknown("away")

        told = await _refuses(world.node(keys))  # a and b alone would show the first alone

        assert "too few regions could be listed" in told
        world.stores["c"].failing = None
        again = await started(world.node(keys))
        assert SegmentName.parse((await send(again, "two"))[0].segment).index == 1
        await kill(again)

    run(story)


def test_a_birth_lies_in_a_quorum_of_every_set_that_the_settings_name() -> None:
    async def story() -> None:
        world, keys = World(5, 3), Keys()
        for region, store in (("d", "4" * 32), ("e", "5" * 32)):
            _put_cookie(world, region, TRAIL.cookie(region, store, store))
        world.earlier = (ABC,)
        refusing = [_refuse_births(world, region) for region in "bc"]

        told = await _refuses(world.node(keys))  # in a, d, e: three of five, one of the earlier set

        assert "lies in 1 of the 2 regions needed" in told
        for refuser in refusing:
            refuser.refuses = False
        node = await started(world.node(keys))
        birth = layout.birth_key(node.identity.node, node.report().epoch)
        assert sum(birth in world.stores[region].objects for region in "abc") >= 2
        await kill(node)

    run(story)


class _Refusing(MemoryWorld):
    refuses = True

    async def create(self, key: str, data: bytes) -> object:  # type: ignore[override]
        if self.refuses and key.endswith("/birth.note"):
            return Unknown("refused", answered=True)
        return await super().create(key, data)


def _refuse_births(world: World, region: str) -> _Refusing:
    refusing = _Refusing()
    refusing.objects = world.stores[region].objects
    world.stores[region] = refusing
    return refusing


def test_a_region_that_is_leaving_gets_births_and_nothing_else() -> None:
    async def story() -> None:
        world = World(4, 2)
        world.leaving, world.earlier = frozenset("d"), (RegionSet(frozenset("abcd"), 3),)

        node = await started(world.node(Keys()))
        answer, _ = await send(node, "one")
        await asyncio.sleep(2)

        assert "d" not in answer.regions and "d" not in _stores(world, node, 1)
        assert world.keys_under("d", "ev/node/")
        assert not world.keys_under("d", "ev/seg/")
        await node.stop()

    run(story)


def test_a_set_that_was_written_to_is_not_dropped_by_the_change_itself() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        await kill(await started(world.node(keys)))
        world.quorum = 3

        told = await _refuses(world.node(keys))

        assert "written to a, b, c with a quorum of 2: name that set in [[earlier]]" in told
        world.earlier = (ABC,)
        node = await started(world.node(keys))
        assert node.report().epoch == 2
        await node.stop()
        world.earlier = ()
        last = await started(world.node(keys))
        assert last.report().epoch == 3
        await last.stop()

    run(story)


def test_whoever_has_the_trails_key_speaks_in_its_name() -> None:
    world = World()

    async def story() -> None:
        person = speak_for_trail(TRAIL.trail, TRAIL.signing, world.host)

        assert person.node == TRAIL.trail
        assert person.key.name == names.ledger_origin(TRAIL.trail, TRAIL.trail)
        statements.verify_certificate(person.certificate, TRAIL.trail, person.key.public)

    run(story)
