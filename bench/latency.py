"""From sending an event until the server has said that it is safe."""

import time
from typing import Final

from bench import load, server
from bench.events import BATCH_EVENTS, Stream
from bench.plan import BATCH_CONNECTIONS, SINGLE_CONNECTIONS, Ground, say
from bench.report import Finding, median

SEAL_INTERVAL_MS: Final = 50  # the default for directories
ALLOWED_MS: Final = 15
PAUSE_S: Final = 0.4  # many seal intervals
WARM_S: Final = 2


def measure(ground: Ground, peak_batches: float, peak_singles: float) -> list[Finding]:
    """At half of each peak (events a second), and one event alone."""
    plan = ground.plan
    with (
        ground.folder("latency") as folder,
        server.running(folder / "data", ground.cores.side) as running,
    ):
        with load.Client(running.port, BATCH_CONNECTIONS) as client:
            batches = _paced(client, load.batches, ground, peak_batches / 2)
        running.side.wait_idle(plan.settle_s)
        with load.Client(running.port, SINGLE_CONNECTIONS) as client:
            singles = _paced(client, load.singles, ground, peak_singles / 2)
        running.side.wait_idle(plan.settle_s)
        with load.Client(running.port, 1) as client:
            lone = _lone(client, ground.stream(), plan.lone_events)
    limit = SEAL_INTERVAL_MS + ALLOWED_MS
    say(
        f"  p50 of acks: batches {median(batches.ack_ms):.1f} ms at {batches.rate:,.0f}/s, "
        f"single {median(singles.ack_ms):.1f} ms at {singles.rate:,.0f}/s, "
        f"alone {median(lone):.1f} ms"
    )
    return [
        Finding(
            f"ack p50, {name} at half of the peak",
            median(loaded.ack_ms),
            limit,
            "ms",
            note=f"{loaded.rate:,.0f} events/s, p99 {_quantile(loaded.ack_ms, 0.99):.0f} ms",
        )
        for name, loaded in (("batches", batches), ("single events", singles))
    ] + [
        Finding(
            "ack p50, one event after a pause",
            median(lone),
            ALLOWED_MS,
            "ms",
            note=f"{len(lone)} events, the slowest {max(lone):.0f} ms",
        )
    ]


def _paced(client: load.Client, way: load.Way, ground: Ground, rate: float) -> load.Loaded:
    requests = way(ground.stream(step_us=1_000_000 / rate))
    client.paced(requests, rate, WARM_S)
    loaded = client.paced(requests, rate, ground.plan.latency_s)
    if set(loaded.statuses) != {201}:
        raise RuntimeError(f"at half of the peak not everything was taken: {loaded.statuses}")
    return loaded


def _lone(client: load.Client, stream: Stream, count: int) -> list[float]:
    found: list[float] = []
    requests = load.singles(stream)
    for _ in range(count + 1):
        time.sleep(PAUSE_S)
        found += client.closed(requests, 1, 10).ack_ms
    assert count < BATCH_EVENTS
    return found[1:]  # the first also warms up


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]
