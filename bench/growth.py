"""Does an event cost more when the trail is longer? Two trails, one with ten times the segments.

Both run at once, each on the same core, and are loaded in turn in shuffled order.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import load, server
from bench.events import Stream, make_pool
from bench.plan import BATCH_CONNECTIONS, Ground, say
from bench.report import Finding, Part, median

FACTOR: Final = 10
RATIO_MAX: Final = 1.10
FILL_EVENTS: Final = 20  # a segment
FILL_S_MAX: Final = 240
LOAD_S_MAX: Final = 30
REST_S: Final = 3
WARM_EVENTS: Final = 10_000
SEGMENT_EVENTS_MIN: Final = 2_500  # a segment of a round has at least so many, about


def measure(ground: Ground) -> Part:
    """CPU an event, both trails; and the CPU that each needs a second when nothing happens.

    Takes about four minutes.
    """
    plan = ground.plan
    small = plan.growth_segments
    added = (WARM_EVENTS + plan.growth_rounds * plan.growth_events) // SEGMENT_EVENTS_MIN
    large = FACTOR * (small + added)
    cpu_us: dict[int, list[float]] = {small: [], large: []}
    idle_us: dict[int, float] = {}
    segments: dict[int, int] = {}
    with ExitStack() as stack:
        folder = stack.enter_context(ground.folder("growth"))
        for count in cpu_us:
            _fill(ground, folder / f"{count}", count)
        servers = {
            count: stack.enter_context(server.running(folder / f"{count}", ground.cores.side))
            for count in cpu_us
        }
        for count, running in servers.items():
            _load(running, ground.stream(), WARM_EVENTS)
            before_us = running.side.wait_idle(plan.settle_s)
            time.sleep(REST_S)
            idle_us[count] = (running.side.cpu_us() - before_us) / REST_S
        for _ in range(plan.growth_rounds):
            for count in ground.random.sample([small, large], 2):
                used_us = _load(servers[count], ground.stream(), plan.growth_events)
                cpu_us[count].append(used_us)
        for count, running in servers.items():
            segments[count] = running.segments()
    ratio = median(cpu_us[large]) / median(cpu_us[small])
    say(f"  CPU at {segments[large]:,} segments / at {segments[small]:,}: {ratio:.3f}")
    rounds = tuple(a / b for a, b in zip(cpu_us[large], cpu_us[small], strict=True))
    note = (
        f"{median(cpu_us[large]):.1f} µs/event at {segments[large]:,} segments, "
        f"{median(cpu_us[small]):.1f} at {segments[small]:,}; "
        f"at rest {idle_us[large] / 1000:.0f} and {idle_us[small] / 1000:.0f} ms of CPU a second"
    )
    more = {"cpu_us": cpu_us, "idle_us_a_second": idle_us, "segments": segments}
    name = f"CPU an event at {FACTOR} times the segments"
    found = Finding(name, ratio, RATIO_MAX, "x", note=note, samples=rounds)
    return Part("growth", (), (found,), more)


def _fill(ground: Ground, data: Path, segments: int) -> None:
    """Many small segments: one connection, and a seal interval that ends before it comes back."""
    pool = make_pool(ground.random.getrandbits(32), 16, FILL_EVENTS)
    stream = Stream(pool, ground.random.getrandbits(32), 1_790_000_000_000_000, 1000.0)
    with (
        server.running(data, ground.cores.side, {"seal_interval_ms": 1}) as running,
        load.Client(running.port, 1) as client,
    ):
        client.closed(load.batches(stream), segments * FILL_EVENTS, FILL_S_MAX)


def _load(running: server.Server, stream: Stream, events: int) -> float:
    """CPU of an event until it is found, µs."""
    before_us = running.side.cpu_us()
    with load.Client(running.port, BATCH_CONNECTIONS) as client:
        loaded = client.closed(load.batches(stream), events, LOAD_S_MAX)
    running.wait_found(*loaded.last)
    return (running.side.cpu_us() - before_us) / loaded.events
