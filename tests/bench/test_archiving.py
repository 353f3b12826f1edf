"""What the bench says of an archive follows from what it counted."""

from pathlib import Path

from bench import archiving
from bench.archiving import Archived
from holdfast.regions import layout
from holdfast.regions.layout import SegmentKey
from holdfast.regions.trailkey import KEY_FILE
from holdfast.regions.units import DAY_US


def test_a_day_has_its_events_in_segments_of_one_size_and_is_over(tmp_path: Path) -> None:
    archiving._trail_of(tmp_path, 1_000, 250)

    root = tmp_path / "regions" / "b"
    parsed = [layout.parse_key(str(p.relative_to(root))) for p in sorted(root.glob("ev/seg/*/*/*"))]
    names = [key.name for key in parsed if isinstance(key, SegmentKey)]
    assert [name.count for name in names] == [250] * 4
    assert len({name.sealed_us // DAY_US for name in names}) == 1
    assert (tmp_path / KEY_FILE).is_file()


def test_bytes_and_objects_are_compared_with_those_of_segments() -> None:
    day = Archived(1_000, 4_000, 100_000, 70_000, 15_000, 4, 12.5, 1)

    found = list(
        archiving._findings(
            {size: [day] for size in archiving.SIZES}, {"alone": [10.0], "beside": [10.5]}
        )
    )

    values = [each.value for each in found]
    assert values == [12.5, 0.85, 0.85, 0.85, 1_000.0, 1.05]
    assert [each.is_reached for each in found] == [False, True, True, True, True, True]
