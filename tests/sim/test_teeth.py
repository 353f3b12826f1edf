"""The product with one rule left out is caught: a simulation that finds nothing proves nothing."""

import sys

import pytest

from tests.sim.run import run_seed
from tests.sim.teeth import TEETH, search

SEARCH = 40  # from the known seed on: a change of the script moves what a seed draws


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("rule", TEETH)
def test_a_build_without_the_rule_is_caught(rule: str) -> None:
    tooth = TEETH[rule]

    found = search(rule, tooth.seed, SEARCH)

    sys.stdout.write(f"{rule}: {found.tried} seeds from {tooth.seed} on, {found.problems}\n")
    assert found.seed is not None, "no world noticed"
    assert run_seed(found.seed, only=tooth.only).problems == []
