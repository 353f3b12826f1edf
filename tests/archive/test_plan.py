"""Which segments make up a unit: whole days, hours of large ones, nothing that is missing."""

import pytest

from holdfast.archive import plan
from holdfast.archive.plan import (
    HoleError,
    Ledger,
    Size,
    TooLargeError,
    check_size,
    unit_of,
    windows,
)
from holdfast.proof.names import SegmentName
from holdfast.regions import units
from holdfast.regions.units import DAY_US, HOUR_US, MINUTES_US

DAY = "2026-03-01"
START = units.start_us(DAY)
NODE = "5c" * 16
LARGEST = Size(plan.UNIT_SEGMENTS_MAX, plan.UNIT_EVENTS_MAX, plan.UNIT_LEAVES_MAX)


def named(index: int, sealed_us: int = START + 1) -> SegmentName:
    return SegmentName(index, 1, 10 * index, 10, 1, sealed_us, bytes(32), bytes(32))


def test_a_day_is_one_unit_up_to_so_many_segments_and_events() -> None:
    whole = ((DAY, START + DAY_US),)

    assert windows(DAY, {}) == whole
    assert windows(DAY, {f"{DAY}t00": LARGEST}) == whole


@pytest.mark.parametrize("more", [Size(1), Size(0, 1), Size(0, 0, 1)])
def test_a_larger_day_is_cut_into_its_hours_and_a_larger_hour_into_six(more: Size) -> None:
    day = windows(DAY, {f"{DAY}t01": LARGEST, f"{DAY}t13": more})
    hour = windows(DAY, {f"{DAY}t01": LARGEST + more})

    assert len(day) == 24
    assert day[0] == (f"{DAY}t00", START + HOUR_US)
    assert day[23] == (f"{DAY}t23", START + DAY_US)
    assert hour[:2] == (day[0], (f"{DAY}t0100", START + HOUR_US + MINUTES_US))
    assert hour[6:] == ((f"{DAY}t0150", START + 2 * HOUR_US), *day[2:])
    assert sorted(hour) == list(hour)
    assert [units.end_us(units.check_unit(name)) for name, _ in hour] == [end for _, end in hour]


@pytest.mark.parametrize(
    ("newest", "then", "count"), [("t01", "t02", 22), ("t0110", "t0120", 26), ("t0150", "t02", 22)]
)
def test_a_day_goes_on_as_it_was_begun(newest: str, then: str, count: int) -> None:
    left = windows(DAY, {f"{DAY}t01": Size(1, 1, 1)}, DAY + newest)

    assert (left[0][0], len(left)) == (DAY + then, count)


def test_ten_minutes_of_more_than_an_archive_takes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = unit_of(f"{DAY}t0110", {NODE: Ledger(4, (named(4), named(5)))})
    check_size(unit)
    monkeypatch.setattr(plan, "LEAVES_MAX", 1)

    with pytest.raises(
        TooLargeError, match=f"{DAY}t0110 has 2 tenants .* takes 1 at most: its segments stay"
    ):
        check_size(unit)


def test_a_unit_has_the_neighbours_from_where_the_one_before_ended() -> None:
    names = tuple(named(index) for index in (4, 5, 6))

    unit = unit_of(DAY, {NODE: Ledger(4, names), "ff" * 16: Ledger(9, ())})

    [span] = unit.spans
    assert (span.node, span.start, span.end, span.first, span.after) == (NODE, 4, 7, 40, 70)
    assert (unit.segments, unit.events, span.lost) == (3, 30, ())


def test_what_is_declared_lost_is_passed_over_and_named() -> None:
    names = tuple(named(index) for index in (5, 8))

    unit = unit_of(DAY, {NODE: Ledger(3, names, ((0, 5), (6, 8)))})

    assert (unit.spans[0].start, unit.spans[0].end) == (3, 9)
    assert unit.spans[0].lost == ((3, 5), (6, 8))


@pytest.mark.parametrize(("indexes", "missing"), [((5, 6), 4), ((4, 6), 5)])
def test_a_segment_that_is_missing_holds_the_unit_up(
    indexes: tuple[int, ...], missing: int
) -> None:
    ledger = Ledger(4, tuple(named(index) for index in indexes))

    with pytest.raises(HoleError, match=f"segment {missing} of node {NODE} is not held"):
        unit_of(DAY, {NODE: ledger})


def test_two_segments_for_one_place_hold_the_unit_up() -> None:
    with pytest.raises(HoleError, match="claim one place"):
        unit_of(DAY, {NODE: Ledger(4, (named(4), named(4, START + 2)))})
