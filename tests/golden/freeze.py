"""What `tests/golden/regions` holds: the story of a small trail, with fixed keys, clock and draws.

`python -m tests.golden.freeze` writes regions and answers that are not there yet; frozen ones are
never written again. A segment's compressed bytes may differ between versions of zstd, so that the
regions are made once; the answers must be the same for ever.
"""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

from holdfast.keep.keeper import Keeper
from holdfast.regions import kinds, layout
from holdfast.regions.port import Unknown
from holdfast.write.admit import Admitted, admit
from holdfast.write.closing import close_epoch
from holdfast.write.epoch import WriteLimits
from holdfast.write.identity import speak_for_trail
from holdfast.write.node import Node
from tests.golden.answers import ANSWERS, REGIONS, answers_of
from tests.regions.worlds import MemoryWorld
from tests.write.world import LIMITS, TRAIL, Keys, World, kill, run, started

STARTED_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
ONE_SEED, TWO_SEED = bytes([0x11]) * 32, bytes([0x22]) * 32  # test keys, known to everyone
NEW_STORE = "b2" * 16
WRITE_LIMITS = WriteLimits(checkpoint_seconds=5.0)
LOGIN = {"id": "login-1", "tenant": "acme", "actor": {"id": "alice"}, "action": "user.login"}
FOREIGN = {
    "id": "foreign-1",
    "tenant": "ünï",
    "action": "s3.GetObject",
    "payload_type": "aws.cloudtrail",
    "payload": {"big": 12345678901234567890, "exact": 1.50, "nested": {"b": [1, None, "☃"]}},
}


class GoldenWorld(World):
    """Three regions whose clock begins at a time that is fixed, and gone."""

    def now_us(self) -> int:
        true_us = STARTED_US + round(asyncio.get_running_loop().time() * 1e6)
        for store in self.stores.values():
            store.now_us = true_us
        return true_us

    def away(self, *regions: str) -> None:
        """Only these are away from now on."""
        for id, store in self.stores.items():
            store.failing = Unknown("away") if id in regions else None


async def live() -> dict[str, dict[str, bytes]]:
    """The whole story; returns what each region holds in the end."""
    world = GoldenWorld(seed=2026)
    one, two = Keys(), Keys()
    one.now, two.now = (ONE_SEED, None), (TWO_SEED, None)
    await _first_epoch(world, one)
    await _lost_epoch_with_an_orphan(world, one, two)
    await _replaced_store(world)
    await _left_open(world, one)
    return {id: {k: data for k, (data, _) in s.objects.items()} for id, s in world.stores.items()}


async def _first_epoch(world: GoldenWorld, keys: Keys) -> None:
    """Tenants, times, a repeat, a conflict, a foreign payload; stopped in order."""
    node = await started(world.node(keys, WRITE_LIMITS))
    await _send(node, LOGIN, {"id": "login-2", "action": "user.login", "outcome": "denied"})
    await _send(
        node,
        FOREIGN,
        {"id": "timed-1", "action": "job.run", "time": "2025-12-31T23:59:00.25+01:00"},
    )
    await _send(node, LOGIN)
    await _send(node, LOGIN | {"actor": {"id": "mallory"}}, LOGIN | {"tenant": "bolt"})
    await asyncio.sleep(6)
    await _send(node, *({"id": f"many-{n}", "action": f"batch.{n % 3}"} for n in range(40)))
    await node.stop()


async def _lost_epoch_with_an_orphan(world: GoldenWorld, one: Keys, two: Keys) -> None:
    """Node one is killed; what it never acknowledged lies in c alone, and c is away at the close by
    node two. Node two then stops in order, c being back and lacking much."""
    lost = await started(world.node(one, WRITE_LIMITS))
    await _send(lost, {"id": "second-1", "action": "second.epoch"})
    await asyncio.sleep(1.5)
    world.away("a", "b")
    lost.take(_admitted({"id": "never-1", "action": "never.acknowledged"}), "tester")
    await asyncio.sleep(1)
    await kill(lost)
    world.away("c")
    closer = await started(world.node(two, WRITE_LIMITS))
    await _send(closer, LOGIN, {"id": "two-1", "action": "other.node"})
    regions = world.regions()
    await regions.verify()
    birth = world.stores["a"].objects[layout.birth_key(lost.identity.node, 2)][0]
    await close_epoch(regions, birth, closer.identity, world.host, "lost")
    await _send(closer, {"id": "two-2", "action": "while.c.is.away"})
    world.away()
    await asyncio.sleep(12)
    await closer.stop()


async def _replaced_store(world: GoldenWorld) -> None:
    """The store of region b is gone for good; another one is filled, and found whole."""
    cookie = world.stores["b"].objects[layout.REGION_KEY][0]
    lost = kinds.verify_cookie(cookie, TRAIL.trail).statement.store
    world.stores["b"] = MemoryWorld()
    world.stores["b"].objects[layout.REGION_KEY] = (TRAIL.cookie("b", NEW_STORE, lost), 1)
    regions = world.regions()
    await regions.verify()
    person = speak_for_trail(TRAIL.trail, TRAIL.signing, world.host)
    await Keeper(regions, world.host, identity=lambda: person).reconcile(whole=True)
    assert layout.WHOLE_KEY in world.stores["b"].objects


async def _left_open(world: GoldenWorld, keys: Keys) -> None:
    """Node one's third epoch: killed, and closed by nobody; its promise ends the statement. Then
    one copy rots, and one is lost."""
    node = await started(world.node(keys, WRITE_LIMITS))
    await _send(node, {"id": "third-1", "action": "third.epoch", "tenant": "acme"})
    await asyncio.sleep(2.5)
    await kill(node)
    segments = sorted(world.keys_under("b", "ev/seg/"))
    rotten, (data, modified_us) = segments[0], world.stores["b"].objects[segments[0]]
    world.stores["b"].objects[rotten] = (bytes([data[0] ^ 1]) + data[1:], modified_us)
    del world.stores["b"].objects[segments[2]]


async def _send(node: Node, *events: object) -> None:
    await node.take(_admitted(*events), "tester").outcome
    await asyncio.sleep(0.2)


def _admitted(*events: object) -> Admitted:
    lines = "\n".join(json.dumps(event, ensure_ascii=False) for event in events)
    return admit(lines.encode(), "application/x-ndjson", LIMITS)


def main() -> None:
    if not REGIONS.exists():
        for region, objects in run(live).items():
            for key, data in objects.items():
                path = REGIONS / region / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    if not ANSWERS.exists():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            shutil.copytree(REGIONS, place / "regions")
            text = json.dumps(answers_of(place), ensure_ascii=False, indent=1, sort_keys=True)
        ANSWERS.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
