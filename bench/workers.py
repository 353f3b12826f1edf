"""What one server takes in with one writer, and with two, on all cores.

One client, bounded in connections and events, sends batches; it shares the cores with the server,
as does whatever else runs here. So arms alternate in an order drawn for each round, what is told is
their ratio within a round, and beside the rate stands what no other program changes much: the CPU
that an event costs the writers, the reading process and the client.
"""

import os
import re
import time
from dataclasses import asdict, dataclass
from typing import Final

from bench import load, server
from bench.plan import Ground, say
from bench.processes import cpu_us_of, machine_busy_us, pinned
from bench.report import Part, Table, median, spread

WORKERS: Final = (1, 2)
CONNECTIONS: Final = 32
WARM_EVENTS: Final = 10_000
SECONDS_MAX: Final = 120
HEAD: Final = (
    *("workers", "events/s", "of one worker's", "ack p50 ms", "CPU µs/event: writers", "reading"),
    *("client", "evenness", "cores that others had"),
)


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


def measure(ground: Ground) -> Part:
    """Takes about three minutes."""
    runs: list[Run] = []
    with pinned(ground.cores.all):
        for round_ in range(ground.plan.workers_rounds):
            for workers in ground.random.sample(WORKERS, len(WORKERS)):
                run = _run(ground, workers)
                runs.append(run)
                say(
                    f"  round {round_ + 1}, {workers} workers: {run.rate:,.0f}/s, CPU of writers "
                    f"{run.writers_us:.1f}, reading {run.reading_us:.1f}, client "
                    f"{run.client_us:.1f} µs/event; others had {run.others_cores:.1f} cores"
                )
    return Part("workers", (_table(runs),), (), [asdict(run) for run in runs])


def _run(ground: Ground, workers: int) -> Run:
    """Found a trail, load it, and wait until all of it is found."""
    events, cores = ground.plan.workers_events, os.sched_getaffinity(0)
    with (
        ground.folder("workers") as folder,
        server.running(folder / "data", cores, {"workers": workers}) as running,
    ):
        pids = _pids(running.side.log.read_text(), running.side.pid)
        requests = load.batches(ground.stream())
        with load.Client(running.port, CONNECTIONS) as client:
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


def _table(runs: list[Run]) -> Table:
    """Medians with ranges, and the ratio to one worker within each round."""
    rows = []
    base = [run.rate for run in runs if run.workers == 1]
    for workers in WORKERS:
        own = [run for run in runs if run.workers == workers]
        ratios = [run.rate / one for run, one in zip(own, base, strict=True)]
        rows.append(
            (
                str(workers),
                spread([run.rate for run in own], 0),
                spread(ratios, 2),
                spread([run.ack_p50_ms for run in own], 0),
                spread([run.writers_us for run in own]),
                spread([run.reading_us for run in own]),
                spread([run.client_us for run in own]),
                spread([run.evenness for run in own], 2),
                spread([run.others_cores for run in own]),
            )
        )
    return Table("", HEAD, tuple(rows))
