"""Trails whose archived segments were swept."""

from collections.abc import Iterable
from pathlib import Path

from holdfast.archive.archivist import Archivist
from holdfast.archive.sweep import Sweeper
from holdfast.regions.units import DAY_US, HOUR_US
from tests.archive.days import FIRST_US, archivist, trail_of
from tests.read.trails import ALL, World, Writer

Objects = dict[str, tuple[bytes, int]]

SEGMENTS = 12  # of a day of `trail_of`


def sweeper(world: World, one: Archivist, corrupt: Iterable[tuple[str, str]] = ()) -> Sweeper:
    """A sweeper of what the regions are by now."""
    scratch = one._scratch.with_name("sweep")
    known = tuple(corrupt)
    return Sweeper(world.regions(), world.host, one.key_of, scratch, lambda: known)


async def sweep(world: World, one: Archivist, regions: Iterable[str] = ALL) -> None:
    """Remove what is archived, in these regions."""
    others = {id: dict(world.stores[id].objects) for id in set(ALL) - set(regions)}
    await sweeper(world, one).sweep(0)
    for id, objects in others.items():
        world.stores[id].objects = objects


def small(world: World, region: str) -> list[str]:
    """The segments of a region."""
    return world.keys(region, "ev/seg/")


_made: dict[tuple[str, ...], tuple[int, dict[str, Objects]]] = {}  # once in a test's process


async def swept_trail(world: World, folder: Path, regions: Iterable[str] = ALL) -> Archivist:
    """A trail of one archived day, without its segments in these regions."""
    which = tuple(regions)
    if which not in _made:
        trail_of(world, 1)
        keeper = await archivist(world, folder / "made")
        await keeper.archive(DAY_US)
        await sweep(world, keeper, which)
        _made[which] = world.now_us, {id: dict(s.objects) for id, s in world.stores.items()}
    world.now_us, objects = _made[which]
    for id, store in world.stores.items():
        store.objects = dict(objects[id])
    return await archivist(world, folder)


def open_trail(world: World, days: int = 3) -> Writer:
    """A node whose epoch goes on: a few segments a day, all of them promised."""
    world.now_us = FIRST_US + HOUR_US
    writer = Writer(world)
    writer.born()
    for day in range(days):
        world.now_us = FIRST_US + day * DAY_US + HOUR_US
        for number in range(4):
            writer.seal(f"{day}-{number}")
    writer.beat()
    return writer
