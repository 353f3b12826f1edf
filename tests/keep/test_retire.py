"""A node that is retired writes no more, and what it acknowledged before stays in the ledger."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast.errors import HoldfastError, RejectedError, UnavailableError
from holdfast.keep.keeper import Keeper
from holdfast.keep.retire import Done, Wish, retire
from holdfast.keep.roster import look_for_nodes
from holdfast.proof.names import SegmentName
from holdfast.regions import kinds, layout
from holdfast.regions.port import Differs, Stored, Unknown
from holdfast.write.node import Node
from tests.regions.worlds import MemoryWorld
from tests.write.world import TRAIL, Keys, World, kill, run, send, started

Keep = Callable[[str, bytes], Coroutine[Any, Any, Stored | Differs | Unknown]]


class Slow(MemoryWorld):
    """A store whose every call takes a while, each another one."""

    def __init__(self, like: MemoryWorld, luck: random.Random) -> None:
        super().__init__()
        self.objects = like.objects
        self._luck = luck

    async def _enter(self, call: str, key: str) -> None:
        await asyncio.sleep(self._luck.uniform(0.001, 0.2))
        await super()._enter(call, key)


def wish(node: Node, size: int | None = None) -> Wish:
    return Wish(node.identity.node, size, (), "operator", "stolen")


async def retired(world: World, wanted: Wish) -> Done:
    regions = world.regions()
    await regions.verify()
    return await retire(regions, TRAIL.signing, world.host, wanted)


async def settled(node: Node) -> str:
    for _ in range(60):
        await asyncio.sleep(1)
        if node.report().state == "retired":
            break
    return node.report().state


def test_a_stopped_node_that_was_retired_does_not_start_again() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        await send(node, "one")
        await node.stop()

        done = await retired(world, wish(node))
        again = world.node(keys)
        with pytest.raises(RejectedError, match="was retired by operator"):
            await again.refuse_if_retired()
        await again.start()

        assert await settled(again) == "retired"
        assert (done.retired.epoch, done.retired.end.size) == (1, 1)
        stored = {store.objects[done.key][0] for store in world.stores.values()}
        (note,) = stored
        assert kinds.verify_retired(note, TRAIL.trail).statement == done.retired
        assert not world.keys_under("a", layout.birth_key(node.identity.node, 2))
        with pytest.raises(UnavailableError, match="was retired"):
            await send(again, "two")
        await again.stop()

    run(story)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_a_living_node_acknowledges_lies_beyond_its_end(seed: int) -> None:
    async def story() -> None:
        world = World(seed=seed)
        for id, store in world.stores.items():
            world.stores[id] = Slow(store, random.Random(f"{seed} {id}"))
        node = await started(world.node(Keys()))
        acknowledged: list[int] = []

        async def sending() -> None:
            while True:
                try:
                    answer, _ = await send(node, "event")
                    acknowledged.append(SegmentName.parse(answer.segment).index)
                except HoldfastError:
                    await asyncio.sleep(0.005)

        sender = asyncio.create_task(sending())
        await asyncio.sleep(0.5 + seed / 7)

        done = await retired(world, wish(node))
        state = await settled(node)
        sender.cancel()

        assert state == "retired"
        assert acknowledged and max(acknowledged) < done.retired.end.size
        regions = world.regions()
        await regions.verify()
        member = (await look_for_nodes(regions))[node.identity.node]
        assert member.closed
        assert member.retired == done.retired
        await asyncio.gather(node.stop(), sender, return_exceptions=True)

    run(story)


def test_a_birth_that_came_before_the_statement_is_ended_and_stated_too() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        await send(node, "one")
        await node.stop()
        regions = world.regions()
        await regions.verify()
        again, begun = world.node(keys), asyncio.Event()

        def late(keep: Keep) -> Keep:
            async def kept(key: str, data: bytes) -> Stored | Differs | Unknown:
                if key == layout.retired_key(node.identity.node, 1) and not begun.is_set():
                    begun.set()
                    await started(again)  # the statement is on its way, and nobody has it yet
                    await send(again, "two")
                elif key.endswith("retired.note"):
                    await asyncio.sleep(5)
                return await keep(key, data)

            return kept

        for region in regions:
            region.keep = late(region.keep)  # type: ignore[method-assign, assignment]

        done = await retire(regions, TRAIL.signing, world.host, wish(node))

        assert (done.retired.epoch, done.retired.end.size) == (2, 2)
        assert await settled(again) == "retired"
        await again.stop()

    run(story)


def test_a_birth_that_comes_after_the_statement_accepts_nothing_and_is_ended() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        await send(node, "one")
        await node.stop()
        again, stated = world.node(keys), asyncio.Event()
        birth = layout.birth_key(node.identity.node, 2)

        def after_the_statement(keep: Keep) -> Keep:
            async def kept(key: str, data: bytes) -> Stored | Differs | Unknown:
                if key == birth and not stated.is_set():
                    stated.set()
                    await retired(world, wish(node))
                elif key == birth:
                    await asyncio.sleep(2)
                return await keep(key, data)

            return kept

        for region in again._regions:
            region.keep = after_the_statement(region.keep)  # type: ignore[method-assign, assignment]
        await again.start()

        assert await settled(again) == "retired"
        assert stated.is_set() and birth in world.stores["a"].objects
        assert layout.closed_key(node.identity.node, 2) in world.stores["a"].objects
        await again.stop()

    run(story)


def test_only_the_segments_that_are_said_to_be_legitimate_are_stated() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        for action in ("one", "two", "three"):
            await send(node, action)
        await node.stop()

        with pytest.raises(RejectedError, match="ends with 3 segments"):
            await retired(world, wish(node, 4))
        done = await retired(world, wish(node, 2))
        again = await retired(world, wish(node))
        with pytest.raises(RejectedError, match="retired already, with 2 segments"):
            await retired(world, wish(node, 3))

        assert (done.retired.end.size, done.decided.size) == (2, 3)
        assert again.retired == done.retired
        names_ = [name for _, name, _ in world.entered]
        assert done.retired.end.first == names_[2].first

    run(story)


def test_what_was_begun_after_the_retirement_is_made_legitimate_by_nobody_unasked() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        await send(node, "one")
        await node.stop()
        await retired(world, wish(node))
        hidden = {id: store.objects.copy() for id, store in world.stores.items()}
        for store in world.stores.values():
            del store.objects[layout.retired_key(node.identity.node, 1)]
        forged = await started(world.node(keys))
        await send(forged, "forged")
        await forged.stop()
        for id, store in world.stores.items():
            store.objects.update(hidden[id])

        with pytest.raises(RejectedError, match="was born again since"):
            await retired(world, wish(node))
        done = await retired(world, wish(node, 1))

        assert (done.retired.epoch, done.retired.end.size, done.decided.size) == (2, 1, 2)

    run(story)


def test_too_few_regions_state_nothing() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "one")
        await kill(node)
        for id in ("a", "b"):
            world.stores[id].failing = Unknown("away")

        with pytest.raises(UnavailableError):
            await retired(world, wish(node))

        assert not any("retired" in key for key in world.stores["c"].objects)

    run(story)


def test_a_retirement_that_a_region_lacks_is_copied_there() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "one")
        await node.stop()
        done = await retired(world, wish(node))
        note = world.stores["b"].objects.pop(done.key)
        regions = world.regions()
        await regions.verify()

        report = await Keeper(regions, world.host).reconcile(whole=True)

        assert world.stores["b"].objects[done.key][0] == note[0]
        assert report.identical and not report.findings

    run(story)


def test_what_another_than_the_trail_put_there_retires_nobody() -> None:
    async def story() -> None:
        world, keys = World(), Keys()
        node = await started(world.node(keys))
        await send(node, "one")
        await node.stop()
        for store in world.stores.values():
            store.objects[layout.retired_key(node.identity.node, 1)] = (b"nonsense", 1)

        again = await started(world.node(keys))

        assert again.report().state == "open"
        await again.stop()

    run(story)
