"""The keeper: survey, end what is lost, repair; on a timer and on demand."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from msgspec import Struct

from holdfast.keep.drift import Lack, compare, lag_of
from holdfast.keep.lost import Watch
from holdfast.keep.repair import Finding, Repair
from holdfast.keep.survey import Survey, Surveyor
from holdfast.ports import Host
from holdfast.regions import Regions
from holdfast.regions.port import RegionId
from holdfast.write.closing import Undecided, close_epoch
from holdfast.write.identity import Identity

log = logging.getLogger("holdfast.keep")

WHOLE_EVERY_SECONDS = 24 * 3600.0
FINDINGS_MAX = 1000


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


class Closer:
    """Ends the epochs of nodes that are lost, in the name of this process's own node."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        identity: Callable[[], Identity | None],
        patience_seconds: float,
    ) -> None:
        """identity: the own node's, while it has an epoch: others then know its key.
        patience_seconds: how long a node may not advance."""
        self.closed_count = 0
        self._regions = regions
        self._host = host
        self._identity = identity
        self._watch = Watch(patience_seconds)

    async def close_lost(self, survey: Survey) -> bool:
        """Close what is lost by now; returns whether anything was."""
        now = asyncio.get_running_loop().time()
        if len(survey.held) < self._regions.needed:
            return False  # a heartbeat that lies where we cannot look is no sign of a loss
        beats = {epoch: each.beats for epoch, each in survey.open.items()}
        identity = self._identity()
        closed = False
        for node, epoch in self._watch.lost(beats, now):
            if identity is None or node == identity.node:
                continue
            birth = survey.open[node, epoch].birth
            end = await close_epoch(self._regions, birth, identity, self._host, "lost")
            if isinstance(end, Undecided):
                log.warning("epoch %d of lost node %s stays open: %s", epoch, node, end.reason)
                continue
            log.warning("node %s is lost: closed its epoch %d at %d", node, epoch, end.size)
            self.closed_count += 1
            closed = True
        return closed


class Keeper:
    """Surveys and repairs; keeps what it learned from one time to the next."""

    def __init__(self, regions: Regions, host: Host, closer: Closer | None = None) -> None:
        """closer: what ends the epochs of lost nodes; None where nobody may."""
        self.last: Reconciliation | None = None
        self.repaired_count = 0
        self._regions = regions
        self._host = host
        self._closer = closer
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
            if self._closer is not None and await self._closer.close_lost(survey):
                survey = await self._surveyor.survey(whole=whole)
            drift = compare(survey.held, survey.extents)
            findings = [Finding("orphan", "", key, "beyond the close") for key in drift.orphans]
            findings += [Finding("foreign", "", key, "not ours") for key in drift.foreign]
            repair = Repair(self._regions, survey.node_keys)
            findings += await repair.mend(drift.lacks)
            repaired = repair.repaired
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
