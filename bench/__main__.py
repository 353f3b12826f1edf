"""`python -m bench [PART ...]`: measure, print the tables, keep the figures as JSON."""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from bench import growth, latency, postgres, searching, throughput
from bench.events import make_pool
from bench.parts import PARTS
from bench.plan import FULL, QUICK, Ground, say
from bench.processes import choose_cores
from bench.report import (
    Finding,
    arms_table,
    as_json,
    findings_table,
    median,
    surroundings,
)

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """0: measured, whatever the verdicts; 1: something could not be measured as it should."""
    options = _options()
    # So that whatever was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cores = choose_cores()
    if cores.side == cores.client:
        say("ONE CORE ONLY: the client shares it with what is measured")
    os.sched_setaffinity(0, {cores.client})
    binaries = postgres.find_binaries()
    if binaries is None:
        say("POSTGRESQL IS NOT INSTALLED: nothing is measured against it")
    # Not /tmp, which may lie in memory, where fsync means nothing.
    directory = Path(mkdtemp(prefix="holdfast-bench-", dir=options.directory))
    directory.chmod(0o755)  # the user that runs PostgreSQL must be able to enter
    plan = QUICK if options.quick else FULL
    begin = time.monotonic()
    try:
        pool = make_pool(options.seed)
        ground = Ground(plan, cores, directory, binaries, pool, Random(options.seed))
        for name in options.parts:
            _run(name, ground)
        if not options.parts:
            _measure(ground, options.json)
    finally:
        rmtree(directory, ignore_errors=True)
    say(f"took {time.monotonic() - begin:.0f} s")
    return 0


def _run(name: str, ground: Ground) -> None:
    """One part; the rest has no name yet."""
    say(name)
    part = PARTS[name](ground)
    around = surroundings(ground.directory, "")
    for table in part.tables:
        print(f"\n{table.title}")
        for row in (table.head, *table.rows):
            print(" | ".join(row))
    print("\n" + findings_table(part.findings))
    kept = {"surroundings": around, "plan": asdict(ground.plan), "part": asdict(part)}
    _keep(None, name, json.dumps(kept, indent=1) + "\n")


def _measure(ground: Ground, path: Path | None) -> None:
    say("CPU and bytes an event")
    arms, version = throughput.measure(ground)
    found: list[Finding] = throughput.findings(arms)
    peak_batches = median([sample.rate for sample in arms[throughput.BATCH]])
    peak_singles = median([sample.rate for sample in arms[throughput.SINGLE]])
    say("latency")
    found += latency.measure(ground, peak_batches, peak_singles)
    say("search while events come in")
    searched, more = searching.measure(ground, peak_batches)
    found += searched
    say("ten times the segments")
    grown, growing = growth.measure(ground)
    found += grown
    around = surroundings(ground.directory, version)
    _keep(
        path,
        around["when"],
        as_json(ground.plan, around, arms, found, {"search": more, "growth": growing}),
    )
    print("\n" + ", ".join(f"{key} {value}" for key, value in around.items() if value))
    print("\n" + arms_table(arms))
    print("\n" + findings_table(found))


def _keep(path: Path | None, when: str, text: str) -> None:
    target = path or RESULTS / f"{when.replace(':', '')}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    say(f"figures: {target}")


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean little")
    parser.add_argument("--seed", type=int, default=1, help="of the events and of every order")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("/var/tmp"),
        help="where both sides keep their data meanwhile; a real disk",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
