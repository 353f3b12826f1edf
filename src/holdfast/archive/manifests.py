"""What the archive of each region is stated to hold: its manifests, verified, each read once."""

from collections.abc import Mapping

from holdfast.proof import ProofError
from holdfast.regions import kinds, layout
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import ArchiveKey
from holdfast.regions.port import Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region

Units = Mapping[str, Archive]  # by name; of each the largest generation


class Manifests:
    """See the module."""

    def __init__(self) -> None:
        self._read: dict[tuple[RegionId, str, str], Archive | None] = {}

    async def of(self, region: Region, listing: Listing, trail: str) -> Units | Unknown:
        """Those of a region whose cookie was verified. listing: of its archive."""
        found: dict[str, Archive] = {}
        for entry in listing:
            key = layout.known_key(entry.key)
            if isinstance(key, ArchiveKey):
                archive = await self._archive(region, key, trail)
                if isinstance(archive, Unknown):
                    return archive
                if archive is not None:  # keys are sorted: a larger generation comes later
                    found[archive.unit] = archive
        return found

    async def _archive(
        self, region: Region, key: ArchiveKey, trail: str
    ) -> Archive | Unknown | None:
        """None: it does not verify, or is another store's; a survey names it."""
        text = layout.archive_key(key.unit, key.generation)
        place = (region.id, region.store_uuid, text)
        if place not in self._read:
            answer = await region.read(text)
            if isinstance(answer, Unknown):
                return answer
            data = answer.data if isinstance(answer, Present) else b""
            self._read[place] = verified(data, key, region.id, region.store_uuid, trail)
        return self._read[place]


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
