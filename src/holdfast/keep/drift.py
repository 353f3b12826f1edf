"""What the regions' listings say when they are laid side by side. Pure.

Listings have names and sizes: they show what a region lacks, what nobody holds, and copies of one
name that cannot all be right. Which of those is right, only their bytes tell.

Only the ledger is repaired: a segment is copied when its node is known to have acknowledged it (a
promise, a close or the next birth covers it), so a segment beyond a close is never spread. What the
trail's key states to be lost is not missing; a good copy of it that turns up is copied as ever.
What a region's own archive holds is neither missing nor copied back to that region: its segments
were swept there, or will be.
"""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.keep.lost import EpochId
from holdfast.read import shown
from holdfast.regions import layout
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import (
    ArchivedKey,
    CheckpointKey,
    EpochKey,
    FloorKey,
    GapKey,
    HoldKey,
    Key,
    SegmentKey,
)
from holdfast.regions.port import RegionId
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out, objects_left, objects_needed, remains_key

Spans = Mapping[str, shown.Ranges]  # indexes, by node

# Cookies, fences and votes are one store's own statement: a copy of one would be a lie.
REPAIRED_KINDS = frozenset({"birth", "closed", "retired"})


@dataclass(frozen=True, slots=True)
class Extent:
    """How far an epoch's ledger reaches for sure: segments at base <= index < size are in it.

    is_final: the epoch is closed there; segments of it beyond are orphans.
    """

    base: int
    size: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Lack:
    """One object that some regions have and others have not. is_lost: as in `Suspect`."""

    key: str
    size_bytes: int
    sealed_us: int  # of a segment; 0 for notes
    holders: tuple[RegionId, ...]
    lacking: tuple[RegionId, ...]
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """One object some copy of which must be read to know which of them are right.

    is_lost: a declared gap holds it, so that nobody need be told that no copy is good.
    """

    key: str
    holders: tuple[RegionId, ...]
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """Segments [start, end) that must exist, in no region listed and in no declared gap."""

    node: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Drift:
    """What must be copied, and what must never be.

    suspects: copies of one name that differ in size, or have none. missing: in ledger order.
    unsettled: segments not known to be in the ledger yet; they are looked at again the next time.
    unarchived: how many segments a region lacks that only archives of others hold still.
    """

    lacks: tuple[Lack, ...]
    suspects: tuple[Suspect, ...]
    missing: tuple[Missing, ...]
    orphans: tuple[str, ...]
    unsettled: tuple[str, ...]
    foreign: tuple[str, ...]
    unarchived: Mapping[RegionId, int]


def compare(
    held: Mapping[RegionId, Mapping[str, int]],
    extents: Mapping[EpochId, Extent],
    starts: Mapping[str, int],
    lost: Mapping[str, shown.Ranges],
    archived: Mapping[RegionId, Spans],
) -> Drift:
    """Find every object of the ledger that a listed region lacks, or all of them do.

    Args:
        held: For each region that was listed whole: key -> bytes of the object.
        extents: For each epoch: where its ledger lies.
        starts: For each node: the index from which on its segments were listed.
        lost: For each node with declared gaps: the indexes in them.
        archived: What each region's archive holds, see `archived_in`.
    """
    lacks: list[Lack] = []
    suspects: list[Suspect] = []
    found: dict[str, list[str]] = {"orphan": [], "unsettled": [], "foreign": []}
    seen: dict[str, set[int]] = {node: set() for node in starts}
    regions = sorted(held)
    for key in sorted(set().union(*held.values())):
        holders = tuple(region for region in regions if key in held[region])
        parsed = layout.known_key(key)
        standing = _standing(parsed, extents)
        if isinstance(parsed, SegmentKey) and standing != "orphan":
            seen.setdefault(parsed.node, set()).add(parsed.name.index)
        if standing in found:
            found[standing].append(key)
        if standing != "ledger":
            continue
        sizes = {held[region][key] for region in holders}
        gone = is_lost(key, lost)
        if len(sizes) > 1 or 0 in sizes:
            suspects.append(Suspect(key, holders, gone))
        lacking = tuple(
            region
            for region in regions
            if region not in holders and not is_archived(parsed, archived.get(region, {}))
        )
        if lacking:
            lacks.append(Lack(key, max(sizes), _sealed_us(parsed), holders, lacking, gone))
    return Drift(
        lacks=tuple(lacks),
        suspects=tuple(suspects),
        missing=tuple(_missing(seen, extents, starts, _joined(lost, *archived.values()))),
        orphans=tuple(found["orphan"]),
        unsettled=tuple(found["unsettled"]),
        foreign=tuple(found["foreign"]),
        unarchived={region: _unarchived(region, seen, lost, archived) for region in regions},
    )


