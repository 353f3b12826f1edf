"""The bench's trail for searches is one, and whoever is asked about it answers the same."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from bench import lookups
from bench.events import make_pool
from bench.folded import layout
from bench.plan import QUICK, Ground
from bench.processes import choose_cores
from holdfast.read.shelf import FOLD_EVENTS_MAX


@pytest.mark.parametrize("events", [20_000, 40_000, 1_000_000])
def test_a_trails_shares_lie_behind_each_other(events: int) -> None:
    shares = layout(events, 1, 10**15, lookups.DAY_US, 10)

    assert sum(share.events for share in shares) == events
    assert all(share.events <= FOLD_EVENTS_MAX for share in shares)
    assert all(one.first + one.events == next.first for one, next in pairwise(shares))
    assert all(one.start_us < next.start_us for one, next in pairwise(shares))


@pytest.mark.slow
def test_every_question_is_answered_alike_and_timed(tmp_path: Path) -> None:
    plan = replace(QUICK, lookups_events=20_000, lookups_few=10_000, lookups_load_s=1)
    pool = make_pool(1, batches=1)

    part = lookups.measure(Ground(plan, choose_cores(), tmp_path, None, pool, Random(1)))

    asked = [finding.name for finding in part.findings]
    assert all(any(one.name in name for name in asked) for one in lookups.QUESTIONS)
    assert all(finding.value for finding in part.findings)
