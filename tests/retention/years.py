"""Archived and swept days with two classes, and those who hold them or let them go."""

import atexit
import dataclasses
import functools
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.rules import Rule
from holdfast.archive.sweep import Sweeper
from holdfast.regions.units import DAY_US
from holdfast.retention.expire import Retention
from holdfast.retention.holds import Holds, Wanted
from tests.archive.days import again, archivist, person, trail_of
from tests.archive.test_archivist import play
from tests.read.trails import World

SHORT = Rule("short", actions=("a",), tenants=("acme",), min=1, max=3)
RULES = (SHORT, Rule("default", min=5))


class Years:
    """A trail of some days, archived everywhere and swept, seen by a reader that knows it all."""

    def __init__(self, world: World, keeper: Archivist) -> None:
        self.world = world
        self.keeper = keeper
        self._holds = 0

    def retention(self, *rules: Rule) -> Retention:
        """One that goes by other rules, or the usual ones."""
        scratch = self.keeper._scratch.with_name("retention")
        return Retention(
            *(self.world.regions(), self.keeper._reader, self.world.host),
            lambda: person(self.world),
            Workshop(scratch, rules or RULES),
        )

    def holds(self, one: Retention) -> Holds:
        regions = self.world.regions()
        self._holds += 1
        random = functools.partial(bytes([self._holds]).__mul__)
        host = dataclasses.replace(self.world.host, random=random)
        return Holds(regions, host, lambda: person(self.world), one.chronicle)

    async def sweep(self) -> None:
        scratch = self.keeper._scratch.with_name("sweep")
        await Sweeper(self.world.regions(), self.world.host, self.keeper.key_of, scratch).sweep(0)

    def parts(self, region: str, retention: str = "short") -> list[str]:
        keys = self.world.keys(region, "ev/arc/")
        return [key for key in keys if f"/class={retention}/" in key]


@functools.cache
def _made(days: int, swept: bool, older: int, **more: str) -> tuple[World, Archivist]:
    """Made once: tests have copies of what the stores hold."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-years-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made: list[tuple[World, Archivist]] = []

    async def whole() -> None:
        world = World()
        writers = trail_of(world, days, more=more)
        world.now_us += older * DAY_US
        for writer in writers[:1]:
            writer.born()
            writer.beat()
            writer.close()
        keeper = await archivist(world, folder, *RULES)
        await keeper.archive(DAY_US)
        if swept:
            await Years(world, keeper).sweep()
        made.append((world, keeper))

    play(whole)
    return made[0]


def years(
    folder: Path,
    story: Callable[[Years], Awaitable[None]],
    days: int = 1,
    *,
    swept: bool = True,
    older: int = 3,
    **more: str,
) -> None:
    """Play a story of archived days. older: so many days after the last one is complete. more:
    fields of all events."""
    world, keeper = _made(days, swept, older, **more)
    copy = World()
    copy.now_us = world.now_us
    for id, store in world.stores.items():
        copy.stores[id].objects = dict(store.objects)
    mine = again(copy, keeper)
    mine._scratch = folder / "scratch"
    play(lambda: story(Years(copy, mine)))


WANTED = Wanted(tenant="acme", reason="a case", author="ann")
