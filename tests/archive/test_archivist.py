"""An archive is made of what is complete, in every region, and is whole wherever a manifest is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.archive import plan
from holdfast.regions import kinds, layout
from holdfast.regions.port import Refused, Stored, Unknown
from holdfast.regions.units import DAY_US
from tests.archive.days import again, archived, archivist, trail_of
from tests.read.trails import ALL, TRAIL, World
from tests.regions.worlds import MemoryWorld

DAYS = ("2026-03-01", "2026-03-02")
NOTES = [layout.archive_key(day, 1) for day in DAYS]


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_each_complete_day_is_archived_in_every_region(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)

        report = await (await archivist(world, tmp_path)).archive(DAY_US)

        assert [(each.unit, each.segments, each.events) for each in report.units] == [
            (day, 12, 24) for day in DAYS
        ]
        assert all(each.regions == ALL and not each.lacking for each in report.units)
        assert (report.archived, report.waiting, report.trouble) == (2, "", "")
        bytes_of = [
            {key: data for key, data in archived(world, id).items() if key not in NOTES}
            for id in ALL
        ]
        assert bytes_of[0] == bytes_of[1] == bytes_of[2]
        assert len(bytes_of[0]) == 4  # a part and its evidence, of two days

    play(story)


def test_a_manifest_speaks_of_the_store_that_it_lies_in(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        writers = trail_of(world)

        await (await archivist(world, tmp_path)).archive(DAY_US)

        for id in ALL:
            manifest = kinds.verify_archive(archived(world, id)[NOTES[1]], TRAIL.trail).statement
            cookie = kinds.verify_cookie(TRAIL.cookie(id), TRAIL.trail).statement
            assert (manifest.region, manifest.store) == (id, cookie.store)
            nodes = sorted(writer.node for writer in writers)
            assert manifest.ledgers == tuple((node, 6, 12, 12, 24) for node in nodes)

    play(story)


def test_a_day_waits_until_it_is_known_to_be_complete_for_long_enough(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)

        report = await (await archivist(world, tmp_path)).archive(2 * DAY_US)

        assert [each.unit for each in report.units] == [DAYS[0]]
        assert report.waiting.startswith("2026-03-02 is due once everything through 2026-03-05T00")

    play(story)


def test_a_day_that_no_region_took_is_archived_before_the_next(tmp_path: Path) -> None:
    class Full(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            return Unknown("no space") if DAYS[0] in key else await super().create(key, data)

    async def story() -> None:
        world = World()
        trail_of(world)
        keeper = await archivist(world, tmp_path)
        there = dict(world.stores)
        for id in ALL:
            world.stores[id] = full = Full()
            full.objects = there[id].objects

        report = await again(world, keeper).archive(DAY_US)
        world.stores.update(there)
        later = await again(world, keeper).archive(DAY_US)

        assert report.trouble == f"no region took {DAYS[0]}"
        assert ([each.unit for each in report.units], report.archived) == ([DAYS[0]], 0)
        assert [each.unit for each in later.units] == list(DAYS)

    play(story)


def test_a_second_run_and_a_second_keeper_do_nothing_more(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)
        both = [await archivist(world, tmp_path / name) for name in "xy"]

        first = await asyncio.gather(*(one.archive(DAY_US) for one in both))
        before = [archived(world, id) for id in ALL]
        more = await both[0].archive(DAY_US)

        assert all(not each.lacking for report in first for each in report.units)
        assert more.units == () and more.archived == 2
        assert [archived(world, id) for id in ALL] == before
        assert len(before[0]) == 6

    play(story)


def test_a_copy_makes_nothing_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    class Full(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            return Unknown("no space") if DAYS[1] in key else await super().create(key, data)

    async def story() -> None:
        world = World()
        trail_of(world, 3)
        keeper = await archivist(world, tmp_path)
        await keeper.archive(2 * DAY_US)  # two days of the three
        there = world.stores["c"]
        lost = {key: there.objects.pop(key) for key in archived(world, "c")}
        world.stores["c"] = full = Full()
        full.objects = there.objects

        nobody = again(world, keeper)
        nobody._identity = lambda: None
        lacking, said = await nobody.lacking(), await nobody.copy()
        stopped = await again(world, keeper).copy()
        world.stores["c"] = there
        done = await again(world, keeper).copy()
        idle = await again(world, keeper).copy()

        assert said.trouble.startswith("no node lives and no trail's key is here")
        assert lacking == tuple(each.unit for each in said.units) == DAYS
        assert [dict(each.lacking) for each in said.units] == [{"c": "lacks it"}] * 2
        assert [each.lacking for each in stopped.units] == [(), (("c", "no space"),)]
        assert ([each.unit for each in done.units], done.archived) == ([DAYS[1]], 2)
        assert (idle.units, idle.archived) == ((), 2)
        assert archived(world, "c").keys() == lost.keys()

    play(story)


def test_a_dry_run_says_what_is_due_and_writes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)

        report = await (await archivist(world, tmp_path)).plan(DAY_US)

        assert [(each.unit, each.regions) for each in report.units] == [(d, ()) for d in DAYS]
        assert not any(archived(world, id) for id in ALL)

    play(story)


def test_a_region_that_was_away_is_given_what_another_region_has(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)
        away = MemoryWorld()
        away.failing = Unknown("away")
        there, world.stores["b"] = world.stores["b"], away
        keeper = await archivist(world, tmp_path)
        report = await keeper.archive(DAY_US)
        world.stores["b"] = there
        for key in world.keys("a", "ev/seg/"):
            world.remove(key)  # what another region's archive has is copied, not made again

        later = await again(world, keeper).archive(DAY_US)

        assert [dict(each.lacking) for each in report.units] == [{"b": "away"}] * 2
        assert report.away == (("b", "away"),)
        assert [each.regions for each in later.units] == [ALL] * 2
        assert archived(world, "b").keys() == archived(world, "a").keys()

    play(story)


@pytest.mark.parametrize("is_locked", [False, True])
def test_other_bytes_under_a_name_of_the_archive_go_or_are_passed_over(
    tmp_path: Path, is_locked: bool
) -> None:
    async def story() -> None:
        world, other = World(), World()
        for each in (world, other):
            trail_of(each, 1)
        await (await archivist(other, tmp_path / "x")).archive(DAY_US)
        [part] = [key for key in archived(other) if key.endswith(".parquet")]
        world.put(part, b"rotten", "b")
        world.stores["b"].locked = Refused("locked") if is_locked else None

        report = await (await archivist(world, tmp_path / "y")).archive(DAY_US)

        assert [each.regions for each in report.units] == [ALL]
        notes = [key for key in archived(world, "b") if key.endswith(".note")]
        assert notes == [layout.archive_key(DAYS[0], 2 if is_locked else 1)]
        assert layout.archive_key(DAYS[0], 1) in archived(world, "a")

    play(story)


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson.zst"])
def test_no_manifest_is_written_where_what_was_read_back_is_not_right(
    tmp_path: Path, suffix: str
) -> None:
    class Rotting(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
            return await super().create(key, flipped if key.endswith(suffix) else data)

    async def story() -> None:
        world = World()
        trail_of(world, 1)
        rotting = Rotting()
        rotting.objects = dict(world.stores["b"].objects)
        world.stores["b"] = rotting

        report = await (await archivist(world, tmp_path)).archive(DAY_US)

        assert [each.regions for each in report.units] == [("a", "c")]
        assert "other bytes lie under" in dict(report.units[0].lacking)["b"]
        assert not [key for key in archived(world, "b") if key.endswith(".note")]

    play(story)


@pytest.mark.parametrize(("events_max", "begin"), [(23, ("01", "13")), (11, ("0100", "1300"))])
def test_a_large_day_is_archived_in_pieces_and_goes_on_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events_max: int, begin: tuple[str, str]
) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)
        whole = {id: dict(store.objects) for id, store in world.stores.items()}
        keeper = await archivist(world, tmp_path)
        monkeypatch.setattr(plan, "UNIT_EVENTS_MAX", events_max)

        report = await keeper.archive(DAY_US)
        objects = {id: dict(store.objects) for id, store in world.stores.items()}
        monkeypatch.setattr(plan, "UNIT_EVENTS_MAX", 10**6)
        for id in ALL:  # as if it had died after the first
            kept = {k: v for k, v in world.stores[id].objects.items() if f"{DAYS[0]}t01" in k}
            world.stores[id].objects = whole[id] | kept
            for data, _ in kept.values():
                archive = kinds.verify_archive(data, TRAIL.trail).statement
                world.stores[id].objects |= {k: objects[id][k] for k in archive.objects()}
        later = await keeper.archive(DAY_US)

        assert [each.unit for each in report.units] == [f"{d}t{at}" for d in DAYS for at in begin]
        assert [each.unit for each in later.units] == [f"{DAYS[0]}t13", DAYS[1]]

    play(story)


def test_segments_that_are_declared_lost_are_named_in_the_manifest(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        writers = trail_of(world, 1, lost=range(2, 4))

        report = await (await archivist(world, tmp_path)).archive(DAY_US)

        manifest = kinds.verify_archive(archived(world)[NOTES[0]], TRAIL.trail).statement
        assert manifest.gaps == ((writers[0].node, 2, 4),)
        assert [(each.segments, each.events) for each in report.units] == [(10, 20)]
        assert [rows for *_, rows in manifest.parts] == [20]

    play(story)


def test_a_crash_after_any_write_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Dying(MemoryWorld):
        left = 0

        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            if Dying.left == 0:
                raise Killed
            Dying.left -= 1
            return await super().create(key, data)

    async def story() -> None:
        world = World()
        trail_of(world, 1)
        whole = {id: dict(store.objects) for id, store in world.stores.items()}
        keeper = await archivist(world, tmp_path)
        writes = 9  # a part, evidence and a manifest in three regions
        for left in range(writes):
            for id in ALL:
                dying = Dying()
                dying.objects = dict(whole[id])
                world.stores[id] = dying
            Dying.left = left
            dead = again(world, keeper)
            with pytest.raises(Killed):
                await dead.archive(DAY_US)
            Dying.left = 99

            after = await again(world, keeper).archive(DAY_US)

            assert after.archived == 1
            assert all(len(archived(world, id)) == 3 for id in ALL)

    play(story)


def test_a_scratch_that_cannot_be_written_stops_a_run_and_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, 1)
        keeper = await archivist(world, tmp_path)
        (tmp_path / "scratch").write_text("a file where the folder was to be")

        report = await keeper.archive(DAY_US)

        assert "File exists" in report.trouble
        assert (report.units, report.archived) == ((), 0)

    play(story)
