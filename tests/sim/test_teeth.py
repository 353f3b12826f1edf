"""The product with one rule left out is caught: a simulation that finds nothing proves nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.run import run_seed
from tests.sim.teeth import TEETH

ROOT = Path(__file__).resolve().parents[2]
SEARCH = 100  # seeds beside the known one: a change of the script moves what a seed draws


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("rule", [rule for rule in TEETH if TEETH[rule].seed is not None])
def test_a_build_without_the_rule_is_caught(rule: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.sim.teeth", rule, "0", str(SEARCH)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )

    found = json.loads(ran.stdout)
    assert found["problems"], f"{found['tried']} seeds, and none noticed"
    assert run_seed(found["seed"], only=TEETH[rule].only).problems == []
