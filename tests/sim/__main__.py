"""`python -m tests.sim replay SEED [WORDS]`, `python -m tests.sim soak MINUTES [FROM]` and
`python -m tests.sim teeth`. WORDS: what the world is made of, see `World`."""

import itertools
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

from tests.sim.run import Outcome, run_seed, run_seeds
from tests.sim.teeth import TEETH, search

CHUNK = 20
TEETH_SEEDS_MAX = 300


def main(arguments: list[str]) -> int:
    match arguments:
        case ["replay", seed, *words]:
            return replay(int(seed), " ".join(words))
        case ["teeth"]:
            return teeth()
        case ["soak", minutes]:
            return soak(float(minutes), int(time.time()) * 1000)
        case ["soak", minutes, first]:
            return soak(float(minutes), int(first))
    say(__doc__ or "")
    return 2


def teeth() -> int:
    """Leave out one rule after the other; print how many seeds it took until a world noticed."""
    begun = time.monotonic()
    missed = 0
    say(f"{'rule left out':60} seeds  what was noticed")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        searches = pool.map(lambda rule: search(rule, 0, TEETH_SEEDS_MAX), TEETH)
        for rule, found in zip(TEETH, searches, strict=True):
            missed += found.seed is None
            noticed = found.problems[0] if found.problems else "NOTHING"
            say(f"{rule:60} {found.tried:5}  {noticed}")
    say(f"{len(TEETH)} rules, {missed} missed, {time.monotonic() - begun:.0f} s")
    return 1 if missed else 0


def replay(seed: int, only: str) -> int:
    """Print the whole trace of a seed."""
    outcome = run_seed(seed, traced=True, only=only)
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
        # The pool would take every chunk at once: it is given as many as it is about to work on.
        turns = Semaphore(2 * (os.cpu_count() or 1))
        chunks = _chunks(first, begun + minutes * 60, turns)
        for outcomes in pool.imap_unordered(run_seeds, chunks):
            turns.release()
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


def _chunks(first: int, until: float, turns: Semaphore) -> Iterator[range]:
    for at in itertools.count(first, CHUNK):
        turns.acquire()
        if time.monotonic() >= until:
            return
        yield range(at, at + CHUNK)


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
