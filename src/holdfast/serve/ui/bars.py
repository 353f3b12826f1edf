"""The histogram: how events spread over time, and beneath it what is known of that time. Pure.

An empty bar is a statement only where the rail below it is solid. Every bar is a link to its own
stretch of time; with the script, a stretch can be drawn out too.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from holdfast.serve.ui.html import Child, Markup, el
from holdfast.serve.ui.words import DAY_US, FRESH_US, Frame
from holdfast.times import MAX_US, MIN_US, format_us

BARS_MAX: Final = 72
_SECOND_US: Final = 1_000_000
STEPS_US: Final = tuple(
    seconds * _SECOND_US
    for seconds in (1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 10800, 21600, 43200)
) + tuple(days * DAY_US for days in (1, 2, 7, 30, 90, 180, 365, 730, 3650))
_HEIGHT: Final = 104  # of the bars; the rail and the times stand below
OUTCOMES: Final = ("success", "failure", "denied")

Bins = Mapping[int, int]


class Bars(Struct, frozen=True):
    """Counts over [from_us, to_us), in bars of step_us that begin at its multiples.

    counts: by the start of the bar, all of them, those that failed and those that were denied;
    empty ones left out.
    """

    from_us: int
    to_us: int
    step_us: int
    counts: Mapping[int, tuple[int, int, int]]


def step_for(from_us: int, to_us: int) -> int:
    """The finest width that makes no more than BARS_MAX bars of a range."""
    for step_us in STEPS_US:
        if -(-to_us // step_us) - from_us // step_us <= BARS_MAX:
            return step_us
    return STEPS_US[-1] * 100


def bars_of(window: tuple[int, int], step_us: int, every: Bins, failed: Bins, denied: Bins) -> Bars:
    """Counts in finer bins, added up to bars."""
    sums: dict[int, list[int]] = {}
    for place, bins in enumerate((every, failed, denied)):
        for start_us, count in bins.items():
            bar = sums.setdefault(start_us // step_us * step_us, [0, 0, 0])
            bar[place] += count
    counts = {start: (bar[0], bar[1], bar[2]) for start, bar in sorted(sums.items())}
    return Bars(window[0], window[1], step_us, counts)


def duration(us: int) -> str:
    """A width in one unit."""
    for unit_us, unit in ((DAY_US, "d"), (3_600 * _SECOND_US, "h"), (60 * _SECOND_US, "min")):
        if us >= unit_us and us % unit_us == 0:
            return f"{us // unit_us} {unit}"
    return f"{us // _SECOND_US} s"


def stamp(us: int, between: str = " ") -> str:
    """A time to the second; a bar may begin before the first year that can be written."""
    return format_us(min(max(us, MIN_US), MAX_US))[:19].replace("T", between)


def plot(bars: Bars, frame: Frame, link: Callable[[int, int], str]) -> Markup:
    """The drawing. link: where a stretch of time is searched."""
    start = bars.from_us // bars.step_us * bars.step_us
    end = max(-(-bars.to_us // bars.step_us) * bars.step_us, start + bars.step_us)
    highest = max((total for total, _, _ in bars.counts.values()), default=0)
    top = _round_up(max(highest, 2))
    axis = _Axis(start, end, top)
    drawn = [
        _bar(axis, bars.step_us, at, counts, link(at, at + bars.step_us))
        for at, counts in bars.counts.items()
        if start <= at < end
    ]
    label = (
        f"Events every {duration(bars.step_us)} from {stamp(start)} to {stamp(end)} UTC. "
        f"Highest: {highest:,}."
    )
    svg = el(
        "svg",
        drawn,
        _grid(top),
        _rail(axis, frame),
        _times(axis),
        el("rect", class_="brush", hidden=True, x=0, y=0, width=0, height=_HEIGHT),
        height=_HEIGHT + 30,
        role="group",
        aria_label=label,
    )
    spans = ",".join(str(bars.counts.get(at, (0,))[0]) for at in range(start, end, bars.step_us))
    return el(
        "div",
        svg,
        class_="plot",
        data_from=start // _SECOND_US,
        data_to=end // _SECOND_US,
        data_step=bars.step_us // _SECOND_US,
        data_counts=spans,
    )


def legend(frame: Frame) -> Markup:
    """What the fills mean."""
    keys: list[Child] = [_key(f"b{n}", name) for n, name in enumerate(OUTCOMES)]
    keys.append(el("span", "|", class_="dim3", aria_hidden="true"))
    keys.append(_key("f-held", "known, also where it is empty"))
    if frame.said.gaps:
        keys.append(_key("gapbox", "gap"))
    keys += [_key("f-fly", "in flight"), _key("f-unk", "not known")]
    return el("span", keys, class_="keys")


class _Axis(Struct, frozen=True):
    start_us: int
    end_us: int
    top: int

    def x(self, us: int) -> float:
        place = (us - self.start_us) / (self.end_us - self.start_us) * 100
        return min(100.0, max(0.0, place))

    def stretch(self, from_us: int, to_us: int) -> dict[str, str]:
        left, right = self.x(from_us), self.x(to_us)
        return {"x": f"{left:.2f}%", "width": f"{right - left:.2f}%"}


def _bar(axis: _Axis, step_us: int, at: int, counts: tuple[int, int, int], href: str) -> Markup:
    total, failed, denied = counts
    gap_us = step_us * 8 // 100
    place = axis.stretch(at + gap_us, at + step_us - gap_us)
    drawn: list[Child] = []
    base = float(_HEIGHT)
    for class_, count in (("b2", denied), ("b1", failed), ("b0", total - failed - denied)):
        if count > 0:
            height = max(count / axis.top * (_HEIGHT - 8), 1.6)
            base -= height
            drawn.append(
                el("rect", class_=class_, y=f"{base:.1f}", height=f"{height:.1f}", **place)
            )
    told = f"{stamp(at)}, {duration(step_us)}: {total:,} events"
    told += "".join(f", {n:,} {name}" for n, name in ((failed, "failed"), (denied, "denied")) if n)
    place = axis.stretch(at, at + step_us)
    hit = el("rect", class_="hit", y=0, height=_HEIGHT, **place)
    return el("a", el("title", told), drawn, hit, href=href, tabindex=-1)


def _grid(top: int) -> list[Child]:
    lines: list[Child] = []
    for value in (top // 2, top):
        y = _HEIGHT - value / top * (_HEIGHT - 8)
        lines.append(el("line", class_="grid", x1=0, x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}"))
        lines.append(el("text", f"{value:,}", x=0, y=f"{y - 3:.1f}"))
    return lines


def _rail(axis: _Axis, frame: Frame) -> list[Child]:
    """Known through the watermark; then in flight, if it is fresh; else nobody can say. What lies
    ahead of the clock is left bare: there is nothing to know yet."""
    through, now_us = frame.said.complete_through_us, frame.now_us
    known_us = axis.start_us if through is None else min(max(through, axis.start_us), axis.end_us)
    ends_us = min(max(now_us, known_us), axis.end_us)
    fresh = through is not None and now_us - through <= FRESH_US
    drawn: list[Child] = []
    for class_, from_us, to_us in (
        ("f-held", axis.start_us, known_us),
        ("f-fly" if fresh else "f-unk", known_us, ends_us),
    ):
        if to_us > from_us:
            place = axis.stretch(from_us, to_us)
            drawn.append(el("rect", class_=class_, y=_HEIGHT + 3, height=5, **place))
    for gap in frame.said.gaps:
        if gap.to_us > axis.start_us and gap.from_us < axis.end_us:
            place = axis.stretch(gap.from_us, max(gap.to_us, gap.from_us + 1))
            told = el("title", f"A gap: {gap.cause}")
            drawn.append(el("rect", told, class_="gapbox", y=_HEIGHT, height=11, **place))
    if through is not None and axis.start_us < through < axis.end_us:
        x = f"{axis.x(through):.2f}%"
        drawn.append(el("line", class_="water", x1=x, x2=x, y1=0, y2=_HEIGHT + 12))
    return drawn


def _times(axis: _Axis) -> list[Child]:
    """A few times below, of full steps, each once and with its date where the range has several."""
    span_us = axis.end_us - axis.start_us
    step_us = next((step for step in STEPS_US if span_us / step <= 7), STEPS_US[-1] * 100)
    has_days = axis.start_us // DAY_US != (axis.end_us - 1) // DAY_US
    drawn: list[Child] = []
    at = -(-axis.start_us // step_us) * step_us
    while at <= axis.end_us:
        x = axis.x(at)
        if 3 < x < 97:
            text = stamp(at)
            if step_us >= DAY_US:
                text = text[:10]
            elif not has_days:
                text = text[11:].removesuffix(":00")
            else:
                text = text[5:16]
            drawn.append(el("text", text, x=f"{x:.2f}%", y=_HEIGHT + 26, text_anchor="middle"))
        at += step_us
    return drawn


def _key(class_: str, name: str) -> Markup:
    box = el("rect", class_=class_, x=".5", y=".5", width=17, height=9)
    return el("span", el("svg", box, aria_hidden="true"), name, class_="key")


def _round_up(value: int) -> int:
    """The next even, round figure."""
    size = 1
    while True:
        for step in (2, 4, 6, 8, 10, 12, 16, 20):
            if step * size >= value:
                return step * size
        size *= 10
