"""The few things that a directory store asks of a file system, and the real file system.

Every path is relative to a root that the caller opened (`openat` and its kin). So an operation
speaks about one directory from its begin to its end, even while someone renames that directory
away and back: without it, "no such file" in that moment would look like absence.

All calls block and raise `OSError`. A simulation implements the same protocol and forgets, in a
crash, what was not fsynced.
"""

import contextlib
import errno
import os
import stat as modes
from pathlib import Path
from typing import Final, NamedTuple, Protocol

FILE_MODE = 0o640
SYNC_BYTES = 4 << 20  # at a time: beside 48 MB at once, small puts took three times as long
PRIVATE_MODE = 0o600  # of what only its owner may read: keys
DIRECTORY_MODE = 0o750


class Stat(NamedTuple):
    """modified_us: µs UTC by the file system's clock. identity: the same file has the same one.

    Neither file nor directory: a foreign thing. foreign: what it is, "a socket"; else "".
    """

    is_file: bool
    is_directory: bool
    size_bytes: int
    modified_us: int
    identity: tuple[int, int]
    foreign: str = ""


class ForeignError(OSError):
    """Under a name lies what cannot be read as a file: says what it is."""


class Disk(Protocol):
    """A file system. `int` handles are open files or directories and must be closed."""

    def open_root(self, path: Path) -> int:
        """Open the directory that the other calls are relative to. Never makes it."""

    def open(self, root: int, path: str) -> int:
        """Open a file or directory, in order to fsync it."""

    def create(self, root: int, path: str, mode: int = FILE_MODE) -> int:
        """Make a new file and open it for writing; `FileExistsError` if the name is taken."""

    def write(self, file: int, data: memoryview) -> int:
        """Write some of the bytes at the end and say how many."""

    def fsync(self, handle: int) -> None:
        """Make a file's bytes, or a directory's names, survive a power cut."""

    def close(self, handle: int) -> None: ...

    def link(self, root: int, source: str, target: str) -> None:
        """Give a file a second name; `FileExistsError` if that is taken."""

    def rename(self, root: int, source: str, target: str) -> None:
        """Move a file onto a name, whatever had it."""

    def unlink(self, root: int, path: str) -> None: ...

    def mkdir(self, root: int, path: str) -> None: ...

    def scandir(self, root: int, path: str) -> list[str]:
        """The names in a directory, unsorted."""

    def level(self, root: int, path: str) -> list[tuple[str, bool]]:
        """The same, each with whether it is a directory, links followed. No file is asked for its
        facts: of thousands of names, that takes ten times as long."""

    def stat(self, root: int, path: str) -> Stat:
        """Facts of a file or directory, links followed; of the link, where it leads nowhere."""

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        """A regular file's first `size_max` bytes, and facts read from the same open file;
        `ForeignError` where it is none, and no directory. Never waits for a writer."""


class PosixDisk:
    """The real file system."""

    def open_root(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, root: int, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)

    def create(self, root: int, path: str, mode: int = FILE_MODE) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, mode, dir_fd=root)

    def write(self, file: int, data: memoryview) -> int:
        return os.write(file, data)

    def fsync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def link(self, root: int, source: str, target: str) -> None:
        os.link(source, target, src_dir_fd=root, dst_dir_fd=root)

    def rename(self, root: int, source: str, target: str) -> None:
        os.rename(source, target, src_dir_fd=root, dst_dir_fd=root)

    def unlink(self, root: int, path: str) -> None:
        os.unlink(path, dir_fd=root)

    def mkdir(self, root: int, path: str) -> None:
        os.mkdir(path, DIRECTORY_MODE, dir_fd=root)

    def scandir(self, root: int, path: str) -> list[str]:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        try:
            return os.listdir(handle)  # noqa: PTH208  # an open directory, not a path
        finally:
            os.close(handle)

    def level(self, root: int, path: str) -> list[tuple[str, bool]]:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        try:
            with os.scandir(handle) as found:
                return [(each.name, self._is_directory(root, path, each)) for each in found]
        finally:
            os.close(handle)

    def _is_directory(self, root: int, path: str, found: "os.DirEntry[str]") -> bool:
        if not found.is_symlink():
            return found.is_dir()
        try:
            return self.stat(root, f"{path}/{found.name}").is_directory
        except FileNotFoundError:
            return False  # gone since

    def stat(self, root: int, path: str) -> Stat:
        try:
            return _stat(os.stat(path, dir_fd=root))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            # Gone, or a link that leads nowhere; this raises where it is gone.
            return _stat(os.stat(path, dir_fd=root, follow_symlinks=False))

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        # O_NONBLOCK: opening a foreign FIFO would wait for a writer for ever.
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)
        except OSError as error:
            if foreign := self.stat(root, path).foreign:  # what cannot be opened at all
                raise ForeignError(foreign) from error
            raise
        try:
            facts = _stat(os.fstat(file))
            if facts.is_directory:
                raise IsADirectoryError(path)
            if facts.foreign:
                raise ForeignError(facts.foreign)
            pieces: list[bytes] = []
            wanted = min(facts.size_bytes, size_max)
            while wanted > 0 and (piece := os.read(file, wanted)):
                pieces.append(piece)
                wanted -= len(piece)
            return b"".join(pieces), facts
        finally:
            os.close(file)


_FOREIGN: Final = {
    modes.S_IFIFO: "a FIFO",
    modes.S_IFSOCK: "a socket",
    modes.S_IFLNK: "a link that leads nowhere",
    modes.S_IFCHR: "a device",
    modes.S_IFBLK: "a device",
}


def _stat(facts: os.stat_result) -> Stat:
    foreign = _FOREIGN.get(modes.S_IFMT(facts.st_mode), "")
    return Stat(
        modes.S_ISREG(facts.st_mode),
        modes.S_ISDIR(facts.st_mode),
        0 if foreign else facts.st_size,
        facts.st_mtime_ns // 1000,
        (facts.st_dev, facts.st_ino),
        foreign,
    )


def write_whole(disk: Disk, file: int, data: bytes) -> None:
    """Write all the bytes and make them durable; of many, some at a time: whoever makes a few
    durable on the same disk waits for what was written before."""
    for start in range(0, max(len(data), 1), SYNC_BYTES):
        rest = memoryview(data)[start : start + SYNC_BYTES]
        while rest:
            rest = rest[disk.write(file, rest) :]
        disk.fsync(file)


def put_file(disk: Disk, root: int, name: str, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a small file aside and move it onto its name, durably when this returns. Dying before
    leaves the file that was there, or none."""
    unfinished = f"{name}.unfinished"
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(root, unfinished)  # of a process that died here
    file = disk.create(root, unfinished, mode)
    try:
        write_whole(disk, file, data)
    finally:
        disk.close(file)
    disk.rename(root, unfinished, name)
    disk.fsync(root)


def make_directory(disk: Disk, path: Path) -> None:
    """Make a directory and its parents durably, or finish what a crash left of making them.

    Args:
        path: Absolute.
    """
    for each in (*reversed(path.parents[:-1]), path):
        there = _is_directory(disk, each)
        try:
            parent = disk.open_root(each.parent)
        except PermissionError:
            if there:
                continue  # somebody else's, so not half made by us
            raise
        try:
            if not there:
                with contextlib.suppress(FileExistsError):
                    disk.mkdir(parent, each.name)
            disk.fsync(parent)
        finally:
            disk.close(parent)


def _is_directory(disk: Disk, path: Path) -> bool:
    try:
        disk.close(disk.open_root(path))
    except FileNotFoundError:
        return False
    except PermissionError:
        pass  # there, and only to be passed through
    return True
