"""The page: the waterline, the search, its results, the regions. Pure."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from holdfast.errors import Problem
from holdfast.model import Completeness, Page
from holdfast.serve.ui import rows
from holdfast.serve.ui.html import Child, Markup, clip, document, el, join
from holdfast.serve.ui.words import (
    BEHIND_US,
    RegionView,
    clock,
    glyph,
    reasons,
    short,
    size,
    span,
    waterline,
)
from holdfast.times import format_us

LIMIT: Final = 50
FIELDS: Final = (  # name, label, placeholder
    ("tenant", "Tenant", ""),
    ("actor", "Actor", "id or name"),
    ("action", "Action", "iam.* for a prefix"),
    ("target", "Target", "id or name"),
    ("outcome", "Outcome", ""),
    ("ip", "Source IP", ""),
    ("id", "Event id", ""),
    ("from", "From, UTC", "2026-11-24T10:00:00Z"),
    ("to", "To, UTC", "2026-11-24T11:00:00Z"),
)
OUTCOMES: Final = ("success", "failure", "denied", "unknown")


class PageView(Struct, frozen=True, kw_only=True):
    """All that the page shows.

    asked: parameters as given, none of them empty. found: None when the search was refused or
    failed, for which `problems` says why. is_empty: nothing was ever stored, as far as is known.
    base_url: how this server was called; asks_token: writing needs the token.
    """

    version: str
    trail: str
    trail_name: str
    node: str
    now_us: int
    said: Completeness
    needed: int
    quorum: int
    regions: tuple[RegionView, ...]
    asked: Mapping[str, str]
    found: Page | None
    problems: tuple[Problem, ...]
    is_empty: bool
    base_url: str
    asks_token: bool


def render(view: PageView) -> bytes:
    """The whole page, in UTF-8."""
    body = _first_event(view) if view.is_empty and not view.asked else _search(view)
    return document(
        "Holdfast",
        el("a", "To the content", class_="skip", href="#main"),
        _symbols(),
        _top(view),
        el("main", _waterline(view), body, _regions(view), _gaps(view), id="main"),
        _foot(view),
        head=join(
            [
                el("meta", name="viewport", content="width=device-width,initial-scale=1"),
                el("meta", name="color-scheme", content="light dark"),
                el("link", rel="icon", href="/mark.svg", type="image/svg+xml"),
                el("link", rel="stylesheet", href="/holdfast.css"),
            ]
        ),
    )


def _top(view: PageView) -> Markup:
    trail = el("span", short(view.trail), class_="m dim3", title=f"Trail id: {view.trail}")
    mark = el("svg", el("use", href="#mark"), aria_hidden="true")
    pages = (("/", "Search"), ("#regions", "Regions"), ("/schema", "API"), ("/metrics", "Metrics"))
    links = [
        el("a", name, href=href, aria_current=name == "Search" and "page") for href, name in pages
    ]
    return el(
        "header",
        el("a", mark, "Holdfast", class_="brand", href="/"),
        el("span", "trail ", el("b", clip(view.trail_name, 40)), " ", trail, class_="trail"),
        el("nav", links, class_="nav", aria_label="Pages"),
        class_="top",
    )


def _waterline(view: PageView) -> Markup:
    told = waterline(view.said, view.regions, view.is_empty, view.now_us)
    lines: list[Child] = list(reasons(view.said, view.needed, len(view.regions), view.now_us))
    if view.is_empty:
        lines.append(el("span", f"{view.quorum} must hold an event before it is acknowledged"))
    return el(
        "section",
        el("p", told.sentence, class_="wl-say"),
        _rails(view),
        el("div", lines, class_="wl-basis"),
        class_=f"wl is-{told.mood}",
        aria_label="Completeness",
    )


def _rails(view: PageView) -> Markup | None:
    """One bar a region over the last while: known, in flight, unknown. Unknown takes its room."""
    through = view.said.complete_through_us
    if through is None or view.is_empty:
        return None
    end_us = max([view.now_us, *(region.listed_us or 0 for region in view.regions)])
    start_us = min(through, end_us - 30_000_000) - 60_000_000
    if end_us - start_us > 3_600_000_000:
        return None  # the bars would say nothing: the sentence has its age
    scale = 100 / (end_us - start_us)
    rails = [_rail(region, through, (start_us, end_us), scale) for region in view.regions]
    at = f"{(through - start_us) * scale:.2f}%"
    label = el("text", clock(through, view.now_us), x=at, y=14, text_anchor="end", font_weight=700)
    axis = [el("span"), el("svg", label), el("span", class_="nt")]
    told = "; ".join(
        f"{region.id}: " + ("known through the watermark" if region.usable else "not known")
        for region in view.regions
    )
    return el("div", rails, axis, class_="rails", role="img", aria_label=told)


def _rail(region: RegionView, through_us: int, window: tuple[int, int], scale: float) -> Markup:
    start_us, end_us = window
    seen_us = region.listed_us or region.ok_us or start_us
    known_us = through_us if region.usable else min(through_us, seen_us)
    known_us = max(known_us, start_us)
    known = f"{(known_us - start_us) * scale:.2f}%"
    rest = f"{(end_us - known_us) * scale:.2f}%"
    water = f"{(through_us - start_us) * scale:.2f}%"
    if region.usable:
        mood, more, note = "held", "f-fly", f"listed {format_us(seen_us)[11:19]}"
    else:
        mood, more, note = "down", "f-unk", "never answered"
        if region.ok_us:
            note = f"last answer {format_us(region.ok_us)[11:19]}"
    bar = el(
        "svg",
        el("rect", class_="f-held", y=2, width=known, height=10),
        el("rect", class_=more, x=known, y=2, width=rest, height=10),
        el("line", class_="mark", x1=water, x2=water, y1=-2, y2=17),
    )
    name = el("span", region.id, " ", glyph(mood), class_="nm")
    return join([name, bar, el("span", note, class_="nt")])


def _search(view: PageView) -> Markup:
    return join([el("h1", "Search", class_="vh"), _form(view.asked), _results(view)])


def _form(asked: Mapping[str, str]) -> Markup:
    query = el(
        "input",
        id="q",
        name="q",
        value=asked.get("q", ""),
        autocomplete="off",
        spellcheck="false",
        placeholder="any words in the record",
    )
    fields = [_field(name, label, hint, asked.get(name, "")) for name, label, hint in FIELDS]
    return el(
        "form",
        el(
            "div",
            el(
                "div",
                el("label", "Words in the record", class_="vh", for_="q"),
                query,
                class_="qbox",
            ),
            el("button", "Search", class_="b p", type="submit"),
            el("a", "Clear", class_="b quiet", href="/") if asked else None,
            class_="q",
        ),
        el("div", fields, class_="filters"),
        role="search",
        action="/",
        method="get",
    )


def _field(name: str, label: str, hint: str, value: str) -> Markup:
    if name == "outcome":
        options = [
            el("option", each or "any", value=each, selected=each == value)
            for each in ("", *OUTCOMES)
        ]
        control = el("select", options, name=name)
    else:
        control = el(
            "input",
            name=name,
            value=value,
            placeholder=hint,
            autocomplete="off",
            spellcheck="false",
        )
    return el("label", el("span", label), control)


def _results(view: PageView) -> Markup:
    if view.found is None:
        said = [el("li", str(problem)) for problem in view.problems]
        return el(
            "div",
            el("b", "Nothing was searched."),
            el("ul", said),
            class_="note down",
            role="alert",
        )
    if not view.found.events:
        return _nothing(view)
    count = len(view.found.events)
    more = view.found.next
    head = el(
        "div",
        el(
            "span",
            f"{count:,} event{'' if count == 1 else 's'}, newest first",
            ""
            if more
            else (", the oldest that match" if "cursor" in view.asked else ", all that match"),
            class_="dim",
        ),
        class_="bar2",
        id="results",
    )
    links: list[Child] = []
    if "cursor" in view.asked:
        links.append(el("a", "Newest events", class_="b", href=_link(view.asked, cursor="")))
    if more:
        links.append(el("a", "Older events", class_="b", href=_link(view.asked, cursor=more)))
    links.append(el("a", "As JSON", class_="b", href=_json_link(view.asked)))
    table = rows.table(view.found.events, view.now_us)
    return join([head, table, el("p", links, class_="bar2 mt")])


def _nothing(view: PageView) -> Markup:
    through = view.said.complete_through_us
    if through is None:
        what = "Nothing that matches can be seen. That does not mean that there is nothing."
    else:
        what = (
            f"No event matches: of what was received through {clock(through, view.now_us)} UTC, "
            "that is certain" + (", but for the gaps below." if view.said.gaps else ".")
        )
    return el("div", el("p", what), class_="note" if through else "note unk", id="results")


def _link(asked: Mapping[str, str], **changes: str) -> str:
    changed = {**asked, **changes}
    return "/?" + urlencode({name: value for name, value in changed.items() if value})


def _json_link(asked: Mapping[str, str]) -> str:
    return "/v1/events" + ("?" + urlencode(asked) if asked else "")


def _regions(view: PageView) -> Markup:
    cards = [_card(region, view.now_us) for region in view.regions]
    lead = (
        f"{view.quorum} of {len(view.regions)} must hold an event before it is acknowledged; any "
        f"{view.needed} of them show all that was."
    )
    return join(
        [
            el("div", el("h2", "Regions"), el("p", lead), class_="hd", id="regions"),
            el("div", cards, class_="g3"),
        ]
    )


def _card(region: RegionView, now_us: int) -> Markup:
    mood, word = _state_of(region)
    lag: Child = None
    if region.lag_segments is not None:
        figures = (
            (span(region.lag_us or 0), "behind"),
            (f"{region.lag_segments:,}", "segments"),
            (size(region.lag_bytes or 0), "bytes"),
        )
        lag = el("dl", [[el("dd", dd), el("dt", dt)] for dd, dt in figures], class_="lag")
    listed = clock(region.listed_us, now_us, 3) if region.listed_us else "not now"
    answered = clock(region.ok_us, now_us, 3) if region.ok_us else "never"
    facts = (("listed", listed), ("last answer", answered), *region.facts)
    why = el("p", el("b", clip(region.why_not, 300)), class_="lead") if region.why_not else None
    return el(
        "section",
        el(
            "header",
            el("h3", region.id, class_="rg", id=f"r-{region.id}"),
            el("span", clip(region.url, 80), class_="m dim", title=region.url),
            el("span", glyph(mood), word, class_=f"st {mood}"),
        ),
        why,
        lag,
        el("dl", [[el("dt", dt), el("dd", dd)] for dt, dd in facts], class_="kv"),
        class_=f"card is-{mood}",
        aria_labelledby=f"r-{region.id}",
    )


def _state_of(region: RegionView) -> tuple[str, str]:
    if not region.usable:
        return ("unk", "not known yet") if region.ok_us is None else ("down", "does not count")
    if (region.lag_us or 0) > BEHIND_US:
        return "behind", "behind"
    return "held", "up to date"


def _gaps(view: PageView) -> Markup | None:
    gaps = view.said.gaps
    if not gaps:
        return None
    lines = [
        el(
            "tr",
            el(
                "td",
                clock(gap.from_us, view.now_us, 3),
                " to ",
                clock(gap.to_us, view.now_us, 3),
                class_="m",
            ),
            el("td", short(gap.node), class_="m", title=gap.node),
            el("td", f"{gap.end - gap.start:,}", class_="r"),
            el("td", gap.cause),
        )
        for gap in gaps[:100]
    ]
    heads = [el("th", name, scope="col") for name in ("Range, UTC", "Node", "Segments", "Cause")]
    table = el("table", el("thead", el("tr", heads)), el("tbody", lines))
    more = el("p", f"and {len(gaps) - 100:,} more", class_="dim") if len(gaps) > 100 else None
    return join(
        [
            el(
                "div",
                el("h2", "Gaps"),
                el("p", "What is known to be missing."),
                class_="hd",
                id="gaps",
            ),
            el("div", table, class_="tbl", tabindex=0, role="region", aria_label="Gaps"),
            more,
        ]
    )


def _first_event(view: PageView) -> Markup:
    token = ' \\\n  -H "authorization: Bearer $(cat TOKEN_FILE)"' if view.asks_token else ""
    sample = '{"action": "door.open", "actor": {"id": "alice"}, "outcome": "success"}'
    post = f"curl -sS {view.base_url}/v1/events{token} \\\n  --json '{sample}'"
    get = f"curl -sS '{view.base_url}/v1/events?actor=alice'{token}"
    steps = (
        ("From a terminal", "Only an action is required.", post),
        (
            "You get a receipt",
            f"201 means that {view.quorum} regions hold it, and nothing else is answered so.",
            '{"segment": "0000000000-000001-…", "receipt": "holdfast-receipt/1\\n…",\n'
            f' "regions": {_list(view.regions[: view.quorum])}, "ids": ["0189400f-9c3e-7a21-…"]}}',
        ),
        ("Look it up", "It is found as soon as it is acknowledged, here too.", get),
    )
    items = [
        el(
            "li",
            el("span", str(number), class_="no"),
            el(
                "div",
                el("h2", head),
                el("p", what, class_="dim"),
                el("pre", code, class_="code", tabindex=0),
            ),
        )
        for number, (head, what, code) in enumerate(steps, 1)
    ]
    return el(
        "div",
        el("div", el("h1", "Send the first event"), class_="hd"),
        el("ol", items, class_="steps"),
        _warning(view.regions),
        class_="first",
    )


def _list(regions: Sequence[RegionView]) -> str:
    return "[" + ", ".join(f'"{region.id}"' for region in regions) + "]"


def _warning(regions: Sequence[RegionView]) -> Markup | None:
    if not all(region.url.startswith("file:") for region in regions):
        return None
    return el(
        "p",
        "Directories on one disk are several names for one failure. Good for trying; for keeping, "
        "give each region its own store in ",
        el("span", "holdfast.toml", class_="m"),
        ".",
        class_="note",
    )


def _foot(view: PageView) -> Markup:
    node: Child = [" on node ", el("span", short(view.node), class_="m")] if view.node else None
    return el(
        "footer",
        el("span", "All times UTC."),
        el("span", f"Holdfast {view.version}", node, ", format 1"),
        el("span", f"This page is of {format_us(view.now_us)[:19].replace('T', ' ')}"),
        class_="foot",
    )


@cache
def _symbols() -> Markup:
    """Glyphs, one silhouette a state, so that none rests on colour."""
    return Markup(_SYMBOLS)


_SYMBOLS: Final = (
    '<svg class="defs" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="p-unk" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path class="p-unk" d="M0 0v6"/></pattern>'
    '<pattern id="p-fly" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<path class="p-fly" d="M0 0h2.5v5H0z"/></pattern>'
    '<symbol id="mark" viewBox="0 0 24 24"><g fill="none" stroke="currentColor" '
    'stroke-width="2.5" stroke-linecap="round"><path d="M12 2.5v14"/>'
    '<path d="M12 8.5C12 13 4.5 11.5 4.5 16.5"/><path d="M12 8.5c0 4.5 7.5 3 7.5 8"/></g>'
    '<path class="f-held" d="M1.5 18.5h21V22h-21z"/></symbol>'
    '<symbol id="held" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.5"/>'
    '<path class="k" d="m4.8 8.3 2.3 2.3 4.2-4.9"/></symbol>'
    '<symbol id="behind" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/>'
    '<path d="M8 3.6a4.4 4.4 0 0 0 0 8.8z"/></symbol>'
    '<symbol id="down" viewBox="0 0 16 16">'
    '<path d="M4.8.5h6.4l4.3 4.3v6.4l-4.3 4.3H4.8L.5 11.2V4.8z"/>'
    '<path class="k" d="m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6"/></symbol>'
    '<symbol id="unk" viewBox="0 0 16 16"><circle class="o dash" cx="8" cy="8" r="6.9"/>'
    '<path class="o" d="M5.9 6.3C6 3.7 10.2 3.9 10.1 6.3 10 7.8 8 7.8 8 9.6M8 11v1.5"/></symbol>'
    '<symbol id="none" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/>'
    '<path class="o" d="M5 8h6"/></symbol>'
    '<symbol id="gap" viewBox="0 0 16 16"><path d="M0 3h3v10H0zm13 0h3v10h-3z"/>'
    '<path class="o" d="m5.3 5.3 5.4 5.4m0-5.4-5.4 5.4"/></symbol>'
    "</defs></svg>"
)
