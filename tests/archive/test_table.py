"""Each region's Iceberg table has the parts that count there, at any moment, and no others."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyiceberg.table import StaticTable

from holdfast.archive import iceberg, lake
from holdfast.archive.archivist import Archivist
from holdfast.archive.lake import METADATA_PREFIX, Lake
from holdfast.archive.parts import LAKE
from holdfast.regions import Region
from holdfast.regions.port import Stored, Unknown
from holdfast.regions.units import DAY_US
from tests.archive.days import again, archivist, laid_out, trail_of
from tests.read.trails import ALL, World
from tests.regions.worlds import MemoryWorld


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


class Shown:
    """What engines find of a world's table in region `a`, whose objects are laid out for them."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._data = folder / "shown"
        self.uri = (self._data / "regions" / "a").as_uri()

    def reach(self, *regions: Region) -> None:
        for region in regions:
            uri = self.uri.removesuffix("a") + region.id
            region.uris = (uri, uri)

    def table(self) -> StaticTable:
        laid_out(self._world, self._data)
        return StaticTable.from_metadata(f"{self.uri}/lake/events")

    def parts(self) -> set[str]:
        """The keys of its parts."""
        paths = (task.file.file_path for task in self.table().scan().plan_files())
        return {path.removeprefix(f"{self.uri}/") for path in paths}


def parts_of(world: World, region: str = "a") -> set[str]:
    return {key for key in world.keys(region, "ev/arc/") if key.endswith(".parquet")}


def versions(world: World) -> list[str]:
    return [key for key in world.keys("a", METADATA_PREFIX) if key.endswith(".metadata.json")]


async def tabled(world: World, folder: Path) -> tuple[Archivist, Shown]:
    """A trail of two days, archived, with tables."""
    trail_of(world)
    one, shown = await archivist(world, folder), Shown(world, folder)
    shown.reach(*one._regions)
    assert (await one.archive(DAY_US)).untabled == ()
    return one, shown


def test_engines_read_every_event_once_with_its_day_and_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")

    async def story() -> None:
        _, shown = await tabled(World(), tmp_path)

        found = shown.table().scan(row_filter="day = '2026-03-02' and tenant = 'acme'").to_arrow()
        lazy = pl.scan_iceberg(f"{shown.uri}/lake/events")
        counts = lazy.group_by("day", "class").len().sort("day").collect()

        assert len(found) == 16 and set(found["class"].to_pylist()) == {"default"}
        assert all(json.loads(record)["tenant"] == "acme" for record in found["record"].to_pylist())
        assert counts.select(pl.col("day").cast(str), "class", "len").rows() == [
            ("2026-03-01", "default", 24),
            ("2026-03-02", "default", 24),
        ]

    play(story)


def test_a_run_that_archives_nothing_leaves_the_table_as_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        one, _ = await tabled(world, tmp_path)
        before = world.keys("a", "lake/")

        await again_of(world, one, tmp_path).archive(DAY_US)

        assert world.keys("a", "lake/") == before

    play(story)


def test_another_generation_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        one, shown = await tabled(world, tmp_path)
        first = parts_of(world)
        spoilt = max(first)

        other = again(world, one, [(id, spoilt) for id in ALL])
        shown.reach(*other._regions)
        await other.archive(DAY_US)

        assert len(parts_of(world)) == 3
        assert shown.parts() == parts_of(world) - {spoilt}
        assert shown.table().scan().count() == 48

    play(story)


