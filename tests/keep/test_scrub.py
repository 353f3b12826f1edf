"""Reading everything before anybody needs it."""

import pytest

from holdfast.keep.repair import Finding
from holdfast.keep.scrub import DAY_US, Scrub
from holdfast.regions.port import Absent, Listing, Present, Unknown
from tests.regions.worlds import MemoryWorld
from tests.write.world import Keys, World, run, send, started


async def _stopped_trail(world: World, count: int = 3) -> None:
    node = await started(world.node(Keys()))
    for number in range(count):
        await send(node, f"n{number}")
    await node.stop()


async def _scrub(world: World, period_days: int = 1) -> Scrub:
    regions = world.regions()
    await regions.verify()
    return Scrub(regions, world.host, period_days)


def _evidence(store: MemoryWorld) -> list[str]:
    return sorted(key for key in store.objects if key.startswith(("ev/seg", "ev/cp", "ev/node")))


def test_what_is_sound_has_no_findings_and_is_read_whole() -> None:
    async def story() -> None:
        world = World()
        await _stopped_trail(world)
        scrub = await _scrub(world)

        report = await scrub.read_share()

        assert report.findings == ()
        assert report.objects == sum(len(_evidence(store)) for store in world.stores.values())
        assert report.size_bytes > 0

    run(story)


@pytest.mark.parametrize("kind", [".ndjson.zst", "ev/cp/", "birth", "fence", "close.", "closed"])
def test_one_changed_byte_in_any_kind_of_object_is_found_and_named(kind: str) -> None:
    async def story() -> None:
        world = World()
        await _stopped_trail(world)
        store = world.stores["b"]
        key = next(key for key in _evidence(store) if kind in key)
        data, at_us = store.objects[key]
        middle = len(data) // 2
        store.objects[key] = (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], at_us)
        scrub = await _scrub(world)

        report = await scrub.read_share()

        assert [(f.kind, f.region, f.key) for f in report.findings] == [("corrupt", "b", key)]

    run(story)


def test_a_corrupt_copy_is_told_of_until_it_is_mended() -> None:
    async def story() -> None:
        world = World()
        await _stopped_trail(world, count=20)
        store = world.stores["b"]
        key = next(key for key in _evidence(store) if ".ndjson.zst" in key)
        good = store.objects[key]
        store.objects[key] = (good[0][:-1] + b"x", good[1])
        scrub = await _scrub(world, period_days=5)
        told: list[bool] = []

        for _ in range(9):  # on four days or more after it was found it has no turn
            report = await scrub.read_share()
            told.append([each.key for each in report.findings] == [key])
            await scrub.look_again()
            world.skew_us += DAY_US
        store.objects[key] = good
        await scrub.look_again()

        assert told[4:] == [True] * 5
        assert scrub.last is not None and scrub.last.findings == ()

    run(story)


def test_one_bad_read_is_not_yet_corruption() -> None:
    async def story() -> None:
        world = World()
        await _stopped_trail(world)
        _lies_once(world.stores["c"], ".ndjson.zst")
        scrub = await _scrub(world)

        report = await scrub.read_share()

        assert report.findings == ()

    run(story)


def test_every_object_has_its_day_in_the_period() -> None:
    async def story() -> None:
        world = World()
        await _stopped_trail(world, count=20)
        scrub = await _scrub(world, period_days=5)
        shares = []
        for _ in range(5):
            shares.append((await scrub.read_share()).objects)
            world.skew_us += DAY_US

        assert sum(shares) == sum(len(_evidence(store)) for store in world.stores.values())
        assert max(shares) < sum(shares)

    run(story)


def test_an_object_that_vanished_since_it_was_listed_is_named() -> None:
    async def story() -> None:
        world = World()
        await _stopped_trail(world)
        scrub = await _scrub(world)
        gone = next(key for key in _evidence(world.stores["a"]) if "/seg/" in key)
        store = world.stores["a"]
        listing = store.list

        async def listed(prefix: str, after: str = "") -> Listing | Unknown:
            found = await listing(prefix, after)
            if "/seg/" in prefix:
                store.objects.pop(gone, None)
            return found

        store.list = listed  # type: ignore[method-assign]

        report = await scrub.read_share()

        assert Finding("vanished", "a", gone, "it was listed and is gone") in report.findings

    run(story)


def _lies_once(store: MemoryWorld, part: str) -> None:
    read = store.read
    lied: set[str] = set()

    async def lying(key: str) -> Present | Absent | Unknown:
        found = await read(key)
        if isinstance(found, Present) and part in key and key not in lied:
            lied.add(key)
            return Present(b"rot" + found.data[3:], found.modified_us)
        return found

    store.read = lying  # type: ignore[method-assign]
