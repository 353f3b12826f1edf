"""Small worlds for the tests of this room: a store in memory, a disk that remembers."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from holdfast.regions.disk import FILE_MODE, PosixDisk
from holdfast.regions.keys import check_bytes, check_key, check_prefix, check_removable
from holdfast.regions.port import (
    Absent,
    Level,
    Listed,
    Listing,
    Present,
    Refused,
    Removed,
    Stored,
    Unknown,
)
from tests.world import VirtualTime, run_with_time

__all__ = [
    "MemoryWorld",
    "RecordingDisk",
    "SwiftDisk",
    "VirtualTime",
    "at_once",
    "level_of",
    "run_with_time",
]

Result = TypeVar("Result")


async def at_once(function: Callable[..., Result], /, *arguments: object) -> Result:
    """An offload that blocks: what a test asks for has happened when it goes on."""
    return function(*arguments)


class MemoryWorld:
    """A store in memory that lets nobody change evidence, and whose answers a test can bend.

    failing: this answer instead of doing anything. deaf: creates and replaces happen, and this
    answer is given all the same. log: the calls, in order. gate: calls wait for it first.
    covered: by key, what lies over an object, for its listing. locked: nothing is removed, and this
    is why.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.covered: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self.failing: Unknown | None = None
        self.deaf: Unknown | None = None
        self.locked: Refused | None = None
        self.gate: asyncio.Event | None = None
        self.inside = 0
        self.now_us = 1_000_000_000

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        check_bytes(data)
        await self._enter("create", key)
        if self.failing:
            return self.failing
        if key in self.objects:
            return Unknown("already exists", answered=True)
        return self._put(key, data)

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        check_bytes(data)
        await self._enter("replace", key)
        assert not key.startswith("ev/"), "evidence was overwritten"
        return self.failing or self._put(key, data)

    async def read(self, key: str) -> Present | Absent | Unknown:
        await self._enter("read", key)
        if self.failing:
            return self.failing
        found = self.objects.get(key)
        return Present(*found) if found else Absent()

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        check_removable(key)
        await self._enter("remove", key)
        if not self.failing and not self.locked:
            self.objects.pop(key, None)
        return self.failing or self.locked or Removed()

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        check_prefix(prefix)
        await self._enter("list", prefix)
        return self.failing or Listing(
            tuple(
                Listed(key, len(data), modified_us, self.covered.get(key, ""))
                for key, (data, modified_us) in sorted(self.objects.items())
                if key.startswith(prefix) and key > after
            )
        )

    async def level(self, prefix: str) -> Level | Unknown:
        check_prefix(prefix)
        await self._enter("list", prefix)
        return self.failing or level_of(self.objects, prefix)

    def _put(self, key: str, data: bytes) -> Stored | Unknown:
        self.now_us += 1
        self.objects[key] = (data, self.now_us)
        return self.deaf or Stored()

    async def _enter(self, call: str, key: str) -> None:
        if call != "list":
            check_key(key)
        self.log.append((call, key))
        self.inside += 1
        try:
            if self.gate:
                await self.gate.wait()
        finally:
            self.inside -= 1


def level_of(keys: Iterable[str], prefix: str) -> Level:
    """What a store with these keys has directly below a prefix."""
    below = sorted(key[len(prefix) :] for key in keys if key.startswith(prefix))
    return Level(
        tuple(dict.fromkeys(rest.partition("/")[0] for rest in below if "/" in rest)),
        tuple(prefix + rest for rest in below if "/" not in rest),
    )


class SwiftDisk(PosixDisk):
    """The real disk for tests that no power cut can reach: nothing is synced."""

    def fsync(self, handle: int) -> None:
        pass


class RecordingDisk(PosixDisk):
    """The real disk, with what was done in order, by path. fail: raised once before a call."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.fail: dict[tuple[str, str], OSError] = {}
        self._paths: dict[int, str] = {}

    def open(self, root: int, path: str) -> int:
        handle = super().open(root, path)
        self._paths[handle] = path
        return handle

    def create(self, root: int, path: str, mode: int = FILE_MODE) -> int:
        self._note("create", path)
        handle = super().create(root, path, mode)
        self._paths[handle] = path
        return handle

    def write(self, file: int, data: memoryview) -> int:
        self._note("write", self._paths[file])
        return super().write(file, data)

    def fsync(self, handle: int) -> None:
        self._note("fsync", self._paths.get(handle, ""))
        super().fsync(handle)

    def close(self, handle: int) -> None:
        self._paths.pop(handle, None)
        super().close(handle)

    def link(self, root: int, source: str, target: str) -> None:
        self._note("link", target)
        super().link(root, source, target)

    def rename(self, root: int, source: str, target: str) -> None:
        self._note("rename", target)
        super().rename(root, source, target)

    def unlink(self, root: int, path: str) -> None:
        self._note("unlink", path)
        super().unlink(root, path)

    def mkdir(self, root: int, path: str) -> None:
        self._note("mkdir", path)
        super().mkdir(root, path)

    def _note(self, call: str, path: str) -> None:
        shown = ".tmp/*" if path.startswith(".tmp/") else path
        self.log.append((call, shown))
        error = self.fail.pop((call, shown), None)
        if error:
            raise error
