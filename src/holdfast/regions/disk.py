"""The few things that a directory store asks of a file system, and the real file system.

Every path is relative to a root that the caller opened (`openat` and its kin). So an operation
speaks about one directory from its begin to its end, even while someone renames that directory
away and back: without it, "no such file" in that moment would look like absence.

All calls block and raise `OSError`. A simulation implements the same protocol and forgets, in a
crash, what was not fsynced.
"""

import os
import stat as modes
from pathlib import Path
from typing import NamedTuple, Protocol

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750


class Entry(NamedTuple):
    """One name in a directory. Neither file nor directory: a foreign thing, a socket for one."""

    name: str
    is_file: bool
    is_directory: bool


class Stat(NamedTuple):
    """modified_us: µs UTC by the file system's clock. identity: the same file has the same one."""

    size_bytes: int
    modified_us: int
    identity: tuple[int, int]


class Disk(Protocol):
    """A file system. `int` handles are open files or directories and must be closed."""

    def open_root(self, path: Path) -> int:
        """Open the directory that the other calls are relative to. Never makes it."""

    def open(self, root: int, path: str) -> int:
        """Open a file or directory, in order to fsync it."""

    def create(self, root: int, path: str) -> int:
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

    def scandir(self, root: int, path: str) -> list[Entry]:
        """A directory's entries, unsorted, links followed."""

    def stat(self, root: int, path: str) -> Stat:
        """Facts of a file or directory, links followed."""

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        """A regular file's first `size_max` bytes, and facts read from the same open file."""


class PosixDisk:
    """The real file system."""

    def open_root(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, root: int, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)

    def create(self, root: int, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, FILE_MODE, dir_fd=root)

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

    def scandir(self, root: int, path: str) -> list[Entry]:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        try:
            with os.scandir(handle) as entries:
                return [Entry(each.name, each.is_file(), each.is_dir()) for each in entries]
        finally:
            os.close(handle)

    def stat(self, root: int, path: str) -> Stat:
        return _stat(os.stat(path, dir_fd=root))

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        # O_NONBLOCK: opening a foreign FIFO would wait for a writer for ever.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)
        try:
            facts = os.fstat(file)
            if modes.S_ISDIR(facts.st_mode):
                raise IsADirectoryError(path)
            if not modes.S_ISREG(facts.st_mode):
                raise OSError(f"not a regular file: {path}")
            pieces: list[bytes] = []
            wanted = min(facts.st_size, size_max)
            while wanted > 0 and (piece := os.read(file, wanted)):
                pieces.append(piece)
                wanted -= len(piece)
            return b"".join(pieces), _stat(facts)
        finally:
            os.close(file)


def _stat(facts: os.stat_result) -> Stat:
    return Stat(facts.st_size, facts.st_mtime_ns // 1000, (facts.st_dev, facts.st_ino))
