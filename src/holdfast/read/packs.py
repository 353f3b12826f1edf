"""The cache of segments' bytes: appended to a few large files, as they come.

A file of its own for each segment would cost more than all else that is done with a small one. A
pack is written by one process only, from its start; a torn end matters to nobody, since whoever
reads bytes compares their hash with the segment's name. What searches still read (segments in no
fold) stays; of the rest there is as much as the limit allows, the oldest packs go first.
"""

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from holdfast.proof.names import SegmentName

PACK_BYTES = 16 << 20
_PACK = re.compile(r"([0-9]{8})\.pack")


class Spot(Struct, frozen=True):
    """Where a segment's bytes lie in the cache."""

    pack: int
    offset: int
    size_bytes: int


class Packs:
    """See the module. All methods block, and may be called from any thread."""

    def __init__(self, folder: Path, size_bytes_max: int) -> None:
        """Open or create; packs of earlier processes are read, and never written again."""
        self._folder = folder
        self._size_bytes_max = size_bytes_max
        self._turn = threading.Lock()
        self._sizes: dict[int, int] = {}
        self._file = -1
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir()):
            if match := _PACK.fullmatch(path.name):
                self._sizes[int(match[1])] = path.stat().st_size
        self._now = max(self._sizes, default=-1)

    @property
    def size_bytes(self) -> int:
        """What all packs take."""
        return sum(self._sizes.values())

    @property
    def is_full(self) -> bool:
        """Whether there is more than there should be."""
        return self.size_bytes > self._size_bytes_max

    def path(self, pack: int) -> Path:
        """Where a pack lies."""
        return self._folder / f"{pack:08d}.pack"

    def put(self, data: bytes) -> Spot:
        """Keep a segment's bytes. Nothing is synced.

        Raises:
            OSError: they could not be written.
        """
        with self._turn:
            if self._is_over():
                self._begin()
            offset = self._sizes[self._now]
            written = os.pwrite(self._file, data, offset)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes could be written")
            self._sizes[self._now] += written
            return Spot(self._now, offset, written)

    def is_whole(self, spot: Spot) -> bool:
        """Whether the pack reaches that far."""
        return spot.offset + spot.size_bytes <= self._sizes.get(spot.pack, 0)

    def is_intact(self, spot: Spot, name: SegmentName) -> bool:
        """Whether the bytes are there, and hash to the name."""
        return self.read(spot, name) is not None

    def read(self, spot: Spot, name: SegmentName) -> bytes | None:
        """A segment's bytes, if they are there and hash to its name."""
        try:
            with self.path(spot.pack).open("rb") as file:
                data = os.pread(file.fileno(), spot.size_bytes, spot.offset)
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == name.sha256 else None

    def evict(self, needed: Collection[int]) -> None:
        """Bring the cache under its limit; packs that are needed stay."""
        with self._turn:
            for pack in sorted(self._sizes):
                if not self.is_full:
                    return
                if pack not in needed and pack != self._now:
                    self.path(pack).unlink(missing_ok=True)
                    del self._sizes[pack]

    def clear(self) -> None:
        """Remove all packs."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._sizes.clear()

    def close(self) -> None:
        """Close the pack that is written; idempotent."""
        with self._turn:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _is_over(self) -> bool:
        """Whether a new pack is to be begun: there is none, it is full, or somebody deleted it."""
        return (
            self._file < 0
            or self._sizes[self._now] >= PACK_BYTES
            or os.fstat(self._file).st_nlink == 0
        )

    def _begin(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        number = self._now + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(self.path(number), flags, 0o600)
        self._now = number
        self._sizes[number] = 0
