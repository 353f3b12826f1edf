"""Rows are archived in the class of the first rule that takes them, and all proofs still hold."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from holdfast.archive import parts
from holdfast.archive.classes import Classes, split
from holdfast.archive.parts import LAKE, read_groups
from holdfast.archive.rules import Rule, class_of
from holdfast.read.decode import Lines, decode
from holdfast.regions import kinds, layout
from holdfast.regions.units import DAY_US
from tests.archive.days import again, archived, archivist, trail_of
from tests.archive.test_archivist import DAYS, NOTES, play
from tests.read.trails import ALL, TRAIL, World

RULES = (Rule("short", tenants=("acme",), max=1), Rule("named", tenants=("bl*",)))


def rows_of(world: World, region: str, day: str) -> dict[str, Counter[str]]:
    """How many rows of which tenants each class of a day has there."""
    found: dict[str, Counter[str]] = {}
    for key, data in archived(world, region).items():
        parsed = layout.known_key(key)
        if isinstance(parsed, layout.ArchivedKey) and parsed.retention and parsed.day == day:
            table = pq.read_table(pa.BufferReader(data), columns=["tenant"])
            tenants = table["tenant"].to_pylist()
            found.setdefault(parsed.retention, Counter()).update(tenants)
    return found


def test_a_day_has_a_set_of_parts_a_class_and_its_roots_hold(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, 1)

        report = await (await archivist(world, tmp_path, *RULES)).archive(DAY_US)

        assert [(each.parts, each.regions) for each in report.units] == [(3, ALL)]
        assert rows_of(world, "b", DAYS[0]) == {
            "short": {"acme": 16}, "named": {"blå": 4}, "default": {"": 4}
        }  # fmt: skip
        manifest = kinds.verify_archive(archived(world)[NOTES[0]], TRAIL.trail).statement
        assert [(of, rows) for of, *_, rows in manifest.parts] == [
            ("default", 4), ("named", 4), ("short", 16)
        ]  # fmt: skip

    play(story)


def test_a_unit_keeps_the_classes_that_it_was_archived_with(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, 1)
        there = dict(world.stores["b"].objects)
        await (await archivist(world, tmp_path / "x", *RULES)).archive(DAY_US)
        world.stores["b"].objects = there

        report = await (await archivist(world, tmp_path / "y", Rule("other"))).archive(DAY_US)

        assert [each.regions for each in report.units] == [ALL]
        assert archived(world, "b").keys() == archived(world, "a").keys()
        assert rows_of(world, "b", DAYS[0]).keys() == {"short", "named", "default"}

    play(story)


def test_two_keepers_with_other_rules_at_once_leave_whole_archives(tmp_path: Path) -> None:
    async def story() -> None:
        world = World()
        trail_of(world, 1)
        both = [
            await archivist(world, tmp_path / "x", *RULES),
            await archivist(world, tmp_path / "y", Rule("other")),
        ]

        await asyncio.gather(*(one.archive(DAY_US) for one in both))
        more = await again(world, both[0]).archive(DAY_US)

        assert (more.archived, more.trouble) == (1, "")
        for id in ALL:
            last = max(key for key in archived(world, id) if key.endswith(".note"))
            manifest = kinds.verify_archive(archived(world, id)[last], TRAIL.trail).statement
            assert manifest.objects().keys() <= archived(world, id).keys()
            assert sum(rows for *_, rows in manifest.parts) == 24
            assert {of for of, *_ in manifest.parts} in ({"other"}, {"short", "named", "default"})

    play(story)


def fields_of(number: int) -> tuple[str, str, str]:
    """Tenant, payload type and action of an event."""
    return "acme" if number % 3 else "", f"t{number % 5}", f"a{number % 2}"


def table_of(count: int) -> pa.Table:
    """So many events; the first nests deeper than a parser goes."""
    lines = []
    for number in range(count):
        tenant, kind, action = fields_of(number)
        record = {"id": f"{number}", "tenant": tenant, "action": action, "payload": {}}
        record |= {"payload_type": kind, "received": "2026-03-01T00:00:00.000001Z"}
        lines.append(json.dumps(record).encode() + b"\n")
    nested = b"[" * 2000 + b"]" * 2000
    return decode([Lines("0" * 32, 0, 0, b"".join(lines).replace(b"{}", nested, 1))])


def test_each_row_is_in_the_class_that_the_rules_say_one_by_one() -> None:
    rules = (
        Rule("x", payload_types=("t1", "t0"), actions=("a0",)),
        Rule("y", tenants=("acme",), payload_types=("t[2-3]",)),
    )

    found = {name: rows["id"].to_pylist() for name, rows in split(table_of(90), rules)}

    wanted: dict[str, list[str]] = {}
    for number in range(90):
        wanted.setdefault(class_of(rules, *fields_of(number)), []).append(f"{number}")
    assert found == wanted
    assert found["x"][0] == "0"


@pytest.mark.parametrize("rules", [(), (Rule("x", actions=("a1",)),)])
def test_parts_of_a_class_are_in_order_and_their_row_groups_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: tuple[Rule, ...]
) -> None:
    monkeypatch.setattr(parts, "ROW_GROUP_EVENTS", 20)
    classes = Classes(rules, tmp_path, {"holdfast": "x 1"})
    found = table_of(90)
    table = pa.concat_tables([found.filter(pc.equal(found["tenant"], t)) for t in ("", "acme")])

    for at in range(0, 90, 15):
        classes.take(table.slice(at, 15))
    made = [each for each, _ in classes.close()]

    assert sum(each.rows for each in made) == 90
    for each in made:
        groups = list(read_groups(Path(each.path), LAKE.names))
        assert all(10 < len(group) <= 20 for group in groups[:-1])
        joint = pa.concat_tables(groups)
        tenants = joint["tenant"].cast(pa.string()).to_pylist()
        places = list(zip(tenants, joint["position"].to_pylist(), strict=True))
        assert places == sorted(places)
