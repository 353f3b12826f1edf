"""Where a segment's bytes come from, and how much of them is kept."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from holdfast.proof.names import SegmentName
from holdfast.read import packs
from holdfast.read.fetch import Fetcher
from holdfast.read.packs import Packs
from holdfast.read.watermark import Trouble
from holdfast.regions import layout
from holdfast.regions.breaker import BreakerLimits
from holdfast.regions.port import Absent, Present, Unknown
from tests.read.trails import World
from tests.regions.worlds import run_with_time

NODE = "7" * 32


def named(data: bytes, index: int = 0) -> SegmentName:
    return SegmentName(index, 1, index, 1, 1, 1, bytes(32), hashlib.sha256(data).digest())


def reads(world: World) -> list[str]:
    return [id for id, store in world.stores.items() for call, _ in store.log if call == "read"]


def test_a_region_that_was_seen_to_have_it_is_asked_first(tmp_path: Path) -> None:
    world, data, cache = World(), b"data", Packs(tmp_path, 1 << 20)
    world.put(layout.segment_key(NODE, named(data)), data, "c")
    fetcher = Fetcher(world.regions(), cache, world.host)

    spot = asyncio.run(fetcher.fetch(NODE, named(data), "c"))

    assert spot is not None
    assert cache.is_intact(spot, named(data))
    assert reads(world) == ["c"]


def test_what_is_in_the_cache_is_not_read_again_unless_it_rotted(tmp_path: Path) -> None:
    world, data, cache = World(), b"data", Packs(tmp_path, 1 << 20)
    world.put(layout.segment_key(NODE, named(data)), data)
    fetcher = Fetcher(world.regions(), cache, world.host)

    async def main() -> None:
        spot = await fetcher.fetch(NODE, named(data))
        assert await fetcher.fetch(NODE, named(data), spot=spot) == spot
        assert len(reads(world)) == 1
        assert spot is not None
        cache.path(spot.pack).write_bytes(b"rotten")
        moved = await fetcher.fetch(NODE, named(data), spot=spot)
        assert moved not in (None, spot)
        assert len(reads(world)) == 2

    asyncio.run(main())


def test_a_failing_region_is_passed_over(tmp_path: Path) -> None:
    world = World()
    fetcher = Fetcher(world.regions(), Packs(tmp_path, 1 << 20), world.host)
    for index in range(3):
        data = b"data %d" % index
        world.put(layout.segment_key(NODE, named(data, index)), data, "bc")
    world.stores["a"].failing = Unknown("gone")

    async def main() -> None:
        for index in range(3):
            assert await fetcher.fetch(NODE, named(b"data %d" % index, index), "abc") is not None

    asyncio.run(main())


def test_a_segment_that_nobody_has_is_not_asked_for_without_end(tmp_path: Path) -> None:
    world = World()
    fetcher = Fetcher(world.regions(), Packs(tmp_path, 1 << 20), world.host)

    async def main() -> None:
        assert await fetcher.fetch(NODE, named(b"data")) is None
        assert await fetcher.fetch(NODE, named(b"data")) is None
        assert sorted(reads(world)) == ["a", "b", "c"]

    asyncio.run(main())


def test_once_a_silent_region_is_back_its_segment_is_read_within_seconds(tmp_path: Path) -> None:
    world = World()
    fetcher = Fetcher(world.regions(), Packs(tmp_path, 1 << 20), world.host)
    world.put(layout.segment_key(NODE, named(b"data")), b"data", "a")

    async def main() -> None:
        world.stores["a"].failing = Unknown("gone")
        for _ in range(120):
            assert await fetcher.fetch(NODE, named(b"data")) is None
            await asyncio.sleep(1)
        assert len(reads(world)) < 3 * 40
        world.stores["a"].failing = None
        await asyncio.sleep(BreakerLimits().pause_seconds_max)
        found = [await fetcher.fetch(NODE, named(b"data"))]
        await asyncio.sleep(5)
        assert [*found, await fetcher.fetch(NODE, named(b"data"))] != [None, None]

    run_with_time(lambda _: main())


def test_the_oldest_packs_go_first_and_what_is_needed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 100)
    cache = Packs(tmp_path, 250)
    spots = [cache.put(bytes([number]) * 100) for number in range(5)]

    cache.evict({spots[0].pack})

    assert [cache.path(spot.pack).exists() for spot in spots] == [True, False, False, False, True]
    assert cache.size_bytes == 200
    assert [cache.is_whole(spot) for spot in spots] == [True, False, False, False, True]


def test_packs_of_an_earlier_process_are_read_and_not_written(tmp_path: Path) -> None:
    first = Packs(tmp_path, 1 << 20)
    spot = first.put(b"data")
    first.close()

    second = Packs(tmp_path, 1 << 20)
    other = second.put(b"more")

    assert other.pack != spot.pack
    assert second.is_intact(spot, named(b"data"))
    assert second.is_intact(other, named(b"more"))
    assert not second.is_intact(other, named(b"data"))
    assert second.size_bytes == 8


def test_a_pack_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    first = Packs(tmp_path, 1 << 20)
    spot = first.put(b"data")
    first.close()
    first.path(spot.pack).write_bytes(b"da")

    assert not Packs(tmp_path, 1 << 20).is_whole(spot)
    assert not first.is_intact(spot, named(b"data"))


def test_a_pack_that_was_deleted_is_not_written_to(tmp_path: Path) -> None:
    cache = Packs(tmp_path, 1 << 20)
    lost = cache.put(b"data")
    cache.path(lost.pack).unlink()

    spot = cache.put(b"more")

    assert cache.is_intact(spot, named(b"more"))


def test_a_cache_that_was_cleared_can_be_filled_again(tmp_path: Path) -> None:
    cache = Packs(tmp_path / "packs", 1 << 20)
    cache.put(b"data")
    cache.clear()

    assert not (tmp_path / "packs").exists()
    assert cache.size_bytes == 0


def test_where_nobody_has_a_good_copy_it_is_said_who_was_silent(tmp_path: Path) -> None:
    world = World()
    fetcher = Fetcher(world.regions(), Packs(tmp_path, 1 << 20), world.host)
    name = named(b"data")
    world.put(layout.segment_key(NODE, name), b"rotten", "a")

    async def main() -> None:
        world.stores["b"].failing = Unknown("gone")
        await fetcher.fetch(NODE, name)
        waiting = fetcher.trouble(NODE, name)
        world.stores["b"].failing = None
        await asyncio.sleep(1.01)
        await fetcher.fetch(NODE, name)
        lasting = fetcher.trouble(NODE, name)
        world.put(layout.segment_key(NODE, name), b"data", "c")
        await asyncio.sleep(2.01)
        await fetcher.fetch(NODE, name)

        assert waiting == Trouble(
            "no region that answered has a good copy "
            "(a: its copy is corrupt; b: did not answer: gone; c: has none)",
            lasting=False,
        )
        assert lasting == Trouble(
            "no region has a good copy (a: its copy is corrupt; b: has none; c: has none)",
            lasting=True,
        )
        assert fetcher.trouble(NODE, name) is None

    run_with_time(lambda _: main())


def test_one_bad_read_is_not_yet_a_corrupt_copy(tmp_path: Path) -> None:
    world, name = World(), named(b"data")
    key = layout.segment_key(NODE, name)
    world.put(key, b"rotten", "a")
    fetcher = Fetcher(world.regions(), Packs(tmp_path, 1 << 20), world.host)
    store = world.stores["a"]
    read_once = store.read

    async def read(key: str) -> Present | Absent | Unknown:
        answer = await read_once(key)
        world.put(key, b"data", "a")
        return answer

    store.read = read  # type: ignore[method-assign]

    assert asyncio.run(fetcher.fetch(NODE, name, "a")) is not None
    assert fetcher.corrupt == {}
