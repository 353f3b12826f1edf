"""`python -m bench.workers`: what one server takes in with one, two, ... workers, on all cores.

One client, bounded in connections and events, sends batches; it shares the cores with the server,
as does whatever else runs here. So arms alternate in an order drawn for each round, what is told is
their ratio within a round, and beside the rate stands what no other program changes much: the CPU
that an event costs the writers, the reading process and the client.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

from bench import load, server
from bench.events import Pool, Stream, make_pool
from bench.plan import say
from bench.processes import cpu_us_of, machine_busy_us
from bench.report import median, surroundings

CONNECTIONS: Final = {"batches": 32, "singles": 512}
WARM_EVENTS: Final = 10_000
SECONDS_MAX: Final = 120


@dataclass(frozen=True)
class Run:
    """One arm in one round. CPU in µs an event; others_cores: that programs beside had meanwhile.

    evenness: what the least busy writer took in, of what the busiest did.
    """

    workers: int
    rate: float
    ack_p50_ms: float
    writers_us: float
    reading_us: float
    client_us: float
    others_cores: float
    evenness: float


def measure(options: argparse.Namespace, pool: Pool, directory: Path, workers: int) -> Run:
    """Found a trail, load it, and wait until all of it is found."""
    kind, events = options.kind, options.events
    way = load.batches if kind == "batches" else load.singles
    cores = os.sched_getaffinity(0)
    data = directory / "run" / "data"
    data.parent.mkdir()
    with server.running(data, cores, {"workers": workers}) as running:
        pids = _pids(running.side.log.read_text(), running.side.pid)
        requests = way(Stream(pool, options.seed, int(time.time() * 1e6), 10.0))
        with load.Client(running.port, CONNECTIONS[kind]) as client:
            warm = client.closed(requests, WARM_EVENTS, SECONDS_MAX)
            running.wait_found(*warm.last)
            running.side.wait_idle(20)
            busy_us, own_us = machine_busy_us(), time.process_time() * 1e6
            whole_us, reading_us = running.side.cpu_us(), cpu_us_of(pids["reading"])
            loaded = client.closed(requests, events, SECONDS_MAX)
            own_us = time.process_time() * 1e6 - own_us
        running.wait_found(*loaded.last)
        reading_us = cpu_us_of(pids["reading"]) - reading_us
        whole_us = running.side.cpu_us() - whole_us
        busy_us = machine_busy_us() - busy_us
        taken = [node["events"] for node in running.ask("/v1/status")["nodes"]]
        if running.count() != WARM_EVENTS + loaded.events:
            raise RuntimeError("what is found is not what was acknowledged")
    rmtree(data.parent)
    count = loaded.events
    writers_us = whole_us - reading_us if workers > 1 else whole_us
    return Run(
        workers=workers,
        rate=loaded.rate,
        ack_p50_ms=median(loaded.ack_ms),
        writers_us=writers_us / count,
        reading_us=(reading_us if workers > 1 else 0) / count,
        client_us=own_us / count,
        others_cores=max(0.0, (busy_us - whole_us - own_us) / loaded.seconds / 1e6),
        evenness=min(taken) / max(taken),
    )


def _pids(log: str, pid: int) -> dict[str, int]:
    """The server's processes by name; with one worker one is all of them."""
    told = re.findall(r"\] (reading|writer \d+) is process (\d+)", log)
    return {"reading": pid} | {name: int(number) for name, number in told}


def table(runs: list[Run]) -> str:
    """Medians with ranges, and the ratio to one worker within each round."""
    lines = [
        "| workers | events/s | of one worker's | ack p50 | CPU µs/event: writers | reading | "
        "client | evenness | cores that others had |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    base = [run.rate for run in runs if run.workers == 1]
    for workers in sorted({run.workers for run in runs}):
        own = [run for run in runs if run.workers == workers]
        ratios = [run.rate / one for run, one in zip(own, base, strict=True)]
        cells = [
            str(workers),
            _range([run.rate for run in own], ",.0f"),
            _range(ratios, ".2f"),
            _range([run.ack_p50_ms for run in own], ".0f") + " ms",
            _range([run.writers_us for run in own], ".1f"),
            _range([run.reading_us for run in own], ".1f"),
            _range([run.client_us for run in own], ".1f"),
            _range([run.evenness for run in own], ".2f"),
            _range([run.others_cores for run in own], ".1f"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _range(values: list[float], shape: str) -> str:
    return f"{median(values):{shape}} [{min(values):{shape}}-{max(values):{shape}}]"


def main() -> int:
    """0: measured."""
    options = _options()
    # So that whatever was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = Path(mkdtemp(prefix="holdfast-bench-", dir=options.directory))
    random, runs = Random(options.seed), []
    try:
        pool = make_pool(options.seed)
        for round_ in range(options.rounds):
            for workers in random.sample(options.workers, len(options.workers)):
                run = measure(options, pool, directory, workers)
                runs.append(run)
                say(
                    f"  round {round_ + 1}, {workers} workers: {run.rate:,.0f}/s, CPU of writers "
                    f"{run.writers_us:.1f}, reading {run.reading_us:.1f}, client "
                    f"{run.client_us:.1f} µs/event; others had {run.others_cores:.1f} cores"
                )
        around = surroundings(directory, "")
    finally:
        rmtree(directory, ignore_errors=True)
    if options.json:
        kept = {**around, "kind": options.kind, "runs": [asdict(run) for run in runs]}
        options.json.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{options.kind}, {options.events:,} events a run, {options.rounds} rounds; {around}")
    print("\n" + table(runs))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kind", choices=tuple(CONNECTIONS), default="batches")
    parser.add_argument("--events", type=int, default=300_000, help="a run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="keep every sample here")
    parser.add_argument("--directory", type=Path, default=Path(), help="on a disk of its own")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
