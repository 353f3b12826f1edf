"""How everything stands, as GET /v1/status and `holdfast status --json` say it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from holdfast import __version__
from holdfast.archive.archivist import ArchiveReport
from holdfast.archive.shelves import newer
from holdfast.keep.keeper import Reconciliation
from holdfast.keep.repair import Finding
from holdfast.keep.scrub import ScrubReport
from holdfast.keep.witnesses import lag_seconds
from holdfast.regions.region import RegionReport
from holdfast.regions.regions import Regions
from holdfast.restore.restorer import HOUR_US, RestoreReport
from holdfast.serve.answers import (
    BasisShape,
    GapShape,
    HoldingShape,
    RetainedOutShape,
    Time,
    completeness_answer,
    time_of,
)
from holdfast.times import format_us
from holdfast.watch.alarms import AlarmsReport
from holdfast.watch.delivery import ChannelReport
from holdfast.watch.health import reasons_not_ready
from holdfast.watch.standing import Calls, IngestMetrics, Room, Standing, WriterReport
from holdfast.wiring import System
from holdfast.write.node import RegionBacklog

FINDINGS_SHOWN_MAX = 100


class TrailShape(Struct, frozen=True):
    """The trail. quorum: regions that an ack needs; needed: regions that show all acked events."""

    id: str
    name: str
    quorum: int
    needed: int


class WaitingShape(Struct, frozen=True):
    """What was taken in and is not acknowledged yet."""

    events: int
    bytes: int
    segments: int


class NodeShape(Struct, frozen=True):
    """A node that writes behind this port, in the worker of that number. segments, events:
    acknowledged, of its whole ledger."""

    worker: int
    node: str
    epoch: int
    state: str
    why: str
    segments: int
    events: int
    waiting: WaitingShape
    promise: Time | None
    last_acknowledged: Time | None


class LagShape(Struct, frozen=True):
    """What these nodes sealed and the region is not known to hold. dropped: left to repair."""

    segments: int
    bytes: int
    seconds: float
    dropped: int


class RegionShape(Struct, frozen=True):
    """A region. state: "ok"; "open" while it is left alone; "unfit" while a probe found its store
    to be no ground for a quorum; "unverified" while that does not show the right cookie. usable:
    the statement rests on it.

    reading, writing: their breakers. why: what is wrong, "" while nothing is. suspect: what of it
    was once seen there and is gone; until it is back the statement does not rest on the region.
    """

    region: str
    url: str
    store: str
    state: str
    reading: str
    writing: str
    usable: bool
    suspect: str
    why: str
    answered: Time | None
    clock_offset_seconds: float | None
    lag: LagShape | None


class AlarmShape(Struct, frozen=True):
    """Something that is missing or contradicts itself, by node; `verify` says more."""

    node: str
    reason: str


class CorruptShape(Struct, frozen=True):
    """A copy that does not hash to its name, and when that was seen."""

    region: str
    key: str
    found: Time


class StrayShape(Struct, frozen=True):
    """An object that is not what its key says, or has no key of ours."""

    region: str
    key: str
    reason: str


class ReaderShape(Struct, frozen=True):
    """What searches see. hot: not folded into larger files yet. repeats: left out of answers."""

    segments: int
    events: int
    hot_segments: int
    hot_events: int
    folds: int
    repeats: int
    conflicts: int
    cache_bytes: int
    tails: int
    passes: int
    passed: Time | None
    pass_seconds: float
    failed: str
    lost: str
    alarms: tuple[AlarmShape, ...]
    corrupt: tuple[CorruptShape, ...]
    strays: tuple[StrayShape, ...]


class FindingShape(Struct, frozen=True):
    """Something that a person should see to."""

    kind: str
    region: str
    key: str
    reason: str


class SurveyShape(Struct, frozen=True):
    """The last survey of the regions by this process."""

    ended: Time
    identical: bool
    repaired: int
    findings: tuple[FindingShape, ...]


class ScrubShape(Struct, frozen=True):
    """The last share of all stored bytes that this process read and checked."""

    ended: Time
    objects: int
    bytes: int
    findings: tuple[FindingShape, ...]


class ArchiveShape(Struct, frozen=True):
    """The last run of this process's archivist. units: in the archive of every region. due: since
    when a day is due that some region lacks. untabled: by region, why its Iceberg table is not what
    is archived there."""

    ended: Time
    units: int
    lacking: dict[str, int]
    waiting: str
    trouble: str
    due: Time | None
    untabled: dict[str, str]


class FailedShape(Struct, frozen=True):
    """A day that did not come back."""

    day: str
    why: str


class RestoringShape(Struct, frozen=True):
    """Restores from a region alone. good: the last that went well. oldest: since when some day was
    not restored well. failed: days that were not since they failed."""

    region: str
    good: Time | None
    oldest: Time
    failed: tuple[FailedShape, ...]


class RestoresShape(Struct, frozen=True):
    """How restores go, one in so many hours. allowed_seconds: how long a day may wait for one."""

    hours: int
    allowed_seconds: float
    regions: tuple[RestoringShape, ...]


class WitnessShape(Struct, frozen=True):
    """A witness. segments: of the newest checkpoint that it cosigned; failed: why not the last."""

    witness: str
    url: str
    segments: int
    cosigned: Time | None
    failed: str


class WitnessesShape(Struct, frozen=True):
    """Cosignatures of a node's newest checkpoint; of several nodes, of the one that has lacked
    some for longest. lacking_seconds: since one lacks some."""

    quorum: int
    segments: int
    cosigned: int
    lacking_seconds: float
    witnesses: tuple[WitnessShape, ...]


class DeliveryShape(Struct, frozen=True):
    """A way that alerts go. failing: since when it takes nothing, null: it does."""

    channel: str
    waiting: int
    delivered: int
    dropped: int
    failing: Time | None
    why: str


class AlertsShape(Struct, frozen=True):
    """How many alerts are open, how many of them critical, and how their delivery does."""

    open: int
    critical: int
    channels: tuple[DeliveryShape, ...]


class StatusAnswer(Struct, frozen=True):
    """How everything stands. node: the first of `nodes`, null where there is none; survey, scrub,
    archive, restores: null where nothing is written, and before the first. witnesses: null where
    none are configured. alerts: null where no server is alive to look after them."""

    version: str
    now: Time
    ready: bool
    reasons: tuple[str, ...]
    trail: TrailShape
    node: NodeShape | None
    nodes: tuple[NodeShape, ...]
    regions: tuple[RegionShape, ...]
    reader: ReaderShape
    survey: SurveyShape | None
    scrub: ScrubShape | None
    archive: ArchiveShape | None
    restores: RestoresShape | None
    witnesses: WitnessesShape | None
    alerts: AlertsShape | None
    complete_through: Time | None
    basis: tuple[BasisShape, ...]
    holding_back: tuple[HoldingShape, ...]
    gaps: tuple[GapShape, ...]
    retained_out: tuple[RetainedOutShape, ...]


def standing_of(
    system: System, writers: tuple[WriterReport, ...], rooms: tuple[Room, ...] = ()
) -> Standing:
    """Ask every part how it stands, now. writers: as they reported; rooms: as last measured."""
    return Standing(
        now_us=system.host.now_us(),
        writers=writers,
        reader=system.reader.report(),
        said=system.reader.completeness(),
        regions=tuple(region.report() for region in system.regions),
        side="0" if system.node else "reading",
        calls=calls_of(system.regions),
        quorum=system.regions.quorum,
        repaired_count=system.keeper.repaired_count,
        reconciled=system.keeper.last,
        scrubbed=system.scrub.last,
        leaving=frozenset(region.id for region in system.regions.leaving),
        nodes=system.reader.nodes(),
        clock_error_us=system.settings.clock_error_ms * 1000,
        rooms=rooms,
        archives=bool(writers) and system.settings.archive_after_hours > 0,
        archived=system.archivist.last,
        swept=system.sweeper.last,
        expired=system.retention.last,
        shelves=newer(system.archivist.shelves, system.keeper.shelves),
        restored=system.restorer.report(),
    )


def reasons_of(standing: Standing) -> tuple[str, ...]:
    """Why this process is not ready; empty when it is."""
    members = [region for region in standing.regions if region.id not in standing.leaving]
    nodes = [each.node for each in standing.writers]
    return reasons_not_ready(nodes, standing.reader, members, standing.quorum)


def calls_of(regions: Regions) -> Calls:
    """What this process asked of each region."""
    return {region.id: region.counters for region in regions}


def own_writer(system: System, ingest: IngestMetrics) -> tuple[WriterReport, ...]:
    """The one writer of a process that does everything; none where it does not write."""
    if system.node is None:
        return ()
    witnesses = system.witnesses.report() if system.witnesses else None
    return (WriterReport(0, system.node.report(), ingest, witnesses=witnesses),)


def status_answer(
    system: System, writers: tuple[WriterReport, ...] = (), alarms: AlarmsReport | None = None
) -> StatusAnswer:
    """The answer."""
    standing = standing_of(system, writers)
    nodes = tuple(_node(each) for each in writers)
    reasons = reasons_of(standing)
    regions = system.regions
    under: dict[str, Any] = msgspec.structs.asdict(completeness_answer(standing.said))
    return StatusAnswer(
        version=__version__,
        now=format_us(standing.now_us),
        ready=not reasons,
        reasons=reasons,
        trail=TrailShape(regions.trail, regions.trail_name, regions.quorum, regions.needed),
        node=nodes[0] if nodes else None,
        nodes=nodes,
        regions=tuple(_region(report, standing) for report in standing.regions),
        reader=_reader(standing),
        survey=_survey(standing.reconciled) if standing.reconciled else None,
        scrub=_scrub(standing.scrubbed) if standing.scrubbed else None,
        archive=_archive(standing.archived) if standing.archived else None,
        restores=_restores(standing.restored) if standing.restored.oldest_us else None,
        witnesses=_witnesses(standing),
        alerts=_alerts(alarms) if alarms else None,
        **under,
    )


def _node(writer: WriterReport) -> NodeShape:
    node = writer.node
    return NodeShape(
        worker=writer.worker,
        node=node.node,
        epoch=node.epoch,
        state=node.state,
        why=node.why,
        segments=node.size,
        events=node.events_count,
        waiting=WaitingShape(node.waiting_events, node.waiting_bytes, node.waiting_segments),
        promise=time_of(node.promise_us),
        last_acknowledged=time_of(node.last_acknowledged_us),
    )


def _region(report: RegionReport, standing: Standing) -> RegionShape:
    backlogs = [
        each
        for writer in standing.writers
        for each in writer.node.regions
        if each.region == report.id
    ]
    ago = report.ok_seconds_ago
    offsets = [each.clock_offset_us for each in backlogs if each.clock_offset_us is not None]
    suspect = dict(standing.reader.suspects).get(report.id, "")
    return RegionShape(
        region=report.id,
        url=report.url,
        store=report.store_uuid,
        state=report.state,
        reading=report.reading,
        writing=report.writing,
        usable=any(basis.region == report.id for basis in standing.said.basis),
        suspect=suspect,
        why=report.why or suspect,
        answered=None if ago is None else format_us(standing.now_us - int(ago * 1e6)),
        clock_offset_seconds=offsets[0] / 1e6 if offsets else None,
        lag=_lag(backlogs, standing.now_us) if backlogs else None,
    )


def _lag(backlogs: Sequence[RegionBacklog], now_us: int) -> LagShape:
    """Of all nodes together."""
    oldest_us = min((each.oldest_us for each in backlogs if each.segments), default=now_us)
    return LagShape(
        segments=sum(each.segments for each in backlogs),
        bytes=sum(each.size_bytes for each in backlogs),
        seconds=max(0, now_us - oldest_us) / 1e6,
        dropped=sum(each.dropped_count for each in backlogs),
    )


def _reader(standing: Standing) -> ReaderShape:
    reader = standing.reader
    return ReaderShape(
        segments=reader.segments,
        events=reader.events,
        hot_segments=reader.hot_segments,
        hot_events=reader.hot_events,
        folds=reader.folds,
        repeats=reader.repeats,
        conflicts=reader.conflicts,
        cache_bytes=reader.cache_bytes,
        tails=reader.tails,
        passes=reader.passes,
        passed=time_of(reader.passed_us),
        pass_seconds=reader.pass_s,
        failed=reader.failed,
        lost=reader.lost,
        alarms=tuple(AlarmShape(node, reason) for node, reason in reader.alarms),
        corrupt=tuple(
            CorruptShape(each.region, each.key, format_us(each.found_us)) for each in reader.corrupt
        ),
        strays=tuple(StrayShape(each.region, each.key, each.reason) for each in reader.strays),
    )


def _survey(last: Reconciliation) -> SurveyShape:
    repaired = sum(region.repaired for region in last.regions)
    return SurveyShape(format_us(last.ended_us), last.identical, repaired, _findings(last.findings))


def _scrub(last: ScrubReport) -> ScrubShape:
    return ScrubShape(
        format_us(last.ended_us), last.objects, last.size_bytes, _findings(last.findings)
    )


def _archive(last: ArchiveReport) -> ArchiveShape:
    lacking = Counter(region for unit in last.units for region, _ in unit.lacking)
    due = time_of(last.due_us)
    return ArchiveShape(
        *(format_us(last.ended_us), last.archived, dict(lacking), last.waiting, last.trouble, due),
        dict(last.untabled),
    )


def _restores(report: RestoreReport) -> RestoresShape:
    regions = [
        RestoringShape(
            region=id,
            good=time_of(report.good_us(id)),
            oldest=format_us(oldest_us),
            failed=tuple(FailedShape(day, why) for day, why in report.failed(id)),
        )
        for id, oldest_us in sorted(report.oldest_us.items())
    ]
    hours = report.every_us // HOUR_US
    return RestoresShape(hours, report.allowed_us / 1e6, tuple(regions))


def _witnesses(standing: Standing) -> WitnessesShape | None:
    reports = [each.witnesses for each in standing.writers if each.witnesses is not None]
    if not reports:
        return None
    report = max(reports, key=lambda each: lag_seconds(each, standing.now_us))
    return WitnessesShape(
        quorum=report.quorum,
        segments=report.size,
        cosigned=report.cosigned,
        lacking_seconds=lag_seconds(report, standing.now_us),
        witnesses=tuple(
            WitnessShape(each.witness, each.url, each.size, time_of(each.cosigned_us), each.failed)
            for each in report.witnesses
        ),
    )


def _alerts(report: AlarmsReport) -> AlertsShape:
    grave = sum(each.severity == "critical" for each in report.book.open)
    return AlertsShape(len(report.book.open), grave, tuple(map(delivery_shape, report.channels)))


def delivery_shape(channel: ChannelReport) -> DeliveryShape:
    """How a way does that alerts go."""
    return DeliveryShape(
        channel.channel,
        channel.waiting,
        channel.delivered,
        channel.dropped,
        time_of(channel.failing_us),
        channel.why,
    )


def _findings(found: Sequence[Finding]) -> tuple[FindingShape, ...]:
    return tuple(
        FindingShape(each.kind, each.region, each.key, each.reason)
        for each in found[:FINDINGS_SHOWN_MAX]
    )
