"""Sweeping: a region's small segments go once that region's own archive holds all that they do.

For each unit that a region's manifest has stated for long enough, and of which segments lie there:

1. W regions have the unit in archives of their own, whole by listings and by what scrubs found,
   and this one has all that a reader must have taken up before it;
2. every object of the unit, and what stays of classes that were let go, is read from this very
   store, now, and hashes to its name;
3. its rows give the root in the name of each segment, which its node signed (once for all regions
   that have the same bytes);
4. the store's cookie is still the one that the manifest speaks of;
5. of what the store lists, the segments that the evidence names are removed, one by one.

A manifest's word does not suffice: the bytes were read back when it was written, and have had time
to rot since. So no copy goes without another in the same store that was whole a moment ago, no
region rests on another's archive, and no agreement is needed. Nothing goes by its index alone: a
segment that the evidence does not name stays, whatever it is. A crash leaves some of them, which
the next run removes; two sweepers remove the same; what lands under such a name later (a put that
was under way, a disk that forgot) goes with the next run.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct, structs

from holdfast.archive.archivist import STOPPING, Progress, silent
from holdfast.archive.fetch import Folder, emptied, fetch_whole
from holdfast.archive.make import Copied, check_named
from holdfast.archive.outbox import Outbox
from holdfast.archive.whole import Holding, whole_in
from holdfast.beside import repeat
from holdfast.errors import CorruptError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.read.archive import Adopted, plan_adoption
from holdfast.regions import Regions, layout, units
from holdfast.regions.cookie import NOT_THERE, is_still
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import SHARD_SEGMENTS, SegmentKey
from holdfast.regions.manifests import Manifests
from holdfast.regions.port import Level, Listed, RegionId, Removed, Unknown
from holdfast.regions.region import Region
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out, Retentions

log = logging.getLogger("holdfast.archive")

ACTION = "holdfast.archive.swept"
FIRST_AFTER_SECONDS = 120.0  # when an archivist, which begins before, has looked at the same
EVERY_SECONDS = 3600.0
REMOVED_AT_ONCE = 8  # few, so that others are served meanwhile; between two cookies: so many times
SLICE = 32 * REMOVED_AT_ONCE
NOT_TAKEN_UP = "its archive lacks what comes before, without which no reader takes this unit up"

Names = frozenset[tuple[NodeId, str]]
Shards = dict[tuple[RegionId, NodeId], frozenset[str]]


class Swept(Struct, frozen=True):
    """What became of a unit's segments in one region. segments, size_bytes: removed, or, of a dry
    run, that would be. left: still there. why: they are; "": none is."""

    unit: str
    region: RegionId
    segments: int
    size_bytes: int
    left: int
    why: str = ""


class SweepReport(Struct, frozen=True):
    """One run. swept: where there was anything to remove. away: (region, why) of those whose
    archive could not be looked at. trouble: what stopped it."""

    started_us: int
    ended_us: int
    swept: tuple[Swept, ...]
    away: tuple[tuple[RegionId, str], ...]
    trouble: str = ""


class _Round(Struct, frozen=True):
    """One run: how it goes about it, and what it found so far.

    known: the archives of each region that could be looked at. taken_up: the units that a reader of
    that region alone would take up. shards: of nodes in regions, the
    folders that have segments. checked: what the evidence names, by the objects of a unit. out:
    the classes that are let go. stuck: the regions in which an earlier unit stays: readers take
    archives in order, so that nothing goes before what it follows.
    """

    before_us: int
    is_dry: bool
    progress: Progress
    known: dict[RegionId, Holding]
    taken_up: dict[RegionId, frozenset[str]]
    shards: Shards
    checked: dict[tuple[str, ...], Names]
    out: Mapping[Out, Floor]
    stuck: set[RegionId]


class _StayError(Exception):
    """Why the segments of a unit stay in a region, for now."""


class Sweeper:
    """See the module. outbox: what was swept, for the trail to remember."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        key_of: Callable[[NodeId], Awaitable[bytes]],
        scratch: Path,
        corrupt: Callable[[], Collection[tuple[RegionId, str]]] = tuple,
    ) -> None:
        """regions: patient ones, since objects are large. key_of: a node's public key. scratch: a
        folder of its own, emptied at will. corrupt: as an archivist has it."""
        self.last: SweepReport | None = None
        self.outbox = Outbox("what was swept", log)
        self._regions = regions
        self._host = host
        self._key_of = key_of
        self._scratch = scratch
        self._corrupt = corrupt
        self._manifests = Manifests()
        self._retentions = Retentions()
        # What lies among the segments of a unit and is none of it: never acknowledged, so it stays.
        self._strangers: dict[tuple[str, ...], set[str]] = {}
        self._turn = asyncio.Lock()

    async def sweep_forever(self, kept_days: int) -> None:
        """A run soon after the start, and then every hour. kept_days: as in `sweep`; 0: never."""
        if kept_days:
            job = partial(self.sweep, kept_days)
            await repeat(job, FIRST_AFTER_SECONDS, EVERY_SECONDS, "sweeping")

    async def sweep(
        self, kept_days: int, progress: Progress = silent, *, is_dry: bool = False
    ) -> SweepReport:
        """One run.

        Args:
            kept_days: how long segments stay in a region after its manifest was written.
            is_dry: only say what lies there, and what is in the way; nothing is read for that.
        """
        async with self._turn:
            started_us = self._host.now_us()
            before_us = started_us - kept_days * units.DAY_US
            away: dict[RegionId, str] = {}
            known, out = await self._look(away)
            taken_up = {id: _taken_up(each) for id, each in known.items()}
            round = _Round(before_us, is_dry, progress, known, taken_up, {}, {}, out, set())
            done: list[Swept] = []
            trouble = ""
            await self.outbox.flush()
            try:
                for unit in sorted(set().union(*(each.units for each in round.known.values()))):
                    await self._sweep_unit(unit, round, done)
                    await self.outbox.flush()
            except STOPPING as error:
                trouble = str(error)
                log.warning("sweeping stops here: %s", error)
            report = SweepReport(
                *(started_us, self._host.now_us(), tuple(done), tuple(sorted(away.items()))),
                trouble,
            )
            self.last = self.last if is_dry else report
            return report

    async def _look(
        self, away: dict[RegionId, str]
    ) -> tuple[dict[RegionId, Holding], Mapping[Out, Floor]]:
        """The archives of the regions, and what is let go; why some could not be looked at."""
        await self._regions.verify()
        out = (await self._retentions.look(self._regions)).out
        known: dict[RegionId, Holding] = {}
        trail, corrupt = self._regions.trail, self._corrupt()
        for region in self._regions.members:
            found = await whole_in(region, self._manifests, trail, corrupt, out)
            if isinstance(found, Unknown):
                away[region.id] = found.reason
            else:
                known[region.id] = found
        return known, out

    async def _sweep_unit(self, unit: str, round: _Round, done: list[Swept]) -> None:
        """See to a unit in each region, and have the trail remember what was removed, whatever
        stops it. done: takes up what became of it."""
        begun = len(done)
        try:
            for id, holding in round.known.items():
                if unit in holding.units and id not in round.stuck:
                    done += await self._sweep_in(id, unit, round)
        finally:
            self._remember([each for each in done[begun:] if each.segments and not round.is_dry])

    async def _sweep_in(self, id: RegionId, unit: str, round: _Round) -> list[Swept]:
        """The same in one region; nothing, where there is nothing to remove yet or any more."""
        region, archive = self._regions.by_id[id], round.known[id].units[unit]
        if archive.archived_us > round.before_us:
            return []
        there = await segments_in(region, archive, round.shards)
        if isinstance(there, Unknown):
            round.stuck.add(id)
            return [Swept(unit, id, 0, 0, 0, f"it could not be listed: {there.reason}")]
        strangers = self._strangers.get((id, *archive.objects()), ())
        there = [entry for entry in there if entry.key not in strangers]
        if not there:
            return []
        holders = sum(unit in each.units for each in round.known.values())
        swept = await self._sweep_region(region, archive, there, holders, round)
        if swept.why:
            round.stuck.add(id)
        return [swept]

    async def _sweep_region(
        self,
        region: Region,
        archive: Archive,
        there: Sequence[Listed],
        holders: int,
        round: _Round,
    ) -> Swept:
        """there: the segments that are listed in the spans of the unit."""
        size_bytes = sum(entry.size_bytes for entry in there)
        swept = Swept(archive.unit, region.id, len(there), size_bytes, 0)
        stay = structs.replace(swept, segments=0, size_bytes=0, left=len(there))
        if holders < self._regions.quorum:
            why = f"{holders} of the {self._regions.quorum} archives needed have this unit"
            return structs.replace(stay, why=why)
        if archive.unit not in round.taken_up[region.id]:
            return structs.replace(stay, why=NOT_TAKEN_UP)
        if round.is_dry:
            return swept
        removed: list[Listed] = []
        why = ""
        mine = there
        try:
            named = await self._named(region, archive, round)
            mine = [entry for entry in there if _place_of(entry) in named]
            others = {entry.key for entry in there} - {entry.key for entry in mine}
            self._strangers[region.id, *archive.objects()] = others
            round.progress(archive.unit, f"sweeping {region.id}")
            await self._remove(region, archive, mine, removed)
        except (_StayError, CorruptError) as error:
            why = str(error)
            log.warning("segments of %s stay in %s: %s", archive.unit, region.id, why)
        return Swept(
            *(archive.unit, region.id, len(removed), sum(entry.size_bytes for entry in removed)),
            *(len(mine) - len(removed), why),
        )

    async def _named(self, region: Region, archive: Archive, round: _Round) -> Names:
        """Read the whole unit from this region; the segments that it holds beyond doubt.

        Raises:
            _StayError: an object cannot be read, or is not what its name says.
            CorruptError: they do not hold what the manifest says.
        """
        round.progress(archive.unit, f"reading it back from {region.id}")
        with emptied(self._scratch) as folder:
            to = Folder(folder, self._host)
            objects = await fetch_whole(archive, region, (), round.out, to)
            if objects is None:
                raise _StayError("an object of its archive there cannot be read back")
            of = (archive.unit, *archive.objects(), str(archive.ledgers), str(archive.gaps))
            if of not in round.checked:
                keys = {node: await self._key_of(node) for node, *_ in archive.ledgers}
                trail, tag_key = self._regions.trail, self._regions.tag_key
                job = Copied(
                    *(archive.unit, archive.generation, trail, tag_key, keys, ()),
                    *(objects.evidence, objects.parts, str(folder), objects.remains),
                )
                submitted = self._host.background.submit(check_named, job, archive)
                names = await asyncio.wrap_future(submitted)
                round.checked[of] = frozenset(names)
        return round.checked[of]

    async def _remove(
        self, region: Region, archive: Archive, mine: Sequence[Listed], removed: list[Listed]
    ) -> None:
        """Remove segments, some at a time. removed: takes up those that are gone."""
        for at in range(0, len(mine), SLICE):
            if not await is_still(region, archive.store, self._regions.trail):
                raise _StayError(NOT_THERE)
            for low in range(at, min(at + SLICE, len(mine)), REMOVED_AT_ONCE):
                some = mine[low : min(low + REMOVED_AT_ONCE, at + SLICE)]
                outcomes = await asyncio.gather(*(region.remove(entry.key) for entry in some))
                for entry, outcome in zip(some, outcomes, strict=True):
                    if isinstance(outcome, Removed):
                        removed.append(entry)
                kept = [each for each in outcomes if not isinstance(each, Removed)]
                if kept:
                    raise _StayError(kept[0].reason)

    def _remember(self, swept: Sequence[Swept]) -> None:
        """Note what is to be an event of the trail's own."""
        if not swept:
            return
        regions = [
            {"region": each.region, "segments": each.segments, "bytes": each.size_bytes}
            for each in swept
        ]
        log.info("swept %s: %s", swept[0].unit, regions)
        target = {"type": "archive", "id": swept[0].unit}
        attributes = {"regions": regions}
        event = {"action": ACTION, "targets": [target], "attributes": attributes}
        self.outbox.done(event, self._host.now_us())


