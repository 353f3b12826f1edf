"""What a search reads: the hot segments, the folds, and the places to leave out or to flag.

Held in memory, bounded by folding; the catalog has the same on disk. The plans at the end say when
to fold what, and are pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from holdfast.model import NodeId, Place
from holdfast.proof.names import SegmentName
from holdfast.read.catalog import Entry
from holdfast.read.fold import FoldFacts
from holdfast.read.packs import Packs, Spot
from holdfast.read.repeats import Standing
from holdfast.read.sources import FoldSource, Places, SegmentSource, Source
from holdfast.regions.units import DAY_US

FOLD_EVENTS_MAX = 65_536  # a fold job holds its events in memory: about 1.3 kB each
FOLD_WHOLE = FOLD_EVENTS_MAX // 2  # a fold of so many events is not merged any more
MERGE_FAN = 8
_CLASS_BITS = 3  # folds within a factor of 8 are merged with each other

_UINT64 = np.dtype("<u8")


class FoldLimits(Struct, frozen=True):
    """When settled hot segments are folded: at so many events, or segments, or so old with so many
    events that it is worth a file, or so old whatever there is."""

    events: int = 100_000
    segments: int = 512
    old_s: float = 60.0
    old_events: int = 10_000
    very_old_s: float = 3600.0


class Hot(Struct, frozen=True):
    """A segment in no fold. day: when it was sealed, in days since 1970."""

    entry: Entry
    source: SegmentSource
    day: int = 0


class Fold(Struct, frozen=True):
    """A fold, and where its file lies."""

    number: int
    facts: FoldFacts
    source: FoldSource


Key = tuple[NodeId, int, str]  # node, index, name


class Shelf:
    """All of it. Changed only by the event loop; `sources` and the places are safe to hand on."""

    def __init__(self, packs: Packs, folder: Path) -> None:
        self._packs = packs
        self._folder = folder
        self._hot: dict[Key, Hot] = {}
        self._folds: dict[int, Fold] = {}
        self._parts: dict[str, tuple[FoldSource, ...]] = {}
        self._sources: tuple[Source, ...] | None = None
        self._repeats = _PlaceSet()
        self._conflicts = _PlaceSet()
        self.hot_events = 0

    @property
    def hot(self) -> tuple[Hot, ...]:
        return tuple(self._hot.values())

    @property
    def hot_count(self) -> int:
        return len(self._hot)

    @property
    def folds(self) -> tuple[Fold, ...]:
        return tuple(self._folds.values())

    @property
    def sources(self) -> tuple[Source, ...]:
        """Everything that a search may read."""
        if self._sources is None:
            self._sources = (
                *(hot.source for hot in self._hot.values()),
                *(fold.source for fold in self._folds.values()),
                *(part for parts in self._parts.values() for part in parts),
            )
        return self._sources

    @property
    def repeats(self) -> Places:
        """Places that a search leaves out."""
        return self._repeats.places

    @property
    def conflicts(self) -> Places:
        """Places that a search flags."""
        return self._conflicts.places

    @property
    def repeats_count(self) -> int:
        return self._repeats.count

    @property
    def conflicts_count(self) -> int:
        return self._conflicts.count

    def fold_path(self, number: int) -> Path:
        """Where a fold's file lies."""
        return self._folder / f"{number:08d}.parquet"

    def add(self, entry: Entry, name: SegmentName | None = None) -> None:
        """A segment whose file is in the cache. name: the entry's, if it is parsed already."""
        key = (entry.node, entry.index, entry.name)
        if key not in self._hot:
            self._hot[key] = self._hot_of(entry, name)
            self.hot_events += entry.count
            self._sources = None

    def move(self, entry: Entry) -> None:
        """The bytes of a segment lie elsewhere in the cache now, if it is hot."""
        key = (entry.node, entry.index, entry.name)
        if key in self._hot:
            self._hot[key] = self._hot_of(entry)
            self._sources = None

    def _hot_of(self, entry: Entry, name: SegmentName | None = None) -> Hot:
        name = name or SegmentName.parse(entry.name)
        return Hot(entry, segment_source(self._packs, entry, name), name.sealed_us // DAY_US)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Segments that are folded now, or gone."""
        for entry in entries:
            if self._hot.pop((entry.node, entry.index, entry.name), None) is not None:
                self.hot_events -= entry.count
        self._sources = None

    def put_fold(self, number: int, facts: FoldFacts) -> None:
        """A fold whose file is whole."""
        source = facts.source(str(self.fold_path(number)))
        self._folds[number] = Fold(number, facts, source)
        self._sources = None

    def remove_folds(self, numbers: Iterable[int]) -> None:
        """Folds that were merged, or whose file is lost."""
        for number in numbers:
            self._folds.pop(number, None)
        self._sources = None

    def put_parts(self, unit: str, parts: Sequence[FoldSource]) -> None:
        """The parts of a unit, in place of those that were its parts before."""
        self._parts[unit] = tuple(parts)
        self._sources = None

    def stand(self, standings: Iterable[tuple[Place, Standing]]) -> None:
        """Take over what is known of places; SHOWN places are neither left out nor flagged."""
        by: dict[Standing, list[Place]] = {standing: [] for standing in Standing}
        every: list[Place] = []
        for place, standing in standings:
            by[standing].append(place)
            every.append(place)
        self._repeats.change(remove=every, add=by[Standing.REPEAT])
        self._conflicts.change(remove=every, add=by[Standing.CONFLICT])

    def forget_places(self, node: NodeId, start: int, end: int) -> None:
        """Positions [start, end) of a node hold other events now, or none."""
        self._repeats.cut(node, start, end)
        self._conflicts.cut(node, start, end)


class _PlaceSet:
    """Sorted positions per node; a change costs a pass over the nodes that it concerns."""

    def __init__(self) -> None:
        self._by: dict[NodeId, np.ndarray[tuple[int], np.dtype[np.uint64]]] = {}
        self._places: Places | None = Places()

    @property
    def count(self) -> int:
        return sum(len(positions) for positions in self._by.values())

    @property
    def places(self) -> Places:
        if self._places is None:
            self._places = Places({node: at.tobytes() for node, at in self._by.items() if len(at)})
        return self._places

    def change(self, remove: Iterable[Place], add: Iterable[Place]) -> None:
        gone, new = _by_node(remove), _by_node(add)
        for node in gone.keys() | new.keys():
            before = self._by.get(node, np.array([], _UINT64))
            kept = np.setdiff1d(before, np.array(gone.get(node, []), _UINT64))
            self._by[node] = np.union1d(kept, np.array(new.get(node, []), _UINT64))
            self._places = None

    def cut(self, node: NodeId, start: int, end: int) -> None:
        positions = self._by.get(node)
        if positions is not None:
            self._by[node] = positions[(positions < start) | (positions >= end)]
            self._places = None


def spot_of(entry: Entry) -> Spot:
    """Where a segment's bytes lay in the cache."""
    return Spot(entry.pack, entry.offset, entry.size_bytes)


def segment_source(packs: Packs, entry: Entry, name: SegmentName | None = None) -> SegmentSource:
    """A segment as a search takes it. name: the entry's, if it is parsed already."""
    name = name or SegmentName.parse(entry.name)
    return SegmentSource(
        node=entry.node,
        index=entry.index,
        first=entry.first,
        count=entry.count,
        path=str(packs.path(entry.pack)),
        sha256=name.sha256.hex(),
        time_min_us=entry.time_min_us,
        time_max_us=entry.time_max_us,
        tenants=entry.tenants,
        offset=entry.offset,
        size_bytes=entry.size_bytes,
    )


def plan_fold(
    hot: Sequence[Hot], settled: Mapping[NodeId, int], now_us: int, limits: FoldLimits
) -> tuple[Hot, ...]:
    """Which hot segments to fold now, oldest first; none while it is not worth it. Pure.

    Only what is final: an orphan in a fold would have to be cut out of it. Only of one day: what
    the archive has of a day takes the place of folds.
    """
    final = [one for one in hot if one.entry.index < settled.get(one.entry.node, 0)]
    if not final:
        return ()
    final.sort(key=lambda one: (one.entry.received_min_us, one.entry.node, one.entry.index))
    events = sum(one.entry.count for one in final)
    old_s = (now_us - final[0].entry.received_min_us) / 1e6
    worth_it = (
        events >= limits.events
        or len(final) >= limits.segments
        or (old_s >= limits.old_s and events >= limits.old_events)
        or old_s >= limits.very_old_s
    )
    return _first_events([one for one in final if one.day == final[0].day]) if worth_it else ()


def plan_merge(folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """Which small folds of one day to make one of, so that a search opens few files. Pure."""
    classes: dict[tuple[int, int], list[Fold]] = {}
    for fold in sorted(folds, key=lambda fold: fold.number):
        if fold.facts.count < FOLD_WHOLE:
            size = fold.facts.count.bit_length() // _CLASS_BITS
            classes.setdefault((size, fold.facts.day), []).append(fold)
    for _, group in sorted(classes.items()):
        if len(group) >= MERGE_FAN:
            taken: list[Fold] = []
            events = 0
            for fold in group:
                if events + fold.facts.count > FOLD_EVENTS_MAX:
                    break
                taken.append(fold)
                events += fold.facts.count
            return tuple(taken)
    return ()


def _first_events(hot: Sequence[Hot]) -> tuple[Hot, ...]:
    taken: list[Hot] = []
    events = 0
    for one in hot:
        if taken and events + one.entry.count > FOLD_EVENTS_MAX:
            break
        taken.append(one)
        events += one.entry.count
    return tuple(taken)


def _by_node(places: Iterable[Place]) -> dict[NodeId, list[int]]:
    found: dict[NodeId, list[int]] = {}
    for place in places:
        found.setdefault(place.node, []).append(place.position)
    return found
