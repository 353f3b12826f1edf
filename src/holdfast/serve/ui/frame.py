"""What every page has: head, header, the waterline, footer, keys. Pure.

A page is a module of its own: a frozen view, with a `Frame` in it, becomes bytes through `render`.
"""

from typing import Final

from msgspec import Struct

from holdfast.serve.ui.html import Child, Markup, clip, document, el, join
from holdfast.serve.ui.symbols import SYMBOLS
from holdfast.serve.ui.waterline import section
from holdfast.serve.ui.words import Frame, short
from holdfast.times import format_us


class Place(Struct, frozen=True):
    """A page that the header leads to. key: that goes there after `g`."""

    path: str
    name: str
    key: str


PLACES: Final = (
    Place("/", "Search", "s"),
    Place("/regions", "Regions", "r"),
    Place("/completeness", "Completeness", "c"),
    Place("/integrity", "Integrity", "i"),
    Place("/archive", "Archive", "v"),
    Place("/retention", "Retention", "h"),
    Place("/alerts", "Alerts", "a"),
)
KEYS: Final = (
    (("/",), "to the query"),
    (("j", "k"), "next, previous event"),
    (("x",), "expand the event"),
    (("o",), "open the event"),
    (("l",), "live tail on, off"),
    (("t",), "light, dark"),
    (("Esc",), "close, clear the selection"),
)


def render(frame: Frame, title: str, *body: Child, current: str = "", thin: bool = True) -> bytes:
    """The whole page, in UTF-8.

    Args:
        title: of the page, without the product's name.
        body: what stands below the waterline.
        current: the path of the place in the header that this page is, "" for none of them.
        thin: the waterline in one line, without its rails.
    """
    return bare(
        title,
        _top(frame, current),
        el("main", section(frame, thin=thin), *body, id="main"),
        _foot(frame),
        _keys(),
    )


def bare(title: str, *body: Child) -> bytes:
    """A page of the console's looks that tells nothing of the trail."""
    return document(
        f"{title} · Holdfast" if title else "Holdfast",
        el("a", "To the content", class_="skip", href="#main"),
        SYMBOLS,
        *body,
        head=join(
            [
                el("meta", name="viewport", content="width=device-width,initial-scale=1"),
                el("meta", name="color-scheme", content="light dark"),
                el("link", rel="icon", href="/mark.svg", type="image/svg+xml"),
                el("link", rel="stylesheet", href="/holdfast.css"),
                el("script", src="/console.js"),
            ]
        ),
    )


def brand() -> Markup:
    mark = el("svg", el("use", href="#mark"), aria_hidden="true")
    return el("a", mark, "Holdfast", class_="brand", href="/")


def _top(frame: Frame, current: str) -> Markup:
    trail = el("span", short(frame.trail), class_="m dim3", title=f"Trail id: {frame.trail}")
    links = [
        el(
            "a",
            place.name,
            _count(frame.alerts_open) if place.path == "/alerts" else None,
            href=place.path,
            aria_current="page" if place.path == current else None,
            data_key=place.key,
        )
        for place in PLACES
    ]
    return el(
        "header",
        brand(),
        el("span", "trail ", el("b", clip(frame.trail_name, 40)), " ", trail, class_="trail"),
        el("nav", links, class_="nav", aria_label="Pages"),
        el("div", _tools(frame), class_="tools"),
        class_="top",
    )


def _count(alerts: int) -> Markup | None:
    """How many are open; none is worth no sign."""
    if not alerts:
        return None
    return el("span", f"{alerts:,}", el("span", " open", class_="vh"), class_="n")


def _tools(frame: Frame) -> list[Child]:
    half = el(
        "svg",
        el("circle", class_="o", cx=8, cy=8, r="6.5"),
        el("path", d="M8 1.5a6.5 6.5 0 0 1 0 13z"),
        class_="g",
        aria_hidden="true",
        viewBox="0 0 16 16",
    )
    theme = "Switch between light and dark"
    return [
        el(
            "button",
            el("kbd", "?"),
            class_="b quiet js-only",
            type="button",
            data_keys=True,
            aria_label="Keyboard shortcuts",
        ),
        el(
            "button",
            half,
            class_="b quiet js-only",
            type="button",
            data_theme_toggle=True,
            aria_label=theme,
        ),
        el(
            "form",
            el("button", "Sign out", class_="b quiet", type="submit"),
            action="/signout",
            method="post",
        )
        if frame.signed_in
        else None,
    ]


def _foot(frame: Frame) -> Markup:
    node: Child = [" on node ", el("span", short(frame.node), class_="m")] if frame.node else None
    return el(
        "footer",
        el("span", "All times UTC."),
        el("span", f"Holdfast {frame.version}", node, ", format 1"),
        el("span", f"This page is of {format_us(frame.now_us)[:19].replace('T', ' ')}"),
        el("span", el("a", "API", href="/schema"), ", ", el("a", "metrics", href="/metrics")),
        el("span", "Press ", el("kbd", "?"), " for keys", class_="js-only"),
        class_="foot",
    )


def _keys() -> Markup:
    """A dialog that the script opens; without it nothing shows it, and there are no keys."""
    lines = [
        [el("dt", [[el("kbd", key), " "] for key in keys]), el("dd", what)] for keys, what in KEYS
    ]
    places = [[el("kbd", place.key), " "] for place in PLACES]
    names = ", ".join(place.name for place in PLACES)
    go = [el("dt", el("kbd", "g"), " then ", places), el("dd", f"go to {names}")]
    return el(
        "dialog",
        el("h2", "Keyboard", id="keys-h"),
        el("dl", lines, go, class_="keysl"),
        el("form", el("button", "Close", class_="b"), method="dialog"),
        id="keys",
        aria_labelledby="keys-h",
    )
