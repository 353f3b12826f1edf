"""The watermark in a world where everything may happen, and with each of its rules left out."""

import types
from pathlib import Path

import pytest
from msgspec import Struct

from holdfast.read import watermark
from tests.read.watermark_world import Judge, Lie, World

SEEDS = 1000
STEPS = 300

# What is left out, and how: every one of these must be caught telling a lie.
MUTATIONS = {
    "promises of earlier epochs count": (
        "[promise for promise in ledger.promises if promise.epoch == last]",
        "list(ledger.promises)",
    ),
    "an epoch without a promise bounds nothing": (
        "promises += [Promise(last, started, end.size) for end in ends]",
        "promises = promises or [Promise(last, 1 << 60, 0)]",
    ),
    "a region that could not be listed counts": (
        "[look for look in view.regions if not look.unusable]",
        "list(view.regions)",
    ),
    "clocks are right": ("view.started_us - view.clock_error_us", "view.started_us"),
    "a promise counts beyond the run": ("if p.size <= walk.held.size and", "if"),
    "what is listed counts, held or not": (
        "p.size <= walk.held.size and p.epoch <= walk.held_epoch",
        "p.size <= walk.end.size and p.epoch <= walk.epoch",
    ),
    "orphans are shown": ("beyond = close is not None and", "beyond = False and"),
    "the last epoch's close need not be reached": (
        "infinite=walk.held_epoch > last > 0",
        "infinite=last in closes",
    ),
    "T may go back": ("now if through is None else max(through, now)", "now"),
    "any epoch's segment continues the run": (
        "found = places.get((self.epoch, self.end.size), ())",
        "found = [s for (e, i), some in places.items() if i == self.end.size for s in some][:1]",
    ),
}


def lies_of(judge: Judge, seeds: range) -> str:
    """What was caught, and the seed that shows it again; "" if nothing was."""
    for seed in seeds:
        world = World(seed, judge)
        try:
            world.run(STEPS)
        except Lie as lie:
            return f"seed {seed}: {lie}\n" + "\n".join(world.trace[-30:])
    return ""


def mutant(old: str, new: str) -> Judge:
    """The module with a rule left out; its classes are those of the real one."""
    text = Path(watermark.__file__).read_text(encoding="utf-8")
    assert text.count(old) == 1, "the rule is written in another way now"
    module = types.ModuleType("holdfast.read.watermark_mutant")
    exec(compile(text.replace(old, new), "mutant", "exec"), module.__dict__)
    for name, kind in vars(watermark).items():
        if isinstance(kind, type) and issubclass(kind, Struct):
            setattr(module, name, kind)
    judge: Judge = module.judge
    return judge


def test_nothing_that_is_reported_is_ever_untrue() -> None:
    assert lies_of(watermark.judge, range(SEEDS)) == ""


@pytest.mark.parametrize("rule", MUTATIONS)
def test_leaving_a_rule_out_is_caught(rule: str) -> None:
    judge = mutant(*MUTATIONS[rule])

    assert lies_of(judge, range(SEEDS)) != ""
