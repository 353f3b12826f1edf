"""The watch of a server over restarts: what it knows, keeps and has delivered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from holdfast.ports import Host
from holdfast.regions.disk import PosixDisk
from holdfast.watch.alarms import NEW_US, Alarms
from holdfast.watch.alerts import Alert
from holdfast.watch.delivery import Hears, Message
from holdfast.watch.health import Norms
from holdfast.watch.kept import FILE, AlertsFile
from holdfast.watch.standing import Standing
from tests.watch.standings import NODE_ID, NOW_US, SAID, SECOND_US, WELL, region
from tests.world import VirtualTime, run_with_time

Result = TypeVar("Result")
OTHER = "f" * 32
AWAY = structs.replace(WELL, regions=(region("a"), region("b", "open", "no"), region("c")))
SOON = {"region-away": 2 * SECOND_US, "quorum-margin": 3600 * SECOND_US}


class Mail:
    """A channel that takes everything, or nothing."""

    name = "mail"
    hears: Hears = "messages"
    wants_silences = False

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.took: list[str] = []

    async def deliver(self, message: Message) -> None:
        if not self.works:
            raise OSError("refused")
        assert message.alert is not None
        self.took.append(f"{message.verb} {message.alert.key}")

    async def refresh(self, alerts: Sequence[Alert]) -> None:
        pass


class World:
    """A server as its watch sees it. stands: how, at any time."""

    def __init__(self, folder: Path, time: VirtualTime) -> None:
        self.stands: Standing = WELL
        self._folder = folder
        self._time = time

    def now_us(self) -> int:
        return NOW_US + int(self._time.now * 1e6)

    def standing(self) -> Standing:
        now_us = self.now_us()
        said = structs.replace(SAID, complete_through_us=now_us - 2 * SECOND_US)
        return structs.replace(self.stands, now_us=now_us, said=said)

    async def watch(self, seconds: float, mail: Mail) -> Alarms:
        """One life of the process."""

        async def here(function: Callable[..., Result], *arguments: object) -> Result:
            return function(*arguments)

        pool = ThreadPoolExecutor(1)
        host = Host(self.now_us, bytes, here, pool, pool)
        file = AlertsFile(self._folder, PosixDisk())
        alarms = Alarms(self.standing, host, self._folder, file, Norms(), SOON)
        alarms.add(mail)
        watching = asyncio.create_task(alarms.watch_forever())
        await asyncio.sleep(seconds)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        pool.shutdown()
        return alarms


def play(folder: Path, story: Callable[[World], Awaitable[Result]]) -> Result:
    return run_with_time(lambda time: story(World(folder, time)))


def test_what_was_told_before_a_restart_is_not_told_after_it(tmp_path: Path) -> None:
    async def story(world: World) -> tuple[list[str], list[str]]:
        first, second = Mail(), Mail()
        world.stands = AWAY
        await world.watch(10, first)
        await world.watch(10, second)
        world.stands = WELL
        await world.watch(30, second)
        return first.took, second.took

    first, second = play(tmp_path, story)

    assert first == ["opened region-away:b"]
    assert second == ["resolved region-away:b"]


def test_what_nobody_took_before_a_restart_is_delivered_after_it(tmp_path: Path) -> None:
    async def story(world: World) -> list[str]:
        world.stands = AWAY
        await world.watch(10, Mail(works=False))
        world.stands = WELL
        mail = Mail()
        await world.watch(40, mail)
        return mail.took

    assert play(tmp_path, story) == ["opened region-away:b", "resolved region-away:b"]


def test_without_the_file_what_is_open_is_told_anew(tmp_path: Path) -> None:
    async def story(world: World) -> list[str]:
        world.stands = AWAY
        mail = Mail()
        await world.watch(10, mail)
        (tmp_path / FILE).unlink()
        await world.watch(10, mail)
        return mail.took

    assert play(tmp_path, story) == ["opened region-away:b"] * 2


def test_a_way_that_takes_nothing_is_an_alert_of_its_own(tmp_path: Path) -> None:
    async def story(world: World) -> list[str]:
        world.stands = AWAY
        alarms = await world.watch(200, Mail(works=False))
        return [alert.key for alert in alarms.report().book.open]

    assert play(tmp_path, story) == ["region-away:b", "undelivered:mail"]


def test_a_node_that_comes_later_is_told_and_known_after_a_day(tmp_path: Path) -> None:
    async def story(world: World) -> list[str]:
        mail = Mail()
        world.stands = structs.replace(WELL, nodes=(OTHER,))
        await world.watch(10, mail)
        world.stands = structs.replace(WELL, nodes=(OTHER, NODE_ID, "e" * 32))
        await world.watch(10, mail)
        await asyncio.sleep(NEW_US / 1e6)
        world.stands = structs.replace(world.stands, reconciled=None, scrubbed=None)
        await world.watch(30, mail)
        return mail.took

    key = f"unknown-node:{'e' * 32}"
    assert play(tmp_path, story) == [f"opened {key}", f"resolved {key}"]
