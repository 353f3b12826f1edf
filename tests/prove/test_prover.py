"""Proofs made of what regions hold, over trails that were written straight into them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.errors import CorruptError, RejectedError, UnavailableError
from holdfast.proof import merkle
from holdfast.proof.ledger import EMPTY_END
from holdfast.prove import paths
from holdfast.prove.prover import Prover
from holdfast.prove.trees import Trees
from holdfast.read.reader import Reader
from holdfast.read.shelf import FoldLimits
from holdfast.regions import layout
from holdfast.regions.port import Unknown
from tests.proof.proofs import checked
from tests.read.trails import TRAIL, World, Writer, tick

Story = Callable[[Prover, Reader], Awaitable[None]]


@pytest.fixture
def world() -> World:
    return World()


def proving(world: World, cache: Path, story: Story, fold: FoldLimits | None = None) -> None:
    """Run with a reader that has looked once, and a prover on it."""

    async def main() -> None:
        reader = world.reader(cache, fold=fold)
        regions = world.regions()
        await regions.verify()
        try:
            await reader.pass_once()
            await story(Prover(reader, regions, world.host, 1.0), reader)
        finally:
            await reader.stop()

    asyncio.run(main())


def proven(data: bytes) -> dict[str, object]:
    """What an outsider learns who knows the trail's id."""
    found, _ = checked(data, TRAIL.trail)
    assert not isinstance(found, Exception), found
    return found.facts()


def node_with(world: World, *segments: list[dict[str, object]], seed: int = 7) -> Writer:
    node = Writer(world, seed)
    node.born()
    for events in segments:
        node.seal(*events)
    tick(world)
    return node


MANY: list[list[dict[str, object]]] = [
    [{"id": f"{n}-{tenant}-{k}", "tenant": tenant} for tenant in "abc" for k in range(n + 1)]
    for n in range(3)
]


@pytest.mark.parametrize("fold", [FoldLimits(), FoldLimits(events=1)])
def test_every_event_is_proven_hot_or_folded(
    world: World, tmp_path: Path, fold: FoldLimits
) -> None:
    node = node_with(world, *MANY)
    node.beat(checkpoint=node.checkpoint())

    async def story(prover: Prover, reader: Reader) -> None:
        for index, events in enumerate(MANY):
            for event in events:
                data = await prover.event(None, str(event["id"]))

                told = proven(data)
                assert json.loads(str(told["record"]))["id"] == event["id"]
                assert (told["segment"], told["node"]) == (index, node.node)
                assert told["segments in the checkpoint"] == len(MANY)

    proving(world, tmp_path, story, fold)


def test_a_proof_rests_on_the_newest_that_was_signed(world: World, tmp_path: Path) -> None:
    node = node_with(world, *MANY[:2])
    node.keep_checkpoint()
    node.seal("late")
    tick(world)
    node.beat()

    async def story(prover: Prover, reader: Reader) -> None:
        early = proven(await prover.event(None, "0-a-0"))
        assert early["segments in the checkpoint"] == 2
        with pytest.raises(UnavailableError, match="heartbeat, within 2 s") as refused:
            await prover.event(None, "late")
        assert refused.value.retry_after_seconds == 2

        node.beat(checkpoint=node.checkpoint())

        late = proven(await prover.event(None, "late"))
        assert late["segments in the checkpoint"] == 3

    proving(world, tmp_path, story)


def test_a_lost_nodes_events_are_proven_by_its_close(world: World, tmp_path: Path) -> None:
    node = node_with(world, *MANY[:3])
    node.close()

    async def story(prover: Prover, reader: Reader) -> None:
        told = proven(await prover.event("c", "2-c-1"))

        assert told["segments in the decided close"] == 3

    proving(world, tmp_path, story)


def test_one_region_is_enough(world: World, tmp_path: Path) -> None:
    node = node_with(world, *MANY[:2])
    node.beat(checkpoint=node.checkpoint())
    for lost in ("a", "c"):
        world.stores[lost].failing = Unknown("gone")

    async def story(prover: Prover, reader: Reader) -> None:
        assert proven(await prover.event(None, "1-b-1"))["segment"] == 1

    proving(world, tmp_path, story)


