"""A store in a directory, durable when it says so.

The order of a create is the design; what a crash after each step leaves behind:

    write .tmp/<name>      a leftover in .tmp, swept when it is old
    fsync it               the same; the bytes are on disk before any name of ours shows them
    mkdir, fsync parents   empty directories; known durable before a name in them counts
    link to the key        the object, readable, perhaps not after a power cut; nobody was told yet
    fsync the directory    the object, durable: only now `Stored`
    unlink .tmp/<name>     a second name in .tmp, swept when it is old

`link` is what makes it put-if-absent: it fails where the name is taken. A replacement differs in
one step: `rename` instead of `link`.

The root is never made here but by `make_root`, at a founding: a missing root, or one without the
store's cookie (wiped, or a mount point without its disk), means that the store is away, not that it
is new. Into such a one nothing is put.
"""

import contextlib
import errno
import itertools
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TypeVar

from holdfast.ports import Offload
from holdfast.regions.disk import Disk, ForeignError, Stat, make_directory, write_whole
from holdfast.regions.keys import (
    TEMPORARY,
    check_bytes,
    check_key,
    check_prefix,
    check_removable,
    is_part,
)
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

OBJECT_BYTES_MAX = 256 * 1024 * 1024  # the evidence of an hour of many tenants comes near it
LISTED_MAX = 2_000_000
DEPTH_MAX = 16
PLACES_DEPTH = 4  # the root, ev, ev/seg, ev/seg/<node>
LEFTOVER_US = 3_600_000_000
TEMPORARY_TRIES = 10_000
DURABLE_KNOWN_MAX = 4096

_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})  # as immutable files answer
_PERMANENT = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.ELOOP, errno.ENAMETOOLONG}
)

Result = TypeVar("Result")


