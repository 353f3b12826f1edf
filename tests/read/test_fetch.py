"""Where a segment's bytes come from, and how much of them is kept."""

import asyncio
import hashlib
from pathlib import Path

from holdfast.proof import names
from holdfast.proof.names import SegmentName
from holdfast.read.fetch import Fetcher, SegmentFiles
from holdfast.regions.port import Unknown
from tests.read.trails import World

NODE = "7" * 32


def named(data: bytes, index: int = 0) -> SegmentName:
    return SegmentName(index, 1, index, 1, 1, 1, bytes(32), hashlib.sha256(data).digest())


def reads(world: World) -> list[str]:
    return [id for id, store in world.stores.items() for call, _ in store.log if call == "read"]


def test_a_region_that_was_seen_to_have_it_is_asked_first(tmp_path: Path) -> None:
    world, data = World(), b"data"
    world.put(names.segment_key(NODE, named(data)), data, "c")
    fetcher = Fetcher(world.regions(), SegmentFiles(tmp_path, 1 << 20), world.host)

    path = asyncio.run(fetcher.fetch(NODE, named(data), "c"))

    assert path is not None
    assert path.read_bytes() == data
    assert reads(world) == ["c"]


def test_what_is_in_the_cache_is_not_read_again_unless_it_rotted(tmp_path: Path) -> None:
    world, data = World(), b"data"
    world.put(names.segment_key(NODE, named(data)), data)
    fetcher = Fetcher(world.regions(), SegmentFiles(tmp_path, 1 << 20), world.host)

    async def main() -> None:
        path = await fetcher.fetch(NODE, named(data))
        await fetcher.fetch(NODE, named(data))
        assert reads(world) == ["a"]
        assert path is not None
        path.write_bytes(b"rotten")
        assert await fetcher.fetch(NODE, named(data)) is not None
        assert len(reads(world)) == 2

    asyncio.run(main())


def test_the_faster_region_is_asked_first_and_a_failing_one_is_passed_over(tmp_path: Path) -> None:
    world = World()
    fetcher = Fetcher(world.regions(), SegmentFiles(tmp_path, 1 << 20), world.host)
    for index in range(3):
        data = b"data %d" % index
        world.put(names.segment_key(NODE, named(data, index)), data, "bc")
    world.stores["a"].failing = Unknown("gone")

    async def main() -> None:
        for index in range(3):
            assert await fetcher.fetch(NODE, named(b"data %d" % index, index), "abc") is not None

    asyncio.run(main())


def test_a_segment_that_nobody_has_is_not_asked_for_without_end(tmp_path: Path) -> None:
    world = World()
    fetcher = Fetcher(world.regions(), SegmentFiles(tmp_path, 1 << 20), world.host)

    async def main() -> None:
        assert await fetcher.fetch(NODE, named(b"data")) is None
        assert await fetcher.fetch(NODE, named(b"data")) is None
        assert sorted(reads(world)) == ["a", "b", "c"]

    asyncio.run(main())


def test_the_oldest_shards_go_first_and_what_is_needed_stays(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, 250)
    paths = []
    for index in range(4):
        data = bytes([index]) * 100
        name = named(data, index * names.SHARD_SEGMENTS)
        paths.append(files.path(NODE, name))
        files.put(paths[-1], data)

    files.evict({paths[0]})

    assert [path.exists() for path in paths] == [True, False, False, True]
    assert files.size_bytes == 200
    again = SegmentFiles(tmp_path, 250)
    again.count()
    assert again.size_bytes == 200
    again.clear()
    assert not any(tmp_path.rglob("*.zst"))
