"""Segments go from a region once its own archive holds them, and no others go."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.archive.archivist import Archivist
from holdfast.archive.sweep import ACTION, NOT_TAKEN_UP, Swept
from holdfast.errors import UnavailableError
from holdfast.model import JsonObject
from holdfast.regions import layout
from holdfast.regions.port import Absent, Listing, Present, Refused, Removed, Unknown
from holdfast.regions.units import DAY_US
from tests.archive.days import archived, archivist, trail_of
from tests.archive.swept import SEGMENTS, small, sweeper, swept_trail
from tests.archive.test_archivist import DAYS, play
from tests.read.trails import ALL, TRAIL, World
from tests.regions.worlds import MemoryWorld


def sweep(folder: Path, story: Callable[[World, Archivist], Awaitable[None]]) -> None:
    """Play a story of an archived day."""

    async def whole() -> None:
        world = World()
        await story(world, await swept_trail(world, folder, ()))

    play(whole)


def swept(world: World) -> dict[str, int]:
    return {id: SEGMENTS - len(small(world, id)) for id in ALL}


def test_archived_segments_go_and_all_else_stays(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        before = {id: world.keys(id) for id in ALL}

        report = await sweeper(world, keeper).sweep(0)
        more = await sweeper(world, keeper).sweep(0)

        assert {(each.unit, each.region, each.segments, each.left) for each in report.swept} == {
            (day, id, SEGMENTS, 0) for day in DAYS[:1] for id in ALL
        }
        for id in ALL:
            assert world.keys(id) == [key for key in before[id] if not key.startswith("ev/seg/")]
        assert more.swept == () and (report.trouble, report.away) == ("", ())

    sweep(tmp_path, story)


def test_a_dry_run_counts_and_removes_nothing(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        one = sweeper(world, keeper)

        report = await one.sweep(0, is_dry=True)

        assert [each.segments for each in report.swept] == [SEGMENTS] * 3
        assert swept(world) == {"a": 0, "b": 0, "c": 0} and one.last is None

    sweep(tmp_path, story)


def test_segments_stay_for_so_many_days_after_they_were_archived(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        early = await sweeper(world, keeper).sweep(7)
        world.now_us += 7 * DAY_US

        late = await sweeper(world, keeper).sweep(7)

        assert early.swept == () and len(late.swept) == 3

    sweep(tmp_path, story)


def test_fewer_than_w_archives_are_too_few(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        for id in "bc":
            world.remove(layout.archive_key(DAYS[0], 1), id)

        report = await sweeper(world, keeper).sweep(0)

        assert list(report.swept) == [
            Swept(*(DAYS[0], "a", 0, 0, SEGMENTS), "1 of the 2 archives needed have this unit")
        ]
        assert swept(world) == {"a": 0, "b": 0, "c": 0}

    sweep(tmp_path, story)


def test_no_unit_is_swept_that_no_reader_of_the_region_alone_would_take_up(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)
        keeper = await archivist(world, tmp_path)
        await keeper.archive(DAY_US)
        world.remove(layout.archive_key(DAYS[0], 1), "b")

        report = await sweeper(world, keeper).sweep(0)

        [stays] = [each for each in report.swept if each.region == "b"]
        assert stays == Swept(*(DAYS[1], "b", 0, 0, SEGMENTS), NOT_TAKEN_UP)
        assert [len(small(world, id)) for id in ALL] == [0, 2 * SEGMENTS, 0]

    play(story)


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson.zst"])
def test_where_an_object_rotted_since_its_manifest_segments_stay(
    tmp_path: Path, suffix: str
) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        key = next(k for k in archived(world) if DAYS[0] in k and k.endswith(suffix))
        data = world.stores["b"].objects[key][0]
        world.put(key, data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "b")

        report = await sweeper(world, keeper).sweep(0)

        stays = [each for each in report.swept if each.left]
        assert [(each.unit, each.region, each.left) for each in stays] == [(DAYS[0], "b", SEGMENTS)]
        assert "cannot be read back" in stays[0].why
        assert swept(world) == {"a": SEGMENTS, "b": 0, "c": SEGMENTS}

    sweep(tmp_path, story)


def test_what_a_scrub_found_corrupt_is_no_archive(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        parts = [k for k in archived(world) if DAYS[0] in k and k.endswith(".parquet")]
        corrupt = [(id, key) for id in "bc" for key in parts]

        report = await sweeper(world, keeper, corrupt).sweep(0)

        assert {each.region for each in report.swept if each.unit == DAYS[0]} == {"a"}
        assert not any(each.segments for each in report.swept if each.unit == DAYS[0])

    sweep(tmp_path, story)


def test_a_segment_that_the_evidence_does_not_name_stays(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        key = small(world, "a")[0]
        parsed = layout.parse_key(key)
        assert isinstance(parsed, layout.SegmentKey)
        other = key.replace(parsed.name.sha256.hex(), "0" * 64)
        world.put(other, b"of the same index", "a")

        one = sweeper(world, keeper)
        report = await one.sweep(0)
        calls = len(world.stores["a"].log)
        again = await one.sweep(0)

        assert small(world, "a") == [other]
        assert not any(each.left for each in report.swept)
        read = [key for call, key in world.stores["a"].log[calls:] if call == "read"]
        assert again.swept == () and not any(key.endswith(".parquet") for key in read)

    sweep(tmp_path, story)


def test_a_late_put_of_a_swept_segment_goes_with_the_next_run(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        key = small(world, "a")[3]
        data = world.stores["a"].objects[key][0]
        await sweeper(world, keeper).sweep(0)
        world.put(key, data, "c")

        report = await sweeper(world, keeper).sweep(0)

        assert [(each.region, each.segments) for each in report.swept] == [("c", 1)]
        assert small(world, "c") == []

    sweep(tmp_path, story)


def test_a_store_that_is_locked_keeps_its_segments_and_others_are_swept(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        world.stores["b"].locked = Refused("locked until tomorrow")

        report = await sweeper(world, keeper).sweep(0)

        assert {(each.region, each.why) for each in report.swept} == {
            ("a", ""), ("b", "locked until tomorrow"), ("c", "")
        }  # fmt: skip
        assert swept(world) == {"a": SEGMENTS, "b": 0, "c": SEGMENTS}

    sweep(tmp_path, story)


def test_a_region_that_is_away_is_named_and_left(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        world.stores["b"].failing = Unknown("away")

        report = await sweeper(world, keeper).sweep(0)

        assert report.away == (("b", "away"),)
        assert {each.region for each in report.swept} == {"a", "c"}

    sweep(tmp_path, story)


def test_a_store_that_took_the_place_of_the_archived_one_keeps_its_segments(
    tmp_path: Path,
) -> None:
    class Swapping(MemoryWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            if key.endswith(".parquet"):
                self.objects[layout.REGION_KEY] = (TRAIL.cookie("b", "0" * 32, "1" * 32), 1)
            return await super().read(key)

    async def story(world: World, keeper: Archivist) -> None:
        swapping = Swapping()
        swapping.objects = world.stores["b"].objects
        world.stores["b"] = swapping

        report = await sweeper(world, keeper).sweep(0)

        whys = {each.why for each in report.swept if each.region == "b"}
        assert whys == {"its store is away, or another one took its place"}
        assert swept(world)["b"] == 0

    sweep(tmp_path, story)


def test_a_crash_after_any_removal_is_gone_on_with(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Dying(MemoryWorld):
        left = 0

        async def remove(self, key: str) -> Removed | Refused | Unknown:
            if Dying.left == 0:
                raise Killed
            Dying.left -= 1
            return await super().remove(key)

    async def story(world: World, keeper: Archivist) -> None:
        whole = {id: dict(store.objects) for id, store in world.stores.items()}
        for left in range(0, 3 * SEGMENTS, 7):
            for id in ALL:
                dying = Dying()
                dying.objects = dict(whole[id])
                world.stores[id] = dying
            Dying.left = left
            with pytest.raises(Killed):
                await sweeper(world, keeper).sweep(0)
            Dying.left = 999
            gone = sum(swept(world).values())

            report = await sweeper(world, keeper).sweep(0)

            assert gone == left
            assert sum(each.segments for each in report.swept) == 3 * SEGMENTS - left
            assert not any(small(world, id) for id in ALL)

    sweep(tmp_path, story)


def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        both = [sweeper(world, keeper), sweeper(world, keeper)]
        both[1]._scratch = tmp_path / "other"

        await asyncio.gather(*(one.sweep(0) for one in both))

        assert not any(small(world, id) for id in ALL)

    sweep(tmp_path, story)


def test_each_run_that_removed_anything_is_an_event_and_one_that_failed_is_told_later(
    tmp_path: Path,
) -> None:
    async def story(world: World, keeper: Archivist) -> None:
        told: list[JsonObject] = []
        failures = iter([True])

        async def tell(event: JsonObject) -> None:
            if next(failures, False):
                raise UnavailableError("too few regions")
            told.append(event)

        one = sweeper(world, keeper)
        one.outbox.tell = tell
        await one.sweep(0)
        await one.sweep(0)

        assert [(event["action"], event["targets"]) for event in told] == [
            (ACTION, [{"type": "archive", "id": DAYS[0]}])
        ]
        regions = told[0]["attributes"]["regions"]
        assert [(each["region"], each["segments"]) for each in regions] == [
            (id, SEGMENTS) for id in ALL
        ]

    sweep(tmp_path, story)


def test_what_was_removed_before_a_run_stopped_is_an_event_all_the_same(tmp_path: Path) -> None:
    class Obstructing(MemoryWorld):
        """A file takes the place of the scratch once segments are listed here."""

        async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
            if prefix.startswith(layout.SEGMENTS_PREFIX):
                (tmp_path / "sweep").write_text("in the way")
            return await super().list(prefix, after)

    async def story(world: World, keeper: Archivist) -> None:
        told: list[JsonObject] = []

        async def tell(event: JsonObject) -> None:
            told.append(event)

        obstructing = Obstructing()
        obstructing.objects = world.stores["b"].objects
        world.stores["b"] = obstructing
        one = sweeper(world, keeper)
        one.outbox.tell = tell
        report = await one.sweep(0)
        await one.sweep(0)

        assert [(each.region, each.segments) for each in report.swept] == [("a", SEGMENTS)]
        assert "File exists" in report.trouble
        assert [event["action"] for event in told] == [ACTION]

    sweep(tmp_path, story)
