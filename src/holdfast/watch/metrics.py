"""Figures for Prometheus: what came in is counted, how everything stands is asked when scraped.

Counting is plain integers on the event loop's thread; the text is made when someone asks for it.
What a process that writes counts is labelled with its number: when it ends, its own figures begin
anew, and those of the others go on.
Times are gauges of seconds since 1970, as Prometheus has them, beside ages for who alarms on them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Shown

from holdfast.keep.keeper import Reconciliation
from holdfast.keep.repair import FindingKind
from holdfast.keep.scrub import ScrubReport
from holdfast.keep.witnesses import WitnessesReport, lag_seconds
from holdfast.model import Completeness, HoldingKind
from holdfast.read.report import ReaderReport
from holdfast.restore.restorer import RestoreReport
from holdfast.watch.alarms import AlarmsReport
from holdfast.watch.standing import LATENCY_SECONDS, Exemplar, Standing, WriterReport
from holdfast.write.node import NodeReport, RegionBacklog

OPENMETRICS: Final = "application/openmetrics-text"
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Exposition(Collector):
    """The page that Prometheus reads."""

    def __init__(
        self,
        version: str,
        standing: Callable[[], Standing],
        alarms: Callable[[], AlarmsReport],
    ) -> None:
        self._version = version
        self._standing = standing
        self._alarms = alarms
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """All figures, and their media type: OpenMetrics, which has exemplars, for who accepts
        that, else Prometheus's text format. accept: the request's header."""
        if OPENMETRICS in accept:
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), MEDIA_TYPE

    def describe(self) -> Iterable[Metric]:
        """Nothing: to register must not mean to ask."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All figures, one family after the other."""
        standing = self._standing()
        yield _gauge("build_info", "Always 1.", [((self._version,), 1)], "version")
        yield from _of_ingest(standing.writers)
        yield from _of_nodes(standing.writers, standing.now_us)
        yield from _of_regions(standing)
        yield from _of_calls(standing)
        yield from _of_statement(standing.said, standing.now_us)
        yield from _of_reader(standing.reader)
        yield from _of_keeping(standing)
        yield from _of_leaving(standing)
        yield from _of_restores(standing.restored, standing.now_us)
        yield from _of_witnesses(standing)
        yield from _of_rooms(standing)
        yield from _of_alerts(self._alarms())


NO_WITNESSES: Final = WitnessesReport(0, 0, 0, 0, ())

Values = Iterable[tuple[tuple[str, ...], float]] | float


def _gauge(name: str, help: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"holdfast_{name}", help, labels=labels)
    return _filled(family, values)


