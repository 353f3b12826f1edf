"""A directory that one process has for itself, or one process and those that it started."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import UnavailableError
from holdfast.regions.disk import DIRECTORY_MODE

LOCK_FILE = "lock"


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a data directory, so that two servers never run one node.

    Args:
        path: the lock's file in it.
    Returns:
        The open file: whoever inherits it holds the lock as well, until all have closed it.
    Raises:
        UnavailableError: another process has it, or the directory cannot be used.
    """
    if path.parent.exists() and not path.parent.is_dir():
        raise UnavailableError(f"{path.parent} is no directory: name one that may hold the data")
    try:
        # What is derived of events lies in it, in files that libraries make as they please.
        path.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"{path.parent} cannot be the data directory: {error.strerror}"
        raise UnavailableError(why) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError(f"another process serves from {path.parent}") from error
        yield file
    finally:
        os.close(file)
