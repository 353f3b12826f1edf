"""A file of fixed size that holds the last periods, one slot each. Derived, and soon forgotten.

A slot's place follows from its period's number, so there is no head to keep, and what was written
a round ago is told from what is new by the number in the slot. A slot says nothing unless its
checksum holds: a crash while it is written loses that slot alone, a period in which nobody wrote
stays empty. Nothing waits for fsync. All functions block.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("<IQH")  # checksum of all after it, number of the period, length


class Ring:
    """One such file. It is made when something is first written, and may be deleted meanwhile."""

    def __init__(self, path: Path, slots: int, slot_bytes: int) -> None:
        self.path = path
        self.slots = slots
        self._slot_bytes = slot_bytes

    @property
    def data_bytes_max(self) -> int:
        """How much a slot takes."""
        return self._slot_bytes - _HEAD.size

    def put(self, number: int, data: bytes) -> None:
        """Write what a period came to; again, in place of what was written of it.

        Raises:
            OSError: it cannot be written.
        """
        assert len(data) <= self.data_bytes_max, "a slot has its size"
        body = _HEAD.pack(0, number, len(data))[4:] + data
        slot = struct.pack("<I", zlib.crc32(body)) + body
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, slot, number % self.slots * self._slot_bytes)
        finally:
            os.close(file)

    def read(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """What is there of the periods [start, end), in order; at most as many as there are slots.

        A file that cannot be read holds nothing.
        """
        start = max(start, end - self.slots, 0)
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            for number in range(start, end):
                at = number % self.slots * self._slot_bytes
                data = _data_of(os.pread(file, self._slot_bytes, at), number)
                if data is not None:
                    yield number, data
        except OSError:
            return
        finally:
            os.close(file)


def _data_of(slot: bytes, number: int) -> bytes | None:
    if len(slot) < _HEAD.size:
        return None
    checksum, found, length = _HEAD.unpack_from(slot)
    body = slot[4 : _HEAD.size + length]
    if found != number or zlib.crc32(body) != checksum:
        return None
    return body[_HEAD.size - 4 :]
