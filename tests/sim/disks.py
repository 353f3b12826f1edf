"""A simulated disk under the directory store: it forgets, in a crash, what was not fsynced.

Each name in a directory survives a crash by itself, or does not, until the directory was fsynced;
a file's bytes are torn anywhere until it was. Any call may fail with ENOSPC or EIO, and a process
may be killed at any of them.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from holdfast.regions import layout
from holdfast.regions.disk import FILE_MODE, Stat
from tests.sim.buckets import Weather
from tests.sim.processes import Killed


@dataclass(eq=False)
class Inode:
    """A file or a directory. synced, kept: what is known to survive a crash."""

    number: int
    is_directory: bool
    data: bytes = b""
    synced: bytes | None = None
    lost: bool = False  # an fsync failed: the pages are gone, and later fsyncs do not say so
    modified_us: int = 0
    entries: dict[str, "Inode"] = field(default_factory=dict)
    kept: dict[str, "Inode"] = field(default_factory=dict)


class SimDisk:
    """See the module. Implements `Disk`, and looks like a `Bucket` to the world.

    interrupt: called at each call, may raise `Killed`. Probabilities are of a call.
    """

    def __init__(self, id: str, cookie: bytes, draw: Random, now_us: Callable[[], int]) -> None:
        self.id = id
        self.cookie = cookie
        self.weather = Weather()
        self.skew_us = 0
        self.full = 0.0
        self.failing = 0.0
        self.hidden: set[str] = set()
        self.interrupt: Callable[[str, str], None] = lambda call, path: None
        self.written: Callable[[str, bytes], None] = lambda key, data: None
        self.joined: Callable[[bytes], bool] = lambda cookie: True
        self.removed: Callable[[str, bytes], None] = lambda key, data: None
        self.is_cut: Callable[[], bool] = lambda: False  # for the process at work
        self._draw = draw
        self._now_us = now_us
        self._numbers = 0
        self._handles: dict[int, tuple[Inode, str]] = {}
        self._next_handle = 1
        self.root = self._inode(is_directory=True)
        self.put(layout.REGION_KEY, cookie)
        self.put(".tmp/x", b"")
        self.remove(".tmp/x")

    # -- the world's hand ----------------------------------------------------------------------

    @property
    def is_itself(self) -> bool:
        return self.durable_bytes(layout.REGION_KEY) == self.cookie

    def durable(self, key: str) -> bytes | None:
        return self.durable_bytes(key) if self.is_itself else None

    def durable_bytes(self, key: str) -> bytes | None:
        """What a crash now would leave under a key for sure."""
        inode: Inode | None = self.root
        for part in key.split("/"):
            inode = inode.kept.get(part) if inode else None
            if inode is None:
                return None
        return None if inode is None or inode.lost else inode.synced

    def peek(self, key: str) -> bytes | None:
        """What is there, for the world's own eyes."""
        inode: Inode | None = self.root
        for part in key.split("/"):
            inode = inode.entries.get(part) if inode else None
        return inode.data if inode else None

    def content(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        def walk(inode: Inode, prefix: str) -> None:
            for name, each in sorted(inode.entries.items()):
                if each.is_directory:
                    walk(each, prefix + name + "/")
                elif not prefix.startswith(".tmp/"):
                    found[prefix + name] = each.data

        walk(self.root, "")
        return found

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.content() if key.startswith(prefix))

    @property
    def objects(self) -> dict[str, bytes]:
        return self.content()

    def put(self, key: str, data: bytes) -> None:
        """Place a file, durably."""
        *parents, name = key.split("/")
        inode = self.root
        for part in parents:
            inode.entries.setdefault(part, self._inode(is_directory=True))
            inode.kept[part] = inode = inode.entries[part]
        made = self._inode(is_directory=False)
        made.data = made.synced = data
        inode.entries[name] = inode.kept[name] = made

    def remove(self, key: str) -> None:
        *parents, name = key.split("/")
        inode = self.root
        for part in parents:
            inode = inode.entries[part]
        inode.entries.pop(name, None)
        inode.kept.pop(name, None)

    def damage(self, key: str, data: bytes) -> None:
        inode = self._find(self.root, key)
        inode.data = inode.synced = data

    def crash(self) -> None:
        """The power is gone, and comes back."""
        self._handles.clear()

        def settle(inode: Inode) -> None:
            if not inode.is_directory:
                if inode.synced is None or inode.lost:
                    inode.data = inode.data[: self._draw.randint(0, len(inode.data))]
                inode.synced, inode.lost = inode.data, False
                return
            for name in sorted(inode.entries.keys() | inode.kept.keys()):
                new, old = inode.entries.get(name), inode.kept.get(name)
                chosen = new if new is old or self._draw.random() < 0.5 else old
                inode.entries.pop(name, None)
                if chosen is not None:
                    inode.entries[name] = chosen
            inode.kept = dict(inode.entries)
            for each in inode.entries.values():
                settle(each)

        settle(self.root)

    # -- the port ------------------------------------------------------------------------------

    def open_root(self, path: Path) -> int:
        if self.is_cut():
            raise OSError(errno.EIO, "the mount does not answer")
        return self._open(self.root, "")

    def open(self, root: int, path: str) -> int:
        self._enter("open", path)
        return self._open(self._find(self._of(root), path), path)

    def create(self, root: int, path: str, mode: int = FILE_MODE) -> int:
        self._enter("create", path, makes=True)
        parent, name = self._parent(root, path)
        if name in parent.entries:
            raise FileExistsError(errno.EEXIST, "exists")
        made = parent.entries[name] = self._inode(is_directory=False)
        return self._open(made, path)

    def write(self, file: int, data: memoryview) -> int:
        inode, path = self._handles[file]
        count = len(data) if self._draw.random() < 0.9 else self._draw.randint(1, len(data))
        try:
            self._enter("write", path, makes=True)
        except OSError:
            inode.data += bytes(data[: count // 2])
            raise
        inode.data += bytes(data[:count])
        return count

    def fsync(self, handle: int) -> None:
        inode, path = self._handles[handle]
        self._enter("fsync", path)
        if self._draw.random() < self.failing:
            inode.lost = not inode.is_directory and inode.synced != inode.data
            raise OSError(errno.EIO, "input/output error")
        if inode.is_directory:
            inode.kept = dict(inode.entries)
        elif not inode.lost:
            inode.synced = inode.data

    def close(self, handle: int) -> None:
        self._handles.pop(handle, None)

    def link(self, root: int, source: str, target: str) -> None:
        self._enter("link", target, makes=True)
        parent, name = self._parent(root, target)
        if name in parent.entries:
            raise FileExistsError(errno.EEXIST, "exists")
        inode = self._find(self._of(root), source)
        if target == layout.REGION_KEY and not self.joined(inode.data):
            raise OSError(errno.EIO, "input/output error")
        parent.entries[name] = inode

    def rename(self, root: int, source: str, target: str) -> None:
        self._enter("rename", target, makes=True)
        inode = self._find(self._of(root), source)
        parent, name = self._parent(root, target)
        before, old = self._parent(root, source)
        self.written(target, inode.data)
        parent.entries[name] = inode
        before.entries.pop(old)

    def unlink(self, root: int, path: str) -> None:
        self._enter("unlink", path)
        parent, name = self._parent(root, path)
        gone = parent.entries.pop(name, None)
        if gone is None:
            raise FileNotFoundError(errno.ENOENT, "none")
        if path.startswith((layout.SEGMENTS_PREFIX, layout.ARCHIVE_PREFIX)):
            self.removed(path, gone.data)

    def mkdir(self, root: int, path: str) -> None:
        self._enter("mkdir", path, makes=True)
        parent, name = self._parent(root, path)
        if name in parent.entries:
            raise FileExistsError(errno.EEXIST, "exists")
        parent.entries[name] = self._inode(is_directory=True)

    def scandir(self, root: int, path: str) -> list[str]:
        self._enter("scandir", path)
        inode = self._find(self._of(root), path)
        if not inode.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, "none")
        found = list(inode.entries)
        self._draw.shuffle(found)
        return found

    def level(self, root: int, path: str) -> list[tuple[str, bool]]:
        names = self.scandir(root, path)
        return [(name, self.stat(root, f"{path}/{name}").is_directory) for name in names]

    def stat(self, root: int, path: str) -> Stat:
        return self._stat(self._find(self._of(root), path))

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        self._enter("read", path)
        inode = self._find(self._of(root), path)
        if inode.is_directory:
            raise IsADirectoryError(errno.EISDIR, "a directory")
        data = inode.data
        if self._draw.random() < self.weather.bent:
            data = data[: self._draw.randint(0, len(data))]
        return data[:size_max], self._stat(inode)

    # -- inside --------------------------------------------------------------------------------

    def _enter(self, call: str, path: str, *, makes: bool = False) -> None:
        self.interrupt(call, path)
        if self.weather.down or self._draw.random() < self.weather.before:
            raise OSError(errno.EIO, "input/output error")
        if makes and (self.weather.readonly or self._draw.random() < self.full):
            raise OSError(errno.ENOSPC, "no space left on device")

    def _inode(self, *, is_directory: bool) -> Inode:
        self._numbers += 1
        now_us = self._now_us() + self.skew_us
        return Inode(self._numbers, is_directory, modified_us=now_us)

    def _open(self, inode: Inode, path: str) -> int:
        handle, self._next_handle = self._next_handle, self._next_handle + 1
        self._handles[handle] = (inode, path)
        return handle

    def _of(self, handle: int) -> Inode:
        return self._handles[handle][0]

    def _find(self, inode: Inode, path: str) -> Inode:
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if not inode.is_directory:
                raise NotADirectoryError(errno.ENOTDIR, "not a directory")
            found = inode.entries.get(part)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "none")
            inode = found
        return inode

    def _parent(self, root: int, path: str) -> tuple[Inode, str]:
        parents, _, name = path.rpartition("/")
        return self._find(self._of(root), parents or "."), name

    def _stat(self, inode: Inode) -> Stat:
        return Stat(
            not inode.is_directory,
            inode.is_directory,
            len(inode.data),
            inode.modified_us,
            (1, inode.number),
        )


__all__ = ["Inode", "Killed", "SimDisk"]
