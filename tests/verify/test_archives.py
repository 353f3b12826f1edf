"""What `verify` finds in archives: each of these was true of a trail that was good before."""

import asyncio
import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.regions import kinds, layout, signing
from holdfast.regions.kinds import Archive
from holdfast.regions.units import DAY_US
from holdfast.verify.findings import Depth, Report
from holdfast.verify.run import Question
from tests.archive.days import FIRST_US, archivist, person, trail_of
from tests.read.trails import TRAIL, World
from tests.verify.stores import Objects, grave, objects_of, verified

DAY = "2026-03-01"
NOTE = layout.archive_key(DAY, 1)


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """Three regions with two archived days."""

    async def made() -> Objects:
        world = World()
        trail_of(world)
        await (await archivist(world, tmp_path_factory.mktemp("archived"))).archive(DAY_US)
        return objects_of(world.stores)

    return asyncio.run(made())


def copied(objects: Objects) -> Objects:
    return {id: dict(held) for id, held in objects.items()}


def named(objects: Objects, suffix: str) -> str:
    [key] = [key for key in objects["a"] if f"day={DAY}/" in key and key.endswith(suffix)]
    return key


def said(report: Report) -> list[tuple[str, str, str]]:
    return [(each.kind, each.region, each.key) for each in report.findings]


@pytest.mark.parametrize("depth", ["names", "bytes", "events"])
def test_a_good_archive_is_good_in_any_depth(archived: Objects, depth: Depth) -> None:
    report = verified(archived, Question(depth))

    assert (report.verdict, report.findings, report.archived_units) == ("good", (), 2)


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson.zst"])
def test_a_flipped_byte_is_named(archived: Objects, suffix: str) -> None:
    objects = copied(archived)
    key = named(objects, suffix)
    data = objects["b"][key]
    objects["b"][key] = data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]

    assert verified(objects).verdict == "good"  # names alone do not tell
    for depth in ("bytes", "events"):
        report = verified(objects, Question(depth))
        assert (report.verdict, said(report)) == ("refuted", [("corrupt", "b", key)])


def test_a_flipped_byte_of_a_manifest_is_named(archived: Objects) -> None:
    objects = copied(archived)
    objects["b"][NOTE] = objects["b"][NOTE].replace(b"generation 1", b"generation 2")

    report = verified(objects)

    assert report.verdict == "refuted"
    assert [each[:2] for each in said(report) if each[2] == NOTE] == [
        ("corrupt", "b"),
        ("under_replicated", "b"),
    ]


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson.zst"])
def test_what_a_region_lacks_of_its_archive_is_named(archived: Objects, suffix: str) -> None:
    objects = copied(archived)
    key = named(objects, suffix)
    del objects["b"][key]

    report = verified(objects, Question("events"))

    assert (report.verdict, said(report)) == ("good", [("under_replicated", "b", key)])


def test_what_a_run_that_died_left_over_is_none_of_the_evidence(archived: Objects) -> None:
    objects = copied(archived)
    objects["b"][layout.archived_key(DAY, "default", "0" * 64)] = b"left over"

    assert verified(objects, Question("events")).findings == ()


def test_a_manifest_that_was_copied_from_another_store_states_nothing(archived: Objects) -> None:
    objects = copied(archived)
    objects["b"][NOTE] = objects["a"][NOTE]

    report = verified(objects)

    assert ("foreign", "b", NOTE) in said(report) and report.verdict == "good"


def restated(objects: Objects, **changes: object) -> Objects:
    """The first day's manifests say something else, under a good signature."""
    changed, world = copied(objects), World()
    for id, held in changed.items():
        archive = kinds.verify_archive(held[NOTE], TRAIL.trail).statement
        fields = {name: getattr(archive, name) for name in Archive.__dataclass_fields__}
        statement = Archive(**{**fields, **changes})
        key = person(world).key
        changed[id][NOTE] = signing.write(statement, TRAIL.signing.name, key)
    return changed


def test_a_unit_that_does_not_go_on_where_the_one_before_ended_is_false(
    archived: Objects,
) -> None:
    archive = kinds.verify_archive(archived["a"][NOTE], TRAIL.trail).statement
    ledgers = tuple((n, start, 5, first, last) for n, start, _, first, last in archive.ledgers)

    report = verified(restated(archived, ledgers=ledgers))

    assert report.verdict == "refuted"
    assert {each.kind for each in grave(report)} == {"false"}
    assert "the unit before ends at segment 5, this begins at 6" in grave(report)[0].reason


def test_evidence_of_another_unit_is_false(archived: Objects) -> None:
    later = kinds.verify_archive(
        archived["a"][layout.archive_key("2026-03-02", 1)], TRAIL.trail
    ).statement
    objects = restated(archived, evidence=later.evidence)
    for held in objects.values():
        of_later = layout.archived_key("2026-03-02", "", later.evidence)
        held[layout.archived_key(DAY, "", later.evidence)] = held[of_later]

    report = verified(objects, Question("events"))

    assert report.verdict == "refuted"
    assert "its evidence has other segments than the manifest says" in grave(report)[0].reason


def test_parts_of_other_rows_are_false(archived: Objects) -> None:
    later = kinds.verify_archive(
        archived["a"][layout.archive_key("2026-03-02", 1)], TRAIL.trail
    ).statement
    [(of, sha256, size, rows)] = later.parts
    objects = restated(archived, parts=((of, sha256, size, rows),))
    for held in objects.values():
        of_later = layout.archived_key("2026-03-02", of, sha256)
        held[layout.archived_key(DAY, of, sha256)] = held[of_later]

    report = verified(objects, Question("events"))

    assert report.verdict == "refuted"
    assert "does not hold: a row is of a segment that is not archived" in grave(report)[0].reason


def with_object(objects: Objects, retention: str, data: bytes, rows: int = 24) -> Objects:
    """The first day's manifests name these bytes instead of their part, or of their evidence."""
    sha256 = hashlib.sha256(data).hexdigest()
    if retention:
        found = restated(objects, parts=((retention, sha256, len(data), rows),))
    else:
        found = restated(objects, evidence=sha256)
    for held in found.values():
        held[layout.archived_key(DAY, retention, sha256)] = data
    return found


@pytest.mark.parametrize("retention", ["default", ""])
@pytest.mark.parametrize("data", [b"", b"no such format", b"PAR1PAR1", b"\x28\xb5\x2f\xfd"])
def test_what_is_of_no_such_format_is_false(archived: Objects, retention: str, data: bytes) -> None:
    report = verified(with_object(archived, retention, data or b"x"), Question("events"))

    assert report.verdict == "refuted"
    assert {(each.kind, each.key) for each in grave(report)} == {("false", NOTE)}


def test_a_part_whose_columns_hide_an_event_is_false(archived: Objects) -> None:
    table = pq.read_table(io.BytesIO(archived["a"][named(archived, ".parquet")]))
    at = table.column_names.index("actor")
    changed = table.set_column(at, "actor", pa.array(["nobody"] * len(table)))
    file = io.BytesIO()
    pq.write_table(changed, file)

    report = verified(with_object(archived, "default", file.getvalue()), Question("events"))

    assert report.verdict == "refuted"
    assert "the column actor is not that of its records" in grave(report)[0].reason


def test_only_days_that_are_asked_for_are_read(archived: Objects) -> None:
    objects = copied(archived)
    key = named(objects, ".parquet")
    objects["b"][key] = b"rotten"

    question = Question("bytes", from_us=FIRST_US + DAY_US)

    assert verified(objects, question).findings == ()
