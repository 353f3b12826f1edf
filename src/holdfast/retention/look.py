"""A look at all that expiry and holds rest on: floors, holds, archives, whose parts have what."""

import io
from collections.abc import Collection, Mapping

from holdfast.archive.lines import Part
from holdfast.archive.make import facts_in
from holdfast.errors import UnavailableError
from holdfast.proof import ProofError
from holdfast.regions import Regions, layout, units
from holdfast.regions.evidence import segments_of
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import SegmentKey
from holdfast.regions.manifests import Manifests, list_archive
from holdfast.regions.port import Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.retaining import NOTHING, Retaining, Retentions
from holdfast.retention.plan import Known


class Look:
    """See the module; `begin` begins another one. known: the archive of each region that answered.
    away: why others did not."""

    def __init__(self, regions: Regions) -> None:
        self.retaining: Retaining = NOTHING
        self.known: dict[RegionId, Known] = {}
        self.away: dict[RegionId, str] = {}
        self._regions = regions
        self._retentions = Retentions()
        self._manifests = Manifests()
        self._facts: dict[str, Mapping[str, Part]] = {}

    async def begin(self, *, archives: bool) -> None:
        """Look at everything. archives: at those, too, where nothing is let go so far.

        Raises:
            UnavailableError: too few regions answer.
        """
        await self._regions.verify()
        self.retaining = await self.again()
        self.away, self.known = dict(self.retaining.away), {}
        if not archives and not self.retaining.out:
            return
        for region in self._regions.members:
            found = await self._archive(region)
            if isinstance(found, Unknown):
                self.away[region.id] = found.reason
            else:
                self.known[region.id] = found

    async def again(self) -> Retaining:
        """Floors and holds as they are now, in R regions at least.

        Raises:
            UnavailableError: too few regions answer.
        """
        found = await self._retentions.look(self._regions)
        if not self._regions.are_enough(found.floors):
            told = "; ".join(f"{id}: {why}" for id, why in sorted(found.away.items()))
            raise UnavailableError(f"too few regions answer to know what is held ({told})")
        return found

    def having(self, unit: str) -> dict[RegionId, Archive]:
        """The regions whose archive has a unit, with its manifest there."""
        return {id: each.units[unit] for id, each in self.known.items() if unit in each.units}

    async def facts(self, archive: Archive) -> Mapping[str, Part]:
        """What the evidence of a unit says of its parts, by their hashes.

        Raises:
            UnavailableError: no region gives a good copy.
        """
        if archive.evidence not in self._facts:
            await self._read_evidence(archive)
        return self._facts[archive.evidence]

    async def strangers(self, archive: Archive, keys: Collection[str]) -> tuple[str, ...]:
        """Those of some segments in the spans of a unit that its evidence does not name. Raises as
        `facts`."""
        data = await self._read_evidence(archive)
        nodes = {node for node, *_ in archive.ledgers}
        named = {(n, each.name.text) for n in nodes for each in segments_of(data, n)}
        return tuple(key for key in sorted(keys) if _place_of(key) not in named)

    async def _read_evidence(self, archive: Archive) -> bytes:
        key = layout.archived_key(units.day_of(archive.unit), "", archive.evidence)
        for region in (self._regions.by_id[archive.region], *self._regions):
            answer = await region.read(key)
            if isinstance(answer, Present):
                try:
                    found = facts_in(io.BytesIO(answer.data), archive.evidence)
                except ProofError:
                    continue
                self._facts[archive.evidence] = found
                return answer.data
        raise UnavailableError(f"no region gives the evidence of {archive.unit}: {key}")

    async def day_again(self, region: Region, day: str) -> Known | Unknown:
        """A day of a region's archive as it is now."""
        return await self._known(region, await region.list(f"{layout.ARCHIVE_PREFIX}day={day}/"))

    async def _archive(self, region: Region) -> Known | Unknown:
        if not region.store_uuid:
            return Unknown(region.why_unverified)
        return await self._known(region, await list_archive(region))

    async def _known(self, region: Region, listing: Listing | Unknown) -> Known | Unknown:
        if isinstance(listing, Unknown):
            return listing
        found = await self._manifests.of(region, listing, self._regions.trail)
        if isinstance(found, Unknown):
            return found
        return Known(found, {entry.key: entry for entry in listing})


def _place_of(text: str) -> tuple[str, str]:
    key = layout.parse_key(text)
    assert isinstance(key, SegmentKey)
    return key.node, key.name.text
