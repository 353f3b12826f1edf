"""Whether a process is of use, judged from what its parts report."""

import msgspec

from holdfast.read.reader import ReaderReport
from holdfast.regions.region import RegionReport
from holdfast.watch.health import reasons_not_ready
from holdfast.write.node import NodeReport

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
NODE = msgspec.convert(
    {
        "node": "n",
        "state": "open",
        "why": "epoch 1",
        **dict.fromkeys(("epoch", "size", "events_count", "waiting_events"), 0),
        **dict.fromkeys(("waiting_bytes", "waiting_segments", "promise_us"), 0),
        "last_acknowledged_us": 0,
        "regions": (),
    },
    NodeReport,
)


def region(id: str, state: str = "ok", why: str = "") -> RegionReport:
    return RegionReport(
        id=id,
        url="",
        store_uuid="",
        state=state,
        reading="closed",
        writing="closed",
        why=why,
        ok_seconds_ago=None,
        in_flight=0,
    )


WELL = (region("a"), region("b"), region("c"))


def test_an_open_node_with_its_quorum_is_ready() -> None:
    assert reasons_not_ready((NODE,), READER, WELL, 2) == ()


def test_one_region_less_is_what_the_quorum_is_for() -> None:
    regions = (region("a"), region("b", "open", "gone"), region("c"))

    assert reasons_not_ready((NODE,), READER, regions, 2) == ()


def test_fewer_regions_than_the_quorum_are_named_with_their_errors() -> None:
    regions = (region("a"), region("b", "open", "disk full"), region("c", "open"))

    (reason,) = reasons_not_ready((NODE,), READER, regions, 2)

    assert reason == (
        "1 of the 2 regions needed can be reached: not b (disk full), c (no answer yet)"
    )


def test_a_node_that_is_not_open_says_why() -> None:
    starting = msgspec.structs.replace(NODE, state="starting", why="closing epoch 3")

    (reason,) = reasons_not_ready((starting,), READER, WELL, 2)

    assert "closing epoch 3" in reason


def test_who_only_reads_is_ready_after_the_first_pass() -> None:
    before = msgspec.structs.replace(READER, passes=0, failed="no region answers")

    assert reasons_not_ready((), READER, (), 2) == ()
    assert "no region answers" in reasons_not_ready((), before, (), 2)[0]
