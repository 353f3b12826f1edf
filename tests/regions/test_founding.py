"""How a trail comes into being: once, whole, resumable, and never over another."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast.errors import RejectedError, UnavailableError
from holdfast.regions import Region, Regions, layout
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.disk import FILE_MODE, Disk, PosixDisk, Stat
from holdfast.regions.founding import Founded, found
from holdfast.regions.port import Stored, Unknown
from holdfast.regions.trailkey import KeyHome, TrailKey, parse_trail_key
from tests.regions.worlds import MemoryWorld, SwiftDisk, at_once

Result = TypeVar("Result")

IDS = ("a", "b", "c")


def seeds(first: int = 1) -> Callable[[int], bytes]:
    numbers = iter(range(first, 256))
    return lambda size: bytes([next(numbers)]) * size


def home_in(directory: Path) -> KeyHome:
    return KeyHome(directory, PosixDisk(), at_once)


def memory_regions(worlds: dict[str, MemoryWorld]) -> Regions:
    return Regions([Region(id, world) for id, world in worlds.items()], 2)


def directory_regions(path: Path, disk: Disk | None = None) -> Regions:
    disk = disk or PosixDisk()
    stores = {id: DirectoryStore(path / "regions" / id, disk, at_once) for id in IDS}
    return Regions([Region(id, store) for id, store in stores.items()], 2)


def fresh() -> dict[str, MemoryWorld]:
    return {id: MemoryWorld() for id in IDS}


def found_in(
    regions: Regions, directory: Path, random: Callable[[int], bytes] | None = None
) -> Founded:
    return asyncio.run(found(regions, home_in(directory), "main", random or seeds()))


def key_of(founded: Founded) -> TrailKey:
    assert founded.key is not None
    return founded.key


def test_a_first_start_founds_a_trail_in_all_regions(tmp_path: Path) -> None:
    regions = directory_regions(tmp_path)

    founded = found_in(regions, tmp_path)
    verified = asyncio.run(regions.verify())

    assert founded.is_new and len(verified) == 3
    assert key_of(founded).trail == regions.trail and regions.trail_name == "main"
    assert len({store for _, store in regions.stores}) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["regions", "trail.key"]
    assert stat.S_IMODE((tmp_path / "trail.key").stat().st_mode) == 0o600


def test_a_later_start_only_reads_the_key(tmp_path: Path) -> None:
    worlds = fresh()
    first = found_in(memory_regions(worlds), tmp_path)
    for world in worlds.values():
        world.failing = Unknown("away")

    again = found_in(memory_regions(worlds), tmp_path)

    assert again == Founded(first.key, is_new=False)


def test_a_missing_root_is_never_made_once_the_trail_exists(tmp_path: Path) -> None:
    found_in(directory_regions(tmp_path), tmp_path)
    (tmp_path / "regions" / "b").rename(tmp_path / "away")

    found_in(directory_regions(tmp_path), tmp_path)

    assert not (tmp_path / "regions" / "b").exists()


def test_where_a_cookie_lies_nothing_is_founded(tmp_path: Path) -> None:
    worlds = fresh()
    worlds["b"].objects[layout.REGION_KEY] = (TrailKey(bytes(32), "theirs").cookie("b"), 1)

    assert found_in(memory_regions(worlds), tmp_path) == Founded(None)
    assert not worlds["a"].objects and not list(tmp_path.iterdir())


def test_where_a_region_does_not_answer_nothing_is_founded(tmp_path: Path) -> None:
    worlds = fresh()
    worlds["c"].failing = Unknown("connection refused")

    with pytest.raises(UnavailableError, match="c: connection refused"):
        found_in(memory_regions(worlds), tmp_path)

    assert not worlds["a"].objects and not list(tmp_path.iterdir())


def test_one_store_behind_two_regions_is_refused_by_both_names(tmp_path: Path) -> None:
    worlds = fresh()
    worlds["c"] = worlds["a"]

    with pytest.raises(RejectedError, match="the regions a and c have one store"):
        found_in(memory_regions(worlds), tmp_path)

    assert not (tmp_path / "trail.key").exists()


def test_of_two_founders_at_once_one_is_refused_and_keeps_nothing(tmp_path: Path) -> None:
    worlds = fresh()

    async def both() -> list[Founded | BaseException]:
        homes = [home_in(tmp_path / name) for name in ("one", "two")]
        return await asyncio.gather(
            *(
                found(memory_regions(worlds), home, "main", seeds(n))
                for n, home in enumerate(homes)
            ),
            return_exceptions=True,
        )

    outcomes = asyncio.run(both())
    won = [outcome for outcome in outcomes if isinstance(outcome, Founded)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, RejectedError)]

    assert len(won) == len(lost) == 1
    assert key_of(won[0]).trail in str(lost[0]) and "regions.a" in str(lost[0])
    kept = sorted(path.name for path in tmp_path.glob("*/*"))
    assert kept == ["trail.key"]


class Crash(Exception):
    """The process dies here."""


class MortalDisk(SwiftDisk):
    """Dies at the given call that changes something, before or after its effect."""

    def __init__(self, at: int, after: bool) -> None:
        self.calls, self.at, self.after = 0, at, after

    def create(self, root: int, path: str, mode: int = FILE_MODE) -> int:
        return self._mortal(lambda: super(MortalDisk, self).create(root, path, mode))

    def fsync(self, handle: int) -> None:
        self._mortal(lambda: None)

    def link(self, root: int, source: str, target: str) -> None:
        self._mortal(lambda: super(MortalDisk, self).link(root, source, target))

    def rename(self, root: int, source: str, target: str) -> None:
        self._mortal(lambda: super(MortalDisk, self).rename(root, source, target))

    def unlink(self, root: int, path: str) -> None:
        self._mortal(lambda: super(MortalDisk, self).unlink(root, path))

    def mkdir(self, root: int, path: str) -> None:
        self._mortal(lambda: super(MortalDisk, self).mkdir(root, path))

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        if self.calls > self.at:
            raise Crash
        return super().read(root, path, size_max)

    def _mortal(self, work: Callable[[], Result]) -> Result:
        self.calls += 1
        if self.calls > self.at or (self.calls == self.at and not self.after):
            raise Crash
        result = work()
        if self.calls == self.at:
            raise Crash
        return result


@pytest.mark.parametrize("after", [False, True])
def test_a_founding_that_dies_anywhere_goes_on_to_the_same_trail(
    tmp_path: Path, after: bool
) -> None:
    at, died = 0, True
    while died:
        at += 1
        path = tmp_path / str(at)
        path.mkdir()
        disk = MortalDisk(at, after)
        died = False
        try:
            home = KeyHome(path, disk, at_once)
            asyncio.run(found(directory_regions(path, disk), home, "main", seeds(1)))
        except Crash:
            died = True
        begun = asyncio.run(home_in(path).read_begun())

        regions = directory_regions(path, SwiftDisk())
        key = key_of(found_in(regions, path, seeds(2)))

        assert begun is None or begun == key
        assert len(asyncio.run(regions.verify())) == 3 and regions.trail == key.trail
        assert not list(path.glob("trail.key.*"))
    assert at > 40  # it did die in many places


def test_a_founding_whose_puts_land_late_goes_on_to_the_same_trail(tmp_path: Path) -> None:
    worlds = fresh()
    worlds["b"].deaf = Unknown("no answer within 5 s")

    class Silent(MemoryWorld):
        async def create(self, key: str, data: bytes) -> Stored | Unknown:
            return Unknown("no answer within 5 s")

    worlds["c"] = Silent()
    with pytest.raises(UnavailableError, match="region c"):
        found_in(memory_regions(worlds), tmp_path)
    worlds["c"] = MemoryWorld()

    founded = found_in(memory_regions(worlds), tmp_path, seeds(9))

    assert founded.is_new and key_of(founded).seed == bytes([1]) * 32
    assert all(layout.REGION_KEY in world.objects for world in worlds.values())


def test_a_begun_key_is_kept_while_a_cookie_may_be_its_own(tmp_path: Path) -> None:
    worlds = fresh()
    begun = TrailKey(bytes(32), "main")
    asyncio.run(home_in(tmp_path).begin(begun))
    worlds["b"].objects[layout.REGION_KEY] = (begun.cookie("b"), 1)
    worlds["a"].objects[layout.REGION_KEY] = (TrailKey(b"\1" * 32, "theirs").cookie("a"), 1)

    with pytest.raises(RejectedError, match=r"regions\.a"):
        found_in(memory_regions(worlds), tmp_path)

    assert asyncio.run(home_in(tmp_path).read_begun()) == begun


def test_a_key_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    home, theirs = home_in(tmp_path), TrailKey(b"\1" * 32, "theirs").text()
    asyncio.run(home.begin(TrailKey(bytes(32), "main")))
    (tmp_path / "trail.key").write_text(theirs)

    with pytest.raises(UnavailableError):
        asyncio.run(home.finish())

    assert (tmp_path / "trail.key").read_text() == theirs


def test_a_key_file_is_text_that_reads_back() -> None:
    key = TrailKey(bytes(range(32)), 'ä "name"\n')

    lines = key.text().splitlines()

    assert lines[:2] == ["holdfast-trail-key/1", f"trail {key.trail}"]
    assert parse_trail_key(key.text().encode(), "x") == key


def test_a_key_does_not_show_its_seed() -> None:
    assert "seed" not in repr(TrailKey(bytes(range(32)), "main"))


@pytest.mark.parametrize("line", ["holdfast", "trail", "seed"])
def test_a_damaged_key_file_is_refused_by_its_path(tmp_path: Path, line: str) -> None:
    text = TrailKey(bytes(range(32)), "main").text()
    begin = text.index(f"{line}") if line == "holdfast" else text.index(f"\n{line}") + 1
    for position in range(begin, text.index("\n", begin) + 1):
        spoilt = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
        (tmp_path / "trail.key").write_text(spoilt)

        with pytest.raises(RejectedError, match=str(tmp_path / "trail.key")):
            asyncio.run(home_in(tmp_path).read())


@pytest.mark.parametrize("data", [b"", b"\n" * 4, b"\xff\n\n\n\n", b"a\nb\nc\nd\n", b"x" * 5000])
def test_what_is_no_key_file_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_trail_key(data, "x")


def test_an_unreadable_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UnavailableError):
        asyncio.run(home_in(tmp_path / "file").read())


def test_a_home_that_is_not_there_has_no_key(tmp_path: Path) -> None:
    assert asyncio.run(home_in(tmp_path / "none").read()) is None
