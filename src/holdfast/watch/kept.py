"""What a node keeps of alerts over a restart: one small file in its data directory.

It is written aside, fsynced and renamed into place. Dying before the rename leaves the file of
before: what was decided since is decided again. A file that cannot be read is no reason not to
start: it is moved aside, and what is open is told once more.
"""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from holdfast.model import NodeId
from holdfast.regions.disk import Disk, write_whole
from holdfast.watch.alerts import Book
from holdfast.watch.delivery import Message

log = logging.getLogger("holdfast.watch")

FILE: Final = "alerts.json"
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
FORMAT: Final = 1

_encode: Final = msgspec.json.Encoder().encode


class Kept(Struct, frozen=True, kw_only=True):
    """The file's content. waiting: messages by channel; nodes: when each was first seen."""

    format: int = FORMAT
    book: Book = Book()
    waiting: Mapping[str, tuple[Message, ...]] = {}
    nodes: Mapping[NodeId, int] = {}


class AlertsFile:
    """The file. All calls block; errors of the disk are OSError."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self._directory = directory
        self._disk = disk

    def read(self) -> Kept:
        """What was kept; nothing where there is no file, or none that can be read."""
        root = self._disk.open_root(self._directory)
        try:
            data = self._disk.read(root, FILE, FILE_BYTES_MAX)[0]
            kept = msgspec.json.decode(data, type=Kept)
            if kept.format != FORMAT:
                raise msgspec.ValidationError(f"format {kept.format} is not known")
        except FileNotFoundError:
            return Kept()
        except msgspec.MsgspecError as error:
            log.error("%s/%s cannot be read, and is moved aside: %s", self._directory, FILE, error)
            self._disk.rename(root, FILE, f"{FILE}.bad")
            return Kept()
        finally:
            self._disk.close(root)
        return kept

    def write(self, kept: Kept) -> None:
        """Keep it durably."""
        data = _encode(kept)
        root = self._disk.open_root(self._directory)
        try:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(root, f"{FILE}.new")
            file = self._disk.create(root, f"{FILE}.new", 0o600)
            try:
                write_whole(self._disk, file, data)
            finally:
                self._disk.close(file)
            self._disk.rename(root, f"{FILE}.new", FILE)
            self._disk.fsync(root)
        finally:
            self._disk.close(root)