def test_one_of_several_events_under_an_id_must_be_named(world: World, tmp_path: Path) -> None:
    node = node_with(
        world,
        [{"id": "same", "action": "x"}, {"id": "same", "action": "y"}],
        [{"id": "same", "tenant": "b"}],
    )
    node.beat(checkpoint=node.checkpoint())

    async def story(prover: Prover, reader: Reader) -> None:
        with pytest.raises(RejectedError, match="3 events") as ambiguous:
            await prover.event(None, "same")
        with pytest.raises(RejectedError) as missing:
            await prover.event("c", "same")
        assert ambiguous.value.kind == "ambiguous" and missing.value.kind == "not-found"

        told = [
            proven(await prover.event("b", "same")),
            proven(await prover.event(None, "same", node.node, 0)),
            proven(await prover.event("acme", "same", position=1)),
        ]

        records = [json.loads(str(each["record"])) for each in told]
        assert [each["action"] for each in records] == ["a", "x", "y"]

    proving(world, tmp_path, story)


def test_before_a_gap_is_proven_by_an_older_head_and_behind_it_is_not(
    world: World, tmp_path: Path
) -> None:
    node = node_with(world, *MANY[:2])
    node.keep_checkpoint()
    lost = node.seal("lost")
    node.seal("behind")
    tick(world)
    node.lose(lost)
    node.beat(checkpoint=node.checkpoint())

    async def story(prover: Prover, reader: Reader) -> None:
        assert proven(await prover.event(None, "1-a-0"))["segments in the checkpoint"] == 2
        with pytest.raises(RejectedError, match="are lost") as refused:
            await prover.event(None, "behind")
        assert refused.value.kind == "unprovable"

    proving(world, tmp_path, story)


def test_what_was_signed_of_another_ledger_is_told_as_corrupt(world: World, tmp_path: Path) -> None:
    node = node_with(world, *MANY[:2])
    other = Writer(World(), seed=7)
    other.epoch, other.end = 1, EMPTY_END
    other.seal("x")
    other.seal("y")
    node.beat(checkpoint=other.checkpoint())

    async def story(prover: Prover, reader: Reader) -> None:
        with pytest.raises(CorruptError, match="another root"):
            await prover.event(None, "1-a-0")

    proving(world, tmp_path, story)


def test_a_ledger_of_another_trail_or_key_is_not_rested_on(world: World, tmp_path: Path) -> None:
    node = node_with(world, *MANY[:2])
    stranger = Writer(world, seed=9)
    stranger.end = node.end
    forged = stranger.checkpoint()
    world.put(layout.checkpoint_key(node.node, 2), forged)
    node.beat(checkpoint=forged)

    async def story(prover: Prover, reader: Reader) -> None:
        with pytest.raises(UnavailableError, match="in nothing signed yet"):
            await prover.event(None, "1-a-0")

    proving(world, tmp_path, story)


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 8192, 12289])
def test_a_path_in_a_large_ledger_is_that_of_the_whole_tree(size: int, world: World) -> None:
    held = [f"{index:010x}-name" for index in range(size)]
    leaves = merkle.leaf_hashes([name.encode() for name in held])
    root = merkle.root(leaves)

    async def named(node: str, start: int, end: int) -> list[str]:
        return held[start:end]

    async def story() -> None:
        trees = Trees(named, world.host)
        for index in {0, size // 2, size - 1, min(4095, size - 1), min(4096, size - 1)}:
            path = await trees.path("node", index, size, root)

            assert path == paths.inclusion_path(leaves, index)
        with pytest.raises(CorruptError):
            await trees.path("node", 0, size, bytes(32))
        with pytest.raises(UnavailableError):
            await trees.path("node", 0, size + 1, root)
        assert await trees.path("node", 0, size, root) == paths.inclusion_path(leaves, 0)

    asyncio.run(story())
