"""Trails as their regions hold them, to be changed and verified."""

import asyncio
import json
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from holdfast.ports import Host
from holdfast.regions import Region, Regions, layout
from holdfast.verify.batch import Batch, Done, check_batch
from holdfast.verify.findings import Finding, Report
from holdfast.verify.run import Means, Question, Verification
from holdfast.write.admit import admit
from holdfast.write.closing import close_epoch
from holdfast.write.epoch import WriteLimits
from holdfast.write.node import Node
from tests.regions.worlds import MemoryWorld, at_once
from tests.write.world import LIMITS, START_US, TRAIL, Keys, World, kill, run, started

Objects = dict[str, dict[str, bytes]]  # region -> key -> bytes

QUICK = WriteLimits(checkpoint_seconds=3.0)
TENANTS = ("acme", "bolt", "", "ünï")


@cache
def _written() -> Objects:
    return run(_story)


def written() -> Objects:
    """What real nodes wrote: two ledgers, four epochs, one of them closed by the other node, one
    still open; every kind of object but a gap."""
    return {id: dict(objects) for id, objects in _written().items()}


async def _story() -> Objects:
    world = World(seed=5)
    one, two = Keys(), Keys()
    node = await started(world.node(one, QUICK))
    for number in range(5):
        await _send(node, number)
        await asyncio.sleep(1)
    await node.stop()
    lost = await started(world.node(one, QUICK))
    await _send(lost, 5)
    await asyncio.sleep(4)
    await kill(lost)
    closer = await started(world.node(two, QUICK))
    await _send(closer, 6)
    regions = world.regions()
    await regions.verify()
    birth = world.stores["a"].objects[layout.birth_key(lost.identity.node, 2)][0]
    await close_epoch(regions, birth, closer.identity, world.host, "lost")
    again = await started(world.node(one, QUICK))
    for number in range(7, 10):
        await _send(again, number)
    await closer.stop()
    await asyncio.sleep(5)
    await kill(again)
    return objects_of(world.stores)


async def _send(node: Node, number: int) -> None:
    """A request of a few events of several tenants."""
    draw = random.Random(number)
    events = [
        {"id": f"{number}-{n}", "action": f"a.{n}", "tenant": draw.choice(TENANTS)}
        for n in range(draw.randrange(2, 12))
    ]
    lines = "\n".join(json.dumps(event, ensure_ascii=False) for event in events)
    await node.take(admit(lines.encode(), "application/x-ndjson", LIMITS), "tester").outcome


def objects_of(stores: dict[str, MemoryWorld]) -> Objects:
    return {id: {k: data for k, (data, _) in s.objects.items()} for id, s in stores.items()}


def verified(
    objects: Objects, question: Question | None = None, means: Means | None = None
) -> Report:
    """Verify stores that hold these objects, W = 2."""
    return verified_in({id: _store(held) for id, held in objects.items()}, question, means)


def verified_in(
    stores: Mapping[str, MemoryWorld],
    question: Question | None = None,
    means: Means | None = None,
) -> Report:
    """Verify these stores, W = 2."""

    async def work() -> Report:
        regions = Regions([Region(id, store) for id, store in stores.items()], 2)
        regions.trail = TRAIL.trail
        await regions.verify()
        if means is not None and isinstance(means.crew, Counting):
            means.crew.regions = regions
        return await Verification(regions, _host(), question or Question(), means or Means()).run()

    return run(work)


class Counting:
    """A crew that counts its batches, and dies instead of the one of that number."""

    at_once = 2

    def __init__(self, dies_at: int = 1000) -> None:
        self.done: list[Batch] = []
        self.dies_at = dies_at
        self.regions: Regions | None = None

    async def do(self, batch: Batch) -> Done:
        assert self.regions is not None
        if len(self.done) == self.dies_at:
            raise InterruptedError
        self.done.append(batch)
        return await check_batch(self.regions, batch)


def _store(held: dict[str, bytes]) -> MemoryWorld:
    store = MemoryWorld()
    store.objects = {key: (data, 1) for key, data in held.items()}
    return store


def _host() -> Host:
    threads = ThreadPoolExecutor(1)
    return Host(lambda: START_US, bytes, at_once, threads, threads)


def keys_of(objects: Objects, kind: str, region: str = "a") -> list[str]:
    """The keys of a kind of object, in order."""
    return sorted(key for key in objects[region] if _KINDS[kind](key))


_KINDS = {
    "segment": lambda key: key.startswith("ev/seg/"),
    "birth": lambda key: key.endswith("/birth.note"),
    "fence": lambda key: key.endswith("/fence.note"),
    "vote": lambda key: key.endswith("/close.note"),
    "closed": lambda key: key.endswith("/closed.note"),
    "checkpoint": lambda key: key.startswith("ev/cp/"),
    "heartbeat": lambda key: key.startswith("ctl/hb/"),
    "cookie": lambda key: key == "ev/region.note",
}


def grave(report: Report) -> list[Finding]:
    """The findings that are not good."""
    harmless = {"under_replicated", "orphan", "foreign", "gap", "unused", "unproven"}
    return [finding for finding in report.findings if finding.kind not in harmless]


def kinds(report: Report) -> list[tuple[str, str]]:
    """(kind, region) of every finding."""
    return [(finding.kind, finding.region) for finding in report.findings]
