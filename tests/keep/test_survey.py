"""What a survey asks of regions whose ledgers are long."""

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from holdfast.keep.drift import compare
from holdfast.keep.survey import Surveyor
from holdfast.proof import ledger
from holdfast.proof.names import SegmentName
from holdfast.read.listings import BEYOND_MAX, whole_listings
from holdfast.regions import Region, Regions, layout
from holdfast.regions.port import Listing, Unknown
from tests.read.trails import START_US, TRAIL, World, Writer
from tests.regions.worlds import MemoryWorld


class Bounded(MemoryWorld):
    """A store that has only so much time for a listing."""

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        found = await super().list(prefix, after)
        if isinstance(found, Listing) and len(found.objects) > BEYOND_MAX:
            return Unknown("no answer within 5 s")
        return found


def _long(segments: int) -> tuple[World, Writer, dict[str, Bounded]]:
    """A ledger by its names alone: a survey reads no segment."""
    world = World()
    node = Writer(world)
    node.born()
    for index in range(segments):
        sealed_us = START_US + index + 1
        name = SegmentName(index, 1, index, 1, 1, sealed_us, bytes(32), bytes(32))
        node.end = ledger.extend(node.end, name)
        world.put(node.key_of(name), b"a segment's bytes")
    node.beat()
    stores = {id: Bounded() for id in world.stores}
    for id, store in stores.items():
        store.objects = world.stores[id].objects
    return world, node, stores


def test_a_long_ledger_is_surveyed_in_listings_that_end_in_time() -> None:
    world, node, stores = _long(BEYOND_MAX + 2)
    lacking = next(key for key in world.keys("b") if key.startswith(layout.SEGMENTS_PREFIX))
    world.remove(lacking, "b")

    async def main() -> None:
        regions = Regions([Region(id, store) for id, store in stores.items()], 2, TRAIL.trail)
        await regions.verify()

        found = await Surveyor(regions).survey(whole=True)

        drift = compare(found.held, found.extents, found.starts, found.lost, {})
        assert not found.absent
        assert [(lack.key, lack.lacking) for lack in drift.lacks] == [(lacking, ("b",))]
        assert not drift.missing
        assert node.end.size == BEYOND_MAX + 2

    asyncio.run(main())


def test_shards_that_were_swept_are_not_listed_one_by_one() -> None:
    world, node, stores = _long(BEYOND_MAX + layout.SHARD_SEGMENTS + 2)
    left = world.keys("b", layout.SEGMENTS_PREFIX)
    swept, there = left[: 2 * layout.SHARD_SEGMENTS], left[2 * layout.SHARD_SEGMENTS :]
    for key in swept[1:]:
        world.remove(key)

    async def listed() -> tuple[dict[str, set[str]], list[str]]:
        regions = Regions([Region(id, store) for id, store in stores.items()], 2, TRAIL.trail)
        await regions.verify()
        stores["c"].log.clear()
        found = await Surveyor(regions).survey(whole=True)
        held = {
            id: {key for key in keys if key.startswith(layout.SEGMENTS_PREFIX)}
            for id, keys in found.held.items()
        }
        every = layout.segments_prefix(node.node)
        return held, [key for call, key in stores["c"].log if call == "list" and every in key]

    held, first = asyncio.run(listed())
    world.remove(swept[0], "a")
    world.remove(swept[0], "c")
    only_b, again = asyncio.run(listed())
    world.remove(swept[0], "b")
    none, last = asyncio.run(listed())

    every, shard = layout.segments_prefix(node.node), layout.shard_prefix(node.node, 0)
    assert set(map(frozenset, held.values())) == {frozenset([swept[0], *there])}
    assert only_b == {id: {*there, *(swept[:1] if id == "b" else ())} for id in stores}
    assert (first, again, last) == ([every, shard, every], [every, shard, every], [every, every])
    assert none == {id: set(there) for id in stores}


@given(size=st.integers(0, 5 * BEYOND_MAX), data=st.data())
def test_listings_show_a_ledger_from_an_index_on_each_segment_once(
    size: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, size))
    node = "0" * 32
    calls = list(whole_listings(node, size, start))

    begins = [int(after.rpartition("/")[2], 16) for _, after in calls]
    assert begins[0] == start
    assert all(a < b <= a + layout.SHARD_SEGMENTS for a, b in itertools.pairwise(begins))
    assert size - begins[-1] <= BEYOND_MAX
    assert all(
        prefix == layout.shard_prefix(node, at)
        for (prefix, _), at in zip(calls[:-1], begins, strict=False)
    )
    assert calls[-1][0] == layout.segments_prefix(node)
