"""Deleting what a floor lets go, region by region."""

import hashlib
from collections.abc import Mapping

from msgspec import structs

from holdfast.ports import Host
from holdfast.regions import Region, Regions, layout, units
from holdfast.regions.cookie import NOT_THERE, is_still
from holdfast.regions.kinds import Archive
from holdfast.regions.port import Listed, Present, RegionId, Removed, Unknown
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import remains_key
from holdfast.retention.look import Look
from holdfast.retention.plan import Expiring, parts_in, to_remove
from holdfast.times import format_us


class Deletion:
    """Of one run. look: what it saw when it began."""

    def __init__(self, regions: Regions, look: Look, host: Host) -> None:
        self._regions = regions
        self._look = look
        self._host = host
        self._locks: dict[RegionId, int] = {}  # for how many days regions keep what they have

    async def plan(self, told: Expiring, archives: Mapping[RegionId, Archive]) -> Expiring:
        """What lies there of it, by listings, and where a lock will keep it for now."""
        found, locked, day = [], [], units.day_of(told.unit)
        for id, archive in archives.items():
            hashes = [sha256 for sha256, *_ in parts_in(archive, told.retention)]
            keys = [layout.archived_key(day, told.retention, sha256) for sha256 in hashes]
            listed = self._look.known[id].listed
            there = [listed[key] for key in keys if key in listed]
            if there:
                found.append((id, len(there), sum(each.size_bytes for each in there)))
                until_us = max(each.modified_us for each in there) + await self._locked_us(id)
                if until_us > self._host.now_us():
                    locked.append(
                        f"its parts are locked in region {id} until {format_us(until_us)}"
                    )
        return structs.replace(told, removed=tuple(found), why=(*told.why, *locked))

    async def _locked_us(self, id: RegionId) -> int:
        """For how long a region lets nobody delete an object; 0: not that it said."""
        if id not in self._locks:
            days = await self._regions.by_id[id].locked_days()
            self._locks[id] = 0 if isinstance(days, Unknown) else days
        return self._locks[id] * units.DAY_US

    async def remove(
        self, told: Expiring, floor: Floor, archives: Mapping[RegionId, Archive]
    ) -> Expiring:
        """Delete the parts of a class in each region that has the unit, one after the other."""
        removed, left = [], []
        for id, archive in archives.items():
            region = self._regions.by_id[id]
            there, why = await self._agreed(region, floor)
            if there and not why:
                is_it = await is_still(region, archive.store, self._regions.trail)
                why = "" if is_it else NOT_THERE
            gone = size_bytes = 0
            for entry in () if why else there:
                outcome = await region.remove(entry.key)
                if not isinstance(outcome, Removed):
                    why = outcome.reason
                    break
                gone, size_bytes = gone + 1, size_bytes + entry.size_bytes
            if gone and not why:
                why = await _why_not_gone(region, floor, {entry.key for entry in there})
            if gone:
                removed.append((id, gone, size_bytes))
            if why:
                left.append((id, why))
        return structs.replace(told, removed=tuple(removed), left=tuple(left))

    async def _agreed(self, region: Region, floor: Floor) -> tuple[tuple[Listed, ...], str]:
        """What two looks at a region say that it must delete, and why it may not.

        One listing may lack a manifest, and what that names would look left over; so may what was
        named since. Nor may anything go while what stays of the class is not good there: as long as
        its rows lie somewhere, that can be made again.
        """
        out = {*self._look.retaining.out, (floor.unit, floor.retention)}
        there, why = to_remove(self._look.known[region.id], floor, out, self._host.now_us())
        if not there or why:
            return there, why
        now = await self._look.day_again(region, units.day_of(floor.unit))
        if isinstance(now, Unknown):
            return (), now.reason
        again, why = to_remove(now, floor, out, self._host.now_us())
        kept = await region.read(remains_key(floor))
        data = kept.data if isinstance(kept, Present) else b""
        if (await self._host.offload(hashlib.sha256, data)).hexdigest() != floor.remains:
            why = why or "what stays of it cannot be read back there"
        return tuple(entry for entry in there if entry in again), why


async def _why_not_gone(region: Region, floor: Floor, keys: set[str]) -> str:
    """A store that said "deleted" and lists it still did not."""
    day = remains_key(floor).rpartition("/")[0]
    listing = await region.list(f"{day}/")
    if isinstance(listing, Unknown):
        return f"what is left there cannot be listed: {listing.reason}"
    left = keys & {entry.key for entry in listing}
    return f"{len(left)} parts are still listed after they were deleted" if left else ""
