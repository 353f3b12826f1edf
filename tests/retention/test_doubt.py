"""Nothing is deleted by what one look says, without what stays of it, or past stores that know."""

import hashlib
from pathlib import Path

import pytest

from holdfast.archive import plan
from holdfast.archive.rules import Rule
from holdfast.errors import UnavailableError
from holdfast.keep.keeper import Keeper
from holdfast.proof.names import SegmentName
from holdfast.regions import layout
from holdfast.regions.layout import FloorKey
from holdfast.regions.port import Listing, Stored, Unknown
from holdfast.regions.units import DAY_US
from holdfast.retention.expire import STRANGER
from tests.archive.days import again, archivist, hold_of, state, trail_of
from tests.archive.swept import SEGMENTS, small
from tests.archive.test_archivist import DAYS, play
from tests.read.trails import ALL, TRAIL, World
from tests.regions.worlds import MemoryWorld
from tests.retention.years import RULES, SHORT, WANTED, Years, years

FLOOR = layout.retained_key(FloorKey(DAYS[0], "short"))


def test_a_listing_that_lacks_a_manifest_once_takes_no_part_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [f"{DAYS[0]}t01", f"{DAYS[0]}t13"]

    class Forgetful(MemoryWorld):
        told = 0

        async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
            found = await super().list(prefix, after)
            if prefix.startswith("ev/arc/day=") and isinstance(found, Listing):
                self.told += 1
                note = layout.archive_key(hours[1], 1)
                if self.told == 1:
                    return Listing(tuple(entry for entry in found if entry.key != note))
            return found

    async def story() -> None:
        monkeypatch.setattr(plan, "UNIT_SEGMENTS_MAX", 6)
        world = World()
        writer = trail_of(world, 1)[0]
        world.now_us += 3 * DAY_US
        writer.born()
        writer.beat()
        writer.close()
        keeper = await archivist(world, tmp_path, *RULES)
        await keeper.archive(DAY_US)
        found = Years(world, keeper)
        await found.sweep()
        forgetful = Forgetful()
        forgetful.objects = world.stores["b"].objects
        world.stores["b"] = forgetful
        parts = found.parts("b"), found.parts("b", "default")

        await found.retention().expire(only=(hours[0], "short"))

        assert forgetful.told > 1 and [len(each) for each in parts] == [2, 2]
        assert found.parts("b", "default") == parts[1]
        assert len(found.parts("b")) == 1

    play(story)


