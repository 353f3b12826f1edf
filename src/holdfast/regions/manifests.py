"""What the archive of each region is stated to hold: its manifests, verified, each read once."""

import asyncio
from collections.abc import Mapping
from functools import partial

from holdfast.proof import ProofError
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import ArchiveKey
from holdfast.regions.once import ReadOnce, slices
from holdfast.regions.port import Listed, Listing, RegionId, Unknown
from holdfast.regions.region import Region

Units = Mapping[str, Archive]  # by name; of each the largest generation


class Manifests:
    """See the module."""

    def __init__(self) -> None:
        self._read = ReadOnce[Archive]()

    async def of(self, region: Region, listing: Listing, trail: str) -> Units | Unknown:
        """Those of a region whose cookie was verified; another store's are none. listing: of its
        archive."""
        parsed = (layout.known_key(entry.key) for entry in listing)
        here = (region.id, region.store_uuid, trail)
        found = await self._read.each(
            region,
            (
                (layout.archive_key(key.unit, key.generation), partial(_verified, key, *here))
                for key in parsed
                if isinstance(key, ArchiveKey)
            ),
        )
        if isinstance(found, Unknown):
            return found
        # Keys are sorted: a larger generation comes later.
        return {archive.unit: archive for archive in found}


async def list_archive(region: Region) -> Listing | Unknown:
    """A region's archive. Day by day: all of it may be more than one call lists in time."""
    level = await region.level(layout.ARCHIVE_PREFIX)
    if isinstance(level, Unknown):
        return level
    found = [Listed(key, 0, 0) for key in level.objects]  # nothing of ours lies there
    for some in slices(level.folders):
        prefixes = (f"{layout.ARCHIVE_PREFIX}{folder}/" for folder in some)
        for listing in await asyncio.gather(*(region.list(prefix) for prefix in prefixes)):
            if isinstance(listing, Unknown):
                return listing
            found += listing
    return Listing(tuple(sorted(found, key=lambda entry: entry.key)))


def _verified(
    key: ArchiveKey, region: RegionId, store: str, trail: str, data: bytes
) -> Archive | None:
    return verified(data, key, region, store, trail)


def verified(
    data: bytes, key: ArchiveKey, region: RegionId, store: str, trail: str
) -> Archive | None:
    """The manifest in these bytes; None: it does not verify, or speaks of another place. Pure."""
    try:
        archive = kinds.verify_archive(data, trail).statement
    except ProofError:
        return None
    here = (key.unit, key.generation, region, store)
    there = (archive.unit, archive.generation, archive.region, archive.store)
    return archive if here == there else None
