"""How everything stands at one moment, as every part of the server reports it. Pure."""

from bisect import bisect_left
from typing import Final

from msgspec import Struct, field

from holdfast.keep.keeper import Reconciliation
from holdfast.keep.scrub import ScrubReport
from holdfast.keep.witnesses import WitnessesReport
from holdfast.model import Completeness, NodeId
from holdfast.read.reader import ReaderReport
from holdfast.regions.region import Counter, RegionReport
from holdfast.write.node import NodeReport

LATENCY_SECONDS: Final = (
    *(0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2),
    *(0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0),
)


class IngestMetrics(Struct):
    """POST /v1/events. Only touched from the event loop's thread."""

    answers: dict[int, int] = {}
    gone: int = 0
    events: int = 0
    bytes: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_SECONDS) + 1))
    seconds: float = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """A request was answered; the time counts where it was acknowledged."""
        self.answers[status] = self.answers.get(status, 0) + 1
        if status == 201:
            self.buckets[bisect_left(LATENCY_SECONDS, seconds)] += 1
            self.seconds += seconds

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
    """How everything stands at one moment. writers: behind this port, in the order of their
    numbers; none where nothing is written. calls: of this process, which is `side`. leaving:
    regions that no event is written to any more. nodes: that any region has shown. rooms: of the
    disks that are looked at, once they were."""

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
    rooms: tuple[Room, ...] = ()
