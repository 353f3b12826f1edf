"""What an acknowledgement costs with one to five regions, and what an idle node asks of them."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.events import Stream, make_pool
from bench.processes import cpu_us_of
from bench.requests import Counted, Requests
from bench.scale_reading import US, Figures, region_ids
from holdfast.ports import Host
from holdfast.regions import Region, Regions
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.disk import PosixDisk
from holdfast.regions.founding import found
from holdfast.regions.threads import Threads
from holdfast.regions.trailkey import KeyHome
from holdfast.wiring import real_host
from holdfast.write.admit import MEDIA_TYPE_JSON, admit
from holdfast.write.epoch import WriteLimits
from holdfast.write.keyfiles import KeyFiles
from holdfast.write.node import Node

ACK_EVENTS: Final = 100
BEATING: Final = WriteLimits(heartbeat_seconds=0.25)
IDLE_S: Final = 3.0
# Each acknowledgement by itself: nothing waits for a seal interval, no heartbeat comes between.
LONE: Final = WriteLimits(seal_interval_seconds=0.001, heartbeat_seconds=3600.0)
SETTLE_S: Final = 10.0


def measure(folder: Path, regions: int, acks: int, seed: int) -> Figures:
    """One trail with so many regions, of which more than half must hold an event."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, folder, regions, acks, seed).result()


def _run(folder: Path, count: int, acks: int, seed: int) -> Figures:
    with ExitStack() as closing:
        host = closing.enter_context(real_host())
        stores, made = [], []
        for id in region_ids(count):
            threads = Threads(id, 8)
            closing.callback(threads.close)
            stores.append(Counted(DirectoryStore(folder / id, PosixDisk(), threads)))
            made.append(Region(id, stores[-1]))
        return asyncio.run(_live(folder, Regions(made, count // 2 + 1), stores, host, (acks, seed)))


async def _live(
    folder: Path, regions: Regions, stores: Sequence[Counted], host: Host, plan: tuple[int, int]
) -> Figures:
    disk = PosixDisk()
    home = KeyHome(folder / "data", disk, host.offload)
    key = (await found(regions, home, "bench", host.random)).key
    assert key is not None, "it was founded just now"
    regions.trail = key.trail
    await regions.verify()

    async def entered(*_: Any) -> None:
        """Searches are not what is measured."""

    def node(limits: WriteLimits) -> Node:
        files = KeyFiles(folder / "data" / "nodes" / "0", disk)
        return Node(regions, files, key.signing, host, limits, entered)

    figures: Figures = {"regions": len(regions), "quorum": regions.quorum}
    figures["beat"] = await _idle(node(BEATING), stores)
    figures |= await _acknowledge(node(LONE), stores, *plan)
    return figures


async def _idle(node: Node, stores: Sequence[Counted]) -> Figures:
    """Requests of one region for each heartbeat; segments that an idle node seals."""
    await node.start()
    await node.ready()
    await asyncio.sleep(BEATING.heartbeat_seconds)
    before, begun = _asked(stores), time.monotonic()
    await asyncio.sleep(IDLE_S)
    beats = (time.monotonic() - begun) / BEATING.heartbeat_seconds * len(stores)
    used = asdict(_asked(stores) - before)
    sealed = node.report().size
    await node.stop()
    return {"segments": sealed} | {name: value / beats for name, value in used.items()}


async def _acknowledge(node: Node, stores: Sequence[Counted], acks: int, seed: int) -> Figures:
    """Requests one after the other, each a segment of its own."""
    await node.start()
    await node.ready()
    pool = make_pool(seed, 4, ACK_EVENTS)
    stream = iter(Stream(pool, seed, time.time_ns() // 1000, 1000.0))
    bodies = [b"[%b]" % b",".join(next(stream).lines) for _ in range(acks)]
    await asyncio.sleep(1.0)  # the first heartbeat and its look
    before, cpu_us = _asked(stores), cpu_us_of(os.getpid())
    taken = []
    for body in bodies:
        begun = time.perf_counter()
        await node.take(admit(body, MEDIA_TYPE_JSON), "bench").outcome
        taken.append(time.perf_counter() - begun)
    await _settled(node)
    used = asdict(_asked(stores) - before)
    cpu_us = cpu_us_of(os.getpid()) - cpu_us
    await node.stop()
    each = acks * len(stores)
    return {
        "ack_s": taken,
        "cpu_s": cpu_us / US / acks,
        "events": ACK_EVENTS,
        "ack": {name: value / each for name, value in used.items()},
    }


async def _settled(node: Node) -> None:
    """Until the slowest region has it all."""
    deadline = time.monotonic() + SETTLE_S
    while any(region.segments for region in node.report().regions):
        if time.monotonic() > deadline:
            raise RuntimeError("a region did not get all segments")
        await asyncio.sleep(0.05)


def _asked(stores: Sequence[Counted]) -> Requests:
    return sum((store.requests for store in stores), Requests())
