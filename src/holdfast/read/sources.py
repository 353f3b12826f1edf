"""Where events lie on this machine, and which of these places a search must read. Pure.

A hot source is one segment in the cache, a fold is a Parquet file made of many.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

from holdfast.model import NodeId, Place
from holdfast.read.decode import Part
from holdfast.read.query import Spot, Wanted

Positions = npt.NDArray[np.uint64]
_UINT64 = np.dtype("<u8")


class SegmentSource(Struct, frozen=True):
    """One segment in the cache.

    path: a file that holds the object's bytes as in a region: `size_bytes` from `offset` on, or
    (-1) all that follow. sha256: what they must hash to, as hex.
    tenants: the part in which each one's events are; empty: not known. part: what is to be read of
    it, None: all.
    """

    node: NodeId
    index: int
    first: int
    count: int
    path: str
    sha256: str
    time_min_us: int
    time_max_us: int
    tenants: dict[str, Part] = {}
    offset: int = 0
    size_bytes: int = -1
    part: Part | None = None

    @property
    def lines(self) -> range:
        """Those that are to be read."""
        return range(self.count) if self.part is None else range(self.part.start, self.part.end)


class Stretch(Struct, frozen=True, order=True, array_like=True):
    """Events of one node at positions [start, end)."""

    node: NodeId
    start: int
    end: int


class FoldSource(Struct, frozen=True):
    """One Parquet file, and what it holds. sha256: of its bytes. tenants: empty: not known.

    is_part: of the archive, whose columns of times are named and typed as lakes have them.
    """

    path: str
    sha256: str
    count: int
    time_min_us: int
    time_max_us: int
    stretches: tuple[Stretch, ...]
    tenants: tuple[str, ...] = ()
    is_part: bool = False


Source = SegmentSource | FoldSource


class Hit(Struct, frozen=True):
    """An event that matched.

    size_bytes: of its record. fold: path of the fold that holds it, "": hot. row: its row there.
    """

    spot: Spot
    segment: int
    size_bytes: int
    fold: str
    row: int


class Places(Struct, frozen=True):
    """A set of places, small to send to a worker: sorted little-endian uint64 positions a node."""

    positions: dict[NodeId, bytes] = {}

    def __bool__(self) -> bool:
        return any(self.positions.values())

    def __contains__(self, place: Place) -> bool:
        if place.node not in self.positions:
            return False
        found = self.within(Stretch(place.node, place.position, place.position + 1))
        return bool(len(found))

    def within(self, stretch: Stretch) -> Positions:
        """The positions that lie in a stretch, ascending."""
        every = np.frombuffer(self.positions.get(stretch.node, b""), _UINT64)
        start, end = np.searchsorted(every, np.array([stretch.start, stretch.end], _UINT64))
        return every[start:end]


NOWHERE = Places()


def places(of: Iterable[Place]) -> Places:
    """Collect places in a set."""
    found: dict[NodeId, list[int]] = {}
    for place in of:
        found.setdefault(place.node, []).append(place.position)
    return Places({n: np.unique(np.array(at, _UINT64)).tobytes() for n, at in found.items()})


def stretches_of(source: Source) -> tuple[Stretch, ...]:
    """Which positions a source holds."""
    if isinstance(source, FoldSource):
        return source.stretches
    return (Stretch(source.node, source.first, source.first + source.count),)


def holds(source: Source, place: Place) -> bool:
    """Whether a source has an event."""
    return any(
        stretch.node == place.node and stretch.start <= place.position < stretch.end
        for stretch in stretches_of(source)
    )


def may_hold(source: Source, tenant: str | None) -> bool:
    """Whether a source may have events of a tenant, or (None) any."""
    return tenant is None or not source.tenants or tenant in source.tenants


def prune(sources: Sequence[Source], wanted: Wanted) -> list[Source]:
    """Leave out what cannot hold a wanted event; the rest by greatest time, newest first."""
    from_us, newest_us = wanted.from_us, wanted.newest_us
    kept = [
        _narrowed(source, wanted.tenant)
        for source in sources
        if source.time_max_us >= from_us
        and source.time_min_us <= newest_us
        and may_hold(source, wanted.tenant)
    ]
    kept.sort(key=lambda source: source.time_max_us, reverse=True)
    return kept


def _narrowed(source: Source, tenant: str | None) -> Source:
    """Only the tenant's part of a segment.

    And without the tenants, which have done their part: they are nine tenths of what would
    otherwise be sent to a worker.
    """
    if isinstance(source, FoldSource):
        return structs.replace(source, tenants=()) if source.tenants else source
    part = source.part if tenant is None else source.tenants.get(tenant, source.part)
    return structs.replace(source, tenants={}, part=part)


def hidden_in(sources: Sequence[Source], hidden: Places) -> Mapping[NodeId, Positions]:
    """Those of a set of places that lie in some sources, per node."""
    found: dict[NodeId, list[Positions]] = {}
    for source in sources:
        for stretch in stretches_of(source):
            if stretch.node in hidden.positions:
                within = hidden.within(stretch)
                if len(within):
                    found.setdefault(stretch.node, []).append(within)
    return {node: np.concatenate(arrays) for node, arrays in found.items()}


def joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Stretches in order, those that touch made one."""
    done: list[Stretch] = []
    for stretch in sorted(stretches):
        if done and done[-1].node == stretch.node and done[-1].end == stretch.start:
            done[-1] = Stretch(stretch.node, done[-1].start, stretch.end)
        else:
            done.append(stretch)
    return tuple(done)
