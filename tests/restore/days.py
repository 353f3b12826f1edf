"""Restorers over trails of some days."""

import dataclasses
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.regions.units import DAY_US
from holdfast.restore.restorer import Restorer
from tests.archive.days import archivist, trail_of
from tests.read.trails import World
from tests.world import run_with_time

BYTES_MAX = 1 << 30


def play(story: Callable[[], Awaitable[None]]) -> None:
    run_with_time(lambda _: story())


async def restorer(world: World, folder: Path, bytes_max: int = BYTES_MAX) -> Restorer:
    """One that knows what the regions show now."""
    reader = world.reader(folder / "cache")
    await reader.open()
    await reader.pass_once()
    host = dataclasses.replace(world.host, random=random.Random(5).randbytes)
    regions = world.regions()
    await regions.verify()
    return Restorer(regions, reader, host, folder / "kept", bytes_max)


async def archive_all(world: World, folder: Path) -> None:
    report = await (await archivist(world, folder)).archive(DAY_US)
    assert not report.trouble


class Both:
    """A trail of two days, without an archive and with one; a copy of it for each who asks."""

    def __init__(self, folder: Path) -> None:
        self._world = World()
        self.writer = trail_of(self._world)[0]
        self._plain = _objects(self._world)
        play(lambda: archive_all(self._world, folder))
        self._archived = _objects(self._world)

    def plain(self) -> World:
        return self._with(self._plain)

    def archived(self) -> World:
        return self._with(self._archived)

    def _with(self, objects: dict[str, dict[str, tuple[bytes, int]]]) -> World:
        world = World()
        world.now_us = self._world.now_us
        for id, held in objects.items():
            world.stores[id].objects = dict(held)
        return world


def _objects(world: World) -> dict[str, dict[str, tuple[bytes, int]]]:
    return {id: dict(store.objects) for id, store in world.stores.items()}


def flip(world: World, region: str, key: str) -> None:
    """One bit in the middle of an object is another."""
    data, at_us = world.stores[region].objects[key]
    middle = len(data) // 2
    changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    world.stores[region].objects[key] = (changed, at_us)
