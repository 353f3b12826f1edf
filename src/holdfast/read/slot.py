"""A folder of the cache that one process has for itself.

So the command line reads beside a server that has the same cache: each takes the first folder that
nobody uses, and finds there what whoever had it before left behind.
"""

import fcntl
import os
from pathlib import Path

from holdfast.errors import UnavailableError

SLOTS_MAX = 16


class Slot:
    """A folder that this process alone uses, until `release`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Let another process have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def alive(self) -> bool:
        """Whether the folder that was claimed is still the one under its name."""
        try:
            now, then = (self.path / "lock").stat(), os.fstat(self._lock)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)


def claim(cache: Path) -> Slot:
    """Claim the first folder under `cache` that no other process uses: 0, 1, ...

    Raises:
        UnavailableError: all of them are in use, or the folder cannot be written.
    """
    for number in range(SLOTS_MAX):
        path = cache / str(number)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnavailableError(f"the cache {path} cannot be used: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        return Slot(path, lock)
    raise UnavailableError(f"{SLOTS_MAX} processes use the cache {cache} already")


def set_aside(path: Path) -> None:
    """Rename a catalog, in place of the one that was set aside before."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(f"{path.name}.set-aside{suffix}"))
