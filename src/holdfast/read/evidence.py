"""A unit's evidence, as it lies in the cache: what is asked of it in workers.

Its bytes were compared with the hash that a manifest signs; whether names and leaves are what was
signed of a ledger, is seen by whoever makes a proof of them.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof import statements
from holdfast.proof.floors import Went, went_of
from holdfast.proof.names import SegmentName
from holdfast.read.contents import Archived, LetGo
from holdfast.read.search import lines_within
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Stretch
from holdfast.regions.kinds import Trailer
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
    leaves: tuple[str, ...]


class _Gone(Struct, frozen=True, gc=False):
    node: NodeId
    segment: int
    rows: tuple[tuple[int, int], ...]
    hashes: tuple[bytes, ...]  # which JSON has as base64


_PARTS = msgspec.json.Decoder(PartLine)
_NAMES = msgspec.json.Decoder(_Named)
_TRAILERS = msgspec.json.Decoder(_Sealed)
_GONE = msgspec.json.Decoder(_Gone)
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


class Asked(Struct, frozen=True):
    """The segments [start, end) of a ledger, of a unit that lies in these files. parts: that are
    shown; remains: of the classes that were let go. tenant: whose records; None: all."""

    evidence: str
    parts: tuple[FoldSource, ...]
    remains: tuple[str, ...]
    node: NodeId
    start: int
    end: int
    tenant: str | None = None


def contents_of(asked: Asked) -> tuple[Archived, ...]:
    """What the unit has of them.

    Raises:
        SourceError: a file is gone, or not what it was.
    """
    texts, lines = _segments(asked.evidence).get(asked.node, ((), ()))
    several = [
        (SegmentName.parse(text), line)
        for text, line in zip(texts, lines, strict=True)
        if asked.start <= int(text[:10], 16) < asked.end
    ]
    if not several:
        return ()
    stretch = Stretch(asked.node, several[0][0].first, several[-1][0].first + several[-1][0].count)
    records: dict[int, bytes] = {}
    for each in lines_within(asked.parts, stretch, asked.tenant):
        records[each.segment] = records.get(each.segment, b"") + each.data
    gone = [_gone(path).get(asked.node, {}) for path in asked.remains]
    found = []
    for name, line in several:
        said = _TRAILERS.decode(line)
        held = _archived(name, said, records.get(name.index, b""), gone)
        found.append(held if asked.tenant is None else replace(held, leaves=said.leaves))
    return tuple(found)


def ranges_in(
    path: str, names: Mapping[NodeId, Sequence[str]]
) -> dict[NodeId, list[tuple[int, int]]]:
    """The positions of what was let go. path: of its remains. names: of the unit's segments.

    Raises:
        SourceError: as `contents_of`.
    """
    found: dict[NodeId, list[tuple[int, int]]] = {}
    for node, segments in _gone(path).items():
        parsed = map(SegmentName.parse, names.get(node, ()))
        firsts = {name.index: name.first for name in parsed if name.index in segments}
        found[node] = [
            (firsts[index] + start, firsts[index] + end)
            for index, gone in segments.items()
            for start, end in gone.rows
        ]
    return found


def went_in(path: str, remains: str) -> Iterator[tuple[NodeId, int, tuple[Went, ...]]]:
    """What went of each segment of a unit, by node and index. path: of its evidence. remains: of
    the class.

    Raises:
        SourceError: as `contents_of`.
    """
    segments = _segments(path)
    for node, several in _gone(remains).items():
        names, lines = segments.get(node, ([], []))
        places = {int(name[:10], 16): at for at, name in enumerate(names)}
        for index, gone in several.items():
            said = _TRAILERS.decode(lines[places[index]])
            trailer = statements.read(said.trailer.encode(), Trailer).statement
            yield node, index, tuple(went_of(trailer.tenants, gone.rows))


def _archived(
    name: SegmentName, said: _Sealed, lines: bytes, several: Sequence[Mapping[int, _Gone]]
) -> Archived:
    gone = [each[name.index] for each in several if name.index in each]
    if not gone:
        return Archived(name, said.trailer.encode(), lines)
    trailer = statements.read(said.trailer.encode(), Trailer).statement
    hashes: dict[int, bytes | None] = {}
    for each in gone:
        out = [line for start, end in each.rows for line in range(start, end)]
        waiting = iter(each.hashes)
        for start, count in _groups(trailer):
            mine = [line for line in out if start <= line < start + count]
            is_split = len(mine) < count
            hashes |= {line: next(waiting, None) if is_split else None for line in mine}
    return Archived(name, said.trailer.encode(), lines, LetGo(hashes, said.leaves))


def _groups(trailer: Trailer) -> Iterator[tuple[int, int]]:
    """The first line of each tenant, and how many it has."""
    at = 0
    for _, count in trailer.tenants:
        yield at, count
        at += count


@lru_cache(maxsize=4)
def _gone(path: str) -> dict[NodeId, dict[int, _Gone]]:
    found: dict[NodeId, dict[int, _Gone]] = {}
    for line in _lines(path):
        gone = _GONE.decode(line)
        found.setdefault(gone.node, {})[gone.segment] = gone
    return found


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
