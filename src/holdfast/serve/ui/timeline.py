"""How each node's ledger went, as a bar over time. Pure.

What is known to be complete is solid, also where it is empty; what came since is striped; what
nobody can say is hatched and takes its room; where a node did not run there is a dotted line.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from holdfast.model import Completeness, Gap
from holdfast.read.lives import Life
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.parts import mono
from holdfast.serve.ui.words import DAY_US, clock, short
from holdfast.times import format_us

MINUTE_US: Final = 60_000_000
TICKS_US: Final = (
    *(MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US, 60 * MINUTE_US, 240 * MINUTE_US),
    *(DAY_US, 7 * DAY_US, 30 * DAY_US, 365 * DAY_US),
)
TICKS_MAX: Final = 6
ROWS_MAX: Final = 40
GAP_PERCENT_MIN: Final = 1.2  # one that is shorter is drawn as wide as this

Kind = Literal["none", "held", "fly", "unk"]


class Window(Struct, frozen=True):
    """What is drawn. named: as the address has it."""

    named: str
    from_us: int
    to_us: int

    def percent(self, us: int) -> float:
        """Where a time lies, from 0 to 100."""
        share = (us - self.from_us) / max(1, self.to_us - self.from_us)
        return min(100.0, max(0.0, 100 * share))


class Stretch(Struct, frozen=True):
    """One piece of a bar."""

    kind: Kind
    from_us: int
    to_us: int


def stretches(life: Life, said: Completeness, now_us: int) -> tuple[Stretch, ...]:
    """A node's bar, from its first epoch until now.

    Nothing above `complete_through` is solid, whatever the node promised: it is known only together
    with all others.
    """
    held_back = {holding.node for holding in said.holding_back}
    through = said.complete_through_us
    above: Kind = "unk" if through is None or held_back & {"", life.node} else "fly"
    known_us = 0 if through is None else through
    found: list[Stretch] = []
    for start_us, end_us in _alive(life, now_us):
        if found and start_us > found[-1].to_us:
            found.append(Stretch("none", found[-1].to_us, start_us))
        middle = min(max(start_us, known_us), end_us)
        found += [Stretch("held", start_us, middle), Stretch(above, middle, end_us)]
    if found and life.is_closed:
        found.append(Stretch("none", found[-1].to_us, now_us))
    return tuple(each for each in found if each.to_us > each.from_us)


def _alive(life: Life, now_us: int) -> Iterator[tuple[int, int]]:
    """When each epoch began and ended. One whose end nobody stated may go on."""
    for epoch in life.epochs:
        has_ended = life.is_closed or epoch is not life.epochs[-1]
        yield epoch.started_us, (epoch.ended_us or now_us) if has_ended else now_us


def panel(lives: Sequence[Life], said: Completeness, window: Window, now_us: int) -> Markup:
    """All nodes, those first that hold the watermark back, then those that run."""
    held_back = {holding.node: holding for holding in said.holding_back if holding.node}
    ordered = sorted(
        lives, key=lambda life: (life.node not in held_back, life.is_closed, life.node)
    )
    rows = [_row(life, said, window, now_us) for life in ordered[:ROWS_MAX]]
    left = len(ordered) - ROWS_MAX
    more = f"and {left:,} more nodes, none of which holds anything back" if left > 0 else None
    return el(
        "section",
        el("div", rows, _axis(said, window, now_us), class_="tl"),
        el("p", more, class_="dim pad") if more else None,
        legend(),
        class_="panel",
        aria_label="Timeline of the nodes",
    )


def _row(life: Life, said: Completeness, window: Window, now_us: int) -> Markup:
    gaps = [gap for gap in said.gaps if gap.node == life.node]
    drawn = [_drawn(each, window) for each in stretches(life, said, now_us)]
    if life.epochs and life.epochs[0].started_us > window.from_us:
        drawn.insert(0, _drawn(Stretch("none", window.from_us, life.epochs[0].started_us), window))
    note = _note(life, said, now_us)
    bar = el(
        "svg",
        _ticks(window),
        drawn,
        _edge(life, window, now_us),
        [_gap(gap, window) for gap in gaps],
        _water(said, window),
        role="img",
        aria_label=f"node {short(life.node)}: {note}" + (f", {len(gaps)} gaps" if gaps else ""),
    )
    epochs = f"epoch {life.epochs[-1].number}" if life.epochs else "no epoch"
    name = [
        mono(short(life.node), life.node),
        " ",
        el("small", f"{epochs}, {life.events:,} events"),
    ]
    return join([el("div", name, class_="lb"), bar, el("div", note, class_="nt dim s")])


def _note(life: Life, said: Completeness, now_us: int) -> str:
    held = [holding for holding in said.holding_back if holding.node == life.node]
    if held:
        return f"holds it back since {clock(held[0].since_us, now_us)}"
    last = life.epochs[-1] if life.epochs else None
    if life.is_closed and last is not None:
        when = f" {clock(last.ended_us, now_us)}" if last.ended_us else ""
        return f"closed{when}, all of it held"
    if life.promise_us is None:
        return "not judged yet"
    return f"promised through {clock(life.promise_us, now_us)}"


def _drawn(stretch: Stretch, window: Window) -> Markup | None:
    left, right = window.percent(stretch.from_us), window.percent(stretch.to_us)
    if right <= left:
        return None
    if stretch.kind == "none":
        return el("line", class_="none-ln", x1=f"{left:.2f}%", x2=f"{right:.2f}%", y1=15, y2=15)
    width = f"{right - left:.2f}%"
    return el("rect", class_=f"f-{stretch.kind}", x=f"{left:.2f}%", y=8, width=width, height=14)


def _edge(life: Life, window: Window, now_us: int) -> Child:
    """The last change of epoch in the window; earlier ones are edges without words."""
    starts = [each for each in life.epochs[1:] if window.from_us < each.started_us <= window.to_us]
    lines = [
        el("line", class_="edge", x1=at, x2=at, y1=3, y2=24)
        for at in (f"{window.percent(each.started_us):.2f}%" for each in starts[-20:])
    ]
    if not starts:
        return lines
    at = window.percent(starts[-1].started_us)
    end = at > 55
    words = f"epoch {starts[-1].number} began {clock(starts[-1].started_us, now_us)}"
    place: dict[str, str | int] = {"x": f"{at:.2f}%", "dx": -5 if end else 5, "y": 4}
    label = el("text", words, class_="wide", text_anchor="end" if end else "start", **place)
    return [lines, label]


def _gap(gap: Gap, window: Window) -> Markup | None:
    left, right = window.percent(gap.from_us), window.percent(gap.to_us)
    if gap.to_us < window.from_us or gap.from_us > window.to_us:
        return None
    width = max(right - left, GAP_PERCENT_MIN)
    left = min(left, 100 - width)
    inside = [
        el("title", f"{gap.end - gap.start:,} segments lost: {clip(gap.cause, 200)}"),
        el("rect", class_="gapbox", x=1, y=1, width="90%", height=18),
        el("line", class_="gapx", x1=1, y1=19, x2="90%", y2=1),
    ]
    return el("svg", inside, x=f"{left:.2f}%", y=5, width=f"{width:.2f}%", height=20)


def _water(said: Completeness, window: Window) -> Markup | None:
    through = said.complete_through_us
    if through is None or not window.from_us <= through <= window.to_us:
        return None
    at = f"{window.percent(through):.2f}%"
    return el("line", class_="water", x1=at, x2=at, y1=0, y2=30)


def ticks_of(window: Window) -> tuple[int, ...]:
    """Round times within the window, a few."""
    length = window.to_us - window.from_us
    step = next((each for each in TICKS_US if length / each <= TICKS_MAX), TICKS_US[-1])
    first = -(-window.from_us // step) * step
    return tuple(range(first, window.to_us, step))[-TICKS_MAX:]


def _ticks(window: Window) -> list[Markup]:
    places = [f"{window.percent(each):.2f}%" for each in ticks_of(window)]
    return [el("line", class_="tick", x1=at, x2=at, y1=0, y2=30) for at in places]


def _axis(said: Completeness, window: Window, now_us: int) -> Markup:
    """Times below the bars; a tick too near to the watermark or the end leaves its words out."""
    through = said.complete_through_us
    marks: list[Child] = []
    taken = []
    if through is not None and window.from_us <= through <= window.to_us:
        taken.append(window.percent(through))
        marks.append(_label(taken[0], clock(through, now_us), "end", bold=True))
    days = window.to_us - window.from_us > 2 * DAY_US
    for tick in ticks_of(window):
        at = window.percent(tick)
        if 4 <= at <= 96 and all(abs(at - other) > 13 for other in taken):
            text = format_us(tick)
            marks.append(_label(at, text[5:10] if days else text[11:16], "middle"))
    return join([el("div", class_="lb"), el("svg", marks, aria_hidden="true"), el("div")])


def _label(at: float, text: str, anchor: str, *, bold: bool = False) -> Markup:
    weight = 700 if bold else None
    return el("text", text, x=f"{at:.2f}%", y=14, text_anchor=anchor, font_weight=weight)


LEGEND: Final[tuple[tuple[str, str], ...]] = (
    ("f-held", "known complete, also where it is empty"),
    ("f-fly", "in flight: after the watermark"),
    ("gapbox", "gap: known to be missing, with its cause"),
    ("f-unk", "not known: nobody can say yet"),
    ("none", "dotted: no epoch was open"),
)


def legend() -> Markup:
    return el("div", [_key(css, words) for css, words in LEGEND], class_="legend")


def _key(css: str, words: str) -> Markup:
    sign = el("rect", class_=css, x="0.5", y="0.5", width=17, height=9)
    if css == "none":
        sign = el("line", class_="none-ln", x1=0, x2=18, y1=5, y2=5)
    return el("span", el("svg", sign, aria_hidden="true"), words, class_="key")
