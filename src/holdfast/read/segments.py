"""Read what the cache holds, and trust no byte that does not hash to what it must."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from holdfast.errors import CorruptError, HoldfastError
from holdfast.read.decode import Lines, Part
from holdfast.read.sources import FoldSource, SegmentSource

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SEGMENT_BYTES_MAX = 16 << 20
BATCH_EVENTS = 1_024  # the objects of more no longer fit a CPU's cache
BATCH_BYTES = 4 << 20


class SourceError(HoldfastError):
    """A cached segment or a fold cannot be used: forget it, make it again, search again."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.path = path


def read_lines(source: SegmentSource) -> Lines:
    """Read a cached segment and decompress the records that are to be read of it.

    Raises:
        SourceError: it cannot be read, or holds other bytes than its name promises.
    """
    try:
        with Path(source.path).open("rb") as file:
            file.seek(source.offset)
            data = file.read(source.size_bytes)
    except OSError as error:
        raise SourceError(f"a cached segment cannot be read: {error}", source.path) from error
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise SourceError(f"{source.path} does not hash to its name", source.path)
    first = source.first + source.lines.start
    return Lines(source.node, source.index, first, records_in(data, source.part))


def read_batches(
    sources: Iterable[SegmentSource], read: Callable[[SegmentSource], Lines] = read_lines
) -> Iterator[tuple[list[SegmentSource], list[Lines]]]:
    """The records of segments, as many as are best decoded together at a time.

    One segment by itself, but small neighbours together.

    Raises:
        SourceError: as `read_lines`.
    """
    batch: list[SegmentSource] = []
    parts: list[Lines] = []
    events = size = 0
    for source in sources:
        lines = read(source)
        events += len(source.lines)
        size += len(lines.data)
        if batch and (events > BATCH_EVENTS or size > BATCH_BYTES):
            yield batch, parts
            batch, parts = [], []
            events, size = len(source.lines), len(lines.data)
        batch.append(source)
        parts.append(lines)
    if batch:
        yield batch, parts


def check_fold(fold: FoldSource) -> None:
    """Check that a fold holds the bytes that were written.

    Raises:
        SourceError: it does not, or cannot be read.
    """
    try:
        with Path(fold.path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"a fold cannot be read: {error}", fold.path) from error
    if digest != fold.sha256:
        raise SourceError(f"{fold.path} does not hash to what was written", fold.path)


def records_in(data: bytes, part: Part | None = None) -> bytes:
    """The records of a segment, a line each: its first frame, decompressed; or a part of them.

    Raises:
        CorruptError: not a zstd frame, or one that is too large.
    """
    decompressor = zstd.ZstdDecompressor()
    try:
        if part is not None:
            return decompressor.decompress(data, part.end_byte)[part.start_byte :]
        lines = decompressor.decompress(data, SEGMENT_BYTES_MAX + 1)
    except zstd.ZstdError as error:
        raise CorruptError(f"a segment is not zstd: {error}") from error
    if len(lines) > SEGMENT_BYTES_MAX or not decompressor.eof:
        raise CorruptError("a segment's records do not end where they must")
    return lines
