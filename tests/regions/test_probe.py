"""A store is tried: what holds is seen to hold, and what is broken is found to be broken."""

import asyncio
from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from holdfast.regions import layout
from holdfast.regions.clock import ClockInterval
from holdfast.regions.cookie import read_cookie
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.port import Absent, Listing, Present, Refused, Stored, Unknown
from holdfast.regions.probe import (
    QUORUM_RESTS_ON,
    Prober,
    Tried,
    Verdict,
    judge_clock,
    judge_places,
    judge_race,
    judge_read,
    try_all,
    try_evidence,
    try_removal,
    why_unfit,
)
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions
from holdfast.regions.trailkey import TrailKey
from tests.regions.worlds import MemoryWorld, SwiftDisk, at_once

NOW_US = 1_000_000_000
TRAIL = TrailKey(bytes(32), "a trail")
SILENT = Unknown("no answer")
TAKEN = Unknown("already exists", answered=True)
NODE = "0a" * 16
BIRTH = (layout.birth_key(NODE, 1), b"a birth\n")


class Overwriting(MemoryWorld):
    """Knows no condition, until it is mended: whoever creates is told `stored`."""

    is_mended = False

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        await asyncio.sleep(0)
        if self.is_mended or self.failing:
            return await super().create(key, data)
        return self._put(key, data)


