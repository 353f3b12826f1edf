"""List what every region holds, and learn how far each ledger reaches. Reads notes, no segments.

The order is that of a reader's pass: cookies, heartbeats, births and closes, checkpoints, gaps,
segments, archives, and the cookies again: a store that went away or came back in between showed
less than it holds. What a later step shows can only lie further on than what an earlier one
promised, so an extent never claims a segment that this survey had no chance to see. Archives come
after segments: what was swept before it could be listed was archived before that.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.keep.drift import Extent, Spans, archived_in, compare, holds, is_archived
from holdfast.keep.lost import EpochId
from holdfast.keep.objects import why_wrong
from holdfast.keep.repair import Finding
from holdfast.proof import ProofError, names, statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Birth, Closed, Gap, Heartbeat
from holdfast.read import shown
from holdfast.read.listings import whole_listings
from holdfast.regions import Regions, layout, units
from holdfast.regions.layout import CheckpointKey
from holdfast.regions.listing import list_everywhere, look_at_cookies
from holdfast.regions.manifests import Manifests, Units, list_archive
from holdfast.regions.port import Level, Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.regions.retaining import Retaining, Retentions

CALLS_FEW = 2  # listings of a ledger


@dataclass(frozen=True, slots=True)
class Open:
    """An epoch that nobody closed. beats: the largest number of a heartbeat of it; 0: none."""

    birth: bytes
    beats: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen.

    held: region -> key -> bytes, for the regions that were listed and have the right cookie.
    absent: region -> why it is not among them. extents, starts: see `drift`. node_keys: of every
    node that was born. open: each node's last epoch, if it is not closed. births, ends: where an
    epoch begins and, once that is decided, ends. gaps: verified, by key. lost: the indexes in them,
    by node. clashes: (region, key) of gaps that are stated otherwise in another region. covered:
    (region, key) -> what was laid over an object that a store keeps all the same. archives: the
    manifests of each region that was listed; empty where archives were not looked at. retaining:
    floors and holds. archived: the indexes that each region's archive holds, as far as is known.
    """

    held: Mapping[RegionId, Mapping[str, int]]
    absent: Mapping[RegionId, str]
    extents: Mapping[EpochId, Extent]
    starts: Mapping[str, int]
    node_keys: Mapping[str, VerifierKey]
    open: Mapping[EpochId, Open]
    births: Mapping[EpochId, Birth]
    ends: Mapping[EpochId, LedgerEnd]
    gaps: Mapping[str, Gap]
    lost: Mapping[str, shown.Ranges]
    clashes: tuple[tuple[RegionId, str], ...]
    covered: Mapping[tuple[RegionId, str], str]
    archives: Mapping[RegionId, Units]
    retaining: Retaining
    archived: Mapping[RegionId, Spans]


