"""A ledger's growth is proven from listings alone, against what a naive tree says."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from holdfast.proof import MismatchError, ledger, merkle
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import EMPTY_RANGE, leaf_hash
from holdfast.prove import paths
from holdfast.read.growth import Grown, Growth, NotShown, consistency_path
from holdfast.regions import layout
from holdfast.regions.port import Unknown
from tests.archive.days import archived, archivist
from tests.archive.swept import open_trail, small, sweep
from tests.read.trails import World, Writer
from tests.regions.worlds import run_with_time


def grown(world: World, writer: Writer, old: int, new: int) -> Grown | NotShown:
    async def story() -> Grown | NotShown:
        regions = world.regions()
        await regions.verify()
        return await Growth(regions).grow(writer.node, old, new)

    return run_with_time(lambda _: story())


def written(world: World, *epochs: int) -> tuple[Writer, list[LedgerEnd]]:
    """A node with so many segments in each epoch; and the ends of its ledger at every size."""
    writer, ends = Writer(world), [EMPTY_END]
    for count in epochs:
        writer.born()
        for _ in range(count):
            writer.seal({})
            ends.append(writer.end)
    return writer, ends


def test_a_path_made_from_a_compact_range_is_that_of_the_whole_tree() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(40)]
    trees = [EMPTY_RANGE]
    for leaf in leaves:
        trees.append(trees[-1].append(leaf))

    for new in range(len(leaves) + 1):
        for old in range(new + 1):
            path = consistency_path(trees[old], leaves[old:new])

            assert path == paths.consistency_path(leaves[:new], old), (old, new)


@pytest.mark.parametrize("epochs", [(7,), (3, 4), (1, 0, 2, 4), (0, 7)])
def test_every_two_sizes_are_proven_across_epochs(epochs: Sequence[int]) -> None:
    world = World()
    writer, ends = written(world, *epochs)

    for new in range(len(ends)):
        for old in range(new + 1):
            found = grown(world, writer, old, new)

            assert isinstance(found, Grown)
            assert (found.old, found.new) == (ends[old], ends[new])
            merkle.verify_consistency(old, ends[old].root, new, ends[new].root, found.path)


def test_only_what_lies_behind_the_last_birth_before_the_smaller_size_is_listed() -> None:
    world = World()
    writer, ends = written(world, 5, 3)
    for key in world.keys("a", layout.segments_prefix(writer.node))[:5]:
        world.remove(key)

    behind = grown(world, writer, 6, 8)
    across = grown(world, writer, 4, 8)

    assert isinstance(behind, Grown) and behind.new == ends[8]
    assert across == NotShown(0, "segment 0 is in none of the regions listed")


def test_names_that_each_region_lacks_another_of_are_put_together() -> None:
    world = World()
    writer, ends = written(world, 6)
    luck = random.Random(1)
    for key in world.keys("a", layout.segments_prefix(writer.node)):
        world.remove(key, luck.sample(("a", "b", "c"), 2))

    found = grown(world, writer, 2, 6)

    assert isinstance(found, Grown) and found.new == ends[6]


def test_a_name_that_nobody_lists_is_missing_only_where_enough_could_be_asked() -> None:
    world = World()
    writer, _ = written(world, 3)

    cut = grown(world, writer, 2, 5)
    world.stores["a"].failing = world.stores["b"].failing = Unknown("away")
    unseen = grown(world, writer, 2, 5)

    assert isinstance(cut, NotShown) and cut.index == 3
    assert isinstance(unseen, NotShown) and unseen.index is None
    assert "too few regions" in unseen.reason and "away" in unseen.reason


def test_one_region_alone_shows_what_it_has() -> None:
    world = World()
    writer, ends = written(world, 3)
    world.stores["a"].failing = world.stores["b"].failing = Unknown("away")

    found = grown(world, writer, 1, 3)

    assert isinstance(found, Grown) and found.new == ends[3]


def test_two_names_for_one_index_are_refused() -> None:
    world = World()
    writer, _ = written(world, 2)
    twin = Writer(world)
    twin.epoch, twin.end = 1, EMPTY_END
    twin.seal({"id": "another"}, regions=["b"])

    with pytest.raises(MismatchError, match="two segments claim index 0"):
        grown(world, writer, 0, 2)


def test_a_segment_beyond_a_close_is_not_of_the_ledger() -> None:
    world = World()
    writer = Writer(world)
    writer.born()
    writer.seal({})
    base = writer.end
    orphan = writer.seal({"id": "orphan"})
    writer.born(base=base)
    kept = writer.seal({"id": "kept"})

    found = grown(world, writer, 1, 2)

    assert orphan.name.index == kept.name.index
    assert isinstance(found, Grown) and found.new == writer.end


def test_what_was_swept_is_proven_by_the_evidence_of_archives(tmp_path: Path) -> None:
    async def made(world: World) -> tuple[Writer, list[LedgerEnd]]:
        writer, ends = open_trail(world), [EMPTY_END]
        for key in map(layout.parse_key, small(world, "a")):
            assert isinstance(key, layout.SegmentKey)
            ends.append(ledger.extend(ends[-1], key.name))
        keeper = await archivist(world, tmp_path)
        await keeper.archive(0)
        await sweep(world, keeper)
        return writer, ends

    world = World()
    writer, ends = asyncio.run(made(world))

    for old, new in ((0, 12), (3, 5), (5, 12), (8, 12), (12, 12)):
        found = grown(world, writer, old, new)

        assert isinstance(found, Grown) and (found.old, found.new) == (ends[old], ends[new])


def evidence_read(world: World) -> int:
    """How many objects of evidence were read since it was asked last."""
    reads = [key for store in world.stores.values() for call, key in store.log if call == "read"]
    for store in world.stores.values():
        store.log.clear()
    return sum(key.endswith(".ndjson.zst") for key in reads)


def test_units_whose_end_the_node_signed_are_walked_through_once(tmp_path: Path) -> None:
    async def made(world: World) -> None:
        writer = open_trail(world)
        keeper = await archivist(world, tmp_path)
        await keeper.archive(0)
        await sweep(world, keeper)
        regions = world.regions()
        await regions.verify()
        growth = Growth(regions)
        evidence_read(world)

        first = await growth.grow(writer.node, 0, 12)
        walked = evidence_read(world)
        again = await growth.grow(writer.node, 12, 12)
        last = evidence_read(world)

        assert isinstance(first, Grown) and again == Grown(first.new, first.new, ())
        assert (walked, last) == (2, 1)  # the first ends where the second begins

    asyncio.run(made(World()))


def test_what_is_known_to_be_signed_needs_nothing_that_lies_before_it() -> None:
    world = World()
    writer, ends = written(world, 7)
    for key in world.keys("a", layout.segments_prefix(writer.node))[:5]:
        world.remove(key)

    async def story() -> tuple[Grown | NotShown, ...]:
        regions = world.regions()
        await regions.verify()
        growth = Growth(regions)
        before = await growth.grow(writer.node, 6, 7)
        growth.note(writer.node, ends[5])
        return before, await growth.grow(writer.node, 6, 7), await growth.grow(writer.node, 4, 7)

    before, known, older = run_with_time(lambda _: story())

    missing = NotShown(0, "segment 0 is in none of the regions listed")
    assert (before, older) == (missing, missing)
    assert isinstance(known, Grown) and (known.old, known.new) == (ends[6], ends[7])


def test_what_was_swept_and_is_in_no_good_evidence_is_not_shown(tmp_path: Path) -> None:
    async def made(world: World) -> Writer:
        writer = open_trail(world)
        keeper = await archivist(world, tmp_path)
        await keeper.archive(0)
        await sweep(world, keeper)
        for key in archived(world):
            if key.endswith(".ndjson.zst"):
                world.put(key, b"rotten")
        return writer

    world = World()
    writer = asyncio.run(made(world))

    assert grown(world, writer, 0, 12) == NotShown(0, "segment 0 is in none of the regions listed")
