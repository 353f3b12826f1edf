"""What the regions' listings say when they are laid side by side. Pure.

Only the ledger is repaired: a segment is copied when its node is known to have acknowledged it (a
promise, a close or the next birth covers it), so a segment beyond a close is never spread.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from holdfast.proof import ProofError, names
from holdfast.proof.names import (
    CheckpointKey,
    EpochKey,
    SegmentKey,
)
from holdfast.regions.port import RegionId

# Cookies, fences and votes are one store's own statement: a copy of one would be a lie.
REPAIRED_KINDS = frozenset({"birth", "closed"})


@dataclass(frozen=True, slots=True)
class Extent:
    """How far an epoch's ledger reaches for sure. Segments at index < size are in the ledger.

    is_final: the epoch is closed there; segments of it beyond are orphans.
    """

    size: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Lack:
    """One object that some regions have and others have not."""

    key: str
    size_bytes: int
    sealed_us: int  # of a segment; 0 for notes
    holders: tuple[RegionId, ...]
    lacking: tuple[RegionId, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """What must be copied, and what must never be. unsettled: segments not known to be in the
    ledger yet; they are looked at again the next time."""

    lacks: tuple[Lack, ...]
    orphans: tuple[str, ...]
    unsettled: tuple[str, ...]
    foreign: tuple[str, ...]


def compare(
    held: Mapping[RegionId, Mapping[str, int]],
    extents: Mapping[tuple[str, int], Extent],
) -> Drift:
    """Find every object of the ledger that a listed region lacks.

    Args:
        held: For each region that was listed whole: key -> bytes of the object.
        extents: For each (node, epoch): how far its ledger reaches.
    """
    lacks: list[Lack] = []
    orphans: list[str] = []
    unsettled: list[str] = []
    foreign: list[str] = []
    regions = sorted(held)
    for key in sorted(set().union(*held.values())):
        holders = tuple(region for region in regions if key in held[region])
        standing = _standing(key, extents)
        if standing == "orphan":
            orphans.append(key)
        elif standing == "foreign":
            foreign.append(key)
        elif standing == "unsettled":
            unsettled.append(key)
        elif standing == "ledger" and len(holders) < len(regions):
            lacking = tuple(region for region in regions if region not in holders)
            lacks.append(Lack(key, held[holders[0]][key], _sealed_us(key), holders, lacking))
    return Drift(tuple(lacks), tuple(orphans), tuple(unsettled), tuple(foreign))


def _standing(key: str, extents: Mapping[tuple[str, int], Extent]) -> str:
    """One of "ledger", "orphan", "unsettled", "own" (a store's own statement) and "foreign"."""
    try:
        parsed = names.parse_key(key)
    except ProofError:
        return "foreign"
    if isinstance(parsed, SegmentKey):
        extent = extents.get((parsed.node, parsed.name.epoch))
        if extent is not None and parsed.name.index < extent.size:
            return "ledger"
        return "orphan" if extent is not None and extent.is_final else "unsettled"
    if isinstance(parsed, CheckpointKey):
        return "ledger"
    if isinstance(parsed, EpochKey) and parsed.kind in REPAIRED_KINDS:
        return "ledger"
    return "own"


def _sealed_us(key: str) -> int:
    parsed = names.parse_key(key)
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
