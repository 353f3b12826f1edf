"""Files of events, plain or compressed, as a stream of pieces. Memory is bounded by one piece.

A file holds an event (or an envelope of events) a line, or else one document over several lines,
which is read whole. Compression is told by the first bytes, not by the name.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Final, cast

import msgspec
from msgspec import Raw

from holdfast.errors import Problem
from holdfast.receivers.formats import Piece

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES_MAX: Final = 256 * 1024 * 1024
_SKIP_BYTES: Final = 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_DAMAGED: Final = (EOFError, OSError, zlib.error, zstd.ZstdError)

_decode_values = msgspec.json.Decoder(Raw).decode_lines


def read(raw: IO[bytes], piece_bytes_max: int = PIECE_BYTES_MAX) -> Iterator[Piece | Problem]:
    """Read a file piece by piece.

    Args:
        raw: opened for reading, as it lies on disk or comes in.
        piece_bytes_max: of a line, or of a document over several lines.
    Returns:
        Pieces in order, and a problem for each part that could not be read. A file that is damaged
        is read up to the damage.
    """
    stream = _decompressed(raw)
    line = 0
    try:
        for line, data in _lines(stream, piece_bytes_max):
            if isinstance(data, Problem):
                yield data
            elif data.endswith((b"{", b"[", b",")):  # no JSON ends so: it goes on in the next line
                yield from _document(line, data, stream, piece_bytes_max)
                return
            else:
                yield Piece(line, data)
    except _DAMAGED as error:
        yield Problem(line + 1, "", f"the file is damaged or cut off here: {error}")


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    buffered = (
        raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    )
    start = buffered.peek(4)[:4]
    if start.startswith(_GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=buffered))
    if start.startswith(_ZSTD):
        return io.BufferedReader(zstd.ZstdFile(buffered))
    return buffered


def _lines(stream: IO[bytes], bytes_max: int) -> Iterator[tuple[int, bytes | Problem]]:
    """Lines that are not empty, with their numbers; a problem for each that is too long."""
    number = 0
    while data := stream.readline(bytes_max + 1):
        number += 1
        if number == 1:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        if len(data) > bytes_max:
            while data and not data.endswith(b"\n"):
                data = stream.readline(_SKIP_BYTES)
            yield number, Problem(number, "", f"longer than {bytes_max:,} bytes")
        elif data := data.strip():
            yield number, data


def _document(
    line: int, start: bytes, stream: IO[bytes], bytes_max: int
) -> Iterator[Piece | Problem]:
    """What is left of a file whose values go over several lines."""
    data = start + b"\n" + stream.read(max(bytes_max - len(start), 0) + 1)
    if len(data) > bytes_max + 1:
        yield Problem(line, "", f"a document of more than {bytes_max:,} bytes: split it")
        return
    try:
        values = _decode_values(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield Piece(line, data)  # mapping says what is wrong with it, and takes what is whole
        return
    counted = end = 0
    for value in values:
        piece = bytes(value)
        at = data.index(piece, end)
        line += data.count(b"\n", counted, at)
        yield Piece(line, piece)
        counted, end = at, at + len(piece)
