"""What an event costs on three real object stores: Ceph, with an S3 gateway for each region.

Each region is a monitor, a storage daemon that syncs what it stores, and a gateway; all nine
programs, the server and the client share two cores and one disk, so latencies are those of a store
close by that is not in a hurry. First puts alone, through the regions' own port (each conditional,
with a checksum), one after the other: to one region, and to three at once, where two answers are
enough. Then the whole path: one event after a pause, and batches of 1,000 at a fixed rate.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from numpy import quantile

from bench import load, regions, server
from bench.events import BATCH_EVENTS
from bench.plan import BATCH_CONNECTIONS, Ground, say
from bench.processes import cpu_us_of, pinned
from bench.report import Finding, Part, Table
from holdfast.regions.port import Stored
from holdfast.regions.region import Region
from holdfast.settings import load as load_settings
from holdfast.wiring import real_regions
from tests.s3.ceph import CephRegion

SIZES: Final = {"1 KB": 1_000, "250 KB": 250_000, "1 MB": 1_000_000}
WARM_PUTS: Final = 5  # the first on a connection takes long
RATE: Final = 10_000.0
PAUSE_S: Final = 0.6  # longer than a seal interval and what follows it
SEAL_MS: Final = 250
LONE_MS_MAX: Final = 50.0
PARTS: Final = ("mon", "osd", "rgw")
PUT_HEAD: Final = ("put", "one region, p50 / p99 ms", "two of three", "all three")
ACK_HEAD: Final = ("", "events/s", "ack p50 / p99 ms", "then found after, ms", "CPU µs/event")

Took = dict[str, list[float]]


@dataclass(frozen=True)
class Acked:
    """found_ms: from the last ack until a search shows its event. CPU an event: the server's, and
    that of all that the regions are made of; both None where it says nothing."""

    rate: float
    ack_ms: list[float]
    found_ms: list[float]
    cpu_us: float | None = None
    stores_cpu_us: float | None = None


def measure(ground: Ground) -> Part:
    """Takes about two minutes."""
    if not regions.has_ceph():
        return Part("ceph", (), (Finding("ack p50, one event", None, LONE_MS_MAX, "ms"),))
    with ground.folder("buckets") as folder, regions.cephs(ground) as cephs:
        config, puts = folder / "holdfast.toml", folder / "puts.toml"
        puts.write_text(regions.in_buckets(cephs, "puts"))
        config.write_text(regions.in_buckets(cephs, "trail"))
        with pinned(ground.cores.all):
            took = {
                name: asyncio.run(_puts(puts, size, ground.plan.puts, ground.random))
                for name, size in SIZES.items()
            }
        with server.running(folder / "data", ground.cores.all, config=config) as running:
            lone = _lone(running, ground)
            batches = _batches(running, ground, list(cephs.values()))
    put_rows = tuple((name, *map(_both, each.values())) for name, each in took.items())
    told = {"one event after a pause": lone, f"batches of {BATCH_EVENTS:,}": batches}
    ack_rows = tuple(_row(name, acked) for name, acked in told.items())
    for row in (*put_rows, *ack_rows):
        say(f"  {', '.join(row)}")
    return Part(
        "ceph",
        (Table("Puts:", PUT_HEAD, put_rows), Table("The whole path:", ACK_HEAD, ack_rows)),
        findings(lone, batches),
        {"puts_ms": took, "acks": {name: vars(acked) for name, acked in told.items()}},
    )


async def _puts(config: Path, size_bytes: int, count: int, random: Random) -> Took:
    """Latencies in ms, one put after the other; bytes that nothing makes smaller."""
    took: Took = {"one": [], "two of three": [], "all": []}
    with real_regions(load_settings(config, os.environ, {})) as opened:
        first, *_ = members = tuple(opened)
        for number in range(WARM_PUTS + count):
            data, place = random.randbytes(size_bytes), f"{size_bytes}/{number}"
            alone = await _put_everywhere((first,), f"ev/alone/{place}", data)
            several = await _put_everywhere(members, f"ev/all/{place}", data)
            if number >= WARM_PUTS:
                took["one"].append(alone[0])
                took["two of three"].append(several[regions.QUORUM - 1])
                took["all"].append(several[-1])
    return took


async def _put_everywhere(members: Sequence[Region], key: str, data: bytes) -> list[float]:
    """When each answered, in ms, the first one first."""
    begin = time.perf_counter()

    async def put(region: Region) -> float:
        outcome = await region.create(key, data)
        if not isinstance(outcome, Stored):
            raise RuntimeError(f"{key} was not stored in {region.id}: {outcome}")
        return (time.perf_counter() - begin) * 1000

    return sorted(await asyncio.gather(*map(put, members)))


def _lone(running: server.Server, ground: Ground) -> Acked:
    requests, ack_ms, found_ms = load.singles(ground.stream()), [], []
    with load.Client(running.port, 1) as client:
        for number in range(ground.plan.lone_events + 1):
            time.sleep(PAUSE_S)
            loaded = client.closed(requests, 1, 10)
            found = running.wait_found(*loaded.last) * 1000
            if number:  # the first also warms up
                ack_ms += loaded.ack_ms
                found_ms.append(found)
    return Acked(1 / PAUSE_S, ack_ms, found_ms)


def _batches(running: server.Server, ground: Ground, cephs: list[CephRegion]) -> Acked:
    requests = load.batches(ground.stream(step_us=1e6 / RATE))
    pids = [int((each.folder / f"{part}.pid").read_text()) for each in cephs for part in PARTS]
    with load.Client(running.port, BATCH_CONNECTIONS) as client:
        client.paced(requests, RATE, 2)
        before_us = running.side.wait_idle(ground.plan.settle_s)
        stores_us = sum(map(cpu_us_of, pids))
        loaded = client.paced(requests, RATE, ground.plan.latency_s)
    if set(loaded.statuses) != {201}:
        raise RuntimeError(f"not everything was taken: {loaded.statuses}")
    found_ms = [running.wait_found(*loaded.last) * 1000]
    return Acked(
        loaded.rate,
        loaded.ack_ms,
        found_ms,
        (running.side.cpu_us() - before_us) / loaded.events,
        (sum(map(cpu_us_of, pids)) - stores_us) / loaded.events,
    )


def _both(ms: Sequence[float]) -> str:
    return f"{quantile(ms, 0.5):,.1f} / {quantile(ms, 0.99):,.1f}"


def _row(name: str, acked: Acked) -> tuple[str, ...]:
    cpu = "-"
    if acked.cpu_us is not None:
        cpu = f"{acked.cpu_us:.1f}, and of the stores {acked.stores_cpu_us:.1f}"
    found = f"{quantile(acked.found_ms, 0.5):.1f}"
    return (name, f"{acked.rate:,.1f}", _both(acked.ack_ms), found, cpu)


def findings(lone: Acked, batches: Acked) -> tuple[Finding, ...]:
    return (
        Finding(
            "ack p50, one event after a pause",
            float(quantile(lone.ack_ms, 0.5)),
            LONE_MS_MAX,
            "ms",
            note=f"p99 {quantile(lone.ack_ms, 0.99):.0f} ms of {len(lone.ack_ms)}",
        ),
        Finding(
            f"ack p50, batches at {RATE:,.0f} events/s",
            float(quantile(batches.ack_ms, 0.5)),
            SEAL_MS + LONE_MS_MAX,
            "ms",
            note=f"p99 {quantile(batches.ack_ms, 0.99):.0f} ms of {len(batches.ack_ms)}; "
            f"segments are sealed every {SEAL_MS} ms",
        ),
    )
