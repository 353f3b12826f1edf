"""A small world for nodes: three regions in memory, on virtual time, whose answers a test bends."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from holdfast.model import Contents, Record
from holdfast.ports import Host
from holdfast.proof.names import SegmentName
from holdfast.regions import Region, Regions, segment
from holdfast.regions.region import RegionLimits
from holdfast.regions.sets import RegionSet
from holdfast.regions.trailkey import TrailKey
from holdfast.write.admit import Limits, admit
from holdfast.write.batch import Acknowledgement
from holdfast.write.epoch import WriteLimits
from holdfast.write.node import Node
from tests.regions.worlds import MemoryWorld, at_once, run_with_time

Result = TypeVar("Result")
START_US = 1_800_000_000_000_000
TRAIL = TrailKey(bytes(range(32)), "test")
LIMITS = Limits(event_bytes=2**20, request_bytes=2**23, request_events=10_000)


class Keys:
    """A keyring in memory; `old` are the seeds that were set aside."""

    def __init__(self) -> None:
        self.now: tuple[bytes | None, bytes | None] = (None, None)
        self.old: list[bytes] = []

    def read(self) -> tuple[bytes | None, bytes | None]:
        return self.now

    def write(self, seed: bytes, certificate: bytes | None) -> None:
        if self.now[0] not in (None, seed):
            self.old.append(self.now[0] or b"")
        self.now = (seed, certificate)


class World:
    """Three regions that stay while nodes come and go. `entered`: what was handed to a catalog."""

    def __init__(self, count: int = 3, quorum: int = 2, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.stores = {id: MemoryWorld() for id in "abcde"[:count]}
        for id, store in self.stores.items():
            store.objects["ev/region.note"] = (TRAIL.cookie(id), 1)
        self.quorum = quorum
        self.earlier: tuple[RegionSet, ...] = ()
        self.leaving: frozenset[str] = frozenset()
        self.skew_us = 0
        self.entered: list[tuple[str, SegmentName, Sequence[Record]]] = []
        threads = ThreadPoolExecutor(1)
        self.host = Host(self.now_us, self.random.randbytes, at_once, threads, threads)

    def now_us(self) -> int:
        true_us = START_US + round(asyncio.get_running_loop().time() * 1e6)
        for store in self.stores.values():
            store.now_us = true_us
        return true_us + self.skew_us

    def regions(self) -> Regions:
        """As a new process meets them."""
        limits = RegionLimits()
        regions = [Region(id, store, limits=limits) for id, store in self.stores.items()]
        return Regions(
            regions, self.quorum, TRAIL.trail, earlier=self.earlier, leaving=self.leaving
        )

    def node(self, keys: Keys, limits: WriteLimits | None = None) -> Node:
        """A process that starts."""
        limits = limits or WriteLimits()
        regions = self.regions()
        return Node(regions, keys, TRAIL.signing, self.host, limits, self._enter)

    async def _enter(self, node: str, name: SegmentName, data: bytes, contents: Contents) -> None:
        opened = segment.take_out(data, name, segment.read_trailer(data).statement)
        self.entered.append((node, name, opened.records))

    def keys_under(self, region: str, prefix: str) -> set[str]:
        return {key for key in self.stores[region].objects if key.startswith(prefix)}


def run(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run on virtual time."""
    return run_with_time(lambda _: work())


async def started(node: Node) -> Node:
    await node.start()
    async with asyncio.timeout(60):
        await node.ready()
    return node


async def send(node: Node, *actions: str) -> tuple[Acknowledgement, tuple[str, ...]]:
    """Send one request with an event an action, and wait for its acknowledgement."""
    lines = "\n".join(f'{{"action":"{action}"}}' for action in actions)
    taken = node.take(admit(lines.encode(), "application/x-ndjson", LIMITS), "tester")
    return await taken.outcome, taken.ids


async def kill(node: Node) -> None:
    """End a process without any of its own doing."""
    life = node._life
    assert life is not None
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
