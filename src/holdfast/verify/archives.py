"""Archives, region by region: what manifests name is there, and is what the ledgers hold.

By names: each unit goes on where the one before ended, in the same segments everywhere, and every
object that a manifest names is listed beside it. By bytes: each of them hashes to its name. By
events: the rows give the root in the name of every segment, and these are the ledger's.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.archive.fetch import Folder, fetch_whole
from holdfast.archive.lines import Archived
from holdfast.archive.make import Copied, check, read_evidence, segments_named
from holdfast.errors import CorruptError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import ProofError, statements
from holdfast.proof.names import SegmentName
from holdfast.regions import Regions, layout, units
from holdfast.regions.kinds import Archive, Trailer
from holdfast.regions.layout import ArchiveKey
from holdfast.regions.manifests import verified
from holdfast.regions.port import Absent, RegionId, Unknown
from holdfast.regions.retained import place_of
from holdfast.regions.retaining import objects_left, objects_needed, remains_key
from holdfast.times import format_us
from holdfast.verify.findings import Depth, Finding, FindingKind, Findings
from holdfast.verify.look import TRIES, Look
from holdfast.verify.swept import Swept
from holdfast.verify.walk import Walk

PLACE_CHARS = len("0000000000-000000")  # of a segment's name: index and epoch


class Archives:
    """See the module. Use once: look, walk the ledgers, verify.

    deep_segments, deep_events: in archives alone, whose bytes, or events, were verified there.
    """

    def __init__(self, look: Look, regions: Regions, host: Host, findings: Findings) -> None:
        self._look = look
        self._regions = regions
        self._host = host
        self._findings = findings
        self._out = look.evidence.floors
        self._known: dict[RegionId, dict[str, Archive]] = {}
        self._listed: Mapping[RegionId, Collection[str]] = {}
        self.deep_segments = self.deep_events = 0

    async def look(self) -> Swept:
        """List archives and read manifests: before ledgers are walked, for what was swept lies only
        there."""
        self._listed, copies = await self._look.archives()
        self._known = {id: {} for id in self._listed}
        for copy in copies:
            key = layout.parse_key(copy.key)
            assert isinstance(key, ArchiveKey)
            store = self._look.stores[copy.region]
            found = verified(copy.data, key, copy.region, store, self._regions.trail)
            if copy.why_wrong:
                self._find("corrupt", copy.region, copy.key, copy.why_wrong)
            elif found is None:
                self._find("foreign", copy.region, copy.key, "a manifest of another store")
            else:
                before = self._known[copy.region].get(found.unit)
                if before is None or before.generation < found.generation:
                    self._known[copy.region][found.unit] = found
        there = set().union(*self._listed.values())
        self._swept = Swept(self._known, there, self._out, self._regions)
        return self._swept

    async def verify(
        self, depth: Depth, wanted: tuple[int | None, int | None], walks: Mapping[NodeId, Walk]
    ) -> int:
        """Check all of them; how many units there are, in any region.

        Args:
            wanted: from, to: of which time bytes and events are read.
            walks: of the ledgers.
        """
        all_units = sorted(set().union(*self._known.values()))
        self._name_retained()
        self._check_names(all_units)
        for unit in all_units:
            if depth != "names" and _is_within(unit, wanted):
                await self._read(unit, depth, walks)
        return len(all_units)

    # -- names ---------------------------------------------------------------------------------

    def _name_retained(self) -> None:
        """Say what rules let go. What stays of it belongs to every region."""
        for (unit, of), floor in sorted(self._out.items()):
            at = format_us(floor.floored_us)
            why = f"{floor.rows} records of {unit} are retained out since {at} by {floor.rule}"
            place = layout.retained_key(place_of(floor))
            self._findings.add(Finding(kind="retained", key=place, reason=why))
            for id in self._known:
                if remains_key(floor) not in self._listed[id]:
                    why = f"it has what stays of the class {of} of {unit}"
                    self._find("under_replicated", id, remains_key(floor), why)

    def _let_go(self, unit: str) -> int:
        """How many events of a unit are not there to be verified."""
        return sum(floor.rows for (name, _), floor in self._out.items() if name == unit)

    def _check_names(self, all_units: Sequence[str]) -> None:
        ends: dict[NodeId, int] = {}
        for unit in all_units:
            holders = {id: found[unit] for id, found in self._known.items() if unit in found}
            first = next(iter(holders.values()))
            for node, start, end, *_ in first.ledgers:
                before = ends.get(node, 0)
                if start != before:
                    why = f"the unit before ends at segment {before}, this begins at {start}"
                    self._false(first, why, node)
                ends[node] = end
            for id in self._known:
                if id not in holders:
                    key = layout.archive_key(unit, first.generation)
                    self._find(
                        "under_replicated", id, key, "another region's archive has this unit"
                    )
            for id, archive in holders.items():
                if archive.ledgers != first.ledgers:
                    self._false(archive, f"that of {first.region} has other segments in this unit")
                for key in objects_left(archive, self._out):
                    if key not in self._listed[id]:
                        why = f"the manifest of {unit} in its archive names it"
                        self._find("under_replicated", id, key, why)

    # -- bytes and events ----------------------------------------------------------------------

    async def _read(self, unit: str, depth: Depth, walks: Mapping[NodeId, Walk]) -> None:
        """Read every object of a unit in each region, and check what they hold, once."""
        seen: set[tuple[str, ...]] = set()
        for id, found in self._known.items():
            archive = found.get(unit)
            if archive is None:
                continue
            objects = tuple(objects_needed(archive, self._out))
            good = [await self._is_good(id, key) for key in objects]
            if all(good) and objects not in seen:
                is_right = depth == "bytes" or await self._check(archive, walks)
                if is_right and not seen:
                    segments, events = self._swept.counts.get(unit, (0, 0))
                    self.deep_segments += segments
                    self.deep_events += events - self._let_go(unit)
                seen.add(objects)

    async def _is_good(self, id: RegionId, key: str) -> bool:
        """Whether an object hashes to its name; one bad read proves nothing."""
        if key not in self._listed[id]:
            return False
        parsed, why = layout.parse_key(key), ""
        assert isinstance(parsed, layout.ArchivedKey)
        for _ in range(TRIES):
            answer = await self._regions.by_id[id].read(key)
            if isinstance(answer, Absent):
                self._find("vanished", id, key, "it was listed and is gone")
                return False
            if isinstance(answer, Unknown):
                why = answer.reason
                continue
            digest = await self._host.offload(hashlib.sha256, answer.data)
            if digest.digest() == parsed.sha256:
                return True
            why = ""
        kind: FindingKind = "unreadable" if why else "corrupt"
        self._find(kind, id, key, why or "the bytes do not hash to the name")
        return False

    async def _check(self, archive: Archive, walks: Mapping[NodeId, Walk]) -> bool:
        """Whether a unit holds what its manifest says; else that is named."""
        region = self._regions.by_id[archive.region]
        with TemporaryDirectory(prefix="holdfast-") as folder:
            to = Folder(Path(folder), self._host)
            objects = await fetch_whole(archive, region, self._regions, self._out, to)
            if objects is None:
                self._false(archive, "its objects are not those that it names")
                return False
            try:
                names = await self._names_in(archive, Path(objects.evidence.path), walks)
                job = Copied(
                    *(archive.unit, archive.generation, self._regions.trail, self._look.tag_key),
                    keys={n: key.public for n, key in self._look.evidence.node_keys.items()},
                    names=names,
                    evidence=objects.evidence,
                    parts=objects.parts,
                    folder=folder,
                    remains=objects.remains,
                )
                await asyncio.wrap_future(self._host.background.submit(check, job))
            except (ProofError, CorruptError) as error:
                self._false(archive, str(error))
                return False
        return True

    async def _names_in(
        self, archive: Archive, evidence: Path, walks: Mapping[NodeId, Walk]
    ) -> tuple[tuple[NodeId, str], ...]:
        """The segments in the evidence, if they are those of the ledgers.

        Raises:
            ProofError: the evidence is malformed. CorruptError: they are not; says which.
        """
        found = segments_named(archive, evidence)
        lines = [line for line in read_evidence(evidence) if isinstance(line, Archived)]
        for node, start, end, *_ in archive.ledgers:
            listed = await self._look.names(node, start, end)
            places = {name[:PLACE_CHARS] for name in listed}
            for line in (line for line in lines if line.node == node):
                index = SegmentName.parse(line.segment).index
                trailer = statements.read(line.trailer.encode(), Trailer).statement
                before = walks[node].root_at(index) if node in walks else None
                is_other = line.segment not in listed and line.segment[:PLACE_CHARS] in places
                if is_other or before not in (None, trailer.root_before):
                    raise CorruptError(f"segment {index} of node {node} is not that of the ledger")
        return found

    def _find(self, kind: FindingKind, region: RegionId, key: str, why: str) -> None:
        self._findings.add(Finding(kind=kind, region=region, key=key, reason=why))

    def _false(self, archive: Archive, why: str, node: NodeId = "") -> None:
        key = layout.archive_key(archive.unit, archive.generation)
        found = Finding(kind="false", region=archive.region, node=node, key=key, reason=why)
        self._findings.add(found)


def _is_within(unit: str, wanted: tuple[int | None, int | None]) -> bool:
    """Whether a day may have segments that hold what was received then: its own, and the next's."""
    start = units.start_us(units.day_of(unit))
    from_us, to_us = wanted
    return (from_us is None or start + units.DAY_US > from_us) and (
        to_us is None or start < to_us + units.DAY_US
    )
