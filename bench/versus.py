"""`python -m bench.versus COMMIT`: what an event costs here, and at another commit.

Two checkouts of this project, measured by one client in one run: each round has both sides, in
turns of who is first, so that whatever else the machine does meanwhile falls on both. Told are the
medians, and the ratio of the CPU times; a machine that is shared says little else.
"""

import argparse
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final

from bench import load, server
from bench.events import make_pool
from bench.plan import BATCH_CONNECTIONS, FULL, SINGLE_CONNECTIONS, Ground, say
from bench.processes import choose_cores
from bench.report import median, spread
from bench.throughput import LOAD_S_MAX, WARM_EVENTS, Way

ROOT: Final = Path(__file__).resolve().parents[1]
IDLE_S: Final = 20

Runs = list[tuple[float, float]]  # CPU in µs an event until it is found, events a second


def main() -> None:
    options = _options()
    ways = {
        "batches": Way(load.batches, BATCH_CONNECTIONS, options.batch_events),
        "singles": Way(load.singles, SINGLE_CONNECTIONS, options.single_events),
    }
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.client})
    directory = Path(mkdtemp(prefix="holdfast-versus-", dir=options.directory))
    try:
        with _checkout(options.commit, directory / "source") as other:
            random = Random(options.seed)
            ground = Ground(FULL, cores, directory, None, make_pool(options.seed), random)
            for name in options.ways or ways:
                _compare(ground, name, ways[name], (ROOT, other), options.rounds)
    finally:
        rmtree(directory, ignore_errors=True)


def _compare(ground: Ground, name: str, way: Way, sources: tuple[Path, Path], rounds: int) -> None:
    ours: Runs = []
    theirs: Runs = []
    sides = [(ours, sources[0]), (theirs, sources[1])]
    for round_ in range(rounds):
        for runs, source in sides:
            runs.append(_run(ground, way, source))
        sides.reverse()
        say(
            f"  round {round_ + 1}, {name}: {ours[-1][0]:.1f} here, {theirs[-1][0]:.1f} there; "
            f"{ours[-1][1]:,.0f}/s here, {theirs[-1][1]:,.0f}/s there"
        )
    for where, runs in (("here", ours), ("there", theirs)):
        cpu, rates = zip(*runs, strict=True)
        print(f"{name}, {where}: {spread(cpu)} µs of CPU an event, {spread(rates, 0)}/s")
    ratios = [its / own for (own, _), (its, _) in zip(ours, theirs, strict=True)]
    ratio = median([cpu for cpu, _ in theirs]) / median([cpu for cpu, _ in ours])
    print(f"{name}: {ratio:.2f} x the events per CPU second, rounds {spread(ratios, 2)}")


def _run(ground: Ground, way: Way, source: Path) -> tuple[float, float]:
    """Found a trail, warm up, load it, and wait until all is found."""
    with (
        ground.folder("versus") as folder,
        server.running(folder / "data", ground.cores.side, source=source) as running,
        load.Client(running.port, way.connections) as client,
    ):
        requests = way.requests(ground.stream())
        warm = client.closed(requests, WARM_EVENTS, LOAD_S_MAX)
        running.wait_found(*warm.last)
        before_us = running.side.wait_idle(IDLE_S)
        loaded = client.closed(requests, way.events, LOAD_S_MAX)
        running.wait_found(*loaded.last)
        return (running.side.cpu_us() - before_us) / loaded.events, loaded.rate


@contextmanager
def _checkout(commit: str, folder: Path) -> Iterator[Path]:
    """The project as it was, while this lasts."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.versus", description=__doc__)
    parser.add_argument("commit", help="what to compare this checkout with")
    parser.add_argument("ways", nargs="*", choices=[[], "batches", "singles"], metavar="WAY")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-events", type=int, default=FULL.batch_events)
    parser.add_argument("--single-events", type=int, default=FULL.single_events)
    parser.add_argument("--seed", type=int, default=1, help="of the events")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="a real disk")
    return parser.parse_args()


if __name__ == "__main__":
    main()
