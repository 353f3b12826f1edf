"""What of an epoch lies in archives: its segments may have been swept from stores since.

A unit is archived once all of it is final, and swept from a store only after that store's manifest
was written. So whoever lists a store's segments first and its manifests then misses nothing; the
other way round, what is swept in between would look as if it had never been there.

Names and signed trailers come from the evidence, so that the run goes on as by the segments' own
bytes. A manifest alone says only that a store need not be given what it covers.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.ports import Host, Offload
from holdfast.proof import ProofError
from holdfast.regions import layout, units
from holdfast.regions.evidence import Archived, segments_of
from holdfast.regions.kinds import Archive
from holdfast.regions.manifests import Manifests
from holdfast.regions.port import Level, Listing, Present, Unknown
from holdfast.regions.region import Region

DAYS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """What a store shows of an epoch. names: of segments that it lists. archives: its manifests
    that have some of the node's ledger, and whose objects it lists."""

    node: str
    names: frozenset[str]
    archives: tuple[Archive, ...]

    def holds(self, index: int) -> bool:
        """Whether its archive has that segment."""
        return any(
            node == self.node and start <= index < end
            for archive in self.archives
            for node, start, end, *_ in archive.ledgers
        )


async def days_of(store: Region, after_us: int) -> tuple[str, ...] | Unknown:
    """The days in a store's archive that may have segments that were sealed after a time."""
    level = await store.level(layout.ARCHIVE_PREFIX)
    if not isinstance(level, Level):
        return level
    first = f"day={units.day_at(after_us)}"
    return tuple(folder for folder in level.folders if folder >= first)


async def archives_in(
    store: Region, days: Iterable[str], trail: str, node: str
) -> list[Archive] | Unknown:
    """The manifests of some days that have segments of a node, and all of whose objects lie there;
    what is gone by a floor of retention lies there no more, and was archived all the same."""
    found: list[Archive] = []
    listings = await asyncio.gather(*(store.list(f"{layout.ARCHIVE_PREFIX}{d}/") for d in days))
    for listing in listings:
        if not isinstance(listing, Listing):
            return listing
        known = await Manifests().of(store, listing, trail)
        if isinstance(known, Unknown):
            return known
        there = {entry.key for entry in listing}
        found += [
            archive
            for archive in known.values()
            if any(each == node for each, *_ in archive.ledgers) and _evidence_key(archive) in there
        ]
    return found


async def swept_segments(
    stores: Sequence[Region], shown: Mapping[str, Shown], base: int, host: Host
) -> tuple[dict[int, Archived], str]:
    """The segments of archived units of which no store lists all from `base` on, by index; and why
    some of them cannot be known now, "" where all are.

    The evidence hashes to its name, so it is read wherever it can be.
    """
    listed = {int(name[:10], 16) for each in shown.values() for name in each.names}
    found: dict[int, Archived] = {}
    archives = {_evidence_key(a): a for each in shown.values() for a in each.archives}
    for archive in archives.values():
        node = next(iter(shown.values())).node
        spans = [range(start, end) for of, start, end, *_ in archive.ledgers if of == node]
        if all(index in listed for span in spans for index in span if index >= base):
            continue
        segments = await evidence_of(stores, archive, node, host.offload)
        if segments is None:
            return found, f"no store gives the evidence of {archive.unit}"
        found |= {segment.name.index: segment for segment in segments}
    return found, ""


async def evidence_of(
    stores: Iterable[Region], archive: Archive, node: str, offload: Offload = asyncio.to_thread
) -> list[Archived] | None:
    """A node's segments in a unit, by the first store that gives good evidence; None: none does."""
    key = _evidence_key(archive)
    for store in stores:
        answer = await store.read(key)
        if isinstance(answer, Present):
            digest = await offload(hashlib.sha256, answer.data)
            if digest.hexdigest() == archive.evidence:
                try:
                    return await offload(segments_of, answer.data, node)
                except ProofError:
                    continue
    return None


def _evidence_key(archive: Archive) -> str:
    return layout.archived_key(units.day_of(archive.unit), "", archive.evidence)