async def segments_in(region: Region, archive: Archive, shards: Shards) -> list[Listed] | Unknown:
    """What a region lists of the segments in a unit's spans, under names of ours.

    shards: takes up the folders that are there.
    """
    found: list[Listed] = []
    for node, start, end, *_ in archive.ledgers:
        folders = shards.get((region.id, node))
        if folders is None:
            level = await region.level(layout.segments_prefix(node))
            if not isinstance(level, Level):
                return level
            folders = shards[region.id, node] = frozenset(level.folders)
        for shard in range(start // SHARD_SEGMENTS, (end - 1) // SHARD_SEGMENTS + 1):
            prefix = layout.shard_prefix(node, shard * SHARD_SEGMENTS)
            if prefix.split("/")[-2] not in folders:
                continue
            listing = await region.list(prefix)
            if isinstance(listing, Unknown):
                return listing
            for entry in listing:
                key = layout.known_key(entry.key)
                if isinstance(key, SegmentKey) and start <= key.name.index < end:
                    found.append(entry)
    return found


def _taken_up(holding: Holding) -> frozenset[str]:
    """The units that a reader takes up who has nothing but this archive."""
    days = plan_adoption(holding.units, Adopted())
    return frozenset(archive.unit for day in days for archive in day)


def _place_of(entry: Listed) -> tuple[NodeId, str]:
    key = layout.parse_key(entry.key)
    assert isinstance(key, SegmentKey)
    return key.node, key.name.text
