"""What must stay and what may go, as regions say it: floors and holds, verified, each read once."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Struct, structs

from holdfast.proof import ProofError
from holdfast.regions import layout, units
from holdfast.regions.cookie import read_cookie
from holdfast.regions.kinds import Archive, Cookie
from holdfast.regions.layout import FloorKey, HoldKey
from holdfast.regions.listing import list_everywhere, look_at_cookies
from holdfast.regions.once import ReadOnce
from holdfast.regions.port import Absent, Listing, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions
from holdfast.regions.retained import Floor, Hold, Release, Retained, verify_retained
from holdfast.regions.whole import why_not_whole

Key = TypeVar("Key", FloorKey, HoldKey)
Out = tuple[str, str]  # a unit, and a class of it


class Retaining(Struct, frozen=True):
    """What regions were seen to have. floors: of each of them. holds, releases: of any, by id.
    away: why others could not be looked at. unread: holds of which no copy verifies, and nothing is
    known but that they are; unread_floors: the same of floors."""

    floors: Mapping[RegionId, Mapping[Out, Floor]]
    holds: Mapping[str, Hold]
    releases: Mapping[str, Release]
    away: Mapping[RegionId, str]
    unread: frozenset[str] = frozenset()
    unread_floors: frozenset[Out] = frozenset()

    @property
    def out(self) -> Mapping[Out, Floor]:
        """The classes of units that nobody shows any more. One sighting is enough: of any R regions
        one has a floor that lies in W, and what is hidden too early was to go anyway."""
        return {at: floor for found in self.floors.values() for at, floor in found.items()}

    @property
    def standing(self) -> tuple[Hold, ...]:
        """The holds that nobody released, by when they were placed."""
        left = (hold for id, hold in self.holds.items() if id not in self.releases)
        return tuple(sorted(left, key=lambda hold: (hold.placed_us, hold.hold)))


NOTHING = Retaining({}, {}, {}, {})


class Retentions:
    """Reads statements of retention."""

    def __init__(self) -> None:
        self._read = ReadOnce[Retained]()

    async def look(self, regions: Regions) -> Retaining:
        """Look at all regions now, and at their cookies before and after. A store that came later
        may lack a hold that others were promised is there, so it counts once it was found whole."""
        away: dict[RegionId, str] = {}
        await look_at_cookies(regions, away)
        asked = [region for region in regions if region.id not in away]
        whys = await asyncio.gather(*(_why_not_whole(region, regions.trail) for region in asked))
        away |= {region.id: why for region, why in zip(asked, whys, strict=True) if why}
        listings = await list_everywhere(regions, layout.RETENTION_PREFIX, "", away)
        found = await self.of(listings, regions)
        away |= found.away
        await look_at_cookies(regions, away)
        floors = {id: each for id, each in found.floors.items() if id not in away}
        return structs.replace(found, floors=floors, away=away)

    async def of(self, listings: Mapping[RegionId, Listing], regions: Regions) -> Retaining:
        """What regions say by what they list of `layout.RETENTION_PREFIX`."""
        answers = await asyncio.gather(
            *(self._of(regions.by_id[id], each, regions.trail) for id, each in listings.items())
        )
        away: dict[RegionId, str] = {}
        floors: dict[RegionId, dict[Out, Floor]] = {}
        holds: dict[str, Hold] = {}
        releases: dict[str, Release] = {}
        there: set[str] = set()
        stated: set[Out] = set()
        for id, found in zip(listings, answers, strict=True):
            if isinstance(found, Unknown):
                away[id] = found.reason
                continue
            there |= {key.id for key in _keys(listings[id], HoldKey) if not key.is_release}
            stated |= {(key.unit, key.retention) for key in _keys(listings[id], FloorKey)}
            floors[id] = {(f.unit, f.retention): f for f in found if isinstance(f, Floor)}
            holds |= {hold.hold: hold for hold in found if isinstance(hold, Hold)}
            releases |= {each.hold: each for each in found if isinstance(each, Release)}
        unread = frozenset(there - holds.keys() - releases.keys())
        unread_floors = frozenset(stated.difference(*floors.values()))
        return Retaining(floors, holds, releases, away, unread, unread_floors)

    async def _of(self, region: Region, listing: Listing, trail: str) -> list[Retained] | Unknown:
        keys: list[FloorKey | HoldKey]
        keys = [*_keys(listing, FloorKey), *_keys(listing, HoldKey)]
        return await self._read.each(
            region, ((layout.retained_key(key), partial(_verified, key, trail)) for key in keys)
        )


async def _why_not_whole(region: Region, trail: str) -> str:
    cookie = await read_cookie(region, trail)
    if isinstance(cookie, Cookie):
        return await why_not_whole(region, cookie, trail)
    return "its cookie is gone" if isinstance(cookie, Absent) else cookie.reason


def _verified(key: FloorKey | HoldKey, trail: str, data: bytes) -> Retained | None:
    try:
        return verify_retained(key, data, trail).statement
    except ProofError:
        return None


def _keys(listing: Listing, kind: type[Key]) -> list[Key]:
    parsed = (layout.known_key(entry.key) for entry in listing)
    return [key for key in parsed if isinstance(key, kind)]


def objects_left(archive: Archive, out: Collection[Out]) -> dict[str, int]:
    """The keys of what a manifest names, without the parts of classes that are let go, with their
    sizes in bytes; 0: it does not say. Pure."""
    gone = {key for key, at in parts_of(archive) if at in out}
    return {key: size for key, size in archive.objects().items() if key not in gone}


def objects_needed(archive: Archive, out: Mapping[Out, Floor]) -> dict[str, int]:
    """The same, with what stays of those classes: all by which the unit can be proven. Pure."""
    floors = (floor for (unit, _), floor in out.items() if unit == archive.unit)
    return objects_left(archive, out) | {remains_key(floor): 0 for floor in floors}


def parts_of(archive: Archive) -> Iterable[tuple[str, Out]]:
    """The key of each part, and what it is of. Pure."""
    day = units.day_of(archive.unit)
    for of, sha256, *_ in archive.parts:
        yield layout.archived_key(day, of, sha256), (archive.unit, of)


def remains_key(floor: Floor) -> str:
    """Where what stays of a class lies. Pure."""
    return layout.archived_key(units.day_of(floor.unit), "", floor.remains)
