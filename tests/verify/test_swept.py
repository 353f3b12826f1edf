"""What was swept is verified by archives: as strictly, and counted as honestly, as segments are."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from holdfast.regions.units import DAY_US
from holdfast.verify.findings import Depth, Report
from holdfast.verify.run import Question, Verification
from tests.archive.days import archived, archivist
from tests.archive.swept import SEGMENTS, open_trail, small, sweep, swept_trail
from tests.read.trails import ALL, World

EVENTS = 2 * SEGMENTS
Depths = pytest.mark.parametrize("depth", ["names", "bytes", "events"])


def verified(world: World, depth: Depth = "events", regions: tuple[str, ...] = ()) -> Report:
    async def work() -> Report:
        trail = world.regions()
        await trail.verify()
        return await Verification(trail, world.host, Question(depth, regions)).run()

    return asyncio.run(work())


def a_world(folder: Path, regions: Iterable[str] = ALL) -> World:
    world = World()
    asyncio.run(swept_trail(world, folder, regions))
    return world


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


async def archive_and_sweep(world: World, folder: Path) -> None:
    keeper = await archivist(world, folder)
    await keeper.archive(0)
    await sweep(world, keeper)


@Depths
@pytest.mark.parametrize("regions", ["", "a", "bc", "abc"])
def test_a_trail_is_good_wherever_it_was_swept(tmp_path: Path, depth: Depth, regions: str) -> None:
    report = verified(a_world(tmp_path, regions), depth)

    assert (report.verdict, report.findings) == ("good", ())
    assert (report.segments, report.events) == (SEGMENTS, EVENTS)
    assert report.deep_segments == (0 if depth == "names" else SEGMENTS)
    assert report.deep_events == (EVENTS if depth == "events" else 0)


def test_one_region_alone_is_enough_to_see_that_nothing_was_changed(tmp_path: Path) -> None:
    report = verified(a_world(tmp_path), "events", ("b", "c"))

    assert (report.verdict, report.deep_events) == ("good", EVENTS)


def test_a_part_that_is_gone_everywhere_leaves_a_hole(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    for key in archived(world):
        if key.endswith(".parquet"):
            world.remove(key)

    report = verified(world)

    assert report.verdict == "incomplete" and "cut_tail" in kinds(report)


def test_a_part_that_one_region_lacks_is_named_and_no_hole(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    [part] = [key for key in archived(world) if key.endswith(".parquet")]
    world.remove(part, "b")

    report = verified(world)

    assert (report.verdict, kinds(report)) == ("good", {"under_replicated"})


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson.zst"])
def test_one_flipped_byte_is_named(tmp_path: Path, suffix: str) -> None:
    world = a_world(tmp_path)
    key = next(key for key in archived(world) if key.endswith(suffix))
    data = world.stores["b"].objects[key][0]
    world.put(key, data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "b")

    report = verified(world)

    assert [(f.kind, f.region, f.key) for f in report.findings] == [("corrupt", "b", key)]


def test_a_region_that_has_neither_segments_nor_archive_is_told(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    for key in archived(world):
        world.remove(key, "c")

    report = verified(world)

    assert report.verdict == "good"
    assert {(f.kind, f.region) for f in report.findings} == {("under_replicated", "c")}
    assert sum((f.end or 0) - (f.start or 0) for f in report.findings) == SEGMENTS


def test_an_epoch_that_goes_on_is_verified_across_the_end_of_its_archive(tmp_path: Path) -> None:
    async def made() -> World:
        world = World()
        open_trail(world)
        await archive_and_sweep(world, tmp_path)
        return world

    world = asyncio.run(made())

    report = verified(world)

    assert (report.verdict, report.findings) == ("good", ())
    assert (report.segments, report.events, report.pending) == (12, 12, 0)
    assert (report.deep_segments, report.deep_events) == (12, 12)
    assert len(small(world, "a")) == 4


def test_an_orphan_does_not_stand_in_for_what_was_swept(tmp_path: Path) -> None:
    async def made() -> World:
        world = World()
        writer = open_trail(world, 1)
        orphan = writer.encode({"id": "orphan"})
        writer.close()
        writer.store(orphan, "a")
        writer.born()
        writer.seal("after")
        world.now_us += 2 * DAY_US
        writer.beat()
        await archive_and_sweep(world, tmp_path)
        return world

    world = asyncio.run(made())

    report = verified(world)

    assert (report.verdict, kinds(report)) == ("good", {"orphan"})
    assert (report.segments, len(small(world, "a")), small(world, "b")) == (5, 1, [])
