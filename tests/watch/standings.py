"""How everything may stand: well, but for what a test changes."""

import msgspec

from holdfast.keep.keeper import Reconciliation, RegionDrift
from holdfast.keep.scrub import ScrubReport
from holdfast.model import Basis, Completeness
from holdfast.read.report import ReaderReport
from holdfast.regions.region import RegionReport
from holdfast.watch.standing import IngestMetrics, Standing, WriterReport
from holdfast.write.node import NodeReport, RegionBacklog

NOW_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
NODE_ID = "0123456789abcdef0123456789abcdef"
IDS = ("a", "b", "c")

READER = msgspec.convert(
    {
        "complete_through_us": None,
        **dict.fromkeys(
            ("segments", "events", "hot_segments", "hot_events", "folds", "repeats"), 0
        ),
        **dict.fromkeys(("conflicts", "unmatched", "cache_bytes", "passed_us", "tails"), 0),
        "passes": 1,
        "pass_s": 0.0,
        "failed": "",
        "lost": "",
        "alarms": (),
        "corrupt": (),
        "strays": (),
    },
    ReaderReport,
)


def region(id: str, state: str = "ok", why: str = "", ago: float | None = 0.5) -> RegionReport:
    return RegionReport(
        id=id,
        url="",
        store_uuid="",
        state=state,
        reading="closed",
        writing="closed",
        why=why,
        ok_seconds_ago=ago,
        in_flight=0,
    )


def backlog(id: str, segments: int = 0, late_s: int = 0, offset_us: int = 0) -> RegionBacklog:
    return RegionBacklog(
        region=id,
        reachable=True,
        segments=segments,
        size_bytes=segments * 1000,
        oldest_us=NOW_US - late_s * SECOND_US,
        dropped_count=0,
        clock_offset_us=offset_us,
    )


NODE = msgspec.convert(
    {
        "node": NODE_ID,
        "state": "open",
        "why": "epoch 1",
        **dict.fromkeys(("epoch", "size", "events_count", "waiting_events"), 0),
        **dict.fromkeys(("waiting_bytes", "waiting_segments", "promise_us"), 0),
        "last_acknowledged_us": 0,
        "regions": (),
    },
    NodeReport,
)


def writer(*backlogs: RegionBacklog, state: str = "open") -> WriterReport:
    node = msgspec.structs.replace(NODE, state=state, regions=backlogs or tuple(map(backlog, IDS)))
    return WriterReport(0, node, IngestMetrics())


SURVEYED = Reconciliation(
    started_us=NOW_US - 2 * SECOND_US,
    ended_us=NOW_US - SECOND_US,
    whole=False,
    identical=True,
    regions=tuple(RegionDrift(id, "ok", 10, 0, 0, 0, 0, 0) for id in IDS),
    findings=(),
)
SCRUBBED = ScrubReport(NOW_US - 2 * SECOND_US, NOW_US - SECOND_US, 1, 100, ())
SAID = Completeness(
    NOW_US - 2 * SECOND_US, tuple(Basis(id, NOW_US - 1, NOW_US) for id in IDS), (), ()
)
WELL = Standing(
    now_us=NOW_US,
    writers=(writer(),),
    reader=READER,
    said=SAID,
    regions=tuple(map(region, IDS)),
    side="0",
    calls={},
    quorum=2,
    repaired_count=0,
    reconciled=SURVEYED,
    scrubbed=SCRUBBED,
)
