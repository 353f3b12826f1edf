"""Every way in that is measured brings all its events in; else its cost is that of nothing."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bench import receivers
from bench.events import make_pool
from bench.plan import QUICK, Ground
from bench.processes import choose_cores

pytestmark = pytest.mark.slow
EVENTS = 1_000
PLAN = replace(QUICK, receivers_events=EVENTS)
WAYS = ("JSON, an array", "NDJSON, zstd", "`holdfast send`, standard input")


@pytest.mark.parametrize("name", [*WAYS, "`holdfast import`, CloudTrail"])
def test_all_that_a_way_sends_is_found(tmp_path: Path, name: str) -> None:
    ground = Ground(PLAN, choose_cores(), tmp_path, None, make_pool(1), Random(1))

    run = receivers._run(ground, receivers.WAYS[name])  # raises unless all is found

    assert run.rate > 0 and run.sender_us > 0
    assert 50 < run.sent_bytes < 1_000
