"""How reading stands, for whoever watches it."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from holdfast.model import Gap, NodeId
from holdfast.read.fetch import CorruptCopy
from holdfast.read.follow import Stray
from holdfast.read.passes import Passes
from holdfast.regions import layout
from holdfast.regions.layout import SegmentKey
from holdfast.regions.port import RegionId


class ReaderReport(Struct, frozen=True):
    """How reading stands.

    passed_us: when the last whole pass ended, 0: none yet. failed: why the last one ended early, ""
    when it did not. lost: why the cache was made anew, "" if it was not. alarms: what is missing or
    contradicts itself, by node; corrupt: copies: neither of what is declared lost. suspects:
    regions that do not count for what they lost, and what.
    """

    complete_through_us: int | None
    segments: int
    events: int
    hot_segments: int
    hot_events: int
    folds: int
    repeats: int
    conflicts: int
    unmatched: int
    cache_bytes: int
    passes: int
    passed_us: int
    pass_s: float
    failed: str
    lost: str
    tails: int
    alarms: tuple[tuple[NodeId, str], ...]
    corrupt: tuple[CorruptCopy, ...]
    strays: tuple[Stray, ...]
    suspects: tuple[tuple[RegionId, str], ...] = ()


def report_of(passes: Passes, failed: str, tails: int) -> ReaderReport:
    """How it stands now. failed: why the last pass ended early. tails: that follow."""
    shelf = passes.holdings.shelf
    return ReaderReport(
        complete_through_us=passes.judgement.complete_through_us,
        segments=passes.holdings.segments_count,
        events=passes.holdings.events_count,
        hot_segments=shelf.hot_count,
        hot_events=shelf.hot_events,
        folds=len(shelf.folds),
        repeats=shelf.repeats_count,
        conflicts=shelf.conflicts_count,
        unmatched=len(passes.holdings.unmatched),
        cache_bytes=passes.holdings.packs.size_bytes + passes.holdings.stack.files.size_bytes,
        passes=passes.count,
        passed_us=passes.ended_us,
        pass_s=passes.seconds,
        failed=failed,
        lost=passes.holdings.lost,
        tails=tails,
        alarms=tuple((run.node, run.alarm) for run in passes.judgement.runs if run.alarm),
        corrupt=tuple(_untold(passes.fetcher.corrupt.values(), passes.judgement.gaps)),
        strays=tuple(passes.follow.strays.values()),
        suspects=tuple(sorted(passes.follow.memory.suspects.items())),
    )


def _untold(copies: Iterable[CorruptCopy], gaps: Sequence[Gap]) -> Iterator[CorruptCopy]:
    """The corrupt copies but for those of segments that are missing as declared."""
    for copy in copies:
        key = layout.parse_key(copy.key)
        if not isinstance(key, SegmentKey) or not any(
            gap.node == key.node and gap.start <= key.name.index < gap.end for gap in gaps
        ):
            yield copy