class Stale(MemoryWorld):
    """Answers what it answered when it was first asked for a key."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Present | Absent | Unknown] = {}

    async def read(self, key: str) -> Present | Absent | Unknown:
        return self.seen.setdefault(key, await super().read(key))


class Hiding(MemoryWorld):
    """Lists nothing of what was stored since it began."""

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        return Listing(())


class Refusing(MemoryWorld):
    """Takes no new name."""

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        return TAKEN


def hold(world: MemoryWorld, region: str, *objects: tuple[str, bytes]) -> None:
    """What a region of the trail holds: its cookie, and more."""
    for key, data in ((layout.REGION_KEY, TRAIL.cookie(region)), *objects):
        world.objects[key] = (data, NOW_US)


async def tried_all(world: MemoryWorld) -> dict[str, Tried]:
    tried = await try_all(Region("a", world), "0a" * 16, 1_000_000, lambda: world.now_us)
    return {each.property: each for each in tried}


def test_of_a_good_store_everything_holds_and_one_small_object_is_left() -> None:
    world = MemoryWorld()

    tried = asyncio.run(tried_all(world))

    assert {each.verdict for each in tried.values()} == {Verdict.HOLDS}
    assert list(tried) == [*QUORUM_RESTS_ON, "clock", "latency"]
    left = {key: len(data) for key, (data, _) in world.objects.items()}
    assert set(left) == {layout.probe_key("0a" * 16), layout.PROBED_KEY}
    assert max(left.values()) < 100


@pytest.mark.parametrize(
    ("world", "broken", "why"),
    [
        (Overwriting, "put-if-absent", "of 8 different creates of one name 8 were told"),
        (Refusing, "put-if-absent", "every create of a new name"),
        (Stale, "read-after-write", "read as absent"),
        (Hiding, "list-after-write", "not listed"),
    ],
)
def test_each_broken_property_is_found(
    world: Callable[[], MemoryWorld], broken: str, why: str
) -> None:
    tried = asyncio.run(tried_all(world()))

    fails = [each.property for each in tried.values() if each.verdict is Verdict.FAILS]
    assert fails == [broken]
    assert why in tried[broken].detail
    assert why_unfit(tuple(tried.values())) == f"{broken}: {tried[broken].detail}"


def test_of_a_silent_store_nothing_follows() -> None:
    world = MemoryWorld()
    world.failing = SILENT

    tried = asyncio.run(tried_all(world))

    assert {tried[name].verdict for name in QUORUM_RESTS_ON} == {Verdict.UNKNOWN}
    assert why_unfit(tuple(tried.values())) == ""


@pytest.mark.parametrize(
    ("outcomes", "found", "verdict"),
    [
        ((Stored(), TAKEN), Present(b"1", 1), Verdict.HOLDS),
        ((TAKEN, Stored()), Present(b"2", 1), Verdict.HOLDS),
        ((Stored(), Stored()), Present(b"2", 1), Verdict.FAILS),
        ((Stored(), Stored()), SILENT, Verdict.FAILS),
        ((Stored(), TAKEN), Present(b"2", 1), Verdict.FAILS),
        ((Stored(), SILENT), Present(b"1", 1), Verdict.UNKNOWN),
        ((SILENT, TAKEN), Present(b"1", 1), Verdict.UNKNOWN),
        ((TAKEN, TAKEN), Absent(), Verdict.FAILS),
    ],
)
def test_exactly_one_create_may_win_and_its_bytes_stay(
    outcomes: tuple[Stored | Unknown, ...], found: Present | Absent | Unknown, verdict: Verdict
) -> None:
    assert judge_race((b"1", b"2"), outcomes, found).verdict is verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Present(b"new", 1), Verdict.HOLDS),
        (Present(b"old", 1), Verdict.FAILS),
        (Absent(), Verdict.FAILS),
        (Present(b"another's", 1), Verdict.UNKNOWN),
        (SILENT, Verdict.UNKNOWN),
    ],
)
def test_what_was_written_last_must_be_read(
    found: Present | Absent | Unknown, verdict: Verdict
) -> None:
    assert judge_read((b"old", b"new"), found).verdict is verdict


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [
        (ClockInterval(-10, 10), Verdict.HOLDS),
        (ClockInterval(-10, 11), Verdict.FAILS),
        (SILENT, Verdict.UNKNOWN),
    ],
)
def test_a_clock_must_surely_be_near(clock: ClockInterval | Unknown, verdict: Verdict) -> None:
    assert judge_clock(clock, 10).verdict is verdict


def test_a_birth_is_put_again_and_nothing_is_left_of_it() -> None:
    world = MemoryWorld()
    world.objects[BIRTH[0]] = (BIRTH[1], NOW_US)

    tried = asyncio.run(try_evidence(Region("a", world), *BIRTH))

    assert [each.verdict for each in tried] == [Verdict.HOLDS] * 3
    assert set(world.objects) == {BIRTH[0]}


def test_a_store_that_was_put_back_meanwhile_is_no_broken_one() -> None:
    world = MemoryWorld()  # without the birth that was put, which is put again, and is there then

    tried = asyncio.run(try_evidence(Region("a", world), *BIRTH))

    assert [each.verdict for each in tried] == [Verdict.HOLDS] * 3


class Emptied(MemoryWorld):
    """Is wiped when something is put there, which it does not take."""

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        self.objects.clear()
        return SILENT


class Swapped(MemoryWorld):
    """Another region's store answers once something is put there."""

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        hold(self, "b")
        self.objects.pop(BIRTH[0], None)
        return TAKEN


@pytest.mark.parametrize("store", [Emptied, Swapped])
def test_of_a_store_that_goes_away_or_changes_meanwhile_nothing_follows(
    store: type[MemoryWorld],
) -> None:
    world = store()
    hold(world, "a", BIRTH)
    region = Region("a", world)
    regions = Regions([region, Region("b", MemoryWorld()), Region("c", MemoryWorld())], 2)
    regions.trail = TRAIL.trail

    asyncio.run(Prober(regions, lambda: BIRTH).probe())

    assert region.why_unfit == ""


