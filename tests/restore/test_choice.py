"""Which day of which region is restored next."""

from collections import Counter

from holdfast.regions.units import DAY_US, start_us
from holdfast.restore.choice import Known, Tried, choose, days_of, oldest_us

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
IDS = ("a", "b", "c")
TRIED: Known = {
    id: {day: Tried(100 + 10 * at + n, 100 + n) for n, day in enumerate(DAYS)}
    for at, id in enumerate(IDS)
}


def test_where_there_is_no_day_or_no_region_nothing_is_chosen() -> None:
    assert choose((), IDS, {}, 7) is None
    assert choose(DAYS, (), {}, 7) is None


def test_a_third_falls_to_what_failed_a_third_to_what_waited_longest_the_rest_to_any() -> None:
    known = {**TRIED, "b": {**TRIED["b"], DAYS[1]: Tried(999, 5, why="rotten")}}

    chosen = Counter(choose(DAYS, IDS, known, draw) for draw in range(900))

    assert chosen["b", DAYS[1]] == 300 + 33 or chosen["b", DAYS[1]] == 300 + 34
    assert chosen["a", DAYS[0]] >= 300 + 33
    assert min(chosen.values()) >= 33 and len(chosen) == 9


def test_what_was_never_tried_has_waited_longest() -> None:
    known = {**TRIED, "c": {DAYS[0]: Tried(1, 1)}}

    assert {choose(DAYS, IDS, known, draw) for draw in range(1, 90, 3)} == {
        ("c", DAYS[1]),
        ("c", DAYS[2]),
    }


def test_days_are_those_between_two_times_both_of_them_too() -> None:
    first, last = start_us(DAYS[0]) + DAY_US - 1, start_us(DAYS[2])

    assert days_of(first, last) == DAYS
    assert days_of(first, first) == DAYS[:1]


def test_a_day_waits_from_its_end_or_from_when_restoring_began() -> None:
    ends = [start_us(day) + DAY_US for day in DAYS]
    good = {DAYS[0]: Tried(ends[2] + 9, ends[2] + 9)}

    assert oldest_us(DAYS, {}, 0) == ends[0]
    assert oldest_us(DAYS, {}, ends[1] + 5) == ends[1] + 5
    assert oldest_us(DAYS, good, 0) == ends[1]
    assert oldest_us((), good, 0) is None
