"""How a derived file ends: a footer's text, its CRC-32, its length, and a magic. Pure.

Whoever opens it reads the last TAIL_BYTES, then the text, which says what lies before it.
"""

import zlib

from holdfast.errors import CorruptError

TAIL_BYTES = 16


def closed(text: bytes, magic: bytes) -> bytes:
    """A footer with what comes after it. magic: 8 bytes, of one kind and version."""
    return b"".join(
        (text, zlib.crc32(text).to_bytes(4, "little"), len(text).to_bytes(4, "little"), magic)
    )


def start_of(tail: bytes, size: int, magic: bytes, what: str) -> int:
    """Where the footer of a file of that size begins, by its last bytes. what: for a person.

    Raises:
        CorruptError: another kind of file, or another version, or cut off.
    """
    start = size - TAIL_BYTES - int.from_bytes(tail[4:8], "little")
    if tail[8:] != magic or start < 0:
        raise CorruptError(f"{what} is not of this version, or cut off")
    return start


def check(text: bytes, tail: bytes, what: str) -> None:
    """Raise CorruptError if these bytes are not the footer that was written."""
    if zlib.crc32(text) != int.from_bytes(tail[:4], "little"):
        raise CorruptError(f"{what} has a damaged footer")
