"""A request's body: its bytes, bounded before and after decompression.

Nothing here looks into the events. A body may be made of many compressed members; each costs time
of its own, however little it holds, so that their number has a limit as well as their bytes.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from holdfast.errors import Problem, RejectedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS: Final = ("identity", "gzip", "zstd")
MEMBERS_MAX: Final = 1000
_PIECE_BYTES: Final = 64 * 1024  # what a member leaves of a piece is copied, never the whole body
_WINDOW_LOG_MAX: Final = 23  # 8 MiB, as for segments: what a decompressor may be made to allocate


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: memoryview, max_length: int, /) -> bytes: ...


def encoding(header: bytes) -> str:
    """One of ENCODINGS, by the Content-Encoding.

    Raises:
        RejectedError: unsupported-media-type.
    """
    name = header.decode("latin-1").strip().lower() or "identity"
    name = {"x-gzip": "gzip"}.get(name, name)
    if name not in ENCODINGS:
        reason = f"{name[:80]} is not taken"
        raise RejectedError("unsupported-media-type", Problem(0, "Content-Encoding", reason))
    return name


def decode(data: bytes, coding: str, limit_bytes: int) -> bytes:
    """Undo the Content-Encoding, never beyond the limit.

    Raises:
        RejectedError: too-large (a bomb, too many members), malformed (damaged, cut off, or
            followed by other bytes).
    """
    match coding:
        case "gzip":
            return _decode_members(data, limit_bytes, "gzip", lambda: zlib.decompressobj(wbits=31))
        case "zstd":
            options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX}
            return _decode_members(
                data, limit_bytes, "zstd", lambda: zstd.ZstdDecompressor(options=options)
            )
    return data


def _decode_members(
    data: bytes, limit_bytes: int, coding: str, decompressor: Callable[[], _Decompressor]
) -> bytes:
    """Both formats let members follow each other; their contents are joined."""
    if not data:
        raise _damaged(coding, "it is empty")
    view, start, room_bytes = memoryview(data), 0, limit_bytes
    parts: list[bytes] = []
    member, members = decompressor(), 1
    while start < len(data):
        if member.eof:
            member, members = decompressor(), members + 1
            if members > MEMBERS_MAX:
                raise _too_many(coding)
        piece = view[start : start + _PIECE_BYTES]
        try:
            part = member.decompress(piece, room_bytes + 1)
        except (zlib.error, zstd.ZstdError) as error:
            raise _damaged(coding, str(error)) from None
        room_bytes -= len(part)
        if room_bytes < 0:
            raise too_large(limit_bytes)
        parts.append(part)
        start += len(piece) - (len(member.unused_data) if member.eof else 0)
    if not member.eof:
        raise _damaged(coding, "it is cut off")
    return b"".join(parts)


def too_large(limit_bytes: int) -> RejectedError:
    """The refusal of a body beyond the limit."""
    reason = f"more than {limit_bytes:,} bytes (compressed or not) in one request"
    return RejectedError("too-large", Problem(0, "", reason))


def _too_many(coding: str) -> RejectedError:
    reason = f"more than {MEMBERS_MAX:,} {coding} members or frames in one request: compress once"
    return RejectedError("too-large", Problem(0, "", reason))


def _damaged(coding: str, reason: str) -> RejectedError:
    return RejectedError("malformed", Problem(0, "", f"the body is not {coding}: {reason}"))
