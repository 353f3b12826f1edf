"""The bench's trail for searches is one, and whoever is asked about it answers the same."""

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from bench import lookups
from bench.asked import Asked
from bench.folded import DAY_US, Day, layout, make_fold, write_segments
from holdfast.read.shelf import FOLD_EVENTS_MAX


@pytest.mark.parametrize("events", [20_000, 40_000, 1_000_000])
def test_a_trails_shares_lie_behind_each_other(events: int) -> None:
    shares = layout(events, 1, 10**15, DAY_US, 10)

    assert sum(share.events for share in shares) == events
    assert all(share.events <= FOLD_EVENTS_MAX for share in shares)
    assert all(one.first + one.events == next.first for one, next in pairwise(shares))
    assert all(one.start_us < next.start_us for one, next in pairwise(shares))


@pytest.mark.slow
def test_every_question_is_answered_alike_and_timed(tmp_path: Path) -> None:
    shares = layout(11_000, 1, 10**15, DAY_US, 10)
    folded = [make_fold(share, tmp_path) for share in shares]
    day = Day(shares, folded, write_segments(shares[-1], tmp_path), 10**15)
    trail = lookups.trail_of(day, 1_000, Random(1))
    asked: dict[str, Asked] = {lookups.OURS: trail.ours, lookups.DUCKDB: trail.duck}

    arms = lookups.ask(asked, trail, Random(1), lambda: False, 1)

    assert {question for question, _ in arms} == {one.name for one in lookups.QUESTIONS}
    assert all(arm.took_ms for arm in arms.values())