def _counter(name: str, help: str, values: Values, *labels: str) -> Metric:
    family = CounterMetricFamily(f"holdfast_{name}", help, labels=labels)
    return _filled(family, values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    pairs = (((), values),) if isinstance(values, int | float) else values
    for labels, value in pairs:
        family.add_metric(labels, value)
    return family


def _of_ingest(writers: Sequence[WriterReport]) -> Iterator[Metric]:
    of = [((str(each.worker),), each.ingest) for each in writers]
    answers = [
        ((*key, str(status)), count)
        for key, ingest in of
        for status, count in sorted(ingest.answers.items())
    ]
    yield _counter("ingest_requests", "Answers to POST /v1/events.", answers, "worker", "status")
    figures: Sequence[tuple[str, str, str]] = (
        ("ingest_abandoned", "Clients that left before their body was here.", "gone"),
        ("ingest_events", "Events acknowledged.", "events"),
        ("ingest_bytes", "Bytes of the records acknowledged.", "bytes"),
    )
    for name, help, key in figures:
        counts = [(labels, float(getattr(one, key))) for labels, one in of]
        yield _counter(name, help, counts, "worker")
    seconds = HistogramMetricFamily(
        "holdfast_ack_seconds", "From a request's head to its 201.", labels=("worker",)
    )
    bounds = [*map(str, LATENCY_SECONDS), "+Inf"]
    for labels, ingest in of:
        counts_by_bound = zip(bounds, accumulate(ingest.buckets), strict=True)
        buckets = [
            (bound, count, *_shown(ingest.exemplars.get(place)))
            for place, (bound, count) in enumerate(counts_by_bound)
        ]
        seconds.add_metric(labels, buckets, ingest.seconds)
    yield seconds


def _shown(found: Exemplar | None) -> tuple[Shown] | tuple[()]:
    return (Shown({found.name: found.value}, found.seconds),) if found else ()


def _of_nodes(writers: Sequence[WriterReport], now_us: int) -> Iterator[Metric]:
    of = [((str(each.worker),), each.node) for each in writers]
    figures: Sequence[tuple[str, str, Callable[[NodeReport], float]]] = (
        ("node_open", "1 while events are accepted.", lambda node: node.state == "open"),
        ("node_epoch", "The epoch that is open; 0: none.", lambda node: node.epoch),
        ("node_segments", "Segments acknowledged, of the whole ledger.", lambda node: node.size),
        ("node_events", "Events acknowledged, of it all.", lambda node: node.events_count),
        ("queue_events", "Events taken in, not acked yet.", lambda node: node.waiting_events),
        ("queue_bytes", "Their bytes.", lambda node: node.waiting_bytes),
        ("queue_segments", "Segments sealed, not acked yet.", lambda node: node.waiting_segments),
        ("promise_timestamp_seconds", "The last promise.", lambda node: node.promise_us / 1e6),
        (
            "acknowledged_timestamp_seconds",
            "Last ack.",
            lambda node: node.last_acknowledged_us / 1e6,
        ),
    )
    for name, help, figure in figures:
        yield _gauge(name, help, [(key, float(figure(node))) for key, node in of], "worker")
    yield from _of_lags([(key, each) for key, node in of for each in node.regions], now_us)


def _of_lags(backlogs: Sequence[tuple[tuple[str], RegionBacklog]], now_us: int) -> Iterator[Metric]:
    lags = [((*key, each.region), each) for key, each in backlogs]
    labels = ("worker", "region")
    yield _gauge(
        "region_lag_segments",
        "Segments sealed here that the region is not known to hold.",
        [(key, each.segments) for key, each in lags],
        *labels,
    )
    yield _gauge(
        "region_lag_bytes", "Their bytes.", [(k, each.size_bytes) for k, each in lags], *labels
    )
    yield _gauge(
        "region_lag_seconds",
        "Age of the oldest of them; 0: none.",
        [(k, max(0, now_us - e.oldest_us) / 1e6 if e.segments else 0) for k, e in lags],
        *labels,
    )
    yield _counter(
        "region_dropped_segments",
        "Segments left to repair, since the queue for the region was full.",
        [(key, each.dropped_count) for key, each in lags],
        *labels,
    )
    offsets = [(k, e.clock_offset_us / 1e6) for k, e in lags if e.clock_offset_us is not None]
    yield _gauge("region_clock_offset_seconds", "Its clock less ours.", offsets, *labels)


def _of_regions(standing: Standing) -> Iterator[Metric]:
    reachable = [((each.id,), float(each.state == "ok")) for each in standing.regions]
    yield _gauge("region_reachable", "1 while it is relied on.", reachable, "region")
    lost = dict(standing.reader.suspects)
    member = [((each.id,), float(each.id not in standing.leaving)) for each in standing.regions]
    yield _gauge("region_member", "1 while events are written to it.", member, "region")
    suspect = [((each.id,), float(each.id in lost)) for each in standing.regions]
    yield _gauge("region_suspect", "1 while it lacks what it once held.", suspect, "region")
    silent = [
        ((each.id,), each.ok_seconds_ago)
        for each in standing.regions
        if each.ok_seconds_ago is not None
    ]
    yield _gauge("region_silent_seconds", "Since its last answer.", silent, "region")
    lanes = [
        ((each.id, lane), float(state != "closed"))
        for each in standing.regions
        for lane, state in (("reading", each.reading), ("writing", each.writing))
    ]
    yield _gauge("region_breaker_open", "1 while left alone.", lanes, "region", "lane")
    yield _gauge("quorum", "Regions that an acknowledgement needs.", standing.quorum)
    allowed = standing.clock_error_us / 1e6
    yield _gauge("clock_error_allowed_seconds", "How far clocks may differ.", allowed)
    yield _gauge("nodes", "Nodes that any region has shown.", len(standing.nodes))


def _of_calls(standing: Standing) -> Iterator[Metric]:
    """Of every process; a worker's own begin anew with it, so they cannot be added up here."""
    sides = [(str(each.worker), each.calls) for each in standing.writers]
    calls = [
        ((side, region, operation), counter)
        for side, counted in [*sides, (standing.side, standing.calls)]
        for region, counters in counted.items()
        for operation, counter in counters.items()
    ]
    figures: Sequence[tuple[str, str, str]] = (
        ("region_calls", "Calls.", "calls"),
        ("region_failures", "Those that failed.", "failures"),
        ("region_refused", "Not tried: left alone.", "refused"),
        ("region_call_seconds", "Time in calls.", "seconds"),
    )
    for name, help, key in figures:
        values = [(labels, float(getattr(counter, key))) for labels, counter in calls]
        yield _counter(name, help, values, "worker", "region", "operation")


def _of_statement(said: Completeness, now_us: int) -> Iterator[Metric]:
    through_us = said.complete_through_us
    known = () if through_us is None else (through_us,)
    times = [((), each / 1e6) for each in known]
    yield _gauge("complete_through_timestamp_seconds", "The watermark.", times)
    ages = [((), max(0, now_us - each) / 1e6) for each in known]
    yield _gauge("watermark_age_seconds", "Its age.", ages)
    yield _gauge(
        "watermark_known", "0 while nothing is known to be complete.", float(bool(through_us))
    )
    yield _gauge("basis_regions", "Usable regions in the last pass.", len(said.basis))
    held = [each.kind for each in said.holding_back]
    kinds = [((kind,), float(held.count(kind))) for kind in get_args(HoldingKind)]
    yield _gauge("holding_back", "Reasons that hold the watermark.", kinds, "kind")
    yield _gauge("gaps", "Ranges known to be missing.", len(said.gaps))


def _of_reader(reader: ReaderReport) -> Iterator[Metric]:
    yield _gauge("reader_segments", "Segments that searches see.", reader.segments)
    yield _gauge("reader_events", "Events that searches see, repeats too.", reader.events)
    yield _gauge("reader_hot_segments", "Segments not folded yet.", reader.hot_segments)
    yield _gauge("reader_hot_events", "Their events.", reader.hot_events)
    yield _gauge("reader_folds", "Folded files.", reader.folds)
    yield _gauge("reader_repeats", "Events left out as repeats.", reader.repeats)
    yield _gauge("reader_conflicts", "Events that differ under one id.", reader.conflicts)
    yield _gauge("reader_cache_bytes", "Size of the cache.", reader.cache_bytes)
    yield _counter("reader_passes", "Passes over the regions.", reader.passes)
    yield _gauge("reader_passed_timestamp_seconds", "The last whole one.", reader.passed_us / 1e6)
    yield _gauge("reader_pass_seconds", "How long it took.", reader.pass_s)
    yield _gauge("reader_failed", "1 when the last pass ended early.", float(bool(reader.failed)))
    yield _gauge("reader_tails", "Listeners of /v1/tail.", reader.tails)
    yield _gauge("reader_alarms", "Things that a person should see to.", len(reader.alarms))
    yield _gauge("reader_corrupt_copies", "Copies that contradict their name.", len(reader.corrupt))
    yield _gauge("reader_strays", "Objects that are not what their key says.", len(reader.strays))


def _of_keeping(standing: Standing) -> Iterator[Metric]:
    yield _counter("repaired_objects", "Copies put where they lacked.", standing.repaired_count)
    scrubs = (standing.scrubbed,) if standing.scrubbed else ()
    yield _of_findings("scrub", scrubs)
    ended = [((), each.ended_us / 1e6) for each in scrubs]
    yield _gauge("scrub_timestamp_seconds", "The last share of all bytes was read.", ended)
    objects = [((), float(each.objects)) for each in scrubs]
    yield _gauge("scrub_objects", "Objects in it.", objects)
    surveys = (standing.reconciled,) if standing.reconciled else ()
    yield _of_findings("survey", surveys)
    ended = [((), each.ended_us / 1e6) for each in surveys]
    yield _gauge("survey_timestamp_seconds", "The last survey.", ended)
    identical = [((), float(each.identical)) for each in surveys]
    yield _gauge("survey_identical", "1 when each region listed all that must exist.", identical)
    surveyed: Sequence[tuple[str, str, str]] = (
        ("survey_lacking_objects", "Objects that the region lacked after it.", "lacking"),
        ("survey_lag_segments", "Segments that it lacked before.", "lag_segments"),
        ("survey_lag_bytes", "Their bytes.", "lag_bytes"),
    )
    drifts = [drift for each in surveys for drift in each.regions]
    for name, help, key in surveyed:
        values = [((each.region,), float(getattr(each, key))) for each in drifts]
        yield _gauge(name, help, values, "region")
    yield from _of_archives(standing)


def _of_archives(standing: Standing) -> Iterator[Metric]:
    """None of any before the first run."""
    runs = (standing.archived,) if standing.archived else ()
    ended = [((), each.ended_us / 1e6) for each in runs]
    yield _gauge("archive_timestamp_seconds", "The last run of the archivist.", ended)
    units = [((), float(each.archived)) for each in runs]
    yield _gauge("archive_units", "Days or hours in the archive of every region.", units)
    stopped = [((), float(bool(each.trouble))) for each in runs]
    yield _gauge("archive_stopped", "1 when it could not do all that was due.", stopped)
    due = [((), max(0, standing.now_us - e.due_us) / 1e6 if e.due_us else 0.0) for e in runs]
    yield _gauge("archive_due_seconds", "A day is due that a region lacks; 0: none.", due)
    lacking = [
        ((region.id,), float(sum(region.id in dict(unit.lacking) for unit in each.units)))
        for each in runs
        for region in standing.regions
    ]
    yield _gauge(
        "archive_lacking_units", "Units that the region lacked after it.", lacking, "region"
    )
    shelves = standing.shelves.of.items() if standing.shelves else ()
    whole = [((id,), float(len(each.whole))) for id, each in shelves]
    yield _gauge("archive_region_units", "Whole in the region's archive.", whole, "region")
    size = [((id,), float(each.size_bytes)) for id, each in shelves]
    yield _gauge("archive_region_bytes", "Bytes of their parts.", size, "region")
    spoilt = [((id,), float(len(each.spoilt))) for id, each in shelves]
    yield _gauge("archive_region_spoilt_units", "With a corrupt object.", spoilt, "region")


def _of_leaving(standing: Standing) -> Iterator[Metric]:
    """None of any before the first run."""
    ids = [region.id for region in standing.regions]
    sweeps = (standing.swept,) if standing.swept else ()
    ended = [((), each.ended_us / 1e6) for each in sweeps]
    yield _gauge("sweep_timestamp_seconds", "The last run of the sweeper.", ended)
    stay = [
        ((id,), float(sum(each.left for each in run.swept if each.region == id)))
        for run in sweeps
        for id in ids
    ]
    yield _gauge("sweep_left_segments", "Archived there, and still there.", stay, "region")
    runs = (standing.expired,) if standing.expired else ()
    ended = [((), each.ended_us / 1e6) for each in runs]
    yield _gauge("retention_timestamp_seconds", "The last run that let go.", ended)
    stopped = [((), float(bool(each.trouble))) for each in runs]
    yield _gauge("retention_stopped", "1 when it could not do all that was due.", stopped)
    floors = [((), float(sum(each.floored for each in run.expiring))) for run in runs]
    yield _gauge("retention_floors", "Classes of units that were let go.", floors)
    left = [
        ((id,), float(sum(id in dict(each.left) for each in run.expiring)))
        for run in runs
        for id in ids
    ]
    yield _gauge("retention_left_classes", "Let go, and still there.", left, "region")
    late: dict[str, int] = {}
    for each in (each for run in runs for each in run.expiring):
        late[each.retention] = max(late.get(each.retention, 0), each.late_us(standing.now_us))
    overdue = [((name,), us / 1e6) for name, us in late.items()]
    yield _gauge("retention_overdue_seconds", "It should be gone; 0: not.", overdue, "class")
    unread = [((), float(len(run.unread))) for run in runs]
    yield _gauge("holds_unread", "Holds of which no copy verifies.", unread)


def _of_restores(report: RestoreReport, now_us: int) -> Iterator[Metric]:
    runs = [((id, verdict), float(count)) for (id, verdict), count in sorted(report.runs.items())]
    yield _counter("restores", "By what they came to.", runs, "region", "verdict")
    size = [((id,), float(count)) for id, count in sorted(report.size_bytes.items())]
    yield _counter("restored_bytes", "Brought back and checked.", size, "region")
    good = [((id,), us / 1e6) for id in report.oldest_us if (us := report.good_us(id))]
    yield _gauge("restore_timestamp_seconds", "The last that went well.", good, "region")
    ages = [((id,), max(0, now_us - us) / 1e6) for id, us in report.oldest_us.items()]
    yield _gauge("restore_oldest_seconds", "The day that waits longest.", ages, "region")
    allowed = [((), report.allowed_us / 1e6)] if report.oldest_us and report.every_us else []
    yield _gauge("restore_allowed_seconds", "How long a day may wait.", allowed)
    failed = [((id,), float(len(report.failed(id)))) for id in report.oldest_us]
    yield _gauge("restore_failed_days", "Not restored well since they failed.", failed, "region")


def _of_findings(what: str, reports: Sequence[Reconciliation | ScrubReport]) -> Metric:
    """By kind; none of any before the first report."""
    found = [finding.kind for each in reports for finding in each.findings]
    kinds = [((kind,), float(found.count(kind))) for kind in get_args(FindingKind)]
    help = f"Findings of the last {what} for a person."
    return _gauge(f"{what}_findings", help, kinds, "kind")


def _of_witnesses(standing: Standing) -> Iterator[Metric]:
    of = [((str(each.worker),), each.witnesses or NO_WITNESSES) for each in standing.writers]
    figures: Sequence[tuple[str, str, Callable[[WitnessesReport], float]]] = (
        ("witness_quorum", "Witnesses that must cosign a checkpoint.", lambda one: one.quorum),
        ("witness_cosigned", "Those that did the newest kept one.", lambda one: one.cosigned),
        (
            "witness_lag_seconds",
            "Since a checkpoint lacks some.",
            lambda one: lag_seconds(one, standing.now_us),
        ),
    )
    for name, help, figure in figures:
        yield _gauge(name, help, [(key, figure(report)) for key, report in of], "worker")
    behind = [
        ((*key, each.witness), float(max(0, report.size - each.size)))
        for key, report in of
        for each in report.witnesses
    ]
    yield _gauge(
        "witness_behind_segments", "What it has not cosigned.", behind, "worker", "witness"
    )


def _of_rooms(standing: Standing) -> Iterator[Metric]:
    free = [((each.place,), float(each.free_bytes)) for each in standing.rooms]
    yield _gauge("disk_free_bytes", "Room that is left on the disk.", free, "place")
    size = [((each.place,), float(each.size_bytes)) for each in standing.rooms]
    yield _gauge("disk_size_bytes", "Size of the disk.", size, "place")


def _of_alerts(report: AlarmsReport) -> Iterator[Metric]:
    severities = [each.severity for each in report.book.open]
    counts = [((name,), float(severities.count(name))) for name in ("critical", "warning")]
    yield _gauge("alerts_open", "Alerts that are open.", counts, "severity")
    figures: Sequence[tuple[Callable[..., Metric], str, str, str]] = (
        (_counter, "alert_messages_delivered", "Messages that were taken.", "delivered"),
        (_counter, "alert_messages_dropped", "Too old, too many, or refused.", "dropped"),
        (_gauge, "alert_messages_waiting", "Messages that wait.", "waiting"),
    )
    for make, name, help, key in figures:
        values = [((each.channel,), float(getattr(each, key))) for each in report.channels]
        yield make(name, help, values, "channel")
    failing = [((each.channel,), float(bool(each.failing_us))) for each in report.channels]
    yield _gauge("alert_channel_failing", "1 while it takes nothing.", failing, "channel")
