"""The results: a line an event, more of it behind a link, without a script. Pure."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from holdfast.model import Found
from holdfast.serve.ui.html import Child, Markup, clip, el
from holdfast.serve.ui.query import Chip, chip_text
from holdfast.serve.ui.shown import Shown, sentence, shown, when
from holdfast.serve.ui.words import short

EXCERPT_CHARS_MAX: Final = 420  # a page of records stays small; the event's own page has it all
FORMATTED_BYTES_MAX: Final = 64 * 1024
CELL_CHARS_MAX: Final = 160
_HEADS: Final = (
    ("Time, UTC", "c-t"),
    ("Outcome", "c-o"),
    ("Actor", "c-ac"),
    ("Action", "c-a"),
    ("Target", None),
    ("From", "c-ip"),
    ("Tenant", "c-te"),
)


def table(found: Sequence[Found], now_us: int) -> Markup:
    """The table, newest first; without the tenants' column where no event has one."""
    events = [shown(each) for each in found]
    heads = _HEADS if any(event.tenant for event in events) else _HEADS[:-1]
    lines: list[Child] = []
    for number, (each, event) in enumerate(zip(found, events, strict=True)):
        lines += [_line(each, event, number, now_us, len(heads) == len(_HEADS))]
        lines += [_more(each, event, f"e{number}", len(heads) + 1)]
    more = el("th", el("span", "More of it", class_="vh"), scope="col")
    return el(
        "div",
        el(
            "table",
            el("colgroup", el("col", class_="c-x"), [el("col", class_=c) for _, c in heads]),
            el("thead", el("tr", more, [el("th", name, scope="col") for name, _ in heads])),
            el("tbody", lines),
            class_="res",
        ),
        class_="tbl",
        tabindex=0,
        role="region",
        aria_label="Events, newest first",
    )


def event_path(found: Found, event: Shown) -> str:
    """Where an event is shown whole; by its place too, which no other event has."""
    place = urlencode({"node": found.node, "position": found.position})
    return f"/events/{quote(event.id, safe='')}?{place}"


def outcome(value: str) -> Markup:
    """How it ended, in ink: colour speaks of evidence only."""
    strength = {"denied": " den", "failure": " fail", "": " no"}.get(value, "")
    return el("span", clip(value, 20) or "none sent", class_=f"oc{strength}")


def action(value: str) -> list[Child]:
    """The service in grey, then what was done."""
    service, colon, verb = clip(value, CELL_CHARS_MAX).rpartition(":")
    return [el("span", service + colon, class_="svc") if colon else None, verb]


def _line(found: Found, event: Shown, number: int, now_us: int, tenants: bool) -> Markup:
    time, fraction = when(event, now_us)
    anchor = f"e{number}"
    twist = el("span", class_="tw")
    opener = el("a", twist, class_="xb", href=f"#{anchor}", aria_label=f"More of {time}")
    whole = el(
        "a",
        time,
        el("span", fraction, class_="dim3"),
        href=event_path(found, event),
        data_open=True,
    )
    targets = ", ".join(target.label for target in event.targets)
    return el(
        "tr",
        el("td", opener, class_="d-x"),
        el("td", whole, class_="d-t m", title=event.time or event.received),
        el("td", outcome(event.outcome), class_="d-o"),
        _cell(event.actor.label, "d-w", event.actor.id),
        el("td", action(event.action), class_="d-a m", title=clip(event.action, CELL_CHARS_MAX)),
        _cell(targets, "d-g m"),
        _cell(event.source.ip, "d-ip m"),
        _cell(event.tenant, "d-te") if tenants else None,
    )


def _cell(value: str, class_: str, title: str = "") -> Markup:
    told = clip(title or value, CELL_CHARS_MAX)
    return el("td", clip(value, CELL_CHARS_MAX), class_=class_, title=told or None)


def _more(found: Found, event: Shown, anchor: str, columns: int) -> Markup:
    """More of it under its line, shown while the URL names it."""
    place = f"node {short(found.node)}, segment {found.segment:,}, position {found.position:,}"
    facts = (
        ("received", event.received),
        ("by", event.principal),
        ("actor", event.actor.id if event.actor.id != event.actor.label else ""),
        ("user agent", event.source.user_agent),
        ("request", event.trace.request_id),
        ("id", event.id),
        ("lies in", place),
    )
    pairs = [[el("dt", dt), el("dd", clip(dd, 300), class_="m")] for dt, dd in facts if dd]
    conflict = el(
        "p",
        "Another event has the same tenant and id, but not the same content. Both are shown.",
        class_="note behind",
    )
    inside = el(
        "div",
        conflict if found.conflict else None,
        el("p", sentence(event), class_="say"),
        el("dl", pairs, class_="kv"),
        el("pre", _excerpt(found, event), class_="code", tabindex=0),
        el("p", _actions(found, event), class_="act"),
        class_="xr",
    )
    return el("tr", el("td", inside, colspan=columns), class_="open", id=anchor)


def _excerpt(found: Found, event: Shown) -> str:
    """The beginning of what the sender sent, or of the whole record."""
    data = bytes(event.payload) or bytes(found.record)
    if len(data) <= FORMATTED_BYTES_MAX:
        data = msgspec.json.format(data, indent=2)
    return clip(data[: EXCERPT_CHARS_MAX * 4].decode(errors="replace"), EXCERPT_CHARS_MAX)


def _actions(found: Found, event: Shown) -> list[Child]:
    target = next((each.key for each in event.targets if each.key), "")
    same = (("actor", event.actor.key), ("target", target), ("ip", event.source.ip))
    links: list[Child] = [
        el("a", "Open with its proof", class_="b p", href=event_path(found, event))
        if event.id
        else None
    ]
    for field, value in same:
        if value:
            query = urlencode({"q": chip_text(Chip(field, value))})
            name = "source IP" if field == "ip" else field
            links.append(el("a", f"Same {name}", class_="b", href=f"/?{query}"))
    links.append(el("a", "Close", class_="b quiet", href="#results"))
    return links
