"""Which units a region's archive has whole, as its listing and what is known to be corrupt tell."""

from collections.abc import Collection, Set

from msgspec import Struct

from holdfast.regions.manifests import Manifests, Units, list_archive
from holdfast.regions.port import Unknown
from holdfast.regions.region import Region
from holdfast.regions.retaining import Out, objects_left


class Holding(Struct, frozen=True):
    """units: all of whose objects lie there and are not known to be corrupt. spoilt: of those with
    an object that is, the generation that would take their place. parts: what manifests name and
    is there, of any unit, by key: (bytes, rows)."""

    units: Units
    spoilt: dict[str, int]
    parts: dict[str, tuple[int, int]]


async def whole_in(
    region: Region,
    manifests: Manifests,
    trail: str,
    corrupt: Collection[tuple[str, str]],
    out: Collection[Out],
) -> Holding | Unknown:
    """Look at the archive of a region whose cookie was just verified, or was not found.

    corrupt: the copies that were found to be, by region and key. out: classes that are let go.
    """
    if not region.store_uuid:
        return Unknown(region.why_unverified)
    listing = await list_archive(region)
    if isinstance(listing, Unknown):
        return listing
    found = await manifests.of(region, listing, trail)
    if isinstance(found, Unknown):
        return found
    rotten = {key for id, key in corrupt if id == region.id}
    return holding_of(found, {entry.key for entry in listing}, rotten, out)


def holding_of(found: Units, there: Set[str], rotten: Set[str], out: Collection[Out]) -> Holding:
    """What manifests come to. there: what is listed beside them; rotten: what is corrupt of it.
    out: as in `whole_in`."""
    needed = {name: objects_left(each, out).keys() for name, each in found.items()}
    return Holding(
        {name: each for name, each in found.items() if needed[name] <= there - rotten},
        {name: each.generation + 1 for name, each in found.items() if rotten & needed[name]},
        {
            key: (size_bytes, rows)
            for name, each in found.items()
            for key, size_bytes, rows in each.rows()
            if key in there & needed[name]
        },
    )
