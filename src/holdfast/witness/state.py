"""The last checkpoint that was cosigned of each log: one file a log, never a smaller one again.

A file is written aside, fsynced, renamed into place and its directory fsynced before anyone is
answered: whoever has a cosignature knows that this witness will not forget it. Dying before the
rename leaves the file of before; after it, an asker that was not answered is told the new size.
"""

import fcntl
import hashlib
import os
from pathlib import Path

from holdfast.errors import CorruptError, UnavailableError
from holdfast.proof import ProofError, note
from holdfast.proof.note import Checkpoint
from holdfast.regions.disk import Disk, make_directory, put_file

FILE_BYTES_MAX = note.NOTE_BYTES_MAX
LOCK_FILE = "lock"


def name_of(origin: str) -> str:
    """The hash of an origin, by which a log's checkpoint is asked for."""
    return hashlib.sha256(origin.encode()).hexdigest()


class State:
    """A directory, held by this process alone. All calls block; errors of the disk are OSError."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        """Raises UnavailableError: another process has it."""
        make_directory(disk, directory.absolute())
        self._disk = disk
        self._root = disk.open_root(directory)
        self._lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise UnavailableError(f"another witness runs on {directory}") from error

    def close(self) -> None:
        os.close(self._lock)
        self._disk.close(self._root)

    def read(self, name: str) -> bytes | None:
        """The note as it was cosigned, by `name_of` the log; None: there is none."""
        try:
            return self._disk.read(self._root, f"{name}.note", FILE_BYTES_MAX)[0]
        except FileNotFoundError:
            return None

    def last(self, origin: str) -> Checkpoint | None:
        """The last checkpoint that was cosigned; None: there is none.

        Raises:
            CorruptError: the file holds none of that log: nothing is cosigned until it is mended.
        """
        data = self.read(name_of(origin))
        if data is None:
            return None
        try:
            found = note.parse_checkpoint(note.parse(data).text)
        except ProofError as error:
            raise CorruptError(f"{name_of(origin)}.note: {error}") from error
        if found.origin != origin:
            raise CorruptError(f"{name_of(origin)}.note is of {found.origin}")
        return found

    def keep(self, origin: str, data: bytes) -> None:
        """Take a note for the log's last one, durably when this returns."""
        put_file(self._disk, self._root, f"{name_of(origin)}.note", data)
