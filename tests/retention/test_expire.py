"""A class goes everywhere once a rule says so, never earlier, and never what is held."""

import asyncio
import base64
import functools
import hashlib
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.rules import Rule
from holdfast.errors import HeldError, RejectedError, UnavailableError
from holdfast.keep.keeper import Keeper
from holdfast.model import JsonObject
from holdfast.regions import layout
from holdfast.regions.layout import FloorKey, HoldKey
from holdfast.regions.port import Refused, Removed, Stored, Unknown
from holdfast.regions.retaining import Retaining
from holdfast.regions.units import DAY_US
from holdfast.retention.holds import UNREAD, Held
from holdfast.retention.look import Look
from holdfast.times import format_us
from tests.archive.days import again, archived, hold_of, person, state
from tests.archive.test_archivist import DAYS
from tests.proof import naive
from tests.read.trails import ALL
from tests.regions.worlds import MemoryWorld
from tests.retention.years import RULES, SHORT, WANTED, Years, years
from tests.verify.stores import objects_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FLOOR = layout.retained_key(FloorKey(DAYS[0], "short"))


TENANT = re.compile(r"^tenant ([0-9a-f]{64}) ([0-9]+)$", re.MULTILINE)


def is_evidence(key: str) -> bool:
    return key.startswith("ev/arc/") and key.endswith(".ndjson.zst")


def naive_lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in zstd.decompress(data).splitlines()]


def floors(found: Years) -> list[bool]:
    return [FLOOR in found.world.keys(id) for id in ALL]


