"""Copy what a region lacks, from bytes that prove themselves. Never overwrites, never deletes.

A copy is put-if-absent of the very bytes: dying in between leaves a copy more, or none; two keepers
at once put the same. Bytes are checked before they are put anywhere: a segment against the hash in
its name, a note against its signature. What does not check is reported and spread nowhere.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

from msgspec import Struct

from holdfast.keep.drift import Lack
from holdfast.proof import ProofError, names, note, statements
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Closed
from holdfast.regions import Regions
from holdfast.regions.port import Differs, Present, RegionId, Stored

COPIES_AT_ONCE = 8


class Finding(Struct, frozen=True):
    """Something that a person should know.

    kind: "corrupt" (bytes contradict their name or signature), "unreadable" (no listed copy could
    be read), "not-copied" (the region did not take the copy), "differs" (other bytes lie there),
    "orphan" (beyond the close of its epoch, not in the trail), "foreign" (not a name of ours).
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
            wrong = self._why_wrong(lack.key, answer.data)
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

    def _why_wrong(self, key: str, data: bytes) -> str:
        """Why these bytes are not what the name stands for; "" when they are."""
        parsed = names.parse_key(key)
        trail = self._regions.trail
        try:
            if isinstance(parsed, names.SegmentKey):
                intact = hashlib.sha256(data).digest() == parsed.name.sha256
                return "" if intact else "the bytes do not hash to the name"
            if isinstance(parsed, names.CheckpointKey):
                found = note.verify_checkpoint(data, self._node_keys[parsed.node])
                return "" if found.size == parsed.size else "a checkpoint of another size"
            if isinstance(parsed, names.EpochKey) and parsed.kind == "birth":
                birth = statements.verify_birth(data, trail)
                epoch, origin = birth.statement.epoch, birth.origin
            elif isinstance(parsed, names.EpochKey):
                closed = statements.verify_by_certificate(data, Closed, trail)
                epoch, origin = closed.statement.epoch, closed.origin
            else:
                return "not an object that is copied"
        except (ProofError, KeyError) as error:
            return str(error)
        same = epoch == parsed.epoch and origin == names.ledger_origin(trail, parsed.node)
        return "" if same else "a statement of another epoch"