class DirectoryStore:
    """See the module. Implements `Store` and `Rooted`; each call is one call of the offload."""

    def __init__(
        self, root: Path, disk: Disk, offload: Offload, *, writer: str = "writer", cookie: str = ""
    ) -> None:
        """root: the directory. offload: this store's own threads, so that a disk that
        hangs starves nobody else. writer: tells this process's files in `.tmp` from others'.
        cookie: the key that is put before all others, and without which nothing is; "": none is."""
        if not is_part(writer):
            raise ValueError(f"not a part of a file's name: {writer!r}")
        self.root = root.absolute()
        self._disk = disk
        self._offload = offload
        self._writer = writer
        self._cookie = cookie
        self._numbers = itertools.count()
        self._swept = False
        # Directories whose own names are known to be durable, and of which root.
        self._durable: set[str] = set()
        self._durable_root: tuple[int, int] | None = None

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        check_key(key)
        check_bytes(data)
        return await self._offload(self._guarded, lambda root: self._create(root, key, data))

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        check_key(key)
        check_bytes(data)
        return await self._offload(self._guarded, lambda root: self._replace(root, key, data))

    async def read(self, key: str) -> Present | Absent | Unknown:
        check_key(key)
        return await self._offload(self._guarded, lambda root: self._read(root, key))

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        check_removable(key)
        return await self._offload(self._guarded, lambda root: self._remove(root, key))

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        check_prefix(prefix)
        return await self._offload(self._guarded, lambda root: self._list(root, prefix, after))

    async def level(self, prefix: str) -> Level | Unknown:
        check_prefix(prefix)
        return await self._offload(self._guarded, lambda root: self._level(root, prefix))

    async def places(self) -> frozenset[Hashable] | Unknown:
        """The root, and the directories down to each node's own, wherever links lead."""
        return await self._offload(self._guarded, self._places)

    async def has_root(self) -> bool | Unknown:
        """Whether the directory is there at all."""
        return await self._offload(self._has_root)

    async def make_root(self) -> Stored | Unknown:
        """Make the directory and its parents, durably. Only for founding a trail or a region."""
        return await self._offload(self._make_root)

    def _guarded(self, work: Callable[[int], Result]) -> Result | Unknown:
        """Do the work on the opened root; the one place where a file system's errors end."""
        try:
            root = self._disk.open_root(self.root)
        except (FileNotFoundError, NotADirectoryError):
            return Unknown(f"there is no directory {self.root}", permanent=True)
        except OSError as error:
            return _unknown(error)
        try:
            return work(root)
        except OSError as error:
            # Whatever was believed of the directories may be wrong now.
            self._durable.clear()
            return _unknown(error)
        finally:
            self._disk.close(root)

    def _create(self, root: int, key: str, data: bytes) -> Stored | Unknown:
        temporary = self._write_temporary(root, key, data)
        if isinstance(temporary, Unknown):
            return temporary
        try:
            directory = self._settle_directories(root, key)
            if isinstance(directory, Unknown):
                return directory
            try:
                self._disk.link(root, temporary, key)
            except FileExistsError:
                taken = self._disk.stat(root, key)
                if not taken.is_file:
                    return _not_a_file(taken.foreign or "a directory")
                # Whoever made it may have died, or still be, between link and fsync.
                self._sync(root, key)
                self._sync(root, directory)
                return Unknown("already exists", answered=True)
            self._sync(root, directory)
            return Stored()
        finally:
            self._discard(root, temporary)

    def _replace(self, root: int, key: str, data: bytes) -> Stored | Unknown:
        temporary = self._write_temporary(root, key, data)
        if isinstance(temporary, Unknown):
            return temporary
        try:
            directory = self._settle_directories(root, key)
            if isinstance(directory, str):
                self._disk.rename(root, temporary, key)
        except OSError:
            self._discard(root, temporary)
            raise
        if isinstance(directory, Unknown):
            self._discard(root, temporary)
            return directory
        self._sync(root, directory)
        return Stored()

    def _read(self, root: int, key: str) -> Present | Absent | Unknown:
        try:
            data, facts = self._disk.read(root, key, OBJECT_BYTES_MAX)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return Absent()
        except ForeignError as error:
            return _not_a_file(str(error))
        if facts.size_bytes > OBJECT_BYTES_MAX:
            return Unknown(f"{facts.size_bytes} bytes are too many for an object", answered=True)
        if len(data) != facts.size_bytes:
            return Unknown(f"read {len(data)} of {facts.size_bytes} bytes")
        return Present(data, facts.modified_us)

    def _remove(self, root: int, key: str) -> Removed | Refused | Unknown:
        """Directories stay: one that comes and goes would have to be settled again and again."""
        if refused := self._refuse(root, key):
            return refused
        try:
            self._disk.unlink(root, key)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
            return Refused(_unknown(error).reason)
        return Removed()

    def _list(self, root: int, prefix: str, after: str) -> Listing | Unknown:
        found = list(itertools.islice(self._walk(root, prefix, after, 0), LISTED_MAX + 1))
        if len(found) > LISTED_MAX:
            return Unknown(f"more than {LISTED_MAX} objects: list fewer at once", answered=True)
        return Listing(tuple(found))

    def _level(self, root: int, prefix: str) -> Level:
        try:
            found = self._disk.level(root, prefix or ".")
        except (FileNotFoundError, NotADirectoryError):
            found = []
        ours = [one for one in sorted(found) if is_part(one[0]) and (prefix or one[0] != TEMPORARY)]
        return Level(
            tuple(name for name, is_folder in ours if is_folder),
            tuple(prefix + name for name, is_folder in ours if not is_folder),
        )

    def _places(self, root: int) -> frozenset[Hashable]:
        found: set[Hashable] = set()
        paths = ["."]
        for _ in range(PLACES_DEPTH):
            facts = {path: self._disk.stat(root, path) for path in paths}
            directories = [path for path, each in facts.items() if each.is_directory]
            found.update(facts[path].identity for path in directories)
            paths = [
                f"{path}/{name}"
                for path in directories
                for name in self._disk.scandir(root, path)
                if is_part(name) and name != TEMPORARY
            ]
        return frozenset(found)

    def _walk(self, root: int, prefix: str, after: str, depth: int) -> Iterator[Listed]:
        """Everything below a directory, in order of keys; directories that lie wholly at or below
        `after` are not opened, and hardly a name that does is asked for its facts."""
        if depth > DEPTH_MAX:
            raise OSError(errno.ELOOP, f"directories are nested too deep: {prefix}")
        try:
            found = self._disk.scandir(root, prefix or ".")
        except (FileNotFoundError, NotADirectoryError):
            return
        # Of the names before the one that `after` continues with, only its own beginnings can be
        # directories with keys beyond: "a/1" comes after "a-b".
        passed = after[len(prefix) :].partition("/")[0] if after.startswith(prefix) else ""
        names = [name for name in found if name >= passed or passed.startswith(name)]
        entries: list[tuple[str, Stat]] = []
        for name in names:
            if is_part(name) and (prefix or name != TEMPORARY):
                try:
                    facts = self._disk.stat(root, prefix + name)
                except FileNotFoundError:
                    continue  # deleted since, and truly: the root is the one we opened
                # A directory sorts as its keys do, by the "/" after its name.
                entries.append((prefix + name + ("/" if facts.is_directory else ""), facts))
        entries.sort()
        for key, facts in entries:
            if facts.is_directory:
                if key > after or after.startswith(key):
                    yield from self._walk(root, key, after, depth + 1)
            elif key > after:  # what is no file, too: its name is taken, and reading it says why
                yield Listed(key, facts.size_bytes, facts.modified_us)

    def _write_temporary(self, root: int, key: str, data: bytes) -> str | Unknown:
        """Write and fsync a file in `.tmp`, for a key. Nothing is left of it when that fails."""
        opened = self._refuse(root, key) or self._open_temporary(root)
        if isinstance(opened, Unknown):
            return opened
        path, file = opened
        try:
            write_whole(self._disk, file, data)
        except OSError:
            self._discard(root, path)
            raise
        finally:
            self._disk.close(file)
        if not self._swept:
            self._swept = True
            self._sweep(root, path)
        return path

    def _open_temporary(self, root: int) -> tuple[str, int] | Unknown:
        for number in itertools.islice(self._numbers, TEMPORARY_TRIES):
            path = f"{TEMPORARY}/{self._writer}-{number}"
            try:
                return path, self._disk.create(root, path)
            except FileExistsError:
                continue  # a leftover, or another process of the same name
            except FileNotFoundError:
                if not self._disk.scandir(root, "."):
                    return self._wiped("is empty")
                self._make_directory(root, TEMPORARY)
        return Unknown(f"no free name in {TEMPORARY}")

    def _refuse(self, root: int, key: str) -> Unknown | None:
        """Why nothing is put: the cookie is gone."""
        if self._cookie in ("", key):
            return None
        try:
            self._disk.stat(root, self._cookie)
        except (FileNotFoundError, NotADirectoryError):
            return self._wiped(f"holds no {self._cookie}")
        return None

    def _wiped(self, what: str) -> Unknown:
        why = f"{self.root} {what}: wiped, or a mount point without its disk"
        return Unknown(why, permanent=True)

    def _settle_directories(self, root: int, key: str) -> str | Unknown:
        """Make the directories of a key and their names durable; returns the last of them.

        The store may have been wiped since the put began, which takes an fsync: it is asked again.

        That a directory is there does not mean that its name would survive a power cut: whoever
        made it may not have got to its fsync. So each is settled once in this store's life.
        """
        identity = self._disk.stat(root, ".").identity
        if identity != self._durable_root or len(self._durable) > DURABLE_KNOWN_MAX:
            self._durable = set()
            self._durable_root = identity
        parent = "."
        for end in (index for index, letter in enumerate(key) if letter == "/"):
            directory = key[:end]
            if directory not in self._durable:
                if refused := self._refuse(root, key):
                    return refused
                self._make_directory(root, directory)
                self._sync(root, parent)
                self._durable.add(directory)
            parent = directory
        return parent

    def _make_directory(self, root: int, path: str) -> None:
        with contextlib.suppress(FileExistsError):
            self._disk.mkdir(root, path)

    def _sync(self, root: int, path: str) -> None:
        handle = self._disk.open(root, path)
        try:
            self._disk.fsync(handle)
        finally:
            self._disk.close(handle)

    def _discard(self, root: int, path: str) -> None:
        """Drop a temporary file. Failing is harmless: it is swept some day."""
        with contextlib.suppress(OSError):
            self._disk.unlink(root, path)

    def _sweep(self, root: int, just_written: str) -> None:
        """Drop what crashes left in `.tmp` long ago. The disk's own clock tells what is old."""
        try:
            now_us = self._disk.stat(root, just_written).modified_us
            for name in self._disk.scandir(root, TEMPORARY):
                path = f"{TEMPORARY}/{name}"
                if now_us - self._disk.stat(root, path).modified_us > LEFTOVER_US:
                    self._discard(root, path)
        except OSError:
            pass  # housekeeping must not fail a write

    def _has_root(self) -> bool | Unknown:
        try:
            self._disk.close(self._disk.open_root(self.root))
        except FileNotFoundError:
            return False
        except OSError as error:
            return _unknown(error)
        return True

    def _make_root(self) -> Stored | Unknown:
        try:
            make_directory(self._disk, self.root / TEMPORARY)
        except OSError as error:
            return _unknown(error)
        return Stored()


def _not_a_file(what: str) -> Unknown:
    """Of one name; the store is well."""
    return Unknown(f"{what} lies there, not a file", answered=True)


def _unknown(error: OSError) -> Unknown:
    reason = error.strerror or str(error)
    if error.errno is not None:
        reason += f" ({errno.errorcode.get(error.errno, error.errno)})"
    return Unknown(reason, permanent=error.errno in _PERMANENT)