def archived_in(
    archives: Mapping[RegionId, Mapping[str, Archive]],
    there: Container[str] | None,
    out: Mapping[Out, Floor],
) -> dict[RegionId, Spans]:
    """The indexes that each region's archive holds, but for declared gaps.

    archives: manifests by unit. there: the keys that any region holds: what lacks in one is copied
    there, so a unit counts if none of its objects is gone for good; None: that was not listed. out:
    the classes that are let go.
    """
    found: dict[RegionId, Spans] = {}
    for region, units in archives.items():
        spans: dict[str, list[tuple[int, int]]] = {}
        gaps: dict[str, list[tuple[int, int]]] = {}
        for archive in units.values():
            if there is None or all(key in there for key in objects_needed(archive, out)):
                for node, start, end, *_ in archive.ledgers:
                    spans.setdefault(node, []).append((start, end))
                for node, start, end in archive.gaps:
                    gaps.setdefault(node, []).append((start, end))
        found[region] = {
            node: shown.minus(shown.union(tuple(each), ()), tuple(gaps.get(node, ())))
            for node, each in spans.items()
        }
    return found


def _unarchived(
    region: RegionId,
    seen: Mapping[str, Collection[int]],
    lost: Mapping[str, shown.Ranges],
    archived: Mapping[RegionId, Spans],
) -> int:
    """Segments in no copy and no archive of a region, and in no copy anywhere that is surveyed."""
    others = _joined(*(spans for id, spans in archived.items() if id != region))
    own = _joined(archived.get(region, {}), lost)
    lacking = {node: shown.minus(each, own.get(node, ())) for node, each in others.items()}
    if not any(lacking.values()):
        return 0
    return sum(
        shown.count(shown.minus(each, shown.of_indexes(seen.get(node, ()))))
        for node, each in lacking.items()
    )


def _joined(*several: Mapping[str, shown.Ranges]) -> Spans:
    """What lies in any of them, by node."""
    return {
        node: shown.union(tuple(one for each in several for one in each.get(node, ())), ())
        for node in set().union(*several)
    }


def is_archived(parsed: Key | None, spans: Spans) -> bool:
    """Whether a key is of a segment in the spans."""
    return isinstance(parsed, SegmentKey) and holds(spans, parsed.node, parsed.name.index)


def holds(spans: Spans, node: str, index: int) -> bool:
    """Whether that segment lies in the spans."""
    return any(start <= index < end for start, end in spans.get(node, ()))


def compare_archives(
    held: Mapping[RegionId, Mapping[str, int]],
    archives: Mapping[RegionId, Mapping[str, Archive]],
    out: Mapping[Out, Floor],
) -> tuple[tuple[Lack, ...], tuple[Suspect, ...]]:
    """What a region's own manifests, and floors, name and it lacks, or has in another size.

    archives: the manifests of each region, by unit. What none of its manifests names is no
    evidence, and a region that has no manifest of a unit is given one by an archivist. out: the
    classes that are let go: their parts are copied nowhere, what stays of them is everywhere.
    """
    lacking: dict[str, list[RegionId]] = {}
    suspects: list[Suspect] = []
    for region in sorted(archives):
        for key, size_bytes in named_by(archives[region], out).items():
            found = held[region].get(key)
            if found is None:
                lacking.setdefault(key, []).append(region)
            elif found == 0 or size_bytes not in (0, found):
                suspects.append(Suspect(key, (region,)))
    lacks = []
    for key, regions in sorted(lacking.items()):
        holders = tuple(region for region in sorted(held) if key in held[region])
        size = max((held[holder][key] for holder in holders), default=0)
        lacks.append(Lack(key, size, 0, holders, tuple(regions)))
    return tuple(lacks), tuple(suspects)


