"""What an archive lost or has in other bytes is named, and put right where another has it."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.archive import parts
from holdfast.archive.archivist import Archivist
from holdfast.keep.keeper import Keeper
from holdfast.keep.scrub import Scrub, corrupt_copies
from holdfast.regions import kinds, layout
from holdfast.regions.layout import HoldKey
from holdfast.regions.port import Refused
from holdfast.regions.retained import Release
from holdfast.regions.units import DAY_US
from tests.archive.days import (
    again,
    archived,
    archivist,
    floor_of,
    hold_of,
    person,
    state,
    trail_of,
)
from tests.archive.swept import sweep
from tests.archive.test_archivist import DAYS, play
from tests.read.trails import ALL, TRAIL, World

SUFFIXES = (".parquet", ".ndjson.zst")


def keep(folder: Path, story: Callable[[World, Archivist, Keeper], Awaitable[None]]) -> None:
    """Play a story of an archived day, with a keeper."""

    async def whole() -> None:
        world = World()
        trail_of(world, 1)
        keeper = await archivist(world, folder)
        await keeper.archive(DAY_US)
        regions = world.regions()
        await regions.verify()
        await story(world, keeper, Keeper(regions, world.host))

    play(whole)


def one(world: World, suffix: str) -> str:
    [key] = [key for key in archived(world) if key.endswith(suffix)]
    return key


def flip(world: World, region: str, key: str) -> None:
    data = world.stores[region].objects[key][0]
    world.put(key, data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], region)


def test_an_archive_that_is_whole_has_no_findings(tmp_path: Path) -> None:
    async def story(world: World, _: Archivist, keeper: Keeper) -> None:
        report = await keeper.reconcile(whole=True)

        assert report.identical and report.findings == ()

    keep(tmp_path, story)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_object_that_was_removed_is_copied_from_another_region(
    tmp_path: Path, suffix: str
) -> None:
    async def story(world: World, _: Archivist, keeper: Keeper) -> None:
        world.remove(one(world, suffix), "b")

        report = await keeper.reconcile(whole=True)

        assert [(each.region, each.repaired) for each in report.regions if each.repaired] == [
            ("b", 1)
        ]
        assert report.identical
        assert archived(world, "b").keys() == archived(world, "a").keys()

    keep(tmp_path, story)


def test_an_object_that_no_region_has_is_named_and_made_again(tmp_path: Path) -> None:
    async def story(world: World, archivist: Archivist, keeper: Keeper) -> None:
        key = one(world, ".parquet")
        data = world.stores["a"].objects[key][0]
        world.remove(key)

        report = await keeper.reconcile(whole=True)
        later = await archivist.archive(DAY_US)

        assert [(f.kind, f.key) for f in report.findings] == [("unreadable", key)]
        assert not report.identical
        assert [each.regions for each in later.units] == [ALL]
        assert archived(world, "b")[key] == data
        assert (await keeper.reconcile(whole=True)).identical

    keep(tmp_path, story)


def test_what_can_only_be_made_again_in_other_bytes_is_another_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World, archivist: Archivist, _: Keeper) -> None:
        key = one(world, ".parquet")
        world.remove(key)
        as_later = dict.fromkeys(parts.LEVELS, 9)  # as a later version would write it
        monkeypatch.setattr(parts, "LEVELS", as_later)

        report = await archivist.archive(DAY_US)
        later = await archivist.archive(DAY_US)

        assert [each.regions for each in report.units] == [ALL]
        assert layout.archive_key(DAYS[0], 2) in archived(world, "b")
        assert later.units == ()

    keep(tmp_path, story)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("how", ["as it was", "locked", "swept"])
def test_a_flipped_byte_is_named_and_its_object_put_again_or_made_anew(
    tmp_path: Path, suffix: str, how: str
) -> None:
    async def story(world: World, archivist: Archivist, keeper: Keeper) -> None:
        world.stores["b"].locked = Refused("locked") if how == "locked" else None
        if how == "swept":
            await sweep(world, archivist)
        key = one(world, suffix)
        flip(world, "b", key)
        regions = world.regions()
        await regions.verify()
        scrub = Scrub(regions, world.host, 1)

        found = await scrub.read_share()
        corrupt = corrupt_copies(keeper, scrub)
        healing = again(world, archivist, corrupt)
        report = await healing.archive(DAY_US)

        assert [(f.kind, f.region, f.key) for f in found.findings] == [("corrupt", "b", key)]
        assert [each.regions for each in report.units] == [ALL]
        assert (layout.archive_key(DAYS[0], 2) in archived(world, "b")) == (how == "locked")
        assert layout.archive_key(DAYS[0], 2) not in archived(world, "a")
        assert (await scrub.read_share()).findings == ()
        assert (await healing.archive(DAY_US)).units == ()

    keep(tmp_path, story)


def test_an_object_of_another_size_is_read_and_named_until_it_no_longer_counts(
    tmp_path: Path,
) -> None:
    async def story(world: World, archivist: Archivist, keeper: Keeper) -> None:
        key = one(world, ".parquet")
        world.put(key, b"short", "b")

        first = await keeper.reconcile(whole=True)
        later = await keeper.reconcile(whole=False)
        corrupt = frozenset((f.region, f.key) for f in later.findings)
        healing = again(world, archivist, corrupt)
        await healing.archive(DAY_US)
        healed = await keeper.reconcile(whole=True)

        for report in (first, later):
            assert [(f.kind, f.region, f.key) for f in report.findings] == [("corrupt", "b", key)]
        assert healed.identical and healed.findings == ()

    keep(tmp_path, story)


def test_what_a_run_that_died_left_over_is_nobody_s_business(tmp_path: Path) -> None:
    async def story(world: World, _: Archivist, keeper: Keeper) -> None:
        world.put(layout.archived_key(DAYS[0], "default", "0" * 64), b"left over", "b")

        report = await keeper.reconcile(whole=True)
        regions = world.regions()
        await regions.verify()
        scrubbed = await Scrub(regions, world.host, 1).read_share()

        assert report.identical and report.findings == () == scrubbed.findings

    keep(tmp_path, story)


def test_parts_below_a_floor_are_copied_nowhere_and_what_stays_of_them_is_everywhere(
    tmp_path: Path,
) -> None:
    async def story(world: World, _: Archivist, keeper: Keeper) -> None:
        part, remains = one(world, ".parquet"), b"what stays"
        note = archived(world)[layout.archive_key(DAYS[0], 1)]
        archive = kinds.verify_archive(note, TRAIL.trail).statement
        sha256 = hashlib.sha256(remains).hexdigest()
        world.put(layout.archived_key(DAYS[0], "", sha256), remains, "a")
        floor = state(world, floor_of(world, archive, "default", sha256), "c")
        world.remove(part, "ab")

        report = await keeper.reconcile(whole=True)

        assert report.identical and report.findings == ()
        assert [part in archived(world, id) for id in ALL] == [False, False, True]
        for id in ALL:
            assert floor in world.keys(id)
            assert layout.archived_key(DAYS[0], "", sha256) in archived(world, id)

    keep(tmp_path, story)


def test_a_hold_and_its_release_are_copied_and_what_is_no_hold_is_named(tmp_path: Path) -> None:
    async def story(world: World, _: Archivist, keeper: Keeper) -> None:
        hold = hold_of(world, "7")
        me = person(world)
        release = Release(hold.hold, "over", "ann", me.node, world.now_us, me.certificate)
        keys = [state(world, hold, "a"), state(world, release, "b")]
        world.put(layout.retained_key(HoldKey("8" * 32)), world.stores["a"].objects[keys[0]][0])

        report = await keeper.reconcile(whole=False)

        assert all(key in world.keys(id, "ev/ret/") for key in keys for id in ALL)
        assert report.findings == ()  # of equal size everywhere: a scrub reads it
        regions = world.regions()
        await regions.verify()
        found = (await Scrub(regions, world.host, 1).read_share()).findings
        assert [(f.kind, f.region, f.reason) for f in found] == [
            ("corrupt", id, "it speaks of another unit, class or hold") for id in ALL
        ]

    keep(tmp_path, story)


def test_a_locked_object_that_rotted_and_was_swept_keeps_nothing_else_waiting(
    tmp_path: Path,
) -> None:
    async def story(world: World, archivist: Archivist, keeper: Keeper) -> None:
        key = one(world, ".parquet")
        await sweep(world, archivist)
        flip(world, "b", key)
        world.stores["b"].locked = Refused("locked")

        report = await again(world, archivist, [("b", key)]).archive(DAY_US)

        assert [(each.regions, [*dict(each.lacking)]) for each in report.units] == [
            (("a", "c"), ["b"])
        ]
        assert report.trouble == ""

    keep(tmp_path, story)
