"""What was swept is neither missing nor copied back, and a region must have it in its archive."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from holdfast.archive.archivist import Archivist
from holdfast.errors import RejectedError, UnavailableError
from holdfast.keep.gaps import Asked, propose_gap
from holdfast.keep.keeper import Keeper
from holdfast.keep.scrub import Scrub
from holdfast.regions import layout
from holdfast.regions.port import Absent, Present, Unknown
from tests.archive.days import again, archived, person
from tests.archive.swept import SEGMENTS, small, sweep, swept_trail
from tests.read.trails import ALL, TRAIL, World
from tests.regions.worlds import MemoryWorld


def play(
    folder: Path, story: Callable[[World, Archivist], Awaitable[None]], regions: Iterable[str] = ALL
) -> None:
    async def whole() -> None:
        world = World()
        await story(world, await swept_trail(world, folder, regions))

    asyncio.run(whole())


async def keeper_of(world: World) -> Keeper:
    regions = world.regions()
    await regions.verify()
    return Keeper(regions, world.host, identity=lambda: person(world))


@pytest.mark.parametrize("regions", ["a", "bc", "abc"])
def test_regions_that_were_swept_lack_nothing(tmp_path: Path, regions: str) -> None:
    async def story(world: World, _: Archivist) -> None:
        before = {id: world.keys(id) for id in ALL}
        keeper = await keeper_of(world)

        reports = [await keeper.reconcile(whole=whole) for whole in (True, False, True)]

        assert all(report.identical and report.findings == () for report in reports)
        assert [report.whole for report in reports] == [True, False, True]
        assert {id: world.keys(id) for id in ALL} == before

    play(tmp_path, story, regions)


@pytest.mark.parametrize("regions", ["bc", "abc"])
def test_what_was_swept_since_archives_were_looked_at_is_neither_lost_nor_put_back(
    tmp_path: Path, regions: str
) -> None:
    async def story(world: World, _: Archivist) -> None:
        before = {id: world.keys(id) for id in ALL}

        report = await (await keeper_of(world)).reconcile(whole=False)

        assert (report.findings, report.whole) == ((), False)
        assert {id: world.keys(id) for id in ALL} == before

    play(tmp_path, story, regions)


def test_a_region_without_the_archive_is_given_what_another_has_of_segments(
    tmp_path: Path,
) -> None:
    async def story(world: World, _: Archivist) -> None:
        for key in archived(world):
            world.remove(key, "b")
        for key in small(world, "b"):
            world.remove(key, "b")

        report = await (await keeper_of(world)).reconcile(whole=True)

        assert report.identical
        assert len(small(world, "b")) == SEGMENTS and small(world, "a") == []

    play(tmp_path, story, "a")


def test_what_only_archives_of_others_have_is_told_until_it_was_copied(tmp_path: Path) -> None:
    async def story(world: World, archivist: Archivist) -> None:
        for key in archived(world):
            world.remove(key, "b")
        keeper = await keeper_of(world)

        behind = await keeper.reconcile(whole=True)
        told = [keeper.unarchived.is_set()]
        keeper.unarchived.clear()
        await keeper.reconcile(whole=True)
        told += [keeper.unarchived.is_set()]
        await again(world, archivist).copy()
        healed = await keeper.reconcile(whole=True)

        assert [(f.kind, f.region) for f in behind.findings] == [("not-copied", "b")]
        assert told == [True, False]
        assert f"lacks {SEGMENTS} segments" in behind.findings[0].reason
        assert not behind.identical and healed.identical

    play(tmp_path, story)


def test_a_store_that_came_later_is_whole_with_the_archive(tmp_path: Path) -> None:
    async def story(world: World, archivist: Archivist) -> None:
        world.stores["c"] = MemoryWorld()
        cookie = TRAIL.cookie("c", "9" * 32, "8" * 32)
        world.stores["c"].objects[layout.REGION_KEY] = (cookie, 1)
        keeper = await keeper_of(world)

        early = await keeper.reconcile(whole=True)
        await again(world, archivist).copy()
        late = await keeper.reconcile(whole=True)

        assert {f.kind for f in early.findings} == {"not-copied", "not-whole"}
        assert [f.kind for f in late.findings] == ["found-whole"]
        assert small(world, "c") == [] and layout.WHOLE_KEY in world.keys("c")

    play(tmp_path, story)


def test_where_too_few_stores_are_left_the_archive_is_copied_and_one_is_accepted(
    tmp_path: Path,
) -> None:
    async def story(world: World, archivist: Archivist) -> None:
        for number, id in enumerate("bc", 8):
            world.stores[id] = MemoryWorld()
            cookie = TRAIL.cookie(id, str(number) * 32, "7" * 32)
            world.stores[id].objects[layout.REGION_KEY] = (cookie, 1)
        keeper = await keeper_of(world)

        with pytest.raises(UnavailableError, match="too few regions answer"):
            await again(world, archivist).archive(0)
        copied = await again(world, archivist).copy()
        accepted = await keeper.reconcile(whole=True, accepted="b")
        both = await keeper.reconcile(whole=True)

        assert (copied.archived, copied.trouble) == (1, "")
        kinds = [[(f.kind, f.region) for f in each.findings] for each in (accepted, both)]
        assert kinds == [[("not-whole", "c"), ("found-whole", "b")], [("found-whole", "c")]]
        assert both.identical and not any(small(world, id) for id in ALL)

    play(tmp_path, story)


def test_where_no_region_has_an_object_any_more_its_segments_are_told_to_be_lost(
    tmp_path: Path,
) -> None:
    async def story(world: World, _: Archivist) -> None:
        for key in archived(world):
            if key.endswith(".parquet"):
                world.remove(key)

        report = await (await keeper_of(world)).reconcile(whole=True)

        assert {f.kind for f in report.findings} == {"lost", "unreadable"}

    play(tmp_path, story)


def test_nobody_declares_lost_what_an_archive_has(tmp_path: Path) -> None:
    async def story(world: World, _: Archivist) -> None:
        regions = world.regions()
        await regions.verify()
        node = next(key.split("/")[2] for key in world.keys("a", "ev/node/"))
        asked = Asked(node, 2, 4, (), "tester", "it is not listed")

        with pytest.raises(RejectedError, match="segment 2 is not lost: the archive of region a"):
            await propose_gap(regions, TRAIL.signing, world.host, asked)

    play(tmp_path, story)


def test_what_is_swept_while_it_is_scrubbed_has_not_vanished(tmp_path: Path) -> None:
    class Sweeping(MemoryWorld):
        """Loses its segments once one of them is read."""

        async def read(self, key: str) -> Present | Absent | Unknown:
            if key.startswith("ev/seg/"):
                for each in [each for each in self.objects if each.startswith("ev/seg/")]:
                    del self.objects[each]
            return await super().read(key)

    async def story(world: World, archivist: Archivist) -> None:
        sweeping = Sweeping()
        sweeping.objects = world.stores["b"].objects
        world.stores["b"] = sweeping
        regions = world.regions()
        await regions.verify()

        report = await Scrub(regions, world.host, 1).read_share()
        await sweep(world, archivist)

        assert report.findings == () and small(world, "b") == []

    play(tmp_path, story, "a")
