"""Copy what a region lacks, from bytes that prove themselves. Never overwrites, never deletes.

A copy is put-if-absent of the very bytes: dying in between leaves a copy more, or none; two keepers
at once put the same. Bytes are checked before they are put anywhere: a segment against the hash in
its name, a note against its signature. What does not check is reported and spread nowhere.
"""

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import Struct

from holdfast.keep.drift import Lack
from holdfast.keep.objects import why_wrong
from holdfast.proof.note import VerifierKey
from holdfast.regions import Regions
from holdfast.regions.port import Differs, Present, RegionId, Stored

COPIES_AT_ONCE = 8


class Finding(Struct, frozen=True):
    """Something that a person should know.

    kind: "corrupt" (bytes contradict their name or signature), "unreadable" (a listed copy could
    not be read), "vanished" (it was listed and is gone), "not-copied" (the region did not take the
    copy), "differs" (other bytes lie there), "orphan" (beyond the close of its epoch, not in the
    trail), "foreign" (not a name of ours).
    """

    kind: str
    region: RegionId
    key: str
    reason: str


class Repair:
    """One round of copying. repaired: objects copied to each region so far."""

    def __init__(self, regions: Regions, node_keys: Mapping[str, VerifierKey]) -> None:
        self.repaired: dict[RegionId, int] = dict.fromkeys(regions.by_id, 0)
        self._regions = regions
        self._node_keys = node_keys

    async def mend(self, lacks: Sequence[Lack]) -> list[Finding]:
        """Copy every object to the regions that lack it; returns what could not be, and why."""
        at_once = asyncio.Semaphore(COPIES_AT_ONCE)

        async def one(lack: Lack) -> list[Finding]:
            async with at_once:
                return await self._mend(lack)

        found = await asyncio.gather(*(one(lack) for lack in lacks))
        return [finding for each in found for finding in each]

    async def _mend(self, lack: Lack) -> list[Finding]:
        findings: list[Finding] = []
        data = b""
        for holder in lack.holders:
            answer = await self._regions.by_id[holder].read(lack.key)
            if not isinstance(answer, Present):
                continue
            wrong = why_wrong(lack.key, answer.data, self._regions.trail, self._node_keys)
            if not wrong:
                data = answer.data
                break
            findings.append(Finding("corrupt", holder, lack.key, wrong))
        if not data:
            return [*findings, Finding("unreadable", "", lack.key, "no intact copy could be read")]
        for target in lack.lacking:
            outcome = await self._regions.by_id[target].keep(lack.key, data)
            if isinstance(outcome, Stored):
                self.repaired[target] += 1
            elif isinstance(outcome, Differs):
                findings.append(Finding("differs", target, lack.key, "other bytes lie there now"))
            else:
                findings.append(Finding("not-copied", target, lack.key, outcome.reason))
        return findings