def test_a_part_that_is_gone_or_does_not_count_is_in_no_table(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        one, shown = await tabled(world, tmp_path)
        region = one._regions.by_id["a"]
        [gone, kept] = sorted(parts_of(world))

        assert await Lake(world.host).keep(region, {kept: sizes(world, kept)}) == ""
        alone = shown.parts()
        assert await Lake(world.host).keep(region, {}) == ""

        assert alone == {kept}
        assert shown.parts() == set() and shown.table().scan().count() == 0
        operations = [each.summary.operation for each in shown.table().snapshots() if each.summary]
        assert [each.value for each in operations] == ["append", "overwrite", "overwrite"]
        assert gone in world.keys("a")

    play(story)


@pytest.mark.parametrize("writes", range(4))
def test_a_crash_leaves_the_version_before_or_the_one_after(tmp_path: Path, writes: int) -> None:
    async def story() -> None:
        world = World()
        one, shown = await tabled(world, tmp_path)
        region = one._regions.by_id["a"]
        [gone, kept] = sorted(parts_of(world))
        wanted = {kept: sizes(world, kept)}
        store = world.stores["a"]

        with full_after(store, writes):
            why = await Lake(world.host).keep(region, wanted)
        between = shown.parts()
        assert await Lake(world.host).keep(region, wanted) == ""

        assert why == "no space"
        assert between == {gone, kept}  # the hint still names what was whole
        assert shown.parts() == {kept}
        assert store.objects[f"{METADATA_PREFIX}version-hint.text"][0] == b"2"

    play(story)


def test_of_two_keepers_one_makes_the_version(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        one, shown = await tabled(world, tmp_path)
        region = one._regions.by_id["a"]
        [_, kept] = sorted(parts_of(world))
        wanted = {kept: sizes(world, kept)}

        said = await asyncio.gather(*(Lake(world.host).keep(region, wanted) for _ in "12"))

        assert sorted(said) == ["", "another keeper made v2.metadata.json meanwhile"]
        assert shown.parts() == {kept} and len(versions(world)) == 2

    play(story)


def spoil_version(objects: dict[str, tuple[bytes, int]]) -> None:
    objects[f"{METADATA_PREFIX}v1.metadata.json"] = (b'{"format-version": 2', 1)


def spoil_manifests(objects: dict[str, tuple[bytes, int]]) -> None:
    for key in [key for key in objects if key.endswith("-m0.avro")]:
        objects[key] = (b"Obj\x01", 1)
    spoil_hint(objects)
    objects.pop(next(key for key in objects if key.startswith(f"{METADATA_PREFIX}snap-")))


def spoil_hint(objects: dict[str, tuple[bytes, int]]) -> None:
    objects[f"{METADATA_PREFIX}version-hint.text"] = (b"70", 1)


def delete_it(objects: dict[str, tuple[bytes, int]]) -> None:
    for key in [key for key in objects if key.startswith("lake/")]:
        del objects[key]


@pytest.mark.parametrize("harm", [spoil_version, spoil_manifests, spoil_hint, delete_it])
def test_what_was_damaged_or_deleted_is_made_again(
    tmp_path: Path, harm: Callable[[dict[str, tuple[bytes, int]]], None]
) -> None:
    async def story() -> None:
        world = World()
        one, shown = await tabled(world, tmp_path)

        harm(world.stores["a"].objects)
        await again_of(world, one, tmp_path).archive(DAY_US)

        assert shown.parts() == parts_of(world)

    play(story)


def test_a_region_that_moved_gets_a_table_of_its_new_place(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        one, _ = await tabled(world, tmp_path)
        moved = Shown(world, tmp_path / "elsewhere")

        moved.reach(*one._regions)
        await one.archive(DAY_US)

        assert moved.parts() == parts_of(world)
        assert moved.table().scan().count() == 48

    play(story)


def test_what_is_overwritten_lies_where_control_objects_do(tmp_path: Path) -> None:
    async def story() -> None:
        world, control = World(), MemoryWorld()
        await tabled(world, tmp_path)
        region = Region("a", world.stores["a"], control, uris=("s3://locked/x", "s3://free/y"))
        [part, _] = sorted(parts_of(world))
        before = len(world.stores["a"].log)

        assert await Lake(world.host).keep(region, {part: sizes(world, part)}) == ""

        metadata = json.loads(control.objects[f"{METADATA_PREFIX}v1.metadata.json"][0])
        assert metadata["location"] == "s3://free/y/lake/events"
        assert metadata["snapshots"][0]["manifest-list"].startswith(metadata["location"])
        assert len(world.stores["a"].log) == before

    play(story)


def test_a_table_lists_so_many_snapshots_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        monkeypatch.setattr(iceberg, "SNAPSHOTS_MAX", 2)
        world = World()
        one, shown = await tabled(world, tmp_path)
        region, parts = one._regions.by_id["a"], sorted(parts_of(world))

        for number in range(4):
            part = parts[number % 2]
            assert await Lake(world.host).keep(region, {part: sizes(world, part)}) == ""

        assert len(shown.table().snapshots()) == 2
        assert shown.parts() == {parts[1]}

    play(story)


def test_a_region_that_takes_nothing_is_told_and_all_else_is_done(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)
        one = await archivist(world, tmp_path)
        Shown(world, tmp_path).reach(*one._regions)
        store = world.stores["b"]
        create = store.create

        async def refusing(key: str, data: bytes) -> Stored | Unknown:
            return Unknown("forbidden") if key.startswith("lake/") else await create(key, data)

        store.create = refusing  # type: ignore[method-assign]
        report = await one.archive(DAY_US)

        assert report.untabled == (("b", "forbidden"),)
        assert report.archived == 2 and all(each.regions == ALL for each in report.units)

    play(story)


def test_without_the_library_no_table_is_kept_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        world = World()
        trail_of(world)
        monkeypatch.setattr(lake, "find_spec", lambda _: None)
        one = await archivist(world, tmp_path)
        Shown(world, tmp_path).reach(*one._regions)

        with caplog.at_level(logging.INFO, "holdfast.archive"):
            report = await one.archive(DAY_US)

        assert (report.archived, report.untabled) == (2, ())
        assert world.keys("a", "lake/") == []
        assert [line for line in caplog.messages if "pyiceberg" in line] == [
            "pyiceberg is not installed (extra `lake`): no Iceberg tables are kept"
        ]

    play(story)


def test_the_columns_are_those_of_parts_and_of_their_paths() -> None:
    columns = iceberg.schema().as_arrow()

    assert columns.names == [*LAKE.names, "day", "class"]
    for field in LAKE:
        kind = columns.field(field.name).type
        if not pa.types.is_list(field.type):
            assert str(kind).removeprefix("large_") in str(field.type)


def again_of(world: World, one: Archivist, folder: Path) -> Archivist:
    other = again(world, one)
    Shown(world, folder).reach(*other._regions)
    return other


def sizes(world: World, key: str) -> tuple[int, int]:
    return len(world.stores["a"].objects[key][0]), 24


class full_after:  # noqa: N801 - reads as what it is
    """A store that takes so many writes more, and then none."""

    def __init__(self, store: MemoryWorld, writes: int) -> None:
        self._store, self._left = store, writes

    def __enter__(self) -> None:
        create, replace = self._store.create, self._store.replace

        def bounded(call: Any) -> Any:
            async def tried(key: str, data: bytes) -> Stored | Unknown:
                self._left -= 1
                return Unknown("no space") if self._left < 0 else await call(key, data)

            return tried

        self._store.create = bounded(create)  # type: ignore[method-assign]
        self._store.replace = bounded(replace)  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        del self._store.create, self._store.replace
