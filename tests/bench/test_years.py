"""What the bench reads years from is what it says: whole days, and events that lie in them."""

from dataclasses import replace
from pathlib import Path
from random import Random

from bench import years
from bench.events import make_pool
from bench.plan import QUICK, Ground
from bench.processes import choose_cores
from holdfast.regions import layout
from holdfast.regions.layout import SegmentKey
from holdfast.regions.units import DAY_US


def test_each_day_has_its_events_and_what_is_asked_for_lies_in_the_trail(tmp_path: Path) -> None:
    plan = replace(QUICK, years_events=20)
    ground = Ground(plan, choose_cores(), tmp_path, None, make_pool(1, 1), Random(1))

    wanted = years._write(ground, tmp_path, 3)

    root = tmp_path / "regions" / "c"
    keys = [layout.parse_key(str(p.relative_to(root))) for p in sorted(root.glob("ev/seg/*/*/*"))]
    names = [key.name for key in keys if isinstance(key, SegmentKey)]
    days = [name.sealed_us // DAY_US for name in names]
    assert [days.count(day) for day in sorted(set(days))] == [years.SEGMENTS] * 3
    assert sum(name.count for name in names) == 60
    assert max(days) == wanted.through_us // DAY_US - 1
    assert len({id for _, id in wanted.ids}) == min(years.ASKED, 3 * years.SEGMENTS)
