"""Ranges of indexes, against plain sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.read import shown

INDEXES = st.sets(st.integers(0, 40))


def members(ranges: shown.Ranges) -> set[int]:
    return {index for start, end in ranges for index in range(start, end)}


@given(INDEXES)
def test_ranges_hold_exactly_their_indexes_and_none_touch(some: set[int]) -> None:
    ranges = shown.of_indexes(some)

    assert members(ranges) == some
    assert shown.count(ranges) == len(some)
    assert all(end < start for (_, end), (start, _) in pairwise(ranges))


@given(INDEXES, INDEXES)
def test_union_and_difference_are_those_of_sets(one: set[int], other: set[int]) -> None:
    left, right = shown.of_indexes(one), shown.of_indexes(other)

    assert shown.union(left, right) == shown.of_indexes(one | other)
    assert shown.minus(left, right) == shown.of_indexes(one - other)
