"""Searching over a million events of the last day, while new ones come in at half of the peak.

The load has a process of its own, on the client's core, so that it and the search do not wait for
each other in Python.
"""

import json
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final

from bench import load, server, throughput
from bench.events import Stream, make_pool
from bench.plan import BATCH_CONNECTIONS, Ground, say
from bench.report import Finding, Part, median

DAY_S: Final = 86_400
TENANTS_ASKED: Final = 20  # the most frequent ones, in turn: each has 100 events in any hour
FOLDED_S: Final = 3.0  # no pause between two folds is longer
LIMIT: Final = 100
PAUSE_S: Final = 0.05
START_S: Final = 3  # of the process that loads
PEAK_RUNS: Final = 3  # to know the peak, in batches
WARM_PART: Final = 0.25  # of the time: not counted
SEARCH_MS_MAX: Final = 50
MEMORY_MIB_MAX: Final = 800
WHY_SEARCH: Final = (
    "a search needs some 6 ms of CPU, and waits for a core that takes events in for half of the "
    "time, and folds them for the rest"
)


def measure(ground: Ground) -> Part:
    """Latency of the search, and the memory of everything that runs meanwhile.

    Takes about five minutes.
    """
    plan = ground.plan
    runs = [throughput.run_ours(ground, throughput.batches(ground)) for _ in range(PEAK_RUNS)]
    peak = median([run.rate for run in runs])
    with (
        ground.folder("search") as folder,
        server.running(folder / "data", ground.cores.side) as running,
        running.side.watched(),
    ):
        with load.Client(running.port, BATCH_CONNECTIONS) as client:
            step_us = DAY_S * 1_000_000 / plan.search_events
            stream = ground.stream(step_us, ago_s=DAY_S)
            before_us = running.side.cpu_us()
            filled = client.closed(load.batches(stream), plan.search_events, 120)
        running.wait_found(*filled.last)
        time.sleep(plan.fold_s)
        folded_us = running.side.wait_idle(plan.settle_s, FOLDED_S) - before_us
        say(
            f"  {filled.events:,} events in {running.segments():,} segments; "
            f"{folded_us / filled.events:.1f} µs of CPU an event until all was folded"
        )
        quiet_ms = _searches(running, ground.pool.tenant_names, 3)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            seed = ground.random.getrandbits(32)
            loading = process.submit(_ingest, running.port, seed, peak / 2, plan.search_s + START_S)
            time.sleep(START_S)
            busy_ms = _searches(running, ground.pool.tenant_names, plan.search_s, loading)
            loaded = loading.result(120)
    resident_mib = running.side.resident_bytes_max / 2**20
    say(
        f"  search p50 {median(busy_ms):.1f} ms at {loaded.rate:,.0f} events/s, "
        f"{median(quiet_ms):.1f} ms at rest; memory {resident_mib:,.0f} MiB"
    )
    p95 = sorted(busy_ms)[int(len(busy_ms) * 0.95)]
    note = (
        f"{len(busy_ms)} searches over {filled.events + loaded.events:,} events, p95 {p95:.0f} ms, "
        f"at {loaded.rate:,.0f} events/s; at rest p50 {median(quiet_ms):.1f} ms; "
        f"until all was folded, an event had cost {folded_us / filled.events:.1f} µs of CPU"
    )
    more = {
        "folded_cpu_us": folded_us / filled.events,
        "fill_rate": filled.rate,
        "search_at_rest_ms": quiet_ms,
        "search_ms": busy_ms,
    }
    found = (
        Finding(
            "search p50, newest 100 of a tenant's last hour",
            median(busy_ms),
            SEARCH_MS_MAX,
            "ms",
            note=note,
            why=WHY_SEARCH,
        ),
        Finding(
            "memory of all our processes meanwhile",
            resident_mib,
            MEMORY_MIB_MAX,
            "MiB",
            note="resident, the most that was seen; a page that two processes share counts twice",
        ),
    )
    return Part("searching", (), found, more)


def _ingest(port: int, seed: int, rate: float, seconds: float) -> load.Loaded:
    """Runs in the process of the load, which was started on the client's core."""
    stream = Stream(make_pool(seed, 16), seed, int(time.time() * 1_000_000), 1_000_000 / rate)
    with load.Client(port, BATCH_CONNECTIONS) as client:
        return client.paced(load.batches(stream), rate, seconds)


def _searches(
    running: server.Server,
    tenants: tuple[str, ...],
    seconds: float,
    meanwhile: "Future[load.Loaded] | None" = None,
) -> list[float]:
    """Latencies of one search after the other, in ms, each answer checked."""
    found_ms: list[float] = []
    begin = time.monotonic()
    number = 0
    while time.monotonic() < begin + seconds:
        tenant = tenants[number % TENANTS_ASKED]
        since = datetime.now(UTC) - timedelta(hours=1)
        before = time.perf_counter()
        status, body = running.get(
            "/v1/events", tenant=tenant, limit=str(LIMIT), **{"from": since.isoformat()}
        )
        took_ms = (time.perf_counter() - before) * 1000
        _check(status, body, tenant, since)
        if time.monotonic() > begin + WARM_PART * seconds:
            found_ms.append(took_ms)
        number += 1
        if meanwhile is not None and meanwhile.done():
            meanwhile.result()  # the load must outlast the searches
            break
        time.sleep(PAUSE_S)
    return found_ms


def _check(status: int, body: bytes, tenant: str, since: datetime) -> None:
    if status != 200:
        raise RuntimeError(f"the search answered {status}: {body[:500]!r}")
    events = json.loads(body)["events"]
    times = [datetime.fromisoformat(event["time"]) for event in events]
    if (
        not events
        or any(event["tenant"] != tenant for event in events)
        or times != sorted(times, reverse=True)
        or times[-1] < since
    ):
        raise RuntimeError(f"not the newest of {tenant} since {since}: {len(events)} events")
