"""A unit's evidence, as it lies in the cache: what is asked of it in workers.

Its bytes were compared with the hash that a manifest signs; whether names and leaves are what was
signed of a ledger, is seen by whoever makes a proof of them.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof.names import SegmentName
from holdfast.read.contents import Archived
from holdfast.read.search import lines_within
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Stretch
from holdfast.times import parse_time

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINE_BYTES_MAX = 32 << 20


class PartLine(Struct, frozen=True):
    """What is said of a part."""

    sha256: str
    rows: int
    earliest: str
    latest: str
    tenants: tuple[str, ...]

    @property
    def times_us(self) -> tuple[int, int]:
        """The least and the greatest time of its events."""
        return parse_time(self.earliest), parse_time(self.latest)


class _Named(Struct, frozen=True, gc=False):
    node: NodeId
    segment: str


class _Sealed(Struct, frozen=True, gc=False):
    trailer: str


_PARTS = msgspec.json.Decoder(PartLine)
_NAMES = msgspec.json.Decoder(_Named)
_TRAILERS = msgspec.json.Decoder(_Sealed)
_PART_MARK = b'{"line":"part"'


def parts_in(path: str) -> tuple[PartLine, ...]:
    """What it says of each part. Raises SourceError."""
    found = []
    for line in _lines(path):
        if not line.startswith(_PART_MARK):
            break
        found.append(_PARTS.decode(line))
    return tuple(found)


def names_in(path: str) -> dict[NodeId, tuple[str, ...]]:
    """The segments' names, by node and index. Raises SourceError."""
    return {node: tuple(names) for node, (names, _) in _segments(path).items()}


def contents_of(
    path: str, parts: tuple[FoldSource, ...], node: NodeId, start: int, end: int
) -> tuple[Archived, ...]:
    """The segments [start, end) of a ledger, as far as they are in the unit.

    Raises:
        SourceError: a file is gone, or not what it was.
    """
    texts, lines = _segments(path).get(node, ((), ()))
    several = [
        (SegmentName.parse(text), line)
        for text, line in zip(texts, lines, strict=True)
        if start <= int(text[:10], 16) < end
    ]
    if not several:
        return ()
    stretch = Stretch(node, several[0][0].first, several[-1][0].first + several[-1][0].count)
    records = {each.segment: each.data for each in lines_within(parts, stretch)}
    return tuple(
        Archived(name, _TRAILERS.decode(line).trailer.encode(), records.get(name.index, b""))
        for name, line in several
    )


@lru_cache(maxsize=2)
def _segments(path: str) -> dict[NodeId, tuple[list[str], list[bytes]]]:
    found: dict[NodeId, tuple[list[str], list[bytes]]] = {}
    for line in _lines(path):
        if not line.startswith(_PART_MARK):
            said = _NAMES.decode(line)
            names, lines = found.setdefault(said.node, ([], []))
            names.append(said.segment)
            lines.append(line)
    return found


def _lines(path: str) -> Iterator[bytes]:
    """All but the head."""
    try:
        with zstd.open(Path(path), "rb") as file:
            file.readline(LINE_BYTES_MAX)
            yield from iter(lambda: file.readline(LINE_BYTES_MAX), b"")
    except (OSError, EOFError, zstd.ZstdError) as error:
        raise SourceError(f"evidence of the archive cannot be read: {error}", path) from error
