"""A figure over time, as a small curve. Pure.

A curve breaks where nothing was kept, for that is no zero; where something was kept and the figure
is not known, the room is hatched.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.serve.ui.html import Markup, el
from holdfast.serve.ui.words import DAY_US
from holdfast.times import format_us
from holdfast.watch.history import MINUTE_US, Minute

POINTS_MAX: Final = 180
SPANS: Final = (("1h", "1 h"), ("24h", "24 h"), ("7d", "7 days"))
SPANS_US: Final = {"1h": 60 * MINUTE_US, "24h": DAY_US, "7d": 7 * DAY_US}
_WIDTH: Final = 300.0
_BOTTOM: Final = 54.0
_TOP: Final = 4.0
_NICE: Final = (1, 2, 5)
SECONDS: Final = (
    *(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800),
    *(86_400, 172_800, 604_800, 2_592_000),
)


class Point(Struct, frozen=True):
    """A stretch of the window. value: None where it is not known. is_marked: see `Curve`."""

    value: float | None
    is_marked: bool = False


class Curve(Struct, frozen=True, kw_only=True):
    """points: by their place in the window, from 0 on, of `count`; the others were not kept.
    floor: the least that the scale reaches to;
    steps: what it may reach to, see `nice`. marks: what a marked point means, if any are."""

    label: str
    from_us: int
    to_us: int
    count: int
    points: Mapping[int, Point]
    written: Callable[[float], str]
    floor: float
    steps: tuple[int, ...] = ()
    marks: str = ""


def points_of(
    minutes: Mapping[int, Minute],
    window: tuple[int, int],
    value: Callable[[Minute], Point | None],
) -> tuple[int, dict[int, Point]]:
    """Minutes as points of a window, several of them as the highest where there are many.

    Returns:
        How many places the window has, and what stands in them.
    """
    start, end = window[0] // MINUTE_US, -(-window[1] // MINUTE_US)
    step = -(-(end - start) // POINTS_MAX)
    joined: dict[int, list[Point]] = {}
    for us, minute in minutes.items():
        place = (us // MINUTE_US - start) // step
        point = value(minute)
        if point is not None and us // MINUTE_US >= start:
            joined.setdefault(place, []).append(point)
    count = -(-(end - start) // step)
    return count, {place: _joined(found) for place, found in joined.items()}


def _joined(points: Sequence[Point]) -> Point:
    known = [point.value for point in points if point.value is not None]
    value = max(known) if len(known) == len(points) else None
    return Point(value, any(point.is_marked for point in points))


def figure(curve: Curve) -> Markup:
    """The curve, and in words: from when to when, the highest, the scale."""
    known = [point.value for point in curve.points.values() if point.value is not None]
    highest = max(known, default=None)
    scale = nice(max(highest or 0.0, curve.floor), curve.steps)
    runs = list(_runs(curve))
    shapes = [shape for run in runs for shape in _drawn(run, curve, scale)]
    told = "not known yet" if curve.points else "nothing kept of it yet"
    if highest is not None:
        told = f"highest {curve.written(highest)}, scale to {curve.written(scale)}"
    ends = [_when(us, curve) for us in (curve.from_us, curve.to_us)]
    svg = el(
        "svg",
        el("path", class_="base", d=f"M0 {_BOTTOM:g}H{_WIDTH:g}"),
        _unknown(curve),
        _marked(curve),
        shapes,
        class_="spark",
        viewBox="0 0 300 56",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    if curve.marks:
        told += f"; {curve.marks}"
    words = el("div", el("span", ends[0]), el("span", told), el("span", ends[1]), class_="sx")
    return el("figure", el("figcaption", curve.label), svg, words, class_="curve")


def nice(value: float, steps: Sequence[int] = ()) -> float:
    """The least of the steps, then of 1, 2, 5, 10, 20 ... that is not below it."""
    for step in steps:
        if step >= value:
            return step
    size = 1.0
    while True:
        for factor in _NICE:
            if factor * size >= value:
                return factor * size
        size *= 10


def _when(us: int, curve: Curve) -> str:
    text = format_us(us)
    return text[11:16] if curve.to_us - curve.from_us <= DAY_US else text[5:16].replace("T", " ")


def _runs(curve: Curve) -> Iterator[list[tuple[int, float]]]:
    """Points that follow one another, without a break."""
    run: list[tuple[int, float]] = []
    for place in range(curve.count):
        point = curve.points.get(place)
        if point is not None and point.value is not None:
            run.append((place, point.value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _drawn(run: Sequence[tuple[int, float]], curve: Curve, scale: float) -> list[Markup]:
    spots = [(_x(place + 0.5, curve), _y(value, scale)) for place, value in run]
    if len(spots) == 1:  # a dot would be stretched with the picture
        (x, y), half = spots[0], _WIDTH / curve.count / 2
        spots = [(max(0.0, x - half), y), (x + half, y)]
    line = " ".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    area = f"M{line} L{spots[-1][0]:.1f} {_BOTTOM:g} L{spots[0][0]:.1f} {_BOTTOM:g}z"
    return [el("path", class_="ar", d=area), el("path", class_="ln", d=f"M{line}")]


def _unknown(curve: Curve) -> list[Markup]:
    return [
        el("rect", class_="f-unk", x=f"{x:.1f}", y=4, width=f"{width:.1f}", height=50)
        for x, width in _stretches(curve, lambda point: point.value is None)
    ]


def _marked(curve: Curve) -> list[Markup]:
    return [
        el("rect", class_="f-down", x=f"{x:.1f}", y=51, width=f"{width:.1f}", height=5)
        for x, width in _stretches(curve, lambda point: point.is_marked)
    ]


def _stretches(curve: Curve, holds: Callable[[Point], bool]) -> Iterator[tuple[float, float]]:
    """Where something holds, as (x, width), neighbours in one."""
    start: int | None = None
    for place in range(curve.count + 1):
        point = curve.points.get(place)
        if point is not None and place < curve.count and holds(point):
            start = place if start is None else start
        elif start is not None:
            yield _x(start, curve), _x(place, curve) - _x(start, curve)
            start = None


def _x(place: float, curve: Curve) -> float:
    return place / curve.count * _WIDTH


def _y(value: float, scale: float) -> float:
    return _BOTTOM - min(1.0, value / scale) * (_BOTTOM - _TOP)
