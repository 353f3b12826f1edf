"""What the archive of each region is stated to hold: its manifests, verified, each read once."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from holdfast.proof import ProofError
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import ArchiveKey
from holdfast.regions.port import Listed, Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region

AT_ONCE = 8  # calls to one region

Item = TypeVar("Item")
Units = Mapping[str, Archive]  # by name; of each the largest generation


class Manifests:
    """See the module."""

    def __init__(self) -> None:
        self._read: dict[tuple[RegionId, str, str], Archive] = {}

    async def of(self, region: Region, listing: Listing, trail: str) -> Units | Unknown:
        """Those of a region whose cookie was verified. listing: of its archive."""
        found: dict[str, Archive] = {}
        parsed = (layout.known_key(entry.key) for entry in listing)
        keys = [key for key in parsed if isinstance(key, ArchiveKey)]
        for some in _slices(keys):
            answers = await asyncio.gather(*(self._archive(region, key, trail) for key in some))
            for archive in answers:
                if isinstance(archive, Unknown):
                    return archive
                if archive is not None:  # keys are sorted: a larger generation comes later
                    found[archive.unit] = archive
        return found

    async def _archive(
        self, region: Region, key: ArchiveKey, trail: str
    ) -> Archive | Unknown | None:
        """None: it does not verify, or is another store's; a survey names it. It is read again the
        next time: bytes may have been bent on their way here."""
        text = layout.archive_key(key.unit, key.generation)
        place = (region.id, region.store_uuid, text)
        if place not in self._read:
            answer = await region.read(text)
            if isinstance(answer, Unknown):
                return answer
            data = answer.data if isinstance(answer, Present) else b""
            found = verified(data, key, region.id, region.store_uuid, trail)
            if found is None:
                return None
            self._read[place] = found
        return self._read[place]


async def list_archive(region: Region) -> Listing | Unknown:
    """A region's archive. Day by day: all of it may be more than one call lists in time."""
    level = await region.level(layout.ARCHIVE_PREFIX)
    if isinstance(level, Unknown):
        return level
    found = [Listed(key, 0, 0) for key in level.objects]  # nothing of ours lies there
    for some in _slices(level.folders):
        prefixes = (f"{layout.ARCHIVE_PREFIX}{folder}/" for folder in some)
        for listing in await asyncio.gather(*(region.list(prefix) for prefix in prefixes)):
            if isinstance(listing, Unknown):
                return listing
            found += listing
    return Listing(tuple(sorted(found, key=lambda entry: entry.key)))


def _slices(several: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (several[at : at + AT_ONCE] for at in range(0, len(several), AT_ONCE))


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
