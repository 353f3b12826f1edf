"""How everything stands at one moment, as every part of the server reports it. Pure."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from holdfast.archive.archivist import ArchiveReport
from holdfast.archive.shelves import Shelves
from holdfast.archive.sweep import SweepReport
from holdfast.keep.keeper import Reconciliation
from holdfast.keep.scrub import ScrubReport
from holdfast.keep.witnesses import WitnessesReport
from holdfast.model import Completeness, NodeId
from holdfast.read.report import ReaderReport
from holdfast.regions.region import Counter, RegionReport
from holdfast.restore.restorer import RestoreReport
from holdfast.retention.expire import RetentionReport
from holdfast.write.node import NodeReport

_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
LATENCY_SECONDS: Final = (
    *(0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2),
    *(0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0),
)


Headers = Mapping[bytes, bytes]


class Exemplar(Struct, frozen=True):
    """One request among those that a bucket counts. name: of the label that its id goes by."""

    name: str
    value: str
    seconds: float


def exemplar_of(headers: Headers, seconds: float) -> Exemplar | None:
    """By which id a request can be found elsewhere: its trace's (W3C traceparent), else its own;
    None: by none that is fit to be shown. headers: names in lower case."""
    sent = headers.get(b"traceparent")
    if sent and (trace := _TRACEPARENT.fullmatch(sent)) is not None:
        return Exemplar("trace_id", trace[1].decode(), seconds)
    sent = headers.get(b"x-request-id")
    if sent and _REQUEST_ID.fullmatch(sent):
        return Exemplar("request_id", sent.decode(), seconds)
    return None


class IngestMetrics(Struct):
    """POST /v1/events. Only touched from the event loop's thread. exemplars: the last one of each
    bucket, by its place."""

    answers: dict[int, int] = {}
    gone: int = 0
    events: int = 0
    bytes: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_SECONDS) + 1))
    seconds: float = 0.0
    exemplars: dict[int, Exemplar] = {}

    def answered(self, status: int, seconds: float, headers: Headers) -> None:
        """A request was answered; the time counts where it was acknowledged. headers: of it."""
        self.answers[status] = self.answers.get(status, 0) + 1
        if status == 201:
            place = bisect_left(LATENCY_SECONDS, seconds)
            self.buckets[place] += 1
            self.seconds += seconds
            if (found := exemplar_of(headers, seconds)) is not None:
                self.exemplars[place] = found

    def acknowledged(self, events_count: int, size_bytes: int) -> None:
        """So many events, in records of so many bytes, were acknowledged."""
        self.events += events_count
        self.bytes += size_bytes


Calls = dict[str, dict[str, Counter]]


class WriterReport(Struct, frozen=True):
    """How a process that writes stands. worker: its number, from 0. calls: of each region, by
    operation; none where that is this process."""

    worker: int
    node: NodeReport
    ingest: IngestMetrics
    calls: Calls = {}
    witnesses: WitnessesReport | None = None


class Room(Struct, frozen=True):
    """How much room a file system has."""

    place: str
    free_bytes: int
    size_bytes: int


class Standing(Struct, frozen=True):
    """How everything stands at one moment.

    writers: behind this port, in the order of their numbers; none where nothing is written. calls:
    of this process, which is `side`. leaving: regions that no event is written to any more. nodes:
    that any region has shown. clock_error_us: how far clocks may differ. rooms: of the disks that
    are looked at, once they were. archives: whether this server is to archive; archived: by its
    last run, once there was one. swept, expired: by the last runs of those who sweep and let go.
    shelves: what archives were last seen to have. restored: how restores went.
    """

    now_us: int
    writers: tuple[WriterReport, ...]
    reader: ReaderReport
    said: Completeness
    regions: tuple[RegionReport, ...]
    side: str
    calls: Calls
    quorum: int
    repaired_count: int
    reconciled: Reconciliation | None
    scrubbed: ScrubReport | None
    leaving: frozenset[str] = frozenset()
    nodes: tuple[NodeId, ...] = ()
    clock_error_us: int = 0
    rooms: tuple[Room, ...] = ()
    archives: bool = False
    archived: ArchiveReport | None = None
    swept: SweepReport | None = None
    expired: RetentionReport | None = None
    shelves: Shelves | None = None
    restored: RestoreReport = RestoreReport()
