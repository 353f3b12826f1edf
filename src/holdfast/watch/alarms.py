"""The watch of a server: look, decide who is told, keep that, and have it delivered.

What was decided is kept before it is sent. A crash between the two sends it after the restart; one
before the keeping decides it again; so every message is sent, and none is decided twice.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.watch.alerts import Alert, Book, Change, Silence, Step, advance, restarted, silence
from holdfast.watch.delivery import Channel, ChannelReport, Courier, Message
from holdfast.watch.health import Norms, Trouble, diagnose
from holdfast.watch.kept import AlertsFile, Kept
from holdfast.watch.standing import Room, Standing

log = logging.getLogger("holdfast.watch")

EVERY_SECONDS: Final = 1.0
ROOMS_EVERY: Final = 30  # looks
NEW_US: Final = 24 * 3600 * 1_000_000  # a node is new for so long
NODES_MAX: Final = 10_000


class AlarmsReport(Struct, frozen=True):
    """Alerts as they stand, and how the channels do."""

    book: Book
    channels: tuple[ChannelReport, ...]


class Alarms:
    """See the module. A process has one, where it writes or watches over those that do."""

    def __init__(
        self,
        standing: Callable[[], Standing],
        host: Host,
        directory: Path,
        file: AlertsFile,
        norms: Norms,
        after_us: Mapping[str, int],
    ) -> None:
        """directory: whose disk is looked at. after_us: see `alerts.advance`."""
        self.rooms: tuple[Room, ...] = ()
        self._standing = standing
        self._host = host
        self._directory = directory
        self._file = file
        self._norms = norms
        self._after_us = after_us
        self._book = Book()
        self._nodes: dict[NodeId, int] = {}
        self._couriers: list[Courier] = []
        self._turn = asyncio.Lock()
        self._kept = Kept()
        self._is_silent = False  # about a disk that takes nothing: it is said once

    def add(self, channel: Channel) -> None:
        """Before `watch_forever`: a way to people."""
        self._couriers.append(Courier(channel, self._host.now_us, self._told, self._keep))

    def report(self) -> AlarmsReport:
        return AlarmsReport(self._book, tuple(each.report() for each in self._couriers))

    async def watch_forever(self) -> None:
        """Look every second, and deliver, until it is cancelled."""
        await self._take_up()
        tasks = [asyncio.create_task(each.run_forever()) for each in self._couriers]
        try:
            looks = 0
            while True:
                if looks % ROOMS_EVERY == 0:
                    await self._measure()
                looks += 1
                try:
                    await self.look()
                except Exception:
                    # Whatever it is, the next look comes: nobody else would tell.
                    log.exception("alerts were not looked after")
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """One look, and what follows from it."""
        standing = self._standing()
        found = diagnose(standing, self._norms, self._strangers(standing), tuple(self._silent()))
        step = advance(self._book, found, standing.now_us, self._after_us)
        self._book = step.book
        self._send(step, standing.now_us)
        await self._keep()

    async def silence(self, wanted: Silence) -> None:
        """Tell nobody of what it covers, from now on."""
        self._book = silence(self._book, wanted)
        for courier in self._couriers:
            if courier.channel.wants_silences:
                courier.send(Message("silenced", wanted.made_us, silence=wanted))
        await self._keep()

    def _send(self, step: Step, now_us: int) -> None:
        for change in step.changes:
            # Whoever reads the log at night looks there first.
            level = logging.WARNING if change.verb == "opened" else logging.INFO
            log.log(level, "%s: %s (%s)", change.verb, change.alert.title, change.alert.summary)
        for courier in self._couriers:
            heard: Sequence[Change] = step.messages
            if courier.channel.hears == "changes":
                heard = step.changes
            for each in heard:
                courier.send(Message(each.verb, now_us, alert=each.alert))

    def _strangers(self, standing: Standing) -> tuple[NodeId, ...]:
        """Nodes that are new in the trail. Those of this server are not, and none is the first time
        that anything is seen."""
        own = {each.node.node for each in standing.writers}
        is_first = not self._nodes
        for node in standing.nodes[:NODES_MAX]:
            self._nodes.setdefault(node, 0 if is_first or node in own else standing.now_us)
        return tuple(
            node for node in standing.nodes if standing.now_us - self._nodes.get(node, 0) < NEW_US
        )

    def _silent(self) -> Iterator[Trouble]:
        """Channels that people are waiting at. The trail is none: what it cannot store is the
        fault of something else, which is found for itself."""
        for courier in self._couriers:
            report = courier.report()
            if report.failing_us and report.for_people:
                yield Trouble("undelivered", report.channel, report.why)

    def _told(self) -> tuple[Alert, ...]:
        return tuple(each for each in self._book.open if each.told_us)

    async def _take_up(self) -> None:
        """Go on from what was kept. For a while, what is open counts as just seen."""
        try:
            kept = await self._host.offload(self._file.read)
        except OSError as error:
            log.error("what was kept of alerts cannot be read: %s", error)
            return
        self._kept = kept
        now_us, book = self._host.now_us(), restarted(kept.book)
        alerts = tuple(structs.replace(each, seen_us=now_us) for each in book.alerts)
        self._book = structs.replace(book, alerts=alerts)
        self._nodes = dict(kept.nodes)
        for courier in self._couriers:
            for message in kept.waiting.get(courier.channel.name, ()):
                courier.send(message)

    async def _keep(self) -> None:
        """Keep all of it, if it is anything new. When an alert was last seen is not."""
        async with self._turn:
            book = restarted(self._book)
            alerts = tuple(structs.replace(each, seen_us=0) for each in book.alerts)
            waiting = {each.channel.name: each.waiting for each in self._couriers if each.waiting}
            kept = Kept(
                book=structs.replace(book, alerts=alerts), waiting=waiting, nodes=dict(self._nodes)
            )
            if kept == self._kept:
                return
            try:
                await self._host.offload(self._file.write, kept)
                self._kept, self._is_silent = kept, False
            except OSError as error:
                if not self._is_silent:
                    log.error("alerts cannot be kept over a restart: %s", error)
                self._is_silent = True

    async def _measure(self) -> None:
        """How much room the data directory's disk has."""
        with contextlib.suppress(OSError):
            found = await self._host.offload(os.statvfs, self._directory)
            size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
            self.rooms = (Room("data", free, size),)
