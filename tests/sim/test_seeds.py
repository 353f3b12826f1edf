"""Worlds in which everything fails, a seed each. `make sim SEED=n` shows what happened in one."""

import os
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest

from tests.sim.run import run_seed
from tests.sim.stories import STORIES

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "src" / "holdfast"
RULES = {  # modules that a world cannot do without
    "archive": "archivist due give leaves make plan sweep whole",
    "retention": "expire holds look plan",
    "keep": "drift keeper late lost objects repair survey",
    "proof": "fields ledger merkle names note statements tenants",
    "read": "follow ledgers listings memory notes shown watermark",
    "regions": "breaker clock cookie directory disk evidence kinds layout manifests port region"
    " regions retained retaining segment sets signing whole",
    "write": "admit archived batch closing epoch identity left node pulse quorum record replicate"
    " seal stamp",
}
BLOCK = 15
BLOCKS = 6
STORY_SEEDS = 5

# Seeds that once failed, and what they found; each has its own test in the room where it was.
FOUND = {
    (70, ""): "a node that was stopped slowly saw its own fence and began the next epoch",
    (245, ""): "a keeper never repaired a region that was away when its process began",
    (6062, ""): "a birth was counted in a store that had been wiped",
    (0, "bad_memory"): "requests were never answered when their segment could not be trusted",
    (69, "disks unsynced"): "a closer voted for a segment that disks showed and had not synced",
    (32, "hole"): "a node that began again overwrote its promise, and was closed below it",
    (1795912547457, ""): "two births in a store each, and the third was replaced: never closed",
    (5, "torn"): "a reader never read a birth again that was bent on its way",
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_invariant_holds_whatever_fails(block: int) -> None:
    failed = {
        seed: problems[:3]
        for seed in range(block * BLOCK, (block + 1) * BLOCK)
        if (problems := run_seed(seed).problems)
    }

    assert failed == {}, "make sim SEED=<n> shows it"


@pytest.mark.parametrize(("seed", "only"), FOUND)
def test_what_once_failed_holds(seed: int, only: str) -> None:
    assert run_seed(seed, only=only).problems == []


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("story", STORIES)
def test_every_invariant_holds_in_a_story(story: str) -> None:
    failed = {
        seed: problems[:3]
        for seed in range(STORY_SEEDS)
        if (problems := run_seed(seed, only=story).problems)
    }

    assert failed == {}


def test_a_seed_has_one_trace_whatever_python_hashes() -> None:
    script = (
        "from tests.sim.run import run_seed\n"
        "print([run_seed(seed, traced=True).digest for seed in range(4)])"
    )

    traces = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }

    assert len(traces) == 1
    assert len(set(eval(traces.pop()))) == 4


def test_the_code_under_test_is_the_code_that_ships() -> None:
    """Every rule that a world relies on runs in the product's own modules, from its own files."""
    ran: set[str] = set()

    def saw(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            ran.add(frame.f_code.co_filename)

    sys.setprofile(saw)
    try:
        for seed in range(4):
            run_seed(seed)
        run_seed(0, only="expired")
    finally:
        sys.setprofile(None)

    rules = {SHIPPED / room / f"{name}.py" for room in RULES for name in RULES[room].split()}
    assert rules <= {Path(name) for name in ran}
    strangers = {
        name
        for name, module in sys.modules.items()
        if name.split(".")[0] == "holdfast"
        and not Path(module.__file__ or "").is_relative_to(SHIPPED)
    }
    assert strangers == set()