def test_a_class_goes_in_every_region_and_the_others_stay(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        others = {id: found.parts(id, "default") for id in ALL}

        report = await found.retention().expire()
        more = await found.retention().expire()

        [short] = report.expiring
        assert (short.unit, short.retention, short.rows, short.why) == (DAYS[0], "short", 16, ())
        assert [(id, parts) for id, parts, _ in short.removed] == [(id, 1) for id in ALL]
        assert all(not found.parts(id) for id in ALL)
        assert {id: found.parts(id, "default") for id in ALL} == others
        assert floors(found) == [True] * 3
        [again] = more.expiring
        assert (again.floored, again.removed, again.left, again.why) == (True, (), (), ())

    years(tmp_path, story)


def test_a_floor_says_which_records_of_whom_go(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        before = objects_of(found.world.stores)["a"]
        [report] = (await found.retention().expire()).expiring
        objects = objects_of(found.world.stores)["a"]

        floor = naive.statement(objects[FLOOR].decode().rpartition("\n\n")[0] + "\n")

        assert not isinstance(floor, str) and floor[0] == "holdfast-floor/2"
        said = floor[2]
        [evidence] = [naive_lines(data) for key, data in before.items() if is_evidence(key)]
        [remains] = [naive_lines(objects[key]) for key in objects if said["remains"][0] in key]
        members = {
            (line["node"], int(line["segment"][:10], 16)): [
                (tag, int(count)) for tag, count in TENANT.findall(line["trailer"])
            ]
            for line in evidence
            if line.get("line") == "segment"
        }
        leaves = [
            leaf
            for gone in remains[1:]
            for leaf in naive.gone_leaves(members[gone["node"], gone["segment"]], gone)
        ]
        root = base64.b64encode(naive.tree([leaf.encode() for leaf in leaves])).decode()
        assert said["gone"] == [f"{len(leaves)} {root}"] and len(leaves) > 1
        assert report.rows == int(said["rows"][0])

    years(tmp_path, story)


def test_a_dry_run_says_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        before = {id: found.world.keys(id) for id in ALL}

        report = await found.retention().plan()

        [short] = report.expiring
        assert [(id, parts) for id, parts, _ in short.removed] == [(id, 1) for id in ALL]
        assert short.rule == SHORT.text and not short.floored
        assert {id: found.world.keys(id) for id in ALL} == before

    years(tmp_path, story)


def test_nothing_is_too_old_before_all_through_then_is_known(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        found.world.now_us += 1000 * DAY_US  # which the regions do not show

        report = await found.retention().expire()

        assert [each.why for each in report.expiring] == [
            ("too young until 2026-03-05T00:00:00.000000Z",)
        ]
        assert floors(found) == [False] * 3

    years(tmp_path, story, older=0)


def test_no_command_deletes_below_the_min_that_a_rule_has_now(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        longer = Rule("short", min=400, max=500)
        [first] = (await found.retention(longer).expire()).expiring
        asked = await found.retention(longer).expire((DAYS[0], "short"))

        assert "too young until 2027" in first.why[0]
        assert "too young until 2027" in asked.expiring[0].why[0]
        assert all(found.parts(id) for id in ALL)

    years(tmp_path, story)


def test_segments_that_lie_there_still_are_in_the_way(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        report = await found.retention().expire()

        assert "of its segments are still there in region a" in report.expiring[0].why[0]
        assert floors(found) == [False] * 3

    years(tmp_path, story, swept=False)


def test_an_archive_that_lacks_the_unit_is_in_the_way(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        found.world.remove(layout.archive_key(DAYS[0], 1), "b")

        report = await found.retention().expire()

        assert report.expiring[0].why == ("not archived in region b",)
        assert floors(found) == [False] * 3

    years(tmp_path, story)


def test_what_is_held_stays_until_the_hold_is_released(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        held = await found.holds(one).place(WANTED)
        id = held.hold.hold

        kept = await one.expire()
        with pytest.raises(HeldError, match=id):
            await one.expire((DAYS[0], "short"))
        await found.holds(one).release(id, "over", "bob")
        gone = await one.expire()

        assert kept.expiring[0].why == (f"held by {id}",) and held.late == ()
        assert kept.expiring[0].holds == (id,)
        assert gone.expiring[0].why == () and not found.parts("a")

    years(tmp_path, story)


def test_a_hold_that_does_not_verify_may_hold_anything(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        id = (await found.holds(one).place(WANTED)).hold.hold
        key = layout.retained_key(HoldKey(id))
        stores = [found.world.stores[region] for region in ALL]
        good = [store.objects[key] for store in stores]
        for store in stores:
            store.objects[key] = (b"rot", 1)

        rotten = await one.expire()
        stores[2].objects[key] = good[2]
        mended = await one.expire()

        assert f"hold {id} verifies, so it may hold anything" in rotten.expiring[0].why[0]
        assert mended.expiring[0].why == (f"held by {id}",)
        assert (rotten.unread, rotten.expiring[0].holds, mended.unread) == ((id,), (), ())
        assert floors(found) == [False] * 3 and all(found.parts(region) for region in ALL)

    years(tmp_path, story)


def test_a_hold_that_nobody_can_read_is_released_by_its_name_and_that_is_said(
    tmp_path: Path,
) -> None:
    async def story(found: Years) -> None:
        one, holds = found.retention(), found.holds(found.retention())
        id = (await found.holds(one).place(WANTED)).hold.hold
        for region in ALL:
            found.world.stores[region].objects[layout.retained_key(HoldKey(id))] = (b"rot", 1)

        with pytest.raises(RejectedError, match=f"there is no hold {'0' * 32}"):
            await holds.release("0" * 32, "over", "bob")
        released = await holds.release(id, "over", "bob")
        again = await holds.release(id, "over", "bob")
        report = await one.expire()

        assert released.release is not None and released.release.reason == f"over{UNREAD}"
        assert again.release == released.release
        assert report.expiring[0].why == () and not found.parts("a")

    years(tmp_path, story)


@pytest.mark.parametrize(
    "change", [{"tenant": "blå"}, {"to_us": 1000}, {"from_us": 4_000_000_000_000_000}]
)
def test_a_hold_of_something_else_is_not_in_the_way(
    tmp_path: Path, change: dict[str, object]
) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        wanted = {"tenant": "acme", "reason": "r", "author": "a", **change}
        await found.holds(one).place(type(WANTED)(**wanted))  # type: ignore[arg-type]

        report = await one.expire()

        assert report.expiring[0].why == () and not found.parts("a")

    years(tmp_path, story)


def test_a_hold_says_plainly_what_was_let_go_before(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        await one.expire()

        held = await found.holds(one).place(WANTED)
        other = await found.holds(one).place(type(WANTED)(tenant="x", reason="r", author="a"))

        assert [(f.unit, f.retention) for f in held.late] == [(DAYS[0], "short")]
        assert other.late == ()
        assert [each.late for each in await found.holds(one).all()] == [held.late, ()]

    years(tmp_path, story)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_class_goes_whatever_clocks_its_events_had(tmp_path: Path, time: str) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        report = await one.expire()
        held = await found.holds(one).place(WANTED)

        assert report.trouble == "" and report.expiring[0].why == ()
        assert not any(found.parts(id) for id in ALL)
        assert [floor.unit for floor in held.late] == [DAYS[0]]

    years(tmp_path, story, time=time)


def test_a_unit_of_which_nothing_is_known_does_not_keep_the_others(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        await found.holds(one).place(msgspec.structs.replace(WANTED, tenant="another"))
        for key in found.world.keys("a", f"ev/arc/day={DAYS[0]}/"):
            if key.endswith(layout.SEGMENT_SUFFIX):
                found.world.remove(key)

        first, second = (await one.expire()).expiring

        assert f"no region gives the evidence of {DAYS[0]}" in first.why[0]
        assert (second.unit, second.why, second.floored) == (DAYS[1], (), True)

    years(tmp_path, story, days=2)


def test_a_region_that_was_away_lets_go_when_it_is_back(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        there, away = found.world.stores["c"], MemoryWorld()
        away.failing = Unknown("away")
        found.world.stores["c"] = away
        first = await found.retention().expire()
        found.world.stores["c"] = there
        keeper_regions = found.world.regions()
        await keeper_regions.verify()

        await Keeper(keeper_regions, found.world.host).reconcile(whole=True)
        second = await found.retention().expire()
        after = await again(found.world, found.keeper).archive(DAY_US)

        assert first.away == (("c", "away"),)
        assert [id for id, *_ in first.expiring[0].removed] == ["a", "b"]
        assert not found.parts("a")
        assert [id for id, *_ in second.expiring[0].removed] == ["c"]
        assert (after.archived, after.units, after.trouble) == (1, (), "")

    years(tmp_path, story)


def test_a_store_that_lost_its_archive_is_given_what_is_left(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        await found.retention().expire()
        for key in archived(found.world, "b"):
            found.world.remove(key, "b")

        report = await again(found.world, found.keeper).archive(DAY_US)
        more = await found.retention().expire()

        assert [(each.regions, each.lacking) for each in report.units] == [(ALL, ())]
        assert found.parts("b") == [] and found.parts("b", "default")
        assert more.expiring[0].removed == ()

    years(tmp_path, story)


def test_a_store_that_refuses_to_delete_keeps_its_parts_and_says_why(tmp_path: Path) -> None:
    class Locked(MemoryWorld):
        async def remove(self, key: str) -> Removed | Refused | Unknown:
            return Refused("locked until 2030")

    async def story(found: Years) -> None:
        locked = Locked()
        locked.objects = found.world.stores["b"].objects
        found.world.stores["b"] = locked

        report = await found.retention().expire()

        assert report.expiring[0].left == (("b", "locked until 2030"),)
        assert [id for id, *_ in report.expiring[0].removed] == ["a", "c"]

    years(tmp_path, story)


def test_a_part_that_is_put_back_goes_again(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        [part] = found.parts("b")
        data = found.world.stores["b"].objects[part][0]
        await found.retention().expire()
        found.world.put(part, data, "b")  # a put that was under way, or a disk that forgot

        report = await found.retention().expire()

        assert [id for id, *_ in report.expiring[0].removed] == ["b"]
        assert not found.parts("b")

    years(tmp_path, story)


def test_parts_that_nothing_names_go_and_none_that_something_unread_may_name(
    tmp_path: Path,
) -> None:
    async def story(found: Years) -> None:
        one, world = found.retention(), found.world
        of_rest = layout.archived_key(DAYS[0], "default", hashlib.sha256(b"rows").hexdigest())
        world.now_us -= 2 * DAY_US
        world.put(of_rest, b"rows", "bc")
        world.now_us += 2 * DAY_US
        unread = layout.archive_key(f"{DAYS[0]}t05", 1)
        newer = layout.archive_key(DAYS[0], 2)
        world.put(unread, b"rot", "b")
        world.put(newer, b"rot", "c")

        first = await one.expire()
        there = [(id, bool(found.parts(id)), of_rest in world.keys(id)) for id in "bc"]
        world.remove(unread)
        world.remove(newer)
        second = await one.expire()

        assert dict(first.expiring[0].left) == {
            "b": f"a manifest there does not verify: {unread}",
            "c": f"a manifest there does not verify: {newer}",
        }
        assert there == [("b", True, True), ("c", True, True)] and not found.parts("a")
        assert [(id, parts) for id, parts, _ in second.expiring[0].removed] == [("b", 2), ("c", 2)]
        assert not found.parts("b") and of_rest not in world.keys("b")
        assert len(found.parts("b", "default")) == len(found.parts("a", "default"))

    years(tmp_path, story)


def test_a_manifest_that_did_not_verify_is_read_again(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one, objects = found.retention(), found.world.stores["b"].objects
        key = layout.archive_key(DAYS[0], 1)
        good, objects[key] = objects[key], (b"rot", 1)

        first = await one.expire()
        objects[key] = good
        second = await one.expire()

        assert first.expiring[0].why == ("not archived in region b",)
        assert second.expiring[0].why == () and not found.parts("b")

    years(tmp_path, story)


def test_too_few_regions_let_nothing_go(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        for id in "bc":
            found.world.stores[id].failing = Unknown("away")

        with pytest.raises(UnavailableError, match="too few regions answer"):
            await found.retention().expire()

        assert found.parts("a")

    years(tmp_path, story)


def test_archives_with_other_rows_in_a_class_keep_them_until_one_is_moved_aside(
    tmp_path: Path,
) -> None:
    async def story(found: Years) -> None:
        world = found.world
        for key in archived(world, "b"):
            world.remove(key, "b")
        aside = {id: world.stores[id].objects for id in "ac"}
        for id in "ac":  # another keeper, by other rules, knows nothing of these archives
            kept = aside[id].items()
            world.stores[id].objects = {k: v for k, v in kept if not k.startswith("ev/arc/")}
        other = Workshop(tmp_path / "other", (Rule("short", tenants=("bl*",), max=3),))
        reader, host = found.keeper._reader, world.host
        keeper = Archivist(world.regions(), reader, host, lambda: person(world), other)
        await keeper.archive(DAY_US)
        for id in "ac":
            world.stores[id].objects = aside[id]
        await found.sweep()

        planned, report = await found.retention().plan(), await found.retention().expire()
        stayed = all(found.parts(id) for id in ALL) and not any(floors(found))
        for key in archived(world, "b"):
            world.remove(key, "b")
        await again(world, found.keeper).archive(DAY_US)
        after = await found.retention().expire()

        assert stayed and [each.why for each in after.expiring] == [()]
        for each in (*planned.expiring, *report.expiring):
            assert "archives have other rows in this class, 16 in a, 4 in b, 16 in c" in each.why[0]
            assert "Move that day's folder of one region aside" in each.why[0]
        assert [bool(found.parts(id)) for id in ALL] == [False] * 3

    years(tmp_path, story, swept=False)


def test_the_trail_tells_of_floors_and_of_what_was_deleted(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        told: list[JsonObject] = []

        async def tell(event: JsonObject) -> None:
            told.append(event)

        one = found.retention()
        one.chronicle.tell = tell
        state(found.world, hold_of(found.world, "7", "blå"))
        await one.expire()
        await one.expire()

        assert [each["action"] for each in told] == [
            "holdfast.hold.placed",
            "holdfast.retention.expired",
            "holdfast.retention.floored",
        ]
        deleted = told[1]["attributes"]
        assert [each["region"] for each in deleted["regions"]] == list(ALL)
        assert (deleted["class"], told[1]["reason"]) == ("short", SHORT.text)
        assert json.dumps(told)

    years(tmp_path, story)


class Killed(BaseException):
    pass


class Dying(MemoryWorld):
    """Dies before a write or a delete, when so many were done in all stores."""

    left = 10**6

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        self._live()
        return await super().create(key, data)

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        self._live()
        return await super().remove(key)

    def _live(self) -> None:
        if not Dying.left:
            raise Killed
        Dying.left -= 1


def test_a_crash_before_any_write_or_delete_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        whole = {id: dict(store.objects) for id, store in found.world.stores.items()}
        steps = 9  # what stays, a floor and a part, in three regions
        for left in range(steps + 1):
            for id in ALL:
                dying = Dying()
                dying.objects = dict(whole[id])
                found.world.stores[id] = dying
            Dying.left = left
            if left < steps:
                with pytest.raises(Killed):
                    await found.retention().expire()
            else:
                await found.retention().expire()
            deleted = [not found.parts(id) for id in ALL]
            assert sum(floors(found)) >= 2 or not any(deleted)
            Dying.left = 10**6

            await found.retention().expire()

            assert floors(found) == [True] * 3 and not any(found.parts(id) for id in ALL)

    years(tmp_path, story)


class Meeting(MemoryWorld):
    """Before one of all writes and deletes, by its number, somebody else does all that he does.
    own: keys of who is interrupted: none of his other calls under way does anything meanwhile."""

    number = 0
    at = 0
    own: tuple[str, ...] = ()
    other: Callable[[], Awaitable[None]] | None = None
    done = asyncio.Event()

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        await self._meet(key)
        return await super().create(key, data)

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        await self._meet(key)
        return await super().remove(key)

    async def _meet(self, key: str) -> None:
        if not key.startswith(Meeting.own):
            return
        Meeting.number += 1
        if Meeting.number == Meeting.at and Meeting.other is not None:
            await Meeting.other()
            Meeting.done.set()
        elif Meeting.number > Meeting.at:
            await Meeting.done.wait()


def meeting(
    found: Years, at: int, own: tuple[str, ...], other: Callable[[], Awaitable[None]]
) -> None:
    for id in ALL:
        store = Meeting()
        store.objects = found.world.stores[id].objects
        found.world.stores[id] = store
    Meeting.number, Meeting.at, Meeting.own, Meeting.other = 0, at, own, other
    Meeting.done = asyncio.Event()


@pytest.mark.parametrize("at", range(1, 10))
def test_a_hold_that_is_placed_before_any_step_of_a_deleter_is_seen_or_sees(
    tmp_path: Path, at: int
) -> None:
    async def story(found: Years) -> None:
        held: list[Held] = []

        async def place() -> None:
            held.append(await found.holds(found.retention()).place(WANTED))

        meeting(found, at, ("ev/arc/", "ev/ret/floor/"), place)

        report = await found.retention().expire()

        if not held[0].late:  # it was confirmed
            assert at <= 4 and all(found.parts(id) for id in ALL)
            assert report.expiring[0].why == (f"held by {held[0].hold.hold}",)
            assert any(floors(found)) == (at == 4)  # between the last look and the floor
        else:
            assert at > 4 and any(floors(found))

    years(tmp_path, story)


@pytest.mark.parametrize("at", range(1, 4))
def test_a_deleter_that_comes_before_any_step_of_a_hold_sees_it_or_is_seen(
    tmp_path: Path, at: int
) -> None:
    async def story(found: Years) -> None:
        async def expire() -> None:
            await found.retention().expire()

        meeting(found, at, ("ev/ret/hold/",), expire)

        held = await found.holds(found.retention()).place(WANTED)

        assert [bool(found.parts(id)) for id in ALL] == [not held.late] * 3
        assert bool(held.late) == (at == 1)  # later it finds a hold in the first region

    years(tmp_path, story)


def test_two_who_tell_at_once_tell_each_event_once(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        told: list[str] = []

        async def tell(event: JsonObject) -> None:
            await asyncio.sleep(0.01)
            told.append(str(event["id"]))

        for _ in range(3):
            await found.holds(one).place(WANTED)
        one.chronicle.tell = tell
        seen = await one.seen()
        await asyncio.gather(one.chronicle.tell_of(seen), one.chronicle.tell_of(seen))

        assert len(seen.holds) == 3
        assert sorted(told) == sorted(f"holdfast.hold.{id}.placed" for id in seen.holds)

    years(tmp_path, story)


def test_who_lists_holds_does_not_hide_from_a_hold_what_was_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(found: Years) -> None:
        one = found.retention()
        holds = found.holds(one)
        began, goes_on = asyncio.Event(), asyncio.Event()
        looks: list[Retaining] = []
        look = Look.again

        async def slow(self: Look) -> Retaining:
            """The first one takes long to tell what it saw: until another has told, or a second."""
            looks.append(await look(self))
            began.set()
            if len(looks) > 1:
                goes_on.set()
                return looks[-1]
            asyncio.get_running_loop().call_later(1, goes_on.set)
            await goes_on.wait()
            return looks[0]

        with monkeypatch.context() as patched:
            patched.setattr(holds._look, "again", functools.partial(slow, holds._look))
            listing = asyncio.ensure_future(holds.all())
            await began.wait()
            await one.expire()
            held = await holds.place(WANTED)
            await listing

        assert not looks[0].out and [floor.unit for floor in held.late] == [DAYS[0]]

    years(tmp_path, story)


def test_the_rules_of_a_class_are_those_of_now(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        report = await found.retention(*RULES[1:]).plan()

        assert report.expiring == ()

    years(tmp_path, story)


def test_a_plan_says_until_when_a_lock_keeps_what_would_go(tmp_path: Path) -> None:
    class Locked(MemoryWorld):
        async def locked_days(self) -> int:
            return 30

    async def story(found: Years) -> None:
        locked = Locked()
        locked.objects = found.world.stores["b"].objects
        [part] = found.parts("b")
        locked.objects[part] = (locked.objects[part][0], found.world.now_us)
        found.world.stores["b"] = locked
        until_us = found.world.now_us + 30 * DAY_US

        early = await found.retention().plan()
        found.world.now_us = until_us
        late = await found.retention().plan()

        told = f"its parts are locked in region b until {format_us(until_us)}"
        assert [each.why for each in early.expiring] == [(told,)]
        assert [each.why for each in late.expiring] == [()]
        assert len(early.expiring[0].removed) == 3

    years(tmp_path, story)