class Surveyor:
    """Surveys again and again, without listing again what all regions were seen to hold.

    settled: node -> index below which every region held the whole ledger. The newest of what is
    settled is listed each time: a region that is as it was some time ago lacks it, and everything
    is surveyed then. What else a region loses of it is found by the next whole survey.
    """

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._statements = _Statements(regions.trail)
        self._manifests = Manifests()
        self._retentions = Retentions()
        self._settled: dict[str, int] = {}
        self._archived: dict[RegionId, Spans] = {}  # as the last whole survey found it

    def settle(self, ends: Mapping[str, int]) -> None:
        """Remember through where all regions are equal; what lies below is left out from now on."""
        self._settled |= ends

    async def survey(self, *, whole: bool) -> Survey:
        """One survey. whole: of archives too, and from the beginning of every ledger; else so, too,
        if a region lacks the newest of what it held, and of archives if these may tell why."""
        regions = tuple(self._regions)
        seen = _Seen({region.id: {} for region in regions}, {})
        absent: dict[RegionId, str] = {}
        await look_at_cookies(self._regions, absent)
        beats = await list_everywhere(regions, layout.HEARTBEATS_PREFIX, "", absent)
        epochs = await list_everywhere(regions, layout.NODES_PREFIX, "", absent)
        seen.add(epochs)
        await self._statements.learn(regions, epochs)
        heard = await self._statements.hear(regions, beats)
        checkpoints = await list_everywhere(regions, layout.CHECKPOINTS_PREFIX, "", absent)
        seen.add(checkpoints)
        await self._statements.mark(regions, checkpoints)
        gaps = await list_everywhere(regions, layout.GAPS_PREFIX, "", absent)
        seen.add(gaps)
        if await self._statements.learn_gaps(regions, gaps):
            self._settled.clear()  # what was found lost or corrupt may be explained now
        settled = {} if whole else self._settled
        nodes = sorted(self._statements.nodes)
        starts = {node: max(settled.get(node, 0) - 1, 0) for node in nodes}
        extents = self._statements.extents(heard)
        sizes = ledger_sizes(extents)
        for node, start in starts.items():
            for prefix, after in await _not_swept(regions, node, sizes[node], start, absent):
                seen.add(await list_everywhere(regions, prefix, after, absent))
        looked = whole or await self._may_be_archived(seen, absent, extents, starts)
        archives = await self._archives(regions, seen, absent) if looked else {}
        # Last: a part that was deleted meanwhile has a floor by now.
        retained = await list_everywhere(regions, layout.RETENTION_PREFIX, "", absent)
        seen.add(retained)
        retaining = await self._retentions.of(retained, self._regions)
        absent.update(retaining.away)
        await look_at_cookies(self._regions, absent)
        held = {region: keys for region, keys in seen.held.items() if region not in absent}
        archives = {id: found for id, found in archives.items() if id in held}
        if looked:
            there = set().union(*held.values())
            self._archived |= archived_in(archives, there, retaining.out)
        archived = {id: self._archived.get(id, {}) for id in held}
        if any(_is_in_some(held, archived, n, starts[n]) for n in nodes if settled.get(n)):
            return await self.survey(whole=True)
        return Survey(
            held=held,
            absent=absent,
            extents=extents,
            starts=starts,
            node_keys=self._statements.keys,
            open=self._statements.open(heard),
            births=self._statements.births,
            ends=self._statements.ends(),
            gaps=self._statements.gaps,
            lost=_ranges(self._statements.gaps),
            clashes=tuple(sorted(self._statements.clashes)),
            covered={place: how for place, how in seen.covered.items() if place[0] in held},
            archives=archives,
            archived=archived,
            retaining=retaining,
        )

    async def _may_be_archived(
        self,
        seen: "_Seen",
        absent: Mapping[RegionId, str],
        extents: Mapping[EpochId, Extent],
        starts: Mapping[str, int],
    ) -> bool:
        """Whether some segment is lacking that was perhaps archived, and swept, since archives were
        last looked at: it is neither lost nor to be put back."""
        held = {id: keys for id, keys in seen.held.items() if id not in absent}
        archived = {id: self._archived.get(id, {}) for id in held}
        drift = compare(held, extents, starts, _ranges(self._statements.gaps), archived)
        sealed = [lack.sealed_us for lack in drift.lacks if lack.sealed_us]
        if not sealed and not drift.missing:
            return False
        first = f"day={units.day_at(0 if drift.missing else min(sealed))}"
        asked = (self._regions.by_id[id].level(layout.ARCHIVE_PREFIX) for id in held)
        levels = await asyncio.gather(*asked)
        return any(not isinstance(each, Level) or each.folders[-1:] >= (first,) for each in levels)

    async def but_for_swept(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings, without those of segments that were swept between listing and reading."""
        gone = {f.region for f in findings if f.kind == "vanished"}
        now: dict[RegionId, Units] = {}
        for id in gone:
            region = self._regions.by_id[id]
            listing = await list_archive(region)
            if isinstance(listing, Listing):
                found = await self._manifests.of(region, listing, self._regions.trail)
                now[id] = {} if isinstance(found, Unknown) else found
        archived = archived_in(now, None, {})
        return [
            finding
            for finding in findings
            if finding.kind != "vanished"
            or not is_archived(layout.known_key(finding.key), archived.get(finding.region, {}))
        ]

    async def _archives(
        self, regions: tuple[Region, ...], seen: "_Seen", absent: dict[RegionId, str]
    ) -> dict[RegionId, Units]:
        """List archives, and read the manifests that are new."""
        archives: dict[RegionId, Units] = {}
        asked = [region for region in regions if region.id not in absent]
        answers = await asyncio.gather(*(list_archive(region) for region in asked))
        for region, listing in zip(asked, answers, strict=True):
            found: Units | Unknown
            if isinstance(listing, Unknown):
                found = listing
            else:
                seen.add({region.id: listing})
                found = await self._manifests.of(region, listing, self._regions.trail)
            if isinstance(found, Unknown):
                absent[region.id] = found.reason
            else:
                archives[region.id] = found
        return archives


def ledger_sizes(extents: Mapping[EpochId, Extent]) -> dict[str, int]:
    """Per node: the size of its ledger as far as it is known to reach."""
    sizes: dict[str, int] = {}
    for (node, _), extent in extents.items():
        sizes[node] = max(sizes.get(node, 0), extent.size)
    return sizes


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was listed so far; as in `Survey`."""

    held: Mapping[RegionId, dict[str, int]]
    covered: dict[tuple[RegionId, str], str]

    def add(self, listings: Mapping[RegionId, Listing]) -> None:
        """Take up one listing of all regions. They share the names, which are most of its bytes."""
        names: dict[str, str] = {}
        for region, listing in listings.items():
            self.held[region].update(
                (names.setdefault(entry.key, entry.key), entry.size_bytes) for entry in listing
            )
            self.covered.update(
                ((region, entry.key), entry.covered) for entry in listing if entry.covered
            )


async def _not_swept(
    regions: Sequence[Region], node: str, size: int, start: int, absent: dict[RegionId, str]
) -> Sequence[tuple[str, str]]:
    """As `whole_listings`, without those of shards that no region has anything in: of years, nearly
    all of them were swept. Few are not worth the question."""
    calls = [*whole_listings(node, size, start)]
    if len(calls) <= CALLS_FEW:
        return calls
    every, there = layout.segments_prefix(node), set[str]()
    asked = [region for region in regions if region.id not in absent]
    levels = await asyncio.gather(*(region.level(every) for region in asked))
    for region, level in zip(asked, levels, strict=True):
        if isinstance(level, Unknown):
            absent[region.id] = level.reason
        else:
            there.update(f"{every}{folder}/" for folder in level.folders)
    return [(prefix, after) for prefix, after in calls if prefix == every or prefix in there]


def _is_in_some(
    held: Mapping[RegionId, dict[str, int]],
    archived: Mapping[RegionId, Spans],
    node: str,
    index: int,
) -> bool:
    """Whether some of the regions have a segment, or have it archived, and some have not."""
    place = layout.segments_after(node, index)
    return (
        len(
            {
                holds(archived[region], node, index) or any(key.startswith(place) for key in keys)
                for region, keys in held.items()
            }
        )
        > 1
    )


class _Statements:
    """Verified births, closes and gaps, and checkpoints' sizes: read once, for no name changes its
    bytes."""

    def __init__(self, trail: str) -> None:
        self._trail = trail
        self.births: dict[EpochId, Birth] = {}
        self.gaps: dict[str, Gap] = {}
        self.clashes: set[tuple[RegionId, str]] = set()
        self._gap_notes: dict[tuple[RegionId, str], bytes] = {}
        self._bytes: dict[EpochId, bytes] = {}
        self._closes: dict[EpochId, Closed] = {}
        self._marks: dict[str, int] = {}  # the largest size of a node's checkpoints
        self.keys: dict[str, VerifierKey] = {}

    @property
    def nodes(self) -> Iterable[str]:
        return self.keys

    async def learn(self, regions: Iterable[Region], listings: Mapping[RegionId, Listing]) -> None:
        for region in regions:
            for entry in listings.get(region.id, ()):
                key = layout.known_key(entry.key)
                if not isinstance(key, layout.EpochKey):
                    continue
                if key.kind not in ("birth", "closed") or self._knows(key):
                    continue
                answer = await region.read(entry.key)
                if isinstance(answer, Present):
                    self._take(key, answer.data)

    async def learn_gaps(
        self, regions: Iterable[Region], listings: Mapping[RegionId, Listing]
    ) -> bool:
        """Read every region's copy: two statements under one key are for a person to see.

        Returns:
            Whether any gap was not known before.
        """
        known = len(self.gaps)
        first: dict[str, bytes] = {}
        for region in regions:
            for entry in listings.get(region.id, ()):
                place = (region.id, entry.key)
                answer = None if place in self._gap_notes else await region.read(entry.key)
                if isinstance(answer, Present) and not why_wrong(
                    entry.key, answer.data, self._trail, self.keys
                ):
                    self._gap_notes[place] = answer.data
                data = self._gap_notes.get(place)
                if data is None:
                    continue
                self.gaps.setdefault(entry.key, statements.verify_gap(data, self._trail).statement)
                if first.setdefault(entry.key, data) != data:
                    self.clashes.add(place)
        return len(self.gaps) > known

    def _knows(self, key: layout.EpochKey) -> bool:
        place = (key.node, key.epoch)
        return place in (self.births if key.kind == "birth" else self._closes)

    def _take(self, key: layout.EpochKey, data: bytes) -> None:
        """What does not verify proves nothing; the survey at depth bytes reports it."""
        place = (key.node, key.epoch)
        origin = names.ledger_origin(self._trail, key.node)
        try:
            if key.kind == "birth":
                birth = statements.verify_birth(data, self._trail)
                if birth.origin == origin and birth.statement.epoch == key.epoch:
                    self.births[place] = birth.statement
                    self._bytes[place] = data
                    self.keys[key.node] = VerifierKey(origin, birth.statement.node_key)
            else:
                closed = statements.verify_by_certificate(data, Closed, self._trail)
                if closed.origin == origin and closed.statement.epoch == key.epoch:
                    self._closes[place] = closed.statement
        except ProofError:
            return

    async def hear(
        self, regions: Iterable[Region], listings: Mapping[RegionId, Listing]
    ) -> Mapping[EpochId, Heartbeat]:
        """The newest heartbeat of each epoch that one is there of, in any region."""
        heard: dict[EpochId, Heartbeat] = {}
        for region in regions:
            for entry in listings.get(region.id, ()):
                node = entry.key.rpartition("/")[2].partition(".")[0]
                answer = await region.read(entry.key) if node in self.keys else None
                if not isinstance(answer, Present):
                    continue
                try:
                    beat = statements.verify(answer.data, Heartbeat, self.keys[node]).statement
                except ProofError:
                    continue
                last = heard.get((node, beat.epoch))
                if last is None or beat.n > last.n:
                    heard[node, beat.epoch] = beat
        return heard

    async def mark(self, regions: Iterable[Region], listings: Mapping[RegionId, Listing]) -> None:
        """Read the newest checkpoint of each node that is beyond those read before."""
        places: dict[str, dict[int, list[Region]]] = {}
        for region in regions:
            for entry in listings.get(region.id, ()):
                key = _checkpoint_of(entry.key)
                if key is not None and key.size > self._marks.get(key.node, 0):
                    places.setdefault(key.node, {}).setdefault(key.size, []).append(region)
        for node in sorted(places.keys() & self.keys.keys()):
            for size in sorted(places[node], reverse=True):
                if await self._is_signed(node, size, places[node][size]):
                    self._marks[node] = size
                    break

    async def _is_signed(self, node: str, size: int, holders: Iterable[Region]) -> bool:
        key = layout.checkpoint_key(node, size)
        for region in holders:
            answer = await region.read(key)
            if isinstance(answer, Present) and not why_wrong(
                key, answer.data, self._trail, self.keys
            ):
                return True
        return False

    def open(self, heard: Mapping[EpochId, Heartbeat]) -> Mapping[EpochId, Open]:
        """Each node's last epoch, if it is not closed."""
        return {
            place: Open(self._bytes[place], heard[place].n if place in heard else 0)
            for place in self._last.items()
            if place not in self._closes
        }

    def ends(self) -> Mapping[EpochId, LedgerEnd]:
        """Where epochs were decided to end: as closed, or as the next birth's base says."""
        bases = {(node, epoch - 1): birth.base for (node, epoch), birth in self.births.items()}
        return bases | {place: closed.end for place, closed in self._closes.items()}

    def extents(self, heard: Mapping[EpochId, Heartbeat]) -> Mapping[EpochId, Extent]:
        """How far each epoch reaches: as closed, as the next birth's base says, as promised or
        signed in a checkpoint."""
        extents: dict[EpochId, Extent] = {}
        last, ends = self._last, self.ends()
        for (node, epoch), birth in self.births.items():
            base = birth.base.size
            if (node, epoch) in ends:
                extents[node, epoch] = Extent(base, ends[node, epoch].size, True)
            else:
                beat = heard.get((node, epoch))
                signed = self._marks.get(node, 0) if last[node] == epoch else 0
                promised = beat.promise_size if beat else 0
                extents[node, epoch] = Extent(base, max(base, signed, promised), False)
        return extents

    @property
    def _last(self) -> dict[str, int]:
        """Each node's last epoch."""
        last: dict[str, int] = {}
        for node, epoch in self.births:
            last[node] = max(last.get(node, 0), epoch)
        return last


def _ranges(gaps: Iterable[str]) -> Mapping[str, shown.Ranges]:
    """The indexes that gaps hold, by node. gaps: their keys."""
    found: dict[str, shown.Ranges] = {}
    for text in gaps:
        key = layout.parse_key(text)
        if isinstance(key, layout.GapKey):
            found[key.node] = shown.union(found.get(key.node, ()), ((key.start, key.end),))
    return found


def _checkpoint_of(text: str) -> CheckpointKey | None:
    """A node's own checkpoint's key; None: this is none."""
    key = layout.known_key(text)
    return key if isinstance(key, CheckpointKey) and not key.witness else None
