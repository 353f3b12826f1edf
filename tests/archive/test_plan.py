"""Which segments make up a unit: whole days, hours of large ones, nothing that is missing."""

import pytest

from holdfast.archive import plan
from holdfast.archive.plan import HoleError, Ledger, unit_of, windows
from holdfast.proof.names import SegmentName
from holdfast.regions import units
from holdfast.regions.units import DAY_US, HOUR_US

DAY = "2026-03-01"
START = units.start_us(DAY)
NODE = "5c" * 16


def named(index: int, sealed_us: int = START + 1) -> SegmentName:
    return SegmentName(index, 1, 10 * index, 10, 1, sealed_us, bytes(32), bytes(32))


def test_a_day_is_one_unit_up_to_so_many_segments_and_events() -> None:
    whole = ((DAY, START + DAY_US),)

    assert windows(DAY, 0, 0) == whole
    assert windows(DAY, plan.UNIT_SEGMENTS_MAX, plan.UNIT_EVENTS_MAX) == whole


@pytest.mark.parametrize("more", [(1, 0), (0, 1)])
def test_a_larger_day_is_cut_into_its_hours(more: tuple[int, int]) -> None:
    found = windows(DAY, plan.UNIT_SEGMENTS_MAX + more[0], plan.UNIT_EVENTS_MAX + more[1])

    assert len(found) == 24
    assert found[0] == ("2026-03-01t00", START + HOUR_US)
    assert found[23] == ("2026-03-01t23", START + DAY_US)


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