def named_by(archives: Mapping[str, Archive], out: Mapping[Out, Floor]) -> dict[str, int]:
    """The keys that a region's archive must have, with their sizes in bytes; 0: not known. Its
    manifests, and the classes that are let go, as in `compare_archives`."""
    named = {remains_key(floor): 0 for floor in out.values()}
    for archive in archives.values():
        named |= objects_left(archive, out)
    return named


def counting(held: Mapping[str, int], named: Collection[str]) -> Iterator[str]:
    """The keys that a region holds, without what its archive has left over: objects that nothing
    names any more, or yet. named: as `named_by` says."""
    for key in held:
        is_left_over = key.startswith(layout.ARCHIVE_PREFIX) and key not in named
        if not is_left_over or not isinstance(layout.known_key(key), ArchivedKey):
            yield key


def _missing(
    seen: Mapping[str, set[int]],
    extents: Mapping[EpochId, Extent],
    starts: Mapping[str, int],
    lost: Mapping[str, shown.Ranges],
) -> Iterator[Missing]:
    """What lies below the largest size that a node's ledger is known to have, and was not seen."""
    ends: dict[str, int] = {}
    for (node, _), extent in extents.items():
        ends[node] = max(ends.get(node, 0), extent.size)
    for node, end in sorted(ends.items()):
        at = starts.get(node, 0)
        for index in [*sorted(i for i in seen.get(node, ()) if at <= i < end), end]:
            if index > at:
                for start, stop in shown.minus(((at, index),), lost.get(node, ())):
                    yield Missing(node, start, stop)
            at = index + 1


def is_lost(key: str, lost: Mapping[str, shown.Ranges]) -> bool:
    """Whether a key is of a segment that a declared gap holds. lost: as in `compare`."""
    parsed = layout.known_key(key) if lost else None
    return isinstance(parsed, SegmentKey) and any(
        start <= parsed.name.index < end for start, end in lost.get(parsed.node, ())
    )


def missing_fences(
    held: Mapping[RegionId, Collection[str]],
    extents: Mapping[EpochId, Extent],
) -> tuple[tuple[RegionId, str, int], ...]:
    """(region, node, epoch) for each closed epoch that a listed region has no fence of.

    It was away when the epoch was closed, or lost the fence since. Whoever of the epoch is still
    alive could count such a store: with one that lost its fence, perhaps a quorum of them.
    """
    return tuple(
        (region, node, epoch)
        for (node, epoch), extent in sorted(extents.items())
        for region in sorted(held)
        if extent.is_final and layout.fence_key(node, epoch) not in held[region]
    )


def _standing(parsed: Key | None, extents: Mapping[EpochId, Extent]) -> str:
    """One of "ledger", "orphan", "unsettled", "own" (a store's own statement) and "foreign"."""
    if parsed is None:
        return "foreign"
    if isinstance(parsed, SegmentKey):
        extent = extents.get((parsed.node, parsed.name.epoch))
        if extent is None:
            return "unsettled"
        if extent.base <= parsed.name.index < extent.size:
            return "ledger"
        return "orphan" if extent.is_final or parsed.name.index < extent.base else "unsettled"
    if isinstance(parsed, CheckpointKey | GapKey | FloorKey | HoldKey):
        return "ledger"
    if isinstance(parsed, EpochKey) and parsed.kind in REPAIRED_KINDS:
        return "ledger"
    return "own"


def _sealed_us(parsed: Key | None) -> int:
    return parsed.name.sealed_us if isinstance(parsed, SegmentKey) else 0


@dataclass(frozen=True, slots=True)
class Lag:
    """What a region lacks of the ledger. oldest_us: when the oldest lacking segment was sealed."""

    region: RegionId
    segments: int
    objects: int
    size_bytes: int
    oldest_us: int


def lag_of(region: RegionId, lacks: Collection[Lack]) -> Lag:
    """Sum up one region's lag."""
    mine: Sequence[Lack] = [lack for lack in lacks if region in lack.lacking]
    sealed = [lack.sealed_us for lack in mine if lack.sealed_us]
    return Lag(
        region=region,
        segments=len(sealed),
        objects=len(mine),
        size_bytes=sum(lack.size_bytes for lack in mine),
        oldest_us=min(sealed, default=0),
    )
