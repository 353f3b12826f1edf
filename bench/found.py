"""How long until an event that was acknowledged is found: by its own node, and by another one.

Two servers on the same three directories, each a node of its own. A probe is one event to the
first; its `201` starts the clock. A search at the first, at once, must show it; the second is asked
again and again until it does. Each probe alone, and then while the first takes in batches at a
fixed rate, from a process of its own. The second node looks into the regions at every interval, so
that it finds an event after half of one on average, and after one at most.
"""

import json
import multiprocessing
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Final

import numpy as np
from numpy import quantile

from bench import load, regions, server
from bench.events import Stream, make_pool
from bench.plan import BATCH_CONNECTIONS, Ground, say
from bench.report import Finding, Part, Table

FOLLOW_MS: Final = 500.0  # the default for directories
OWN_MS_MAX: Final = 10.0
OTHER_MS_MAX: Final = FOLLOW_MS + 500.0
FOUND_S_MAX: Final = 20.0
ASK_S: Final = 0.005
LOAD_RATE: Final = 10_000.0
START_S: Final = 4.0  # of the process that loads
SLICE_S: Final = 5.0
HEAD: Final = (
    *("", "probes", "own node, p50 / p99 ms", "at the first search", "other node, p50 / p99 ms"),
)


@dataclass(frozen=True)
class Probes:
    """From the ack, in ms. at_once: how many were in the own node's first answer."""

    own_ms: tuple[float, ...]
    other_ms: tuple[float, ...]
    at_once: int


def measure(ground: Ground) -> Part:
    """Takes about three minutes."""
    count, cores = ground.plan.probes, ground.cores.all
    with ground.folder("found") as folder:
        config, one, two = folder / "holdfast.toml", folder / "one", folder / "two"
        config.write_text(regions.in_directories(folder))
        two.mkdir()
        with server.running(one, cores, config=config) as first:
            shutil.copy(one / "trail.key", two / "trail.key")
            with server.running(two, cores, config=config) as second:
                _probes(first, second, ground.stream(), 3)  # starts the processes that search
                idle = _probes(first, second, ground.stream(), count)
                busy = _under_load(first, second, ground, count)
    told = {"idle": idle, f"while {LOAD_RATE:,.0f} events/s come in": busy}
    rows = tuple(_row(name, probes) for name, probes in told.items())
    for row in rows:
        say(f"  {', '.join(row)}")
    data = {name: vars(probes) for name, probes in told.items()}
    findings = tuple(found for name, probes in told.items() for found in _findings(name, probes))
    return Part("found", (Table("", HEAD, rows),), findings, data)


def _under_load(first: server.Server, second: server.Server, ground: Ground, count: int) -> Probes:
    spawn = multiprocessing.get_context("spawn")
    over, seed = spawn.Event(), ground.random.getrandbits(32)
    process = spawn.Process(target=_ingest, args=(first.port, seed, over))
    process.start()
    try:
        time.sleep(START_S)
        return _probes(first, second, ground.stream(), count)
    finally:
        over.set()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"the load ended with {process.exitcode}")


def _ingest(port: int, seed: int, over: Event) -> None:
    """Load until it is over; in a process of its own, where it keeps nobody waiting."""
    requests = load.batches(
        Stream(make_pool(seed, 16), seed, int(time.time() * 1e6), 1e6 / LOAD_RATE)
    )
    with load.Client(port, BATCH_CONNECTIONS) as client:
        while not over.is_set():
            loaded = client.paced(requests, LOAD_RATE, SLICE_S)
            if set(loaded.statuses) != {201}:
                raise RuntimeError(f"not all of the load was taken: {loaded.statuses}")


def _probes(first: server.Server, second: server.Server, stream: Stream, count: int) -> Probes:
    """One event after the other, each at another moment of the second node's interval."""
    own_ms, other_ms, at_once = [], [], 0
    requests = load.singles(stream)
    with load.Client(first.port, 1) as client:
        for pause_s in np.random.default_rng(count).uniform(0, FOLLOW_MS / 1000, count):
            time.sleep(pause_s)
            request = next(requests)
            if set(client.one(request).statuses) != {201}:
                raise RuntimeError("a probe was not acknowledged")
            begin = time.perf_counter()
            asked = [_until_found(each, request, begin) for each in (first, second)]
            (own, tries), (other, _) = asked
            own_ms.append(own)
            other_ms.append(other)
            at_once += tries == 1
    return Probes(tuple(own_ms), tuple(other_ms), at_once)


def _until_found(node: server.Server, request: load.Request, begin: float) -> tuple[float, int]:
    """Ms since the ack, and how often it was asked."""
    tries = 0
    while time.perf_counter() < begin + FOUND_S_MAX:
        tries += 1
        status, body = node.get("/v1/events", tenant=request.tenant, id=request.id)
        if status == 200 and json.loads(body)["events"]:
            return (time.perf_counter() - begin) * 1000, tries
        time.sleep(ASK_S)
    raise RuntimeError(f"an acknowledged event was not found within {FOUND_S_MAX:g} s")


def _row(name: str, probes: Probes) -> tuple[str, ...]:
    def both(ms: tuple[float, ...]) -> str:
        return f"{quantile(ms, 0.5):,.1f} / {quantile(ms, 0.99):,.1f}"

    count = len(probes.own_ms)
    return (
        name,
        f"{count}",
        both(probes.own_ms),
        f"{probes.at_once} of {count}",
        both(probes.other_ms),
    )


def _findings(name: str, probes: Probes) -> Iterator[Finding]:
    count = len(probes.own_ms)
    yield Finding(
        f"in the own node's first answer after the ack, {name}",
        100 * probes.at_once / count,
        100,
        "%",
        is_least=True,
        note=f"{count} probes",
    )
    yield Finding(
        f"found on the own node, {name}: p50 from the ack until the answer is read",
        float(quantile(probes.own_ms, 0.5)),
        OWN_MS_MAX,
        "ms",
        note=f"p99 {quantile(probes.own_ms, 0.99):,.0f} ms",
        why="it is there at once, and a search takes so long whatever it finds",
    )
    yield Finding(
        f"found on another node, {name}: p99 from the ack until the answer is read",
        float(quantile(probes.other_ms, 0.99)),
        OTHER_MS_MAX,
        "ms",
        note=f"p50 {quantile(probes.other_ms, 0.5):,.0f} ms, it looks every {FOLLOW_MS:,.0f} ms",
    )
