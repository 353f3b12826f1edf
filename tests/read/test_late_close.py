"""A region that answers late tells of a close while a pass is under way."""

import asyncio
from pathlib import Path

from holdfast.read.reader import Reader
from holdfast.regions.port import Absent, Listing, Present, Unknown
from tests.read.trails import World, Writer, all_ids, tick
from tests.regions.worlds import MemoryWorld, run_with_time


class Slow(MemoryWorld):
    """What begins with one of these takes so long. seconds: by prefix."""

    seconds: dict[str, float]

    async def read(self, key: str) -> Present | Absent | Unknown:
        await self._wait(key)
        return await super().read(key)

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        await self._wait(prefix)
        return await super().list(prefix, after)

    async def _wait(self, key: str) -> None:
        for prefix, seconds in self.seconds.items():
            if key.startswith(prefix):
                await asyncio.sleep(seconds)


def test_an_orphan_that_only_a_late_region_tells_of_is_not_shown_below_a_statement(
    tmp_path: Path,
) -> None:
    world = World()
    for id, seconds in {
        "a": {"ev/seg/": 2.0},
        "b": {"ev/seg/": 2.0},
        "c": {"ev/node": 2.0},
    }.items():
        store = Slow()
        store.objects, store.seconds = world.stores[id].objects, seconds
        world.stores[id] = store
    node = Writer(world)
    node.born()
    node.seal("one")
    base = node.end
    node.seal("orphan", regions="a")
    tick(world)
    node.close(base, regions="c")
    node.born(base=base, regions="c")
    tick(world)
    node.beat(regions="c")
    tick(world)

    async def work(reader: Reader) -> None:
        await reader.pass_once()

        assert reader.completeness().complete_through_us is not None
        assert await all_ids(reader) == ["one"]
        await reader.stop()

    run_with_time(lambda _: work(world.reader(tmp_path / "cache")))
