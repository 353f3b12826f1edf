"""How far what was received has come: six rungs, each at or behind the one before. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from holdfast.serve.ui.html import Child, Markup, el, join
from holdfast.serve.ui.parts import state
from holdfast.serve.ui.words import Mood, clock, counted, names, size, span

LATE_US: Final = 5_000_000
STALE_US: Final = 30_000_000
LONELY_US: Final = 300_000_000  # witnesses are asked once a minute


class Behind(Struct, frozen=True):
    """A region that lacks what was sealed here."""

    region: str
    segments: int
    size_bytes: int
    lag_us: int


class Witnessed(Struct, frozen=True):
    """Of `quorum` witnesses that must cosign, so many did. size: the segments that they cover."""

    quorum: int
    cosigned: int
    size: int
    lacking_us: int


class Ladder(Struct, frozen=True, kw_only=True):
    """Of all nodes behind this port. events: acknowledged in the last whole minute, None: not kept.
    waiting_*: taken in, not acknowledged. quorum_lag_us: how long the oldest segment has waited to
    be in enough regions; 0: none waits. acknowledged_us, promise_us: the newest, the oldest;
    0: none yet. behind: the regions that lack something. witnessed: None where no witness is
    configured. size: segments acknowledged."""

    events: int | None
    waiting_events: int
    waiting_segments: int
    quorum_lag_us: int
    acknowledged_us: int
    behind: tuple[Behind, ...]
    promise_us: int
    size: int
    witnessed: Witnessed | None


class Rung(Struct, frozen=True):
    """One stage. through: a time, or a word where there is none."""

    mood: Mood
    name: str
    through: str
    said: Markup


def render(ladder: Ladder, now_us: int) -> Markup:
    """All six."""
    steps = [
        el(
            "li",
            state(rung.mood, rung.name),
            el("span", rung.through, class_="thr"),
            el("p", rung.said),
            class_=f"is-{rung.mood}" if rung.mood != "held" else None,
        )
        for rung in rungs(ladder, now_us)
    ]
    return el("ol", steps, class_="ladder", aria_label="How far each stage has come")


def rungs(ladder: Ladder, now_us: int) -> Sequence[Rung]:
    """What each stage says of itself."""
    return tuple(_rungs(ladder, now_us))


def _rungs(ladder: Ladder, now_us: int) -> Iterator[Rung]:
    acknowledged = (
        clock(ladder.acknowledged_us, now_us, 3) if ladder.acknowledged_us else "none yet"
    )
    minute = (
        "counted from the first whole minute on"
        if ladder.events is None
        else f"{ladder.events:,} in the last whole minute"
    )
    yield Rung("held", "received", clock(now_us, now_us), _said(minute))
    on_the_way = f"{counted(ladder.waiting_events, 'event')} on the way"
    sealed = on_the_way if ladder.waiting_events else "nothing waits"
    yield Rung("held", "sealed", acknowledged, _said(sealed))
    late = ladder.quorum_lag_us > LATE_US
    waiting = f"{counted(ladder.waiting_segments, 'segment')} wait for a quorum"
    yield Rung(
        "behind" if late else "held",
        "at quorum",
        clock(now_us - ladder.quorum_lag_us, now_us, 3) if late else acknowledged,
        _said(waiting if ladder.waiting_segments else "all that was sealed"),
    )
    yield _everywhere(ladder, acknowledged, now_us)
    promised = clock(ladder.promise_us, now_us, 3) if ladder.promise_us else "none yet"
    stale = ladder.promise_us > 0 and now_us - ladder.promise_us > STALE_US
    signed = _said(f"{counted(ladder.size, 'segment')}; signed in every heartbeat")
    yield Rung("behind" if stale else "held", "checkpointed", promised, signed)
    yield _witnessed(ladder.witnessed)


def _everywhere(ladder: Ladder, acknowledged: str, now_us: int) -> Rung:
    if not ladder.behind:
        return Rung("held", "in all regions", acknowledged, _said("no region lacks anything"))
    worst = max(ladder.behind, key=lambda each: each.lag_us)
    told: list[Child] = [
        f"{counted(worst.segments, 'segment')}, {size(worst.size_bytes)}, wait for ",
        names([each.region for each in ladder.behind]),
    ]
    mood: Mood = "behind" if worst.lag_us > LATE_US else "held"
    return Rung(mood, "in all regions", clock(now_us - worst.lag_us, now_us, 3), join(told))


def _witnessed(witnessed: Witnessed | None) -> Rung:
    if witnessed is None:
        told = "no witness is configured; other nodes write it down hourly"
        return Rung("none", "witnessed", "none", _said(told))
    by = f"{witnessed.cosigned} of {witnessed.quorum} that must cosign"
    late = f"; lacking for {span(witnessed.lacking_us)}" if witnessed.lacking_us else ""
    mood: Mood = "behind" if witnessed.lacking_us > LONELY_US else "held"
    through = f"{counted(witnessed.size, 'segment')}" if witnessed.size else "none yet"
    return Rung(mood, "witnessed", through, _said(by + late))


def _said(text: str) -> Markup:
    return join([text])
