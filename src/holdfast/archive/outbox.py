"""Events of the trail's own that wait until they are stored.

What was deleted is known to nobody but who did it. So it is written into a folder of the data
directory as soon as it is done, also by a command, which has no node to store events: the next
server with that directory stores it, and then removes the file. One that dies in between stores it
again under the same id, which is one event.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from holdfast.errors import HoldfastError, RejectedError
from holdfast.model import JsonObject
from holdfast.regions.disk import Disk, make_directory, put_file
from holdfast.times import format_us

WAITING_MAX = 1000
FOLDER: Final = "outbox"
EVENT_BYTES_MAX: Final = 1 << 20
_SUFFIX: Final = ".json"

Tell = Callable[[JsonObject], Awaitable[None]]


class Spool:
    """The folder. Its calls block, for files that are small and few; errors are OSError."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def put(self, event: JsonObject) -> None:
        """Keep an event durably."""
        make_directory(self._disk, self._folder.absolute())
        root = self._disk.open_root(self._folder)
        try:
            put_file(self._disk, root, f"{event['id']}{_SUFFIX}", msgspec.json.encode(event), 0o600)
        finally:
            self._disk.close(root)

    def names(self) -> list[str]:
        """The files, the oldest event first."""
        return sorted(path.name for path in self._folder.glob(f"*{_SUFFIX}"))

    def read(self, name: str) -> JsonObject:
        """The event in a file. Raises msgspec.DecodeError: it is none of ours."""
        root = self._disk.open_root(self._folder)
        try:
            data = self._disk.read(root, name, EVENT_BYTES_MAX)[0]
        finally:
            self._disk.close(root)
        return msgspec.json.decode(data, type=dict)

    def drop(self, name: str) -> None:
        """It is stored."""
        root = self._disk.open_root(self._folder)
        try:
            self._disk.unlink(root, name)
        finally:
            self._disk.close(root)


class Outbox:
    """In their order, the newest of them. tell: stores one; None: nobody here can. spool: where
    what was done is kept meanwhile; None: in memory alone."""

    def __init__(self, what: str, log: logging.Logger) -> None:
        """what: they are of, in words for the log."""
        self.tell: Tell | None = None
        self.spool: Spool | None = None
        self._what = what
        self._log = log
        self._waiting: deque[JsonObject] = deque(maxlen=WAITING_MAX)
        self._turn = asyncio.Lock()

    def put(self, event: JsonObject) -> None:
        """Have it stored by the next `flush`, or by whoever finds out again what it tells."""
        self._waiting.append(event)

    def done(self, event: JsonObject, now_us: int) -> None:
        """Have it stored of what was just done, by this process or the next one."""
        told = {"time": format_us(now_us), **event}
        digest = hashlib.sha256(msgspec.json.encode(told)).hexdigest()
        told = {"id": f"{event['action']}.{now_us}.{digest[:16]}", **told}
        try:
            if self.spool is not None:
                self.spool.put(told)
                return
        except OSError as error:
            self._log.warning("%s is remembered by this process alone: %s", self._what, error)
        self.put(told)

    async def _store_kept(self, spool: Spool, tell: Tell) -> None:
        for name in spool.names():
            with suppress(FileNotFoundError):  # another outbox of this folder was first
                try:
                    await tell(spool.read(name))
                except (msgspec.DecodeError, RejectedError) as error:
                    self._log.error(
                        "%s stays: it is no event that the trail takes: %s", name, error
                    )
                    continue
                spool.drop(name)

    async def flush(self) -> None:
        """Store what waits. What cannot be stored now goes with the next time."""
        try:
            async with self._turn:
                while self.tell is not None and self._waiting:
                    event = self._waiting[0]
                    await self.tell(event)
                    if self._waiting[0] is event:  # else so many came that it was left out
                        self._waiting.popleft()
                if self.tell is not None and self.spool is not None:
                    await self._store_kept(self.spool, self.tell)
        except (HoldfastError, OSError) as error:
            self._log.warning("%s is not written into the trail yet: %s", self._what, error)
