"""The keeper: survey, end what is lost, repair; on a timer and on demand."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import get_args

from msgspec import Struct

from holdfast.archive.shelves import Shelves, shelf_of
from holdfast.archive.whole import holding_of
from holdfast.keep.drift import (
    Drift,
    Lack,
    Missing,
    Suspect,
    compare,
    compare_archives,
    counting,
    is_lost,
    lag_of,
    missing_fences,
    named_by,
)
from holdfast.keep.late import find_late, say_whole, why_late_still
from holdfast.keep.lost import Watch
from holdfast.keep.repair import Finding, FindingKind, Repair
from holdfast.keep.survey import Survey, Surveyor, ledger_sizes
from holdfast.ports import Host
from holdfast.regions import Regions, layout
from holdfast.regions.port import RegionId
from holdfast.write.closing import Undecided, close_epoch, fence_of
from holdfast.write.identity import Identity

log = logging.getLogger("holdfast.keep")

WHOLE_EVERY_SECONDS = 24 * 3600.0
WHOLE_WHILE_WRONG_SECONDS = 600.0  # the same, while something is lost or corrupt
FINDINGS_MAX = 1000
STANDING = frozenset({"corrupt", "differs", "lost"})  # no repair mends it
REMEMBERED = STANDING | {"hidden"}  # until a survey has looked at its place again
UNARCHIVED = (
    "it lacks {} segments that only other regions' archives hold; a server, or `holdfast "
    "reconcile` where the trail's key is, copies those archives"
)
GRAVITY: tuple[FindingKind, ...] = get_args(FindingKind)


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
    """One survey by names and sizes, and what was repaired.

    identical: all regions were surveyed, and now hold everything of every ledger, but for what is
    declared lost, under the same names in copies of the same size. findings: the gravest first.
    """

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
        self._regions = regions
        self._host = host
        self._identity = identity
        self._watch = Watch(patience_seconds)

    async def close_lost(self, survey: Survey) -> bool:
        """Close what is lost by now; returns whether anything was."""
        now = asyncio.get_running_loop().time()
        if not self._regions.are_enough(survey.held.keys()):
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
            closed = True
        return closed


class Keeper:
    """Surveys and repairs; keeps what it learned from one time to the next. unarchived: set once a
    region is found to lack what only archives of others have."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        closer: Closer | None = None,
        *,
        identity: Callable[[], Identity | None] = lambda: None,
        suspects: Callable[[], Collection[RegionId]] = tuple,
    ) -> None:
        """closer: what ends the epochs of lost nodes; None where nobody may. identity: in whose
        name fences are put again and stores are said to be whole; None while there is nobody.
        suspects: the regions that were seen to have lost something."""
        self.last: Reconciliation | None = None
        self.repaired_count = 0
        self.unarchived = asyncio.Event()
        self.shelves: Shelves | None = None
        self._regions = regions
        self._host = host
        self._closer = closer
        self._identity = identity
        self._suspects = suspects
        self._behind: frozenset[RegionId] = frozenset()  # of them the last survey knew
        self._surveyor = Surveyor(regions)
        self._standing: tuple[Finding, ...] = ()  # what is lost, corrupt or hidden
        self._turn = asyncio.Lock()

    async def keep_forever(self, interval_seconds: float) -> None:
        """Reconcile an interval: what is newest, and once a day everything."""
        loop = asyncio.get_running_loop()
        whole_since = -WHOLE_EVERY_SECONDS
        while True:
            await asyncio.sleep(interval_seconds)
            every = WHOLE_WHILE_WRONG_SECONDS if self._standing else WHOLE_EVERY_SECONDS
            whole = loop.time() - whole_since >= every
            try:
                await self.reconcile(whole=whole)
            except Exception:
                # Whatever it is, repair goes on; health is judged by when the last one ended.
                log.exception("a reconciliation ended early")
                continue
            if whole:
                whole_since = loop.time()

    async def reconcile(self, *, whole: bool, accepted: RegionId = "") -> Reconciliation:
        """One survey at depth names, and the repair of all that it found lacking.

        whole: over every ledger from its beginning; else from where all were last seen equal, but
        where a store came later or a region is suspect. accepted: a region whose store a person
        takes as it is then (see `late`).
        """
        async with self._turn:
            started_us = self._host.now_us()
            late = await find_late(self._regions)
            not_whole = late.keys() | frozenset(self._suspects())
            whole = whole or bool(not_whole)
            survey = await self._surveyor.survey(whole=whole)
            if self._closer is not None and await self._closer.close_lost(survey):
                survey = await self._surveyor.survey(whole=whole)
            drift = _drift_of(survey)
            repair = Repair(self._regions, survey.node_keys)
            findings = await self._find(survey, drift, repair, not_whole)
            repaired = repair.repaired
            lacks = tuple(lack for lack in drift.lacks if lack.key not in repair.given_up)
            await self._fence_again(survey)
            still = {
                id: sum(id in lack.lacking for lack in lacks) - repaired[id] + count
                for id, count in drift.unarchived.items()
            }
            findings += await self._see_to_late(late, not_whole, survey, still, accepted)
            findings = _gravest_first(findings)
            self._tell_unarchived(drift)
            settled = not survey.absent and not any(f.kind == "unreadable" for f in findings)
            settled &= sum(repaired.values()) == sum(len(lack.lacking) for lack in lacks)
            settled &= not any(drift.unarchived.values())
            if settled:
                self._surveyor.settle(ledger_sizes(survey.extents))
            self._standing = tuple(f for f in findings if f.kind in REMEMBERED)
            self.repaired_count += sum(repaired.values())
            if survey.archives:
                self.shelves = _shelves_of(survey, findings, self._host.now_us())
            self.last = Reconciliation(
                started_us=started_us,
                ended_us=self._host.now_us(),
                whole=whole,
                identical=settled and not any(f.kind in STANDING for f in findings),
                regions=tuple(
                    _drift(region.id, survey, lacks, repaired) for region in self._regions
                ),
                findings=tuple(findings[:FINDINGS_MAX]),
            )
            return self.last

    async def _find(
        self, survey: Survey, drift: Drift, repair: Repair, not_whole: Set[RegionId]
    ) -> list[Finding]:
        """Read what is suspect, copy what lacks, and say what a person should know.

        What is lost or corrupt stays so until a survey has looked at its place again. not_whole:
        regions whose store came later, or that lost something: what is not there may be in a region
        that was not surveyed.
        """
        suspects = [*drift.suspects, *_once_corrupt(self._standing, survey)]
        found = [f for f in self._standing if f.region in survey.absent or _is_below(f.key, survey)]
        found += await self._surveyor.but_for_swept(await repair.judge(suspects))
        if not survey.absent or self._regions.are_enough(survey.held.keys() - not_whole):
            found += [_lost(missing, survey) for missing in drift.missing]
        found += await repair.mend(drift.lacks)
        found += [
            Finding("differs", region, key, "another statement of this gap lies elsewhere")
            for region, key in survey.clashes
        ]
        found += [
            Finding("hidden", region, key, f"{how} lies over it; it is kept, and read all the same")
            for (region, key), how in sorted(survey.covered.items())
        ]
        found += [
            Finding("not-copied", region, layout.ARCHIVE_PREFIX, UNARCHIVED.format(count))
            for region, count in drift.unarchived.items()
            if count
        ]
        found += [Finding("orphan", "", key, "beyond the close") for key in drift.orphans]
        found += [Finding("foreign", "", key, "not ours") for key in drift.foreign]
        return found

    def _tell_unarchived(self, drift: Drift) -> None:
        """Once: whoever copies archives comes again by himself."""
        behind = frozenset(id for id, count in drift.unarchived.items() if count)
        if behind - self._behind:
            self.unarchived.set()
        self._behind = behind

    async def _fence_again(self, survey: Survey) -> None:
        """Put fences of closed epochs where they lack; each is a statement of our own, no copy."""
        identity = self._identity()
        if identity is None:
            return
        for region, node, epoch in missing_fences(survey.held, survey.extents):
            fence = fence_of(survey.node_keys[node].name, epoch, identity, self._host)
            await self._regions.by_id[region].keep(layout.fence_key(node, epoch), fence)

    async def _see_to_late(
        self,
        late: Mapping[RegionId, str],
        not_whole: Set[RegionId],
        survey: Survey,
        still: Mapping[RegionId, int],
        accepted: RegionId,
    ) -> list[Finding]:
        """Say of each store that came later that it is whole, or why nobody can say so yet.

        still: how much each region lacks now."""
        identity, findings = self._identity(), []
        compared = [id for id in survey.held if id not in not_whole]
        for id, store in late.items():
            region = self._regions.by_id[id]
            is_accepted = id == accepted and not survey.absent
            why = why_late_still(region, compared, still, self._regions, is_accepted)
            if id not in survey.held or region.store_uuid != store:
                why = survey.absent.get(id, "it has yet another store by now")
            elif not why and identity is None:
                why = "it holds what others hold, and nobody here may say so in its name"
            if why or identity is None:
                findings.append(Finding("not-whole", id, layout.WHOLE_KEY, why))
                continue
            stores = [(other, self._regions.by_id[other].store_uuid) for other in sorted(compared)]
            findings.append(await say_whole(region, stores, self._regions, identity, self._host))
        return findings


