"""`python -m tests.sim replay SEED` and `python -m tests.sim soak MINUTES [FROM]`."""

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.sim.run import Outcome, run_seed

CHUNK = 20


def main(arguments: list[str]) -> int:
    match arguments:
        case ["replay", seed]:
            return replay(int(seed))
        case ["soak", minutes]:
            return soak(float(minutes), int(time.time()) * 1000)
        case ["soak", minutes, first]:
            return soak(float(minutes), int(first))
    say(__doc__ or "")
    return 2


def replay(seed: int) -> int:
    """Print the whole trace of a seed."""
    outcome = run_seed(seed, traced=True)
    say("\n".join(outcome.trace))
    say(f"\nseed {seed}: {outcome.events} events, {outcome.restarts} processes, trace", end=" ")
    say(outcome.digest[:16])
    for problem in outcome.problems:
        say(f"  {problem}")
    say("all invariants hold" if not outcome.problems else "FAILED")
    return 1 if outcome.problems else 0


def soak(minutes: float, first: int) -> int:
    """Search for failing seeds on all cores; the exit status says whether there was any."""
    begun = time.monotonic()
    total: Counter[str] = Counter()
    failed: list[int] = []
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=50) as pool:
        chunks = (range(at, at + CHUNK) for at in _forever(first, begun + minutes * 60))
        for outcomes in pool.imap_unordered(_run_some, chunks):
            for outcome in outcomes:
                _count(total, outcome)
                if outcome.problems:
                    failed.append(outcome.seed)
                    say(f"\nseed {outcome.seed} failed: {outcome.problems[0]}")
                    say(f"  make sim SEED={outcome.seed}")
            seconds = time.monotonic() - begun
            rate = total["seeds"] / seconds
            told = " ".join(f"{count} {name}" for name, count in sorted(total.items()))
            say(f"\r{seconds / 60:.1f} of {minutes:g} min: {told}, {rate:.1f} seeds/s", end="")
    say(f"\n{len(failed)} failing seeds: {' '.join(map(str, failed))}")
    return 1 if failed else 0


def _forever(first: int, until: float) -> Iterator[int]:
    at = first
    while time.monotonic() < until:
        yield at
        at += CHUNK


def _run_some(seeds: range) -> list[Outcome]:
    return [run_seed(seed) for seed in seeds]


def _count(total: Counter[str], outcome: Outcome) -> None:
    total["seeds"] += 1
    total["events"] += outcome.events
    total["processes"] += outcome.restarts
    total["faults"] += sum(outcome.faults.values())


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
