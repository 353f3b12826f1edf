"""The product with one rule left out is caught: a simulation that finds nothing proves nothing."""

import functools
import sys
from pathlib import Path

import pytest

from tests.sim.run import run_seed as run
from tests.sim.teeth import TEETH, search

SHIPPED = Path(__file__).parents[2] / "src" / "holdfast"
run_seed = functools.cache(run)  # several rules are noticed in one world
SEARCH = 40  # from the known seed on: a change of the script moves what a seed draws


def test_each_rule_is_written_once_and_as_its_tooth_has_it() -> None:
    parts = {
        (rule, module, old)
        for rule, tooth in TEETH.items()
        for module, old, _ in ((tooth.module, tooth.old, tooth.new), *tooth.also)
    }

    assert {
        rule
        for rule, module, old in parts
        if (SHIPPED / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8").count(old) != 1
    } == set()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("rule", TEETH)
def test_a_build_without_the_rule_is_caught(rule: str) -> None:
    tooth = TEETH[rule]

    found = search(rule, tooth.seed, SEARCH)

    sys.stdout.write(f"{rule}: {found.tried} seeds from {tooth.seed} on, {found.problems}\n")
    assert found.seed is not None, "no world noticed"
    assert run_seed(found.seed, only=tooth.only).problems == []
