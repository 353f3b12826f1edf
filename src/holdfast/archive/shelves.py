"""What each region's archive was last seen to have, unit by unit. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from holdfast.archive.whole import Holding
from holdfast.regions.port import RegionId


class Shelf(Struct, frozen=True):
    """One region's. whole: units all of whose objects lie there and are not known to be corrupt.
    spoilt: those with an object that is corrupt. size_bytes: of all parts that lie there."""

    whole: frozenset[str]
    spoilt: frozenset[str] = frozenset()
    size_bytes: int = 0


class Shelves(Struct, frozen=True):
    """seen_us: when. of: the regions that could be looked at."""

    seen_us: int
    of: Mapping[RegionId, Shelf]


def shelf_of(holding: Holding) -> Shelf:
    """What a look at an archive came to."""
    size_bytes = sum(size for size, _ in holding.parts.values())
    return Shelf(frozenset(holding.units), frozenset(holding.spoilt), size_bytes)


def newer(one: Shelves | None, other: Shelves | None) -> Shelves | None:
    """Of two looks the later one."""
    return max(filter(None, (one, other)), key=lambda each: each.seen_us, default=None)