def test_a_region_that_fails_counts_for_nothing_until_it_does_better(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        good, bad = MemoryWorld(), Overwriting()
        for id, world in (("a", good), ("b", bad)):
            hold(world, id, BIRTH)
        region = {"a": Region("a", good), "b": Region("b", bad)}
        prober = Prober(Regions(list(region.values()), 2), lambda: BIRTH)

        await prober.probe()

        assert (region["a"].why_unfit, region["b"].report().state) == ("", "unfit")
        assert "If-None-Match is ignored" in region["b"].report().why
        assert not region["b"].reachable
        told = await read_cookie(region["b"], "")
        assert isinstance(told, Unknown) and told.reason == region["b"].why_unfit

        bad.failing = SILENT
        await prober.probe()
        assert region["b"].why_unfit  # a store that does not answer does not do better
        bad.failing, bad.is_mended = None, True
        await prober.probe()
        assert region["b"].why_unfit == ""

    asyncio.run(story())
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_before_an_epoch_the_newest_birth_that_lies_there_is_tried_and_without_one_nothing() -> (
    None
):
    async def story() -> tuple[str, str]:
        empty, bad = Overwriting(), Overwriting()
        hold(empty, "a")
        hold(bad, "b", BIRTH)
        regions = [Region("a", empty), Region("b", bad)]

        await Prober(Regions(regions, 2), lambda: None).probe()

        assert set(empty.objects) == {layout.REGION_KEY}
        return regions[0].why_unfit, regions[1].why_unfit

    without, with_one = asyncio.run(story())
    assert (without, with_one[:13]) == ("", "put-if-absent")


def test_nothing_is_put_into_a_store_of_another_trail_or_without_a_cookie() -> None:
    worlds = {"a": MemoryWorld(), "b": MemoryWorld()}
    hold(worlds["b"], "b")
    regions = [Region(id, world) for id, world in worlds.items()]

    asyncio.run(Prober(Regions(regions, 2, "0c" * 16), lambda: BIRTH).probe())

    assert [set(world.objects) for world in worlds.values()] == [set(), {layout.REGION_KEY}]
    assert [region.why_unfit for region in regions] == ["", ""]


def test_a_region_that_shares_a_directory_with_another_counts_for_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        stores = [DirectoryStore(tmp_path / id, SwiftDisk(), at_once) for id in "abc"]
        regions = [Region(id, store) for id, store in zip("abc", stores, strict=True)]
        for region in regions:
            await region.make_root()
            await region.create(layout.REGION_KEY, TRAIL.cookie(region.id))
            await region.create(*BIRTH)
            await region.create(f"{layout.segments_prefix(NODE)}0000000/some", b"bytes")
        prober = Prober(Regions(regions, 2), lambda: BIRTH)
        await prober.probe()
        before = [region.why_unfit for region in regions]

        # Somebody found that the disk of b is full, and had the segments lie with those of a.
        (tmp_path / "b/ev/seg").rename(tmp_path / "old")
        (tmp_path / "b/ev/seg").symlink_to(tmp_path / "a/ev/seg")
        await prober.probe()

        assert before == ["", "", ""]
        assert [region.why_unfit for region in regions] == [
            *("", "own-place: it shares a directory with region a", "")
        ]
        (tmp_path / "b/ev/seg").unlink()
        (tmp_path / "old").rename(tmp_path / "b/ev/seg")
        await prober.probe()
        assert [region.why_unfit for region in regions] == ["", "", ""]

    asyncio.run(story())


def test_a_directory_that_was_moved_to_another_disk_is_a_place_of_its_own(tmp_path: Path) -> None:
    async def places(id: str) -> frozenset[Hashable] | Unknown:
        (tmp_path / id / "ev").mkdir(parents=True)
        (tmp_path / f"disk-{id}").mkdir()
        (tmp_path / id / "ev/seg").symlink_to(tmp_path / f"disk-{id}")
        return await Region(id, DirectoryStore(tmp_path / id, SwiftDisk(), at_once)).places()

    judged = judge_places({id: asyncio.run(places(id)) for id in "ab"})

    assert [each.verdict for each in judged.values()] == [Verdict.HOLDS, Verdict.HOLDS]


def test_whether_segments_may_be_removed_is_tried_with_one_that_never_was() -> None:
    async def story() -> list[Tried]:
        free, locked = MemoryWorld(), MemoryWorld()
        locked.locked = Refused("403")
        return [await try_removal(Region("a", store)) for store in (free, locked)]

    assert [(each.property, each.verdict, each.detail) for each in asyncio.run(story())] == [
        ("sweeping", Verdict.HOLDS, "segments may be removed once they are archived"),
        ("sweeping", Verdict.UNKNOWN, "segments stay when they are archived: 403"),
    ]
