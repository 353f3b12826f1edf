"""What is left after a class went is whole: for verify, repair, restores and archivists."""

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from holdfast.keep.keeper import Keeper
from holdfast.proof import names
from holdfast.proof.floors import ProvableFloor, Tree
from holdfast.regions import layout, signing
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Retentions, remains_key
from holdfast.regions.signing import SigningKey
from holdfast.verify.findings import Depth, Report
from holdfast.verify.run import Question
from tests.archive.days import again, person
from tests.archive.test_archivist import DAYS
from tests.read.trails import ALL, TRAIL
from tests.regions.worlds import MemoryWorld
from tests.restore.days import restorer
from tests.retention.years import Years, years
from tests.verify.stores import Objects, objects_of, verified


async def expired(found: Years) -> Floor:
    """Let the first day's class go; its floor."""
    report = await found.retention().expire()
    assert [bool(each.removed) for each in report.expiring] == [True, False]
    regions = found.world.regions()
    return (await Retentions().look(regions)).out[DAYS[0], "short"]


def left(folder: Path) -> tuple[Objects, Floor]:
    """What regions hold of two days, after the first one's class went."""
    made: list[tuple[Objects, Floor]] = []

    async def story(found: Years) -> None:
        floor = await expired(found)
        made.append((objects_of(found.world.stores), floor))

    years(folder, story, 2, older=1)
    return made[0]


def said(report: Report) -> list[tuple[str, str, str]]:
    return [(each.kind, each.region, each.key) for each in report.findings]


SPEAKER = SigningKey(names.ledger_origin(TRAIL.trail, TRAIL.trail), TRAIL.signing.private)
RETAINED = ("retained", "", "ev/ret/floor/2026-03-01.short.note")


@pytest.mark.parametrize("depth", ["names", "bytes", "events"])
def test_what_is_left_is_good_at_any_depth_and_the_rule_is_named(
    tmp_path: Path, depth: Depth
) -> None:
    objects, floor = left(tmp_path)

    report = verified(objects, Question(depth))

    assert (report.verdict, said(report)) == ("good", [RETAINED])
    assert report.deep_events == (32 if depth == "events" else 0)
    assert report.findings[0].reason.startswith("16 records of 2026-03-01 are retained out since ")
    assert report.findings[0].reason.endswith(f"by {floor.rule}")


def test_a_floor_that_says_that_other_records_went_is_named(tmp_path: Path) -> None:
    objects, floor = left(tmp_path)
    assert isinstance(floor, ProvableFloor)
    other = replace(floor, gone=Tree(floor.gone.size, bytes(32)))
    data = signing.write(other, names.trail_origin(TRAIL.trail), SPEAKER)
    for id in ALL:
        objects[id][RETAINED[2]] = data

    report = verified(objects, Question("events"))

    assert report.verdict == "refuted"
    wrong = [each.reason for each in report.findings if each.kind == "false"]
    assert wrong and all("other rows are let go than a floor says" in each for each in wrong)


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson.zst"])
def test_a_flipped_byte_in_what_is_left_is_named(tmp_path: Path, suffix: str) -> None:
    objects, floor = left(tmp_path)
    keys = [key for key in objects["b"] if f"day={DAYS[0]}/" in key and key.endswith(suffix)]

    for key in keys:
        data = objects["b"][key]
        objects["b"][key] = data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]
        report = verified(objects, Question("bytes"))
        objects["b"][key] = data

        assert (report.verdict, said(report)) == ("refuted", [("corrupt", "b", key), RETAINED])
    assert suffix == ".parquet" or remains_key(floor) in keys


def test_without_remains_anywhere_the_unit_is_missing(tmp_path: Path) -> None:
    objects, floor = left(tmp_path)
    for id in ALL:
        del objects[id][remains_key(floor)]

    report = verified(objects, Question("events"))

    assert report.verdict == "incomplete"
    assert {kind for kind, _, _ in said(report)} == {"hole", "under_replicated", "retained"}


def test_a_region_gives_back_what_is_left_of_a_day(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        await expired(found)
        one = await restorer(found.world, tmp_path)

        for id in ALL:
            done = [await one.restore_day(id, day) for day in DAYS]

            assert [(each.verdict, each.why) for each in done] == [("good", "")] * 2
            assert [each.brought.events for each in done] == [8, 24]

    years(tmp_path, story, 2, older=1)


def test_a_new_store_is_given_the_archive_without_what_was_let_go(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        world = found.world
        floor = await expired(found)
        before = set(world.keys("c", "ev/arc/"))
        world.stores["c"] = MemoryWorld()
        cookie = TRAIL.cookie("c", "9" * 32, "8" * 32)
        world.stores["c"].objects[layout.REGION_KEY] = (cookie, 1)
        regions = world.regions()
        await regions.verify()

        copied = await again(world, found.keeper).copy()
        keeper = Keeper(regions, world.host, identity=lambda: person(world))
        kept = await keeper.reconcile(whole=True)

        assert (copied.archived, copied.trouble) == (2, "") and kept.identical
        assert [each.kind for each in kept.findings] == ["found-whole"]
        assert set(world.keys("c", "ev/arc/")) == before and remains_key(floor) in before
        assert world.keys("c", layout.RETENTION_PREFIX) == world.keys("a", layout.RETENTION_PREFIX)

    years(tmp_path, story, 2, older=1)


def test_keepers_and_archivists_have_nothing_to_do(tmp_path: Path) -> None:
    async def story(found: Years) -> None:
        floor = await expired(found)
        regions = found.world.regions()
        await regions.verify()

        kept = await Keeper(regions, found.world.host).reconcile(whole=True)
        archived = await again(found.world, found.keeper).archive(0)
        found.world.remove(remains_key(floor), "b")
        mended = await Keeper(regions, found.world.host).reconcile(whole=True)

        assert (
            kept.identical
            and kept.findings == ()
            and not any(each.repaired for each in kept.regions)
        )
        assert (archived.archived, archived.units, archived.trouble) == (2, (), "")
        assert [each.repaired for each in mended.regions] == [0, 1, 0]
        assert structs.asdict(mended)["identical"] and not found.parts("b")[1:]

    years(tmp_path, story, 2, older=1)
