"""What was looked at in a region, hour by hour, as a map of the last days. Pure.

The filled height is how much was looked at, the hatch is what nobody could look at; an hour in
which no server looked has a dotted line, never the colour of one that was looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.serve.ui.calendar import HEIGHT, TOP, box, drawn
from holdfast.serve.ui.html import Markup, el
from holdfast.serve.ui.words import DAY_US
from holdfast.times import format_us
from holdfast.watch.history import HOUR_US, Hour, Seen

DAYS: Final = 7
_WIDTH: Final = 13
_LEFT: Final = 34
_NAMES: Final = 5  # how high a survey of what is newest fills a cell
_WHOLE: Final = 10  # one of everything; a share of the bytes fills it


def days_of(now_us: int) -> tuple[int, ...]:
    """When each day of the map begins, the oldest first."""
    today = now_us // DAY_US * DAY_US
    return tuple(today - (DAYS - 1 - day) * DAY_US for day in range(DAYS))


def heat(region: str, hours: Mapping[int, Hour], now_us: int) -> Markup:
    """The map of one region. hours: by when they began."""
    paths: dict[str, list[str]] = {}
    labels = []
    for row, day_us in enumerate(days_of(now_us)):
        y = TOP + row * (HEIGHT + 2)
        labels.append(el("text", format_us(day_us)[5:10], x=28, y=y + 11, text_anchor="end"))
        for column in range(24):
            hour_us = day_us + column * HOUR_US
            if hour_us <= now_us:
                _cell(paths, _LEFT + column * (_WIDTH + 2), y, _seen(hours, hour_us, region))
    heads = [
        el("text", f"{column:02d}", x=_LEFT + column * (_WIDTH + 2), y=9)
        for column in (0, 6, 12, 18, 23)
    ]
    label = f"Region {region}: what was looked at, one cell an hour, {DAYS} days"
    return drawn(label, paths, [*heads, *labels], DAYS)


def _seen(hours: Mapping[int, Hour], hour_us: int, region: str) -> tuple[Seen | None, bool]:
    hour = hours.get(hour_us)
    if hour is None:
        return None, False
    return hour.regions.get(region), hour.whole > 0


def _cell(paths: dict[str, list[str]], x: int, y: int, looked: tuple[Seen | None, bool]) -> None:
    seen, whole = looked
    if seen is None or not (seen.surveys or seen.missed or seen.scrubbed):
        paths.setdefault("no", []).append(f"M{x} {y + HEIGHT - 1}h{_WIDTH}")
        return
    if not seen.surveys and not seen.scrubbed:
        paths.setdefault("u", []).append(box(x, y, _WIDTH, HEIGHT))
        return
    css, fill = ("c3", HEIGHT) if seen.scrubbed else ("c2", _WHOLE) if whole else ("c1", _NAMES)
    paths.setdefault("bg", []).append(box(x, y, _WIDTH, HEIGHT))
    paths.setdefault(css, []).append(box(x, y + HEIGHT - fill, _WIDTH, fill))
    if seen.missed:
        paths.setdefault("u", []).append(box(x, y, _WIDTH, HEIGHT // 2))
    if seen.corrupt:
        paths.setdefault("fx", []).append(box(x, y, _WIDTH, HEIGHT))


LEGEND: Final[tuple[tuple[str, int, str], ...]] = (
    ("c3", 9, "a share of all bytes was read too"),
    ("c2", 6, "names and sizes, of everything"),
    ("c1", 3, "names and sizes, of what is newest"),
    ("u", 9, "could not be looked at"),
    ("fx", 9, "a corrupt copy was known"),
    ("no", 0, "no server looked, or it is not kept here"),
)


def legend(keys: Sequence[tuple[str, int, str]] = LEGEND) -> Markup:
    """What cells mean; each is (its class, how high it is filled, words)."""
    return el("div", [_key(*each) for each in keys], class_="legend")


def _key(css: str, height: int, words: str) -> Markup:
    if css == "no":
        sign = [el("path", class_=css, d="M0.5 9h17")]
    else:
        ground = el("rect", class_="bg", x="0.5", y="0.5", width=17, height=9)
        top = f"{9.5 - height:g}"
        sign = [ground, el("rect", class_=css, x="0.5", y=top, width=17, height=height)]
    return el("span", el("svg", sign, class_="hk", aria_hidden="true"), words, class_="key")
