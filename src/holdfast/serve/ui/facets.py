"""The most frequent values of a few fields, each a filter. Pure."""

from typing import Final

from msgspec import Struct

from holdfast.serve.ui.asked import Asked
from holdfast.serve.ui.bars import Bars
from holdfast.serve.ui.html import Child, Markup, clip, el

NAMES: Final = {
    "outcome": "Outcome",
    "actor": "Actor",
    "action": "Action",
    "ip": "Source IP",
    "tenant": "Tenant",
}
LABEL_CHARS_MAX: Final = 22


class Facet(Struct, frozen=True):
    """The values of a field and how often each is there, the most frequent first. more: how many
    other values there are; -1: so many of them that they were not counted."""

    field: str
    values: tuple[tuple[str, int], ...]
    more: int


class Tally(Struct):
    """What has been counted so far. count, bars: None until known. why: why no more will be."""

    count: int | None = None
    bars: Bars | None = None
    facets: dict[str, Facet] = {}
    why: str = ""


def aside(tally: Tally, asked: Asked) -> Markup:
    """All of them, beside the results."""
    shown = [_facet(tally.facets[field], asked) for field in NAMES if field in tally.facets]
    missing = [NAMES[field] for field in NAMES if field not in tally.facets]
    now = asked.href(count="wait")
    late = el(
        "p",
        f"Not counted in time: {', '.join(missing)}. ",
        None if tally.why else el("a", "Count now", href=now),
        class_="dim s",
    )
    return el(
        "aside",
        shown,
        late if missing else None,
        aria_label="The most frequent values",
        id="facets",
        data_late=now if missing and not tally.why else None,
    )


def _facet(facet: Facet, asked: Asked) -> Markup | None:
    """A field; left out where no event has it, for there is nothing to choose."""
    chosen = asked.typed.value(facet.field)
    values = [(value, count) for value, count in facet.values if value]
    if not values and not facet.more:
        return None
    highest = max((count for _, count in values), default=1)
    lines: list[Child] = [
        _line(facet.field, value, count, highest, asked) for value, count in values
    ]
    if facet.more:
        told = "too many to count" if facet.more < 0 else f"{facet.more:,} more"
        lines.append(el("li", el("span", told, class_="dim3")))
    if chosen is not None:
        lines = [el("li", el("a", "Any", href=asked.without(facet.field).href())), *lines]
    return el(
        "details",
        el("summary", el("span", class_="tw"), NAMES[facet.field]),
        el("ul", lines),
        class_="facet",
        open=True,
    )


def _line(field: str, value: str, count: int, highest: int, asked: Asked) -> Markup:
    width = f"{max(1, round(count / highest * 100))}%"
    bar = el("svg", el("rect", class_="b0", width=width, height=2), aria_hidden="true")
    return el(
        "li",
        el(
            "a",
            el("span", _tail(value)),
            el("span", f"{count:,}"),
            bar,
            href=asked.having(field, value).href(),
            title=clip(value, 300),
            aria_current="true" if asked.typed.value(field) == value else None,
        ),
    )


def _tail(value: str) -> str:
    """The end of a long value: what tells one resource or action from the next stands there."""
    return value if len(value) <= LABEL_CHARS_MAX else "…" + value[1 - LABEL_CHARS_MAX :]