def _shelves_of(survey: Survey, findings: Sequence[Finding], now_us: int) -> Shelves:
    """What archives had when they were listed; what was copied since is seen the next time."""
    rotten = {(each.region, each.key) for each in findings if each.kind == "corrupt"}
    out = survey.retaining.out
    of = {
        id: holding_of(
            found, survey.held[id].keys(), {key for region, key in rotten if region == id}, out
        )
        for id, found in survey.archives.items()
    }
    return Shelves(now_us, {id: shelf_of(each) for id, each in of.items()})


def _gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Each of them once."""
    return sorted(dict.fromkeys(findings), key=lambda finding: GRAVITY.index(finding.kind))


def _once_corrupt(standing: Iterable[Finding], survey: Survey) -> Iterator[Suspect]:
    """Objects of which a copy was corrupt: its size may be right, so only its bytes tell again."""
    for key in sorted({finding.key for finding in standing if finding.kind == "corrupt"}):
        holders = tuple(
            region
            for region, keys in survey.held.items()
            if key in keys and any(counting({key: 0}, named_in(region, survey)))
        )
        if holders:
            yield Suspect(key, holders, is_lost(key, survey.lost))


def named_in(region: RegionId, survey: Survey) -> Mapping[str, int]:
    """What the archive of a region must have; see `drift.named_by`."""
    return named_by(survey.archives.get(region, {}), survey.retaining.out)


def _drift_of(survey: Survey) -> Drift:
    """Of ledgers and of archives."""
    drift = compare(survey.held, survey.extents, survey.starts, survey.lost, survey.archived)
    lacks, suspects = compare_archives(survey.held, survey.archives, survey.retaining.out)
    return replace(drift, lacks=drift.lacks + lacks, suspects=drift.suspects + suspects)


def _is_below(key: str, survey: Survey) -> bool:
    """Whether a survey did not look there: before what it listed of a ledger, or at archives."""
    if key.startswith(layout.ARCHIVE_PREFIX):
        return not survey.archives
    if not key.startswith(layout.SEGMENTS_PREFIX):
        return False
    node = key.removeprefix(layout.SEGMENTS_PREFIX).partition("/")[0]
    return key < layout.segments_after(node, survey.starts.get(node, 0))


def _lost(missing: Missing, survey: Survey) -> Finding:
    last = missing.end - 1
    what = f"segment {last}" if missing.start == last else f"segments {missing.start} to {last}"
    where = ", ".join(sorted(survey.held))
    reason = f"{what} of node {missing.node}: in none of the regions that were surveyed ({where})"
    if survey.absent:
        reason += f"; not surveyed: {', '.join(sorted(survey.absent))}"
    return Finding("lost", "", layout.segments_after(missing.node, missing.start), reason)


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
