"""Copy what a region lacks, from bytes that prove themselves. Never overwrites, never deletes.

A copy is put-if-absent of the very bytes: dying in between leaves a copy more, or none; two keepers
at once put the same. Bytes are checked before they are put anywhere: a segment against the hash in
its name, a note against its signature. What does not check is reported and spread nowhere.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping

from msgspec import Struct

from holdfast.keep.drift import Lack, compare, lag_of
from holdfast.keep.survey import Survey, Surveyor
from holdfast.ports import Host
from holdfast.proof import ProofError, names, note, statements
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Closed
from holdfast.regions import Regions
from holdfast.regions.port import Differs, Present, RegionId, Stored

log = logging.getLogger("holdfast.keep")

COPIES_AT_ONCE = 8
WHOLE_EVERY_SECONDS = 24 * 3600.0
FINDINGS_MAX = 1000


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


class RegionDrift(Struct, frozen=True):
    """One region.

    state: "ok" or why it was not surveyed. lag_segments, lag_bytes: what it lacked when surveyed.
    oldest_us: when the oldest segment that it lacked was sealed. repaired: objects copied to it.
    lacking: objects that it still lacks.
    """

    region: RegionId
    state: str
    objects: int
    lag_segments: int
    lag_bytes: int
    oldest_us: int
    lacking: int
    repaired: int


class Reconciliation(Struct, frozen=True):
    """One survey and what was repaired. identical: the surveyed regions, all of them, now hold the
    same of every ledger."""

    started_us: int
    ended_us: int
    whole: bool
    identical: bool
    regions: tuple[RegionDrift, ...]
    findings: tuple[Finding, ...]


class Keeper:
    """Surveys and repairs; keeps what it learned from one time to the next."""

    def __init__(self, regions: Regions, host: Host) -> None:
        self.last: Reconciliation | None = None
        self.repaired_count = 0
        self._regions = regions
        self._host = host
        self._surveyor = Surveyor(regions)
        self._turn = asyncio.Lock()

    async def keep_forever(self, interval_seconds: float) -> None:
        """Reconcile an interval: what is newest, and once a day everything."""
        loop = asyncio.get_running_loop()
        whole_at = loop.time()
        while True:
            await asyncio.sleep(interval_seconds)
            whole = loop.time() >= whole_at
            try:
                await self.reconcile(whole=whole)
            except Exception:
                # Whatever it is, repair goes on; health is judged by when the last one ended.
                log.exception("a reconciliation ended early")
                continue
            if whole:
                whole_at = loop.time() + WHOLE_EVERY_SECONDS

    async def reconcile(self, *, whole: bool) -> Reconciliation:
        """One survey at depth names, and the repair of all that it found lacking.

        whole: over every ledger from its beginning; else from where all were last seen equal.
        """
        async with self._turn:
            started_us = self._host.now_us()
            survey = await self._surveyor.survey(whole=whole)
            drift = compare(survey.held, survey.extents)
            findings = [Finding("orphan", "", key, "beyond the close") for key in drift.orphans]
            findings += [Finding("foreign", "", key, "not ours") for key in drift.foreign]
            repaired: dict[RegionId, int] = dict.fromkeys(survey.held, 0)
            at_once = asyncio.Semaphore(COPIES_AT_ONCE)

            async def mend(lack: Lack) -> list[Finding]:
                async with at_once:
                    return await self._mend(lack, survey.node_keys, repaired)

            for found in await asyncio.gather(*(mend(lack) for lack in drift.lacks)):
                findings += found
            whole_again = sum(repaired.values()) == sum(len(x.lacking) for x in drift.lacks)
            identical = whole_again and not survey.absent
            if identical:
                self._surveyor.settle(_ends(survey))
            self.repaired_count += sum(repaired.values())
            self.last = Reconciliation(
                started_us=started_us,
                ended_us=self._host.now_us(),
                whole=whole,
                identical=identical,
                regions=tuple(
                    _drift(region.id, survey, drift.lacks, repaired) for region in self._regions
                ),
                findings=tuple(findings[:FINDINGS_MAX]),
            )
            return self.last

    async def _mend(
        self,
        lack: Lack,
        node_keys: Mapping[str, VerifierKey],
        repaired: dict[RegionId, int],
    ) -> list[Finding]:
        """Copy one object to every region that lacks it."""
        findings: list[Finding] = []
        data = b""
        for holder in lack.holders:
            answer = await self._regions.by_id[holder].read(lack.key)
            if not isinstance(answer, Present):
                continue
            wrong = self._why_wrong(lack.key, answer.data, node_keys)
            if not wrong:
                data = answer.data
                break
            findings.append(Finding("corrupt", holder, lack.key, wrong))
        if not data:
            return [*findings, Finding("unreadable", "", lack.key, "no intact copy could be read")]
        for target in lack.lacking:
            outcome = await self._regions.by_id[target].keep(lack.key, data)
            if isinstance(outcome, Stored):
                repaired[target] += 1
            elif isinstance(outcome, Differs):
                findings.append(Finding("differs", target, lack.key, "other bytes lie there now"))
            else:
                findings.append(Finding("not-copied", target, lack.key, outcome.reason))
        return findings

    def _why_wrong(self, key: str, data: bytes, node_keys: Mapping[str, VerifierKey]) -> str:
        """Why these bytes are not what the name stands for; "" when they are."""
        parsed = names.parse_key(key)
        trail = self._regions.trail
        try:
            if isinstance(parsed, names.SegmentKey):
                intact = hashlib.sha256(data).digest() == parsed.name.sha256
                return "" if intact else "the bytes do not hash to the name"
            if isinstance(parsed, names.CheckpointKey):
                found = note.verify_checkpoint(data, node_keys[parsed.node])
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


def _ends(survey: Survey) -> dict[str, int]:
    """Per node: the size of its ledger as far as it is known to reach."""
    ends: dict[str, int] = {}
    for (node, _), extent in survey.extents.items():
        ends[node] = max(ends.get(node, 0), extent.size)
    return ends


def _drift(
    region: RegionId,
    survey: Survey,
    lacks: tuple[Lack, ...],
    repaired: Mapping[RegionId, int],
) -> RegionDrift:
    if region in survey.absent:
        return RegionDrift(region, survey.absent[region], 0, 0, 0, 0, 0, 0)
    lag = lag_of(region, lacks)
    done = repaired.get(region, 0)
    return RegionDrift(
        region=region,
        state="ok",
        objects=len(survey.held[region]),
        lag_segments=lag.segments,
        lag_bytes=lag.size_bytes,
        oldest_us=lag.oldest_us,
        lacking=lag.objects - done,
        repaired=done,
    )
