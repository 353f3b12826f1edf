"""Counting regions and votes."""

import itertools

from holdfast.write.quorum import Tally, decide_close


def test_a_segment_is_acknowledged_when_w_distinct_regions_count() -> None:
    tally = Tally(quorum=2, size=0)

    tally.count(0, "a")
    tally.count(0, "a")
    before = tally.acknowledged_size
    tally.count(0, "c")

    assert before == 0
    assert tally.acknowledged_size == 1
    assert tally.take(0) == ("a", "c")


def test_segments_are_acknowledged_in_the_order_of_the_ledger() -> None:
    tally = Tally(quorum=2, size=7)

    for region in ("a", "b"):
        tally.count(8, region)
    before = tally.acknowledged_size
    for region in ("b", "c"):
        tally.count(7, region)

    assert before == 7
    assert tally.acknowledged_size == 9


def test_a_late_count_changes_nothing() -> None:
    tally = Tally(quorum=1, size=3)

    tally.count(2, "a")

    assert tally.acknowledged_size == 3


def test_votes_decide_once_and_never_turn() -> None:
    for stores in range(1, 6):
        for votes in itertools.product([None, 0, 1, 2], repeat=stores):
            cast = [vote for vote in votes if vote is not None]
            now = decide_close(cast, stores)

            for later in (0, 1, 2):
                if now is not None and len(cast) < stores:
                    assert decide_close([*cast, later], stores) == now


def test_all_votes_split_decide_for_the_largest() -> None:
    assert decide_close([1, 2, 3], 3) == 3
    assert decide_close([1, 2], 3) is None
    assert decide_close([2, 2], 3) == 2
    assert decide_close([1, 1, 2, 2], 4) == 2
