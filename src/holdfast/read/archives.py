"""What the archive of each region is stated to hold: its manifests, listed now and then.

A manifest never changes, so it is read once, and kept in the catalog. Most looks list the newest
days and those without a manifest that is known; all days once an hour, for later generations.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from holdfast.model import NodeId
from holdfast.read import shown
from holdfast.regions import layout, manifests, units
from holdfast.regions.cookie import read_cookie
from holdfast.regions.kinds import Archive, Cookie
from holdfast.regions.layout import ArchiveKey
from holdfast.regions.once import slices
from holdfast.regions.port import Level, Present, RegionId
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions

EVERY_US = 60_000_000
ALL_EVERY_US = 3_600_000_000
SOON_US = 10_000_000  # where something is missing that an archive may explain
NEWEST_DAYS = 2  # which may get another hour
_DAY = "day="

Place = tuple[str, int]  # unit, generation


class Archives:
    """See the module. fresh: manifests that were read since they were last taken up, as (region,
    key, bytes)."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._stores: dict[RegionId, str] = {}
        self._known: dict[RegionId, dict[Place, Archive]] = {id: {} for id in regions.by_id}
        self._spans: dict[RegionId, dict[NodeId, shown.Ranges]] = {}
        self._refused: set[tuple[RegionId, str, str]] = set()  # region, store, key
        self._answering: set[RegionId] = set()  # those that did when they were looked at last
        self._looked: dict[RegionId, int] = {}
        self._looked_at_all: dict[RegionId, int] = {}
        self.fresh: list[tuple[str, str, bytes]] = []
        self.version = 0  # grows with what is known

    def restore(self, region: RegionId, store: str, key: ArchiveKey, data: bytes) -> None:
        """Take up what an earlier process read, of the store that the region had then."""
        if region in self._known:
            self._stores[region] = store
            self._take(region, store, key, data)

    def covered(self, region: RegionId, node: NodeId) -> shown.Ranges:
        """The segments of a ledger that the region's own archive has: they may be gone there."""
        return self._spans.get(region, {}).get(node, ())

    def units(self, *, anyway: bool = False) -> Mapping[str, Archive]:
        """What to adopt, by name: the units that all regions have which answered last, so that any
        of them gives what a search needs; of each the generation that most have, then the largest.

        anyway: also what only some have: for what is nowhere else any more.
        """
        found: dict[str, dict[int, list[Archive]]] = {}
        for id in self._answering:
            for (unit, generation), archive in self._known[id].items():
                found.setdefault(unit, {}).setdefault(generation, []).append(archive)
        return {
            unit: max(several.values(), key=lambda each: (len(each), each[0].generation))[0]
            for unit, several in found.items()
            if anyway or self._have_all(several)
        }

    def _have_all(self, several: Mapping[int, Sequence[Archive]]) -> bool:
        return len({a.region for same in several.values() for a in same}) == len(self._answering)

    def holders(self, unit: str, generation: int) -> set[RegionId]:
        """The regions whose archive has a unit in that generation."""
        return {id for id, known in self._known.items() if (unit, generation) in known}

    async def look(self, now_us: int) -> None:
        """Look at the regions whose turn it is."""
        due = [
            region
            for region in self._regions
            if abs(now_us - self._looked.get(region.id, -EVERY_US)) >= EVERY_US
        ]
        await asyncio.gather(*(self.look_into(region, now_us) for region in due))

    async def look_again(self, regions: Iterable[Region], now_us: int) -> None:
        """Something is missing: look at these regions, if that was not done just now."""
        due = [r for r in regions if abs(now_us - self._looked.get(r.id, 0)) >= SOON_US]
        await asyncio.gather(*(self.look_into(region, now_us) for region in due))

    async def look_into(self, region: Region, now_us: int) -> None:
        """List what is new in a region's archive, and read it."""
        was = region.id in self._answering
        if await self._look_into(region, now_us):
            self._answering.add(region.id)
        else:
            self._answering.discard(region.id)
        self.version += was != (region.id in self._answering)

    async def _look_into(self, region: Region, now_us: int) -> bool:
        """Whether that was done: the region answered, and its cookie is right."""
        cookie = await read_cookie(region, self._regions.trail)
        if not isinstance(cookie, Cookie):
            return False
        if self._stores.setdefault(region.id, cookie.store) != cookie.store:
            self._forget(region.id, cookie.store)
        level = await region.level(layout.ARCHIVE_PREFIX)
        if not isinstance(level, Level):
            return False
        is_whole = abs(now_us - self._looked_at_all.get(region.id, -ALL_EVERY_US)) >= ALL_EVERY_US
        days = [each for each in level.folders if each.startswith(_DAY)]
        if is_whole:  # bytes may have been bent on their way
            self._refused = {each for each in self._refused if each[0] != region.id}
        else:
            have = {units.day_of(unit) for unit, _ in self._known[region.id]}
            fresh = [day for day in days if day.removeprefix(_DAY) not in have]
            days = list(dict.fromkeys([*fresh, *days[-NEWEST_DAYS:]]))
        if not await self._read_days(region, cookie.store, days):
            return False
        self._looked[region.id] = now_us
        if is_whole:
            self._looked_at_all[region.id] = now_us
        return True

    async def _read_days(self, region: Region, store: str, days: Sequence[str]) -> bool:
        """Read the manifests of some days; whether all of them were to be had."""
        for some in slices(days):
            prefixes = [f"{layout.ARCHIVE_PREFIX}{day}/" for day in some]
            levels = await asyncio.gather(*(region.level(prefix) for prefix in prefixes))
            keys = [key for level in levels if isinstance(level, Level) for key in level.objects]
            wanted = [key for key in keys if self._is_new(region.id, store, key)]
            for several in slices(wanted):
                answers = await asyncio.gather(*(region.read(key) for key in several))
                for text, answer in zip(several, answers, strict=True):
                    key = layout.known_key(text)
                    if not isinstance(answer, Present) or not isinstance(key, ArchiveKey):
                        return False
                    if self._take(region.id, store, key, answer.data):
                        self.fresh.append((region.id, text, answer.data))
            if not all(isinstance(level, Level) for level in levels):
                return False
        return True

    def _is_new(self, region: RegionId, store: str, text: str) -> bool:
        key = layout.known_key(text)
        return (
            isinstance(key, ArchiveKey)
            and (key.unit, key.generation) not in self._known[region]
            and (region, store, text) not in self._refused
        )

    def _take(self, region: RegionId, store: str, key: ArchiveKey, data: bytes) -> bool:
        """Whether it holds, of that store; one that does not is a survey's to name."""
        archive = manifests.verified(data, key, region, store, self._regions.trail)
        if archive is None:
            text = layout.archive_key(key.unit, key.generation)
            self._refused.add((region, store, text))
            return False
        self._known[region][key.unit, key.generation] = archive
        self.version += 1
        spans = self._spans.setdefault(region, {})
        for node, start, end, *_ in archive.ledgers:
            spans[node] = shown.union(spans.get(node, ()), ((start, end),))
        return True

    def _forget(self, region: RegionId, store: str) -> None:
        """The region has another store, which has shown nothing yet."""
        self._stores[region] = store
        self._known[region] = {}
        self.version += 1
        self._spans.pop(region, None)
        self._looked_at_all.pop(region, None)
