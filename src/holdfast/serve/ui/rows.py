"""The results: a line an event, its whole record behind a link, without a script. Pure."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from holdfast.model import Found
from holdfast.serve.ui.html import Child, Markup, clip, el
from holdfast.serve.ui.words import DAY_US, short
from holdfast.times import format_us, parse_time

RECORD_CHARS_MAX: Final = 8_000
CELL_CHARS_MAX: Final = 300


class _Party(Struct, frozen=True):
    """An actor or a target, as far as it is shown."""

    type: str = ""
    id: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.id or self.type


class _Origin(Struct, frozen=True):
    ip: str = ""
    service: str = ""
    user_agent: str = ""


class _Shown(Struct, frozen=True):
    """What of a record has a cell of its own; the rest is passed over unread."""

    id: str
    action: str
    received: str
    principal: str = ""
    time: str = ""
    tenant: str = ""
    actor: _Party = _Party()
    targets: tuple[_Party, ...] = ()
    outcome: str = ""
    reason: str = ""
    source: _Origin = _Origin()


_decode: Final = msgspec.json.Decoder(_Shown).decode


def table(found: Sequence[Found], now_us: int) -> Markup:
    """The table, newest first."""
    heads = ("Time, UTC", "Outcome", "Actor", "Action", "Target", "From", "Tenant")
    classes = ("c-x", "c-t", "c-o", "c-ac", "c-a", None, "c-ip", "c-te")
    lines: list[Child] = []
    for number, each in enumerate(found):
        lines += _rows(each, number, now_us)
    return el(
        "div",
        el(
            "table",
            el("colgroup", [el("col", class_=each) for each in classes]),
            el(
                "thead",
                el(
                    "tr",
                    el("th", el("span", "Whole record", class_="vh"), scope="col"),
                    [el("th", each, scope="col") for each in heads],
                ),
            ),
            el("tbody", lines),
            class_="res",
        ),
        class_="tbl",
        tabindex=0,
        role="region",
        aria_label="Events, newest first",
    )


def _rows(found: Found, number: int, now_us: int) -> tuple[Markup, Markup]:
    try:
        shown = _decode(found.record)
    except msgspec.MsgspecError:  # of a later version: better bare than not at all
        shown = _Shown(id="", action="a record that this version cannot read", received="")
    when, fraction = _when(shown, now_us)
    anchor = f"e{number}"
    opener = el(
        "a",
        el("span", class_="tw"),
        class_="xb",
        href=f"#{anchor}",
        aria_label=f"Show the record of {when}",
    )
    targets = [target.label for target in shown.targets]
    line = el(
        "tr",
        el("td", opener, class_="d-x"),
        el(
            "td",
            el("a", when, el("span", fraction, class_="dim3"), href=f"#{anchor}"),
            class_="d-t m",
            title=shown.time or shown.received,
        ),
        el("td", _outcome(shown.outcome), class_="d-o"),
        _cell(shown.actor.label, "d-w", shown.actor.id),
        _action(shown.action),
        _cell(", ".join(targets), "d-g m"),
        _cell(shown.source.ip, "d-ip m"),
        _cell(shown.tenant, "d-te"),
    )
    return line, _record(found, shown, anchor)


def _cell(value: str, class_: str, title: str = "") -> Markup:
    return el(
        "td", clip(value, CELL_CHARS_MAX), class_=class_, title=clip(title or value, CELL_CHARS_MAX)
    )


def _action(action: str) -> Markup:
    service, colon, verb = clip(action, CELL_CHARS_MAX).rpartition(":")
    return el(
        "td",
        el("span", service + colon, class_="svc"),
        verb,
        class_="d-a m",
        title=clip(action, CELL_CHARS_MAX),
    )


def _outcome(outcome: str) -> Markup:
    strength = {"denied": " den", "failure": " fail", "": " no"}.get(outcome, "")
    return el("span", clip(outcome, 20) or "none sent", class_=f"oc{strength}")


def _when(shown: _Shown, now_us: int) -> tuple[str, str]:
    """The time in UTC to the second, and the fraction with the sender's own precision."""
    text = shown.time or shown.received
    try:
        us = parse_time(text)
    except ValueError:
        return clip(text, 40), ""
    _, dot, fraction = text.partition(".")
    digits = len(fraction) - len(fraction.lstrip("0123456789")) if dot else 0
    iso = format_us(us)
    day = "" if us // DAY_US == now_us // DAY_US else iso[:10] + " "
    return day + iso[11:19], f".{iso[20 : 20 + min(digits, 6)]}" if digits else ""


def _record(found: Found, shown: _Shown, anchor: str) -> Markup:
    """The record under its line, shown while the URL names it."""
    facts = (
        ("received", shown.received),
        ("by", shown.principal),
        ("reason", shown.reason),
        ("actor", shown.actor.id),
        ("user agent", shown.source.user_agent),
        ("id", shown.id),
        (
            "lies in",
            f"node {short(found.node)}, segment {found.segment:,}, position {found.position:,}",
        ),
    )
    pairs = [[el("dt", dt), el("dd", clip(dd, 1000), class_="m")] for dt, dd in facts if dd]
    conflict = el(
        "p",
        "Another event has the same tenant and id, but not the same content. Both are shown.",
        class_="note behind",
    )
    return el(
        "tr",
        el(
            "td",
            el(
                "div",
                conflict if found.conflict else None,
                el("dl", pairs, class_="kv"),
                _json(found),
                el("p", _actions(shown), class_="act"),
                class_="xr",
            ),
            colspan=8,
        ),
        class_="open",
        id=anchor,
    )


def _json(found: Found) -> Markup:
    text = msgspec.json.format(bytes(found.record), indent=2).decode()
    if len(text) <= RECORD_CHARS_MAX:
        return el("pre", text, class_="code", tabindex=0)
    cut = f"\n… {len(text) - RECORD_CHARS_MAX:,} more characters: see the JSON answer"
    return el("pre", text[:RECORD_CHARS_MAX], cut, class_="code", tabindex=0)


def _actions(shown: _Shown) -> list[Child]:
    same = (
        ("Same actor", {"actor": shown.actor.id or shown.actor.name}),
        ("Same action", {"action": shown.action}),
        ("Same target", {"target": next((t.id or t.name for t in shown.targets), "")}),
        ("Same source IP", {"ip": shown.source.ip}),
    )
    links: list[Child] = [
        el("a", name, class_="b", href="/?" + urlencode(query))
        for name, query in same
        if all(query.values())
    ]
    if shown.id:
        tenant = "?" + urlencode({"tenant": shown.tenant}) if shown.tenant else ""
        href = f"/v1/events/{quote(shown.id, safe='')}{tenant}"
        links.append(el("a", "As JSON", class_="b quiet", href=href))
    links.append(el("a", "Close", class_="b quiet", href="#results"))
    return links
