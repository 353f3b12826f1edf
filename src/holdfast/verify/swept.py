"""A ledger shard by shard, where regions list segments and where only their archives have them.

What no region lists any more is named by the evidence of archived units, which hashes to its name;
the names are held against every root that was signed, as all others are. A unit counts while none
of its objects is gone from all regions: else its segments are missing as any others would be.
"""

import hashlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping

from holdfast.keep.drift import archived_in
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError
from holdfast.read import shown
from holdfast.regions import Regions, layout, units
from holdfast.regions.evidence import Archived, segments_of
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import SHARD_SEGMENTS
from holdfast.regions.port import Present, RegionId
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out
from holdfast.verify.look import Look
from holdfast.verify.walk import Names, Walk

Archives = Mapping[RegionId, Mapping[str, Archive]]


class Swept:
    """See the module. counts: per unit, (segments, events) that were in archives alone."""

    def __init__(
        self, known: Archives, there: Collection[str], out: Mapping[Out, Floor], regions: Regions
    ) -> None:
        """known: the manifests of each region, by unit. there: what lies in any archive. out: the
        classes that are let go."""
        self.counts: dict[str, tuple[int, int]] = {}
        self._spans = archived_in(known, there, out)
        self._known = known
        self._regions = regions
        self._read: tuple[str, NodeId, list[Archived]] | None = None  # what was read last

    def spans(self, node: NodeId) -> Mapping[RegionId, shown.Ranges]:
        """The segments of a node that each region's archive has."""
        return {id: spans.get(node, ()) for id, spans in self._spans.items()}

    async def shards(
        self, look: Look, walk: Walk, host: Host
    ) -> AsyncIterator[tuple[Names, list[RegionId]]]:
        """As `Look.shards`, with what only archives have; that is in no region's holdings."""
        node = walk.node
        archived: shown.Ranges = ()
        for each in self.spans(node).values():
            archived = shown.union(archived, each)
        at = 0
        async for shard, regions in look.shards(node):
            if shard:
                number = next(iter(shard)).index // SHARD_SEGMENTS
                for low in _shards(archived, at, number * SHARD_SEGMENTS):
                    yield await self._fill({}, archived, walk, low, host), look.present
                low = number * SHARD_SEGMENTS
                at = low + SHARD_SEGMENTS
                yield await self._fill(shard, archived, walk, low, host), regions
        end = max((stop for _, stop in archived), default=0)
        for low in _shards(archived, at, end):
            yield await self._fill({}, archived, walk, low, host), look.present

    async def _fill(
        self, shard: Names, archived: shown.Ranges, walk: Walk, low: int, host: Host
    ) -> Names:
        """A shard that begins at `low`, with the names of what it lacks and an archive has."""
        here = ((low, low + SHARD_SEGMENTS),)
        wanted = shown.minus(here, shown.minus(here, archived))
        listed = shown.of_indexes(name.index for name in shard if walk.is_inside(name))
        wanted = shown.minus(wanted, listed)
        found = dict(shard)
        for unit in self._units(walk.node, wanted) if wanted else ():
            for segment in await self._segments(unit, walk.node, host):
                name = segment.name
                if name not in found and any(s <= name.index < e for s, e in wanted):
                    found[name] = ()
                    segments, events = self.counts.get(unit, (0, 0))
                    self.counts[unit] = segments + 1, events + name.count
        return found

    def _units(self, node: NodeId, wanted: shown.Ranges) -> Iterator[str]:
        """The units that have some of these segments, each once."""
        for unit in sorted(set().union(*self._known.values())):
            archive = next(found[unit] for found in self._known.values() if unit in found)
            spans = tuple((start, end) for of, start, end, *_ in archive.ledgers if of == node)
            if shown.minus(spans, wanted) != spans:
                yield unit

    async def _segments(self, unit: str, node: NodeId, host: Host) -> list[Archived]:
        """By the evidence of any region; none where no region gives it whole, which is named."""
        if self._read is not None and self._read[:2] == (unit, node):
            return self._read[2]
        for id, found in self._known.items():
            if unit not in found:
                continue
            key = layout.archived_key(units.day_of(unit), "", found[unit].evidence)
            answer = await self._regions.by_id[id].read(key)
            if not isinstance(answer, Present):
                continue
            digest = await host.offload(hashlib.sha256, answer.data)
            if digest.hexdigest() == found[unit].evidence:
                try:
                    segments = await host.offload(segments_of, answer.data, node)
                except ProofError:
                    continue
                self._read = unit, node, segments
                return segments
        return []


def _shards(archived: shown.Ranges, start: int, end: int) -> Iterator[int]:
    """Where the shards in [start, end) begin of which an archive has something."""
    for low in range(start, end, SHARD_SEGMENTS):
        here = ((low, low + SHARD_SEGMENTS),)
        if shown.minus(here, archived) != here:
            yield low
