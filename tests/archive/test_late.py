"""What a node with a wrong clock leaves of days that are archived already is archived and found."""

from pathlib import Path

import pytest

from holdfast.archive import plan
from holdfast.regions.units import DAY_US, HOUR_US
from tests.archive.days import FIRST_US, archivist, trail_of
from tests.archive.swept import small, sweeper
from tests.archive.test_archivist import play
from tests.read.trails import ALL, World, Writer, all_ids


def leave_late(world: World) -> None:
    """A node that was born, by its clock, days before it was, and goes on by a better one."""
    now_us, writer = world.now_us, Writer(world, 9)
    for day in (0, 1, 5):
        world.now_us = FIRST_US + day * DAY_US + 5 * HOUR_US
        if not day:
            writer.born()
        writer.seal(f"late-{day}")
    world.now_us = now_us + 10 * DAY_US
    writer.beat()
    writer.close()


@pytest.mark.parametrize(
    ("segments_max", "units"),
    [(1000, ["2026-03-03", "2026-03-06"]), (6, ["2026-03-01t14", "2026-03-02t14", "2026-03-06"])],
)
def test_it_goes_with_the_next_unit_and_a_reader_of_archives_alone_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments_max: int, units: list[str]
) -> None:
    async def story() -> None:
        monkeypatch.setattr(plan, "UNIT_SEGMENTS_MAX", segments_max)
        world = World()
        trail_of(world)
        await (await archivist(world, tmp_path / "first")).archive(DAY_US)
        leave_late(world)
        keeper = await archivist(world, tmp_path / "second")
        ids = await all_ids(keeper._reader)

        report = await keeper.archive(DAY_US)
        await sweeper(world, keeper).sweep(0)

        assert [each.unit for each in report.units] == units
        assert not any(small(world, id) for id in ALL)
        reader = world.reader(tmp_path / "third")
        await reader.open()
        await reader.pass_once()
        assert await all_ids(reader) == ids and "late-1" in ids

    play(story)