def test_what_stays_is_read_back_in_a_region_before_its_parts_go(tmp_path: Path) -> None:
    class Bending(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            return await super().create(key, data[:-1] if ".ndjson" in key else data)

    async def story(found: Years) -> None:
        bending = Bending()
        bending.objects = found.world.stores["b"].objects
        found.world.stores["b"] = bending

        report = await found.retention().expire()

        why = "what stays of it cannot be read back there"
        assert report.expiring[0].left == (("b", why),)
        assert [bool(found.parts(id)) for id in ALL] == [False, True, False]

    years(tmp_path, story)


def test_a_store_that_came_later_knows_of_no_hold_until_it_was_found_whole(
    tmp_path: Path,
) -> None:
    async def story(found: Years) -> None:
        world = found.world
        state(world, hold_of(world, "1"), "ac")
        world.stores["c"] = later = MemoryWorld()
        later.objects[layout.REGION_KEY] = (TRAIL.cookie("c", "7" * 32, "1" * 32), 1)
        await again(world, found.keeper).archive(DAY_US)
        world.stores["a"].failing = Unknown("away")

        with pytest.raises(UnavailableError, match="came later and was not found whole yet"):
            await found.retention(SHORT).expire()

        assert found.parts("b") and found.parts("c")

    years(tmp_path, story)


def test_a_floor_that_nobody_can_read_is_not_taken_for_none(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one, stores = found.retention(), found.world.stores
        await one.expire()
        found.world.remove(FLOOR, "c")
        good, stores["a"].objects[FLOOR] = stores["a"].objects[FLOOR], (b"rot", 1)
        stores["b"].failing = Unknown("away")

        with pytest.raises(UnavailableError, match=f"the floor of short of {DAYS[0]} verifies"):
            await found.holds(one).place(WANTED)
        stores["a"].objects[FLOOR] = good
        held = await found.holds(one).place(WANTED)

        assert [floor.unit for floor in held.late] == [DAYS[0]]

    years(tmp_path, story)


def test_a_segment_that_no_evidence_names_is_named_with_what_to_do(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        name = SegmentName(0, 9, 0, 1, 1, found.world.now_us, bytes(32), bytes(32))
        stray = layout.segment_key(found.keeper._reader.nodes()[0], name)
        found.world.put(stray, b"never acknowledged", "b")

        planned, report = await found.retention().plan(), await found.retention().expire()
        found.world.remove(stray)
        after = await found.retention().expire()

        assert [each.why for each in (*planned.expiring, *report.expiring)] == [
            (STRANGER.format("b", stray),)
        ] * 2
        assert after.expiring[0].why == () and not found.parts("b")

    years(tmp_path, story)


def test_what_stays_counts_in_a_region_where_its_own_bytes_lie(tmp_path: Path) -> None:
    class Rotting(MemoryWorld):
        is_good = False

        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            if not self.is_good and key.startswith(layout.RETENTION_PREFIX):
                return Unknown("no space")
            is_bent = not self.is_good and ".ndjson" in key
            return await super().create(key, data[:-1] if is_bent else data)

    async def story(found: Years) -> None:
        for id in ALL:
            rotting = Rotting()
            rotting.objects = found.world.stores[id].objects
            found.world.stores[id] = rotting
        await found.retention().expire()
        Rotting.is_good = True

        report = await found.retention().expire()

        [why] = report.expiring[0].why
        assert why.startswith("what stays of it lies in too few regions (a: other bytes lie in its")
        assert all(found.parts(id) for id in ALL)

    years(tmp_path, story)


def test_nothing_goes_that_a_rule_of_now_keeps_for_longer(tmp_path: Path) -> None:
    later = (Rule("case", actions=("a",), tenants=("ac*",), min=100, max=1000), *RULES)
    never = (Rule("case", actions=("a",), tenants=("ac*",)), *RULES)
    sooner = (Rule("case", actions=("a",), tenants=("ac*",), max=1), *RULES)

    async def story(found: Years) -> None:
        reports = [await found.retention(*rules).expire() for rules in (later, never)]
        there = [bool(found.parts(id)) for id in ALL]
        await found.retention(*sooner).expire()

        told = "by the rules of now, some of it is of class case: "
        assert [report.expiring[0].why for report in reports] == [
            (told + "too young until 2028-11-26T00:00:00.000000Z",),
            (told + "no rule says when it goes",),
        ]
        assert not any(r.expiring[0].late_us(found.world.now_us + DAY_US) for r in reports)
        assert there == [True] * 3 and not any(found.parts(id) for id in ALL)

    years(tmp_path, story)


def test_segments_stay_where_what_stays_of_their_unit_is_not(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        world = found.world
        there, away = world.stores["c"], MemoryWorld()
        away.failing = Unknown("away")
        world.stores["c"] = away
        await found.sweep()
        await found.retention().expire()
        world.stores["c"] = there

        await found.sweep()
        lacking = len(small(world, "c"))
        await Keeper(world.regions(), world.host).reconcile(whole=True)
        await found.sweep()

        assert not found.parts("a") and (lacking, small(world, "c")) == (SEGMENTS, [])

    years(tmp_path, story, swept=False)


def test_what_is_left_over_stays_while_something_that_is_named_is_lacking(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        world = found.world
        [named] = found.parts("b", "default")
        data = world.stores["b"].objects[named][0]
        of_rest = layout.archived_key(DAYS[0], "default", hashlib.sha256(b"rows").hexdigest())
        world.now_us -= 2 * DAY_US
        world.put(of_rest, b"rows", "b")
        world.now_us += 2 * DAY_US
        world.remove(named, "b")

        await found.retention().expire()
        lacking = found.parts("b", "default"), found.parts("b")
        world.put(named, data, "b")
        await found.retention().expire()

        assert lacking == ([of_rest], [])
        assert found.parts("b", "default") == [named]

    years(tmp_path, story)
