"""What a node saw of other ledgers goes into its own, and nobody else can say so."""

import asyncio
import json
from typing import Any

import pytest

from holdfast.errors import UnavailableError
from holdfast.keep.seen import Seen
from holdfast.proof import note
from holdfast.proof.note import Checkpoint
from holdfast.read.checkpoints import Checkpoints
from holdfast.regions import layout, signing
from holdfast.write.epoch import WriteLimits
from holdfast.write.node import Node
from tests.write.world import Keys, World, run, send, started

HOUR = 3600.0
RARELY = WriteLimits(heartbeat_seconds=50)  # hours pass here


async def seen_by(world: World, node: Node) -> Seen:
    regions = world.regions()
    await regions.verify()
    return Seen(Checkpoints(regions), node)


def told(world: World, node: Node) -> list[dict[str, Any]]:
    """The events by which a node says what it saw."""
    records = [
        json.loads(record)
        for writer, _, records in world.entered
        if writer == node.identity.node
        for record in records
    ]
    return [each for each in records if each["action"] == "holdfast.ledgers.seen"]


def sizes(event: dict[str, Any]) -> dict[str, int]:
    ledgers = event["attributes"]["ledgers"]
    return {each["origin"]: int(each["note"].split("\n")[1]) for each in ledgers}


def test_it_is_told_soon_after_the_start_and_then_hourly_while_anything_is_new() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys(), RARELY))
        other = await started(world.node(Keys(), RARELY))
        await send(other, "one")
        origin = other.identity.key.name
        telling = asyncio.create_task((await seen_by(world, node)).tell_forever(HOUR))

        await asyncio.sleep(61)
        first = told(world, node)
        await asyncio.sleep(HOUR)
        quiet = told(world, node)
        await send(other, "two")
        await asyncio.sleep(HOUR)
        later = told(world, node)

        assert [sizes(each) for each in first] == [{origin: 1}]
        assert quiet == first
        assert [sizes(each) for each in later] == [{origin: 1}, {origin: 2}]
        own = node.identity.node
        assert first[0]["actor"] == {"type": "node", "id": own}
        assert first[0]["principal"] == f"node:{own}"
        (ledger,) = later[1]["attributes"]["ledgers"]
        noted = note.verify_checkpoint(ledger["note"].encode(), other.identity.key.verifier)
        assert noted.size == 2
        telling.cancel()
        await asyncio.gather(node.stop(), other.stop(), telling, return_exceptions=True)

    run(story)


def test_a_node_that_is_alone_says_nothing() -> None:
    async def story() -> None:
        world = World()
        node = await started(world.node(Keys()))
        await send(node, "one")
        await asyncio.sleep(5)

        count = await (await seen_by(world, node)).tell()

        assert (count, told(world, node)) == (0, [])
        await node.stop()

    run(story)


def test_two_stories_of_another_node_are_both_kept_once() -> None:
    async def story() -> None:
        world = World()
        node, other = await started(world.node(Keys())), await started(world.node(Keys()))
        await send(other, "one")
        await asyncio.sleep(5)
        key = other.identity.key
        lie = signing.sign(Checkpoint(key.name, 1, bytes(32)).text, key)
        place = layout.checkpoint_key(other.identity.node, 1)
        world.stores["c"].objects[place] = (lie, 1)
        seen = await seen_by(world, node)

        counts = [await seen.tell(), await seen.tell()]

        (event,) = told(world, node)
        notes = {each["note"] for each in event["attributes"]["ledgers"]}
        assert counts == [2, 0]
        assert len(notes) == 2 and lie.decode() in notes
        await asyncio.gather(node.stop(), other.stop())

    run(story)


def test_it_is_told_again_until_it_is_acknowledged() -> None:
    async def story() -> None:
        world = World()
        node, other = await started(world.node(Keys())), await started(world.node(Keys()))
        await send(other, "one")
        await asyncio.sleep(5)
        seen = await seen_by(world, node)
        await node.stop()

        with pytest.raises(UnavailableError):
            await seen.tell()
        again = await started(world.node(node._keyring))  # type: ignore[arg-type]
        seen._node = again
        count = await seen.tell()

        assert count == 1
        assert len(told(world, again)) == 1
        await asyncio.gather(again.stop(), other.stop())

    run(story)
