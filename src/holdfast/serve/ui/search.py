"""The search page: what is asked, and what was found. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from holdfast.errors import Problem
from holdfast.model import Page
from holdfast.serve.ui import frame, gaps, rows
from holdfast.serve.ui.html import Child, Markup, el, join
from holdfast.serve.ui.words import Frame, clock

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


class SearchView(Struct, frozen=True, kw_only=True):
    """What was asked, and what was found.

    asked: parameters as given, none of them empty. found: None when the search was refused or
    failed, for which `problems` says why.
    """

    frame: Frame
    asked: Mapping[str, str]
    found: Page | None
    problems: tuple[Problem, ...]


def render(view: SearchView) -> bytes:
    """The whole page, in UTF-8."""
    body = (el("h1", "Search", class_="vh"), _form(view.asked), _results(view))
    return frame.render(view.frame, "Search", body, gaps.table(view.frame), current="/", thin=False)


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


def _results(view: SearchView) -> Markup:
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
    table = rows.table(view.found.events, view.frame.now_us)
    return join([head, table, el("p", links, class_="bar2 mt")])


def _nothing(view: SearchView) -> Markup:
    said, now_us = view.frame.said, view.frame.now_us
    if said.complete_through_us is None:
        what = "Nothing that matches can be seen. That does not mean that there is nothing."
        return el("div", el("p", what), class_="note unk", id="results")
    through = clock(said.complete_through_us, now_us)
    but = ", but for the gaps below." if said.gaps else "."
    what = f"No event matches: of what was received through {through} UTC, that is certain{but}"
    return el("div", el("p", what), class_="note", id="results")


def _link(asked: Mapping[str, str], **changes: str) -> str:
    changed = {**asked, **changes}
    return "/?" + urlencode({name: value for name, value in changed.items() if value})


def _json_link(asked: Mapping[str, str]) -> str:
    return "/v1/events" + ("?" + urlencode(asked) if asked else "")
