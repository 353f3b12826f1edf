"""Copy what a region lacks, from bytes that prove themselves. Never overwrites, never deletes.

A copy is put-if-absent of the very bytes: dying in between leaves a copy more, or none; two keepers
at once put the same. Bytes are checked before they are put anywhere: a segment against the hash in
its name, a note against its signature. One bad read proves nothing (a cable, a cache); two whole
reads that are bad are a corrupt copy. It is reported and spread nowhere, and stays where it is:
nothing can take its place under its name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from msgspec import Struct

from holdfast.keep.drift import Lack, Suspect
from holdfast.keep.objects import why_wrong
from holdfast.proof.note import VerifierKey
from holdfast.regions import Regions
from holdfast.regions.port import Absent, Differs, Present, RegionId, Stored
from holdfast.regions.region import Region

COPIES_AT_ONCE = 8
SUSPECTS_MAX = 1000  # read in one round

One = TypeVar("One")
FindingKind = Literal[
    "corrupt",
    "differs",
    "lost",
    "unreadable",
    "vanished",
    "hidden",
    "not-copied",
    "not-whole",
    "orphan",
    "foreign",
    "found-whole",
]


class Finding(Struct, frozen=True):
    """Something that a person should know.

    kind: "corrupt" (bytes contradict their name or signature), "differs" (other bytes lie there, or
    another statement of a gap), "lost" (segments that must exist are in none of the regions
    surveyed; key: where the first of them would lie), "unreadable" (a listed copy could not be
    read), "vanished" (it was listed and is gone), "hidden" (a delete marker or a newer version lies
    over it, in a store that keeps every version; it is whole and read all the same, and somebody
    tried to hide or to change it), "not-copied" (the region did not take the copy),
    "not-whole" (the store came later and readers do not rely on it yet), "orphan" (beyond the close
    of its epoch, not in the trail), "foreign" (not a name of ours), "found-whole" (from now on
    readers rely on the store).
    """

    kind: FindingKind
    region: RegionId
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Examined:
    """A copy that was read. data: its bytes, if they are right; else `finding` says what is wrong.
    read_bytes: how much was read for that."""

    data: bytes | None
    finding: Finding | None
    read_bytes: int


async def examine(
    region: Region, key: str, trail: str, node_keys: Mapping[str, VerifierKey]
) -> Examined:
    """Read a region's copy and judge its bytes; once more, if they look wrong."""
    why, read_bytes = "", 0
    for _ in range(2):
        answer = await region.read(key)
        if isinstance(answer, Absent):
            gone = Finding("vanished", region.id, key, "it was listed and is gone")
            return Examined(None, gone, read_bytes)
        if not isinstance(answer, Present):
            return Examined(None, Finding("unreadable", region.id, key, answer.reason), read_bytes)
        read_bytes += len(answer.data)
        why = why_wrong(key, answer.data, trail, node_keys)
        if not why:
            return Examined(answer.data, None, read_bytes)
    return Examined(None, Finding("corrupt", region.id, key, why), read_bytes)


class Repair:
    """One round of copying.

    repaired: objects copied to each region so far. given_up: segments of declared gaps that no
    region gave a good copy of: there is nothing to copy, and the gap says so.
    """

    def __init__(self, regions: Regions, node_keys: Mapping[str, VerifierKey]) -> None:
        self.repaired: dict[RegionId, int] = dict.fromkeys(regions.by_id, 0)
        self.given_up: set[str] = set()
        self._regions = regions
        self._node_keys = node_keys

    async def mend(self, lacks: Sequence[Lack]) -> list[Finding]:
        """Copy every object to the regions that lack it; returns what could not be, and why."""
        return await _all(self._mend, lacks)

    async def judge(self, suspects: Sequence[Suspect]) -> list[Finding]:
        """Read every copy of these objects; returns those that are wrong, or cannot be read."""
        return await _all(self._judge, suspects[:SUSPECTS_MAX])

    async def _judge(self, suspect: Suspect) -> list[Finding]:
        copies = [await self._examine(holder, suspect.key) for holder in suspect.holders]
        findings = [copy.finding for copy in copies if copy.finding is not None]
        if suspect.is_lost and _all_corrupt(findings, suspect.holders):
            self.given_up.add(suspect.key)
            return []
        return findings

    async def _examine(self, holder: RegionId, key: str) -> Examined:
        region = self._regions.by_id[holder]
        return await examine(region, key, self._regions.trail, self._node_keys)

    async def _mend(self, lack: Lack) -> list[Finding]:
        findings: list[Finding] = []
        data: bytes | None = None
        for holder in lack.holders:
            copy = await self._examine(holder, lack.key)
            data = copy.data
            if data is not None:
                break
            if copy.finding is not None and copy.finding.kind == "corrupt":
                findings.append(copy.finding)
        if data is None:
            why = "no intact copy could be read" if lack.holders else "no region has a copy"
            if lack.holders and _all_corrupt(findings, lack.holders):
                why = "every copy of it is corrupt"
                if lack.is_lost:
                    self.given_up.add(lack.key)
                    return []
            return [*findings, Finding("unreadable", "", lack.key, why)]
        for target in lack.lacking:
            outcome = await self._regions.by_id[target].keep(lack.key, data)
            if isinstance(outcome, Stored):
                self.repaired[target] += 1
            elif isinstance(outcome, Differs):
                findings.append(Finding("differs", target, lack.key, "other bytes lie there now"))
            else:
                findings.append(Finding("not-copied", target, lack.key, outcome.reason))
        return findings


def _all_corrupt(findings: Sequence[Finding], holders: Sequence[RegionId]) -> bool:
    return [finding.kind for finding in findings] == ["corrupt"] * len(holders)


async def _all(
    work: Callable[[One], Awaitable[list[Finding]]], several: Sequence[One]
) -> list[Finding]:
    """Do each, some at a time; everything that was found."""
    at_once = asyncio.Semaphore(COPIES_AT_ONCE)

    async def one(each: One) -> list[Finding]:
        async with at_once:
            return await work(each)

    found = await asyncio.gather(*(one(each) for each in several))
    return [finding for each in found for finding in each]
