"""What listings say, laid side by side."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.keep.drift import Extent, Missing, compare
from holdfast.proof.names import SegmentName
from holdfast.regions import layout

NODE = "7" * 32


def key(index: int, epoch: int = 1) -> str:
    name = SegmentName(index, epoch, index, 1, 1, index + 1, bytes(32), bytes(32))
    return layout.segment_key(NODE, name)


def listing(*indexes: int, epoch: int = 1) -> dict[str, int]:
    return {key(index, epoch): 100 for index in indexes}


@given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)), st.integers(0, 12))
def test_missing_is_exactly_what_no_listing_shows_below_the_extent(
    a: set[int], b: set[int], size: int
) -> None:
    held = {"a": listing(*a), "b": listing(*b)}

    drift = compare(held, {(NODE, 1): Extent(0, size, False)}, {NODE: 0}, {}, {})

    missing = [i for each in drift.missing for i in range(each.start, each.end)]
    assert missing == sorted(set(range(size)) - a - b)
    ends = [(each.start, each.end) for each in drift.missing]
    assert all(end < start for (_, end), (start, _) in pairwise(ends))


def test_what_was_not_listed_is_not_missing() -> None:
    drift = compare({"a": listing(5)}, {(NODE, 1): Extent(0, 6, False)}, {NODE: 5}, {}, {})

    assert drift.missing == ()


def test_an_orphan_does_not_stand_in_for_the_segment_that_must_be_there() -> None:
    extents = {(NODE, 1): Extent(0, 1, True), (NODE, 2): Extent(1, 2, False)}
    held = {"a": listing(0, 1)}

    drift = compare(held, extents, {NODE: 0}, {}, {})

    assert drift.orphans == (key(1),)
    assert drift.missing == (Missing(NODE, 1, 2),)


def test_a_segment_before_the_base_of_its_epoch_is_an_orphan() -> None:
    extents = {(NODE, 1): Extent(0, 2, True), (NODE, 2): Extent(2, 3, False)}
    held = {"a": listing(0, 1) | listing(1, epoch=2), "b": listing(0, 1) | listing(2, epoch=2)}

    drift = compare(held, extents, {NODE: 0}, {}, {})

    assert drift.orphans == (key(1, epoch=2),)
    assert [lack.key for lack in drift.lacks] == [key(2, epoch=2)]


def test_copies_of_different_sizes_or_of_none_are_suspect() -> None:
    held = {"a": listing(0, 1) | {key(2): 0}, "b": listing(0) | {key(1): 99, key(2): 0}}

    drift = compare(held, {(NODE, 1): Extent(0, 3, False)}, {NODE: 0}, {}, {})

    assert [suspect.key for suspect in drift.suspects] == [key(1), key(2)]
    assert drift.suspects[0].holders == ("a", "b")


def test_what_is_declared_lost_is_not_missing_and_what_lies_beside_it_is() -> None:
    extents = {(NODE, 1): Extent(0, 9, False)}

    drift = compare({"a": listing(0, 4)}, extents, {NODE: 0}, {NODE: ((1, 3), (5, 6), (8, 12))}, {})

    assert drift.missing == (Missing(NODE, 3, 4), Missing(NODE, 6, 8))


def test_a_segment_of_a_gap_that_one_region_lists_is_lacking_in_the_others_and_marked() -> None:
    held = {"a": listing(0, 1), "b": listing(0)}

    drift = compare(held, {(NODE, 1): Extent(0, 2, False)}, {NODE: 0}, {NODE: ((1, 2),)}, {})

    assert [(lack.key, lack.is_lost) for lack in drift.lacks] == [(key(1), True)]
