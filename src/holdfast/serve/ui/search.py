"""The search page: what is asked, how it spreads over time, and what was found. Pure."""

from typing import Final
from urllib.parse import urlencode

from msgspec import Struct, structs

from holdfast.errors import Problem
from holdfast.model import Page
from holdfast.serve.ui import bars, facets, frame, gaps, rows
from holdfast.serve.ui.asked import PRESETS, Asked
from holdfast.serve.ui.facets import Tally
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.query import Typed, chip_text, parse, write
from holdfast.serve.ui.words import Frame, clock, glyph
from holdfast.times import format_us

LIMIT: Final = 25  # a page stays below 100 KiB, the rows' details in it
EXPORTS: Final = (
    ("ndjson", "NDJSON", "the records as stored"),
    ("csv", "CSV", "a row an event"),
    ("parquet", "Parquet", "columns and records"),
)


class SearchView(Struct, frozen=True, kw_only=True):
    """What was asked, and what was found.

    found: None when the search was refused or failed, for which `problems` says why. tally: what
    could be counted in time.
    """

    frame: Frame
    asked: Asked
    found: Page | None
    tally: Tally
    problems: tuple[Problem, ...] = ()


def render(view: SearchView) -> bytes:
    """The whole page, in UTF-8."""
    if view.found is None:
        below: Child = _refused(view.problems)
    else:
        results = el("section", _results(view, view.found), aria_label="Events")
        columns = (facets.aside(view.tally, view.asked), results)
        below = [_histogram(view), el("div", columns, class_="cols")]
    return frame.render(
        view.frame,
        "Search",
        el("h1", "Search", class_="vh"),
        _form(view),
        below,
        gaps.table(view.frame),
        current="/",
        thin=False,
    )


# -- what is asked -----------------------------------------------------------------------------


def _form(view: SearchView) -> Markup:
    asked = view.asked
    bad = parse(asked.text).mistakes if asked.text else ()
    chips: list[Child] = [
        _chip(chip.field, chip_text(chip).partition(":")[2], asked) for chip in asked.typed.chips
    ]
    if asked.typed.words and not asked.text:
        chips.append(_chip("q", asked.typed.words, asked))
    kept = write(asked.typed) if not asked.text else write(Typed(asked.typed.chips))
    box = el(
        "input",
        id="q",
        name="q",
        value=asked.text,
        autocomplete="off",
        autocapitalize="off",
        spellcheck="false",
        aria_invalid="true" if bad else None,
        aria_describedby="q-bad" if bad else None,
        placeholder="" if chips else "actor:alice  action:iam.*  outcome:denied  or any words",
    )
    label = el("label", "Query", class_="vh", for_="q")
    hidden = el("input", type="hidden", name="kept", value=kept) if kept else None
    return join(
        [
            el(
                "form",
                el("div", chips, label, hidden, box, class_="qbox"),
                _when(asked, view.frame.now_us),
                el("button", "Search", class_="b p", type="submit"),
                class_="q",
                role="search",
                action="/",
                method="get",
            ),
            _mistakes(asked.text) if bad else None,
        ]
    )


def _chip(field: str, value: str, asked: Asked) -> Markup:
    name = "text" if field == "q" else field
    shown = clip(value, 60) or '""'
    cross = el(
        "a", "×", href=asked.without(field).href(), aria_label=f"Remove the filter {name}:{shown}"
    )
    return el("span", el("i", f"{name}:"), shown, cross, class_="chip")


def _mistakes(text: str) -> Markup:
    """The text again with what cannot be read underlined, and why beneath."""
    parts: list[Child] = []
    at = 0
    mistakes = parse(text).mistakes
    for mistake in mistakes:
        parts += [text[at : mistake.start], el("mark", text[mistake.start : mistake.end])]
        at = mistake.end
    reasons = [el("li", mistake.reason) for mistake in mistakes]
    return el(
        "div",
        el("p", parts, text[at:], class_="m"),
        el("ul", reasons),
        class_="note down",
        id="q-bad",
        role="alert",
    )


def _when(asked: Asked, now_us: int) -> Markup:
    presets = [
        el(
            "a",
            label,
            href=asked.during(last=name).href(),
            aria_current="true" if asked.last == name else None,
        )
        for name, (_, label) in PRESETS.items()
    ]
    ends = [format_us(us)[:19] + "Z" if us is not None else "" for us in _range(asked)]
    fields = [
        el(
            "label",
            f"{name.capitalize()}, UTC ",
            el(
                "input",
                name=name,
                value=value,
                placeholder="2026-11-24 10:00",
                autocomplete="off",
                spellcheck="false",
            ),
        )
        for name, value in (
            ("from", asked.from_ if not asked.last else ends[0]),
            ("to", asked.to if not asked.last else ends[1]),
        )
    ]
    everything = el("a", "All time", href=asked.during().href())
    return el(
        "details",
        el("summary", _when_label(asked, now_us), class_="b"),
        el(
            "div",
            el("div", presets, everything, class_="presets"),
            el("div", fields, el("button", "Apply", class_="b p", type="submit"), class_="tf"),
        ),
        class_="menu",
    )


def _when_label(asked: Asked, now_us: int) -> list[Child]:
    from_us, to_us = _range(asked)
    start = clock(from_us, now_us) if from_us is not None else ""
    end = clock(to_us, now_us) if to_us is not None else ""
    if asked.last in PRESETS:
        exact = el("span", f"{start} to {end}", class_="dim3 m wide")
        return [f"Last {PRESETS[asked.last][1]} ", exact]
    if start and end:
        return [el("span", f"{start} to {end}", class_="m")]
    if start or end:
        return [f"{'From' if start else 'Until'} ", el("span", start or end, class_="m")]
    return ["All time"]


def _range(asked: Asked) -> tuple[int | None, int | None]:
    return asked.from_us, asked.to_us


def _refused(problems: tuple[Problem, ...]) -> Markup:
    said = [el("li", str(problem)) for problem in problems]
    return el(
        "div", el("b", "Nothing was searched."), el("ul", said), class_="note down", role="alert"
    )


# -- how it spreads ----------------------------------------------------------------------------


def _histogram(view: SearchView) -> Markup | None:
    tally, asked = view.tally, view.asked
    if tally.bars is None or tally.count is None:
        if tally.count == 0 and (asked.from_us is None or asked.to_us is None):
            return None
        return _uncounted(view)

    def link(from_us: int, to_us: int) -> str:
        times = [bars.stamp(us, "T") + "Z" for us in (from_us, to_us)]
        return asked.during(from_=times[0], to=times[1]).href()

    head = [
        el("h2", f"{tally.count:,} event{'' if tally.count == 1 else 's'}"),
        el("span", f"exact, {bars.duration(tally.bars.step_us)} a bar", class_="dim"),
        bars.legend(view.frame),
    ]
    return el(
        "figure",
        el("figcaption", head),
        bars.plot(tally.bars, view.frame, link),
        _brush(tally.bars),
        class_="panel hist",
        id="hist",
        data_base=asked.during().href(),
    )


def _brush(of: bars.Bars) -> Markup:
    """What a keyboard draws a stretch of time with; the script shows it."""
    ends = {
        "min": of.from_us // of.step_us * of.step_us // 1_000_000,
        "max": -(-of.to_us // of.step_us) * of.step_us // 1_000_000,
        "step": of.step_us // 1_000_000,
    }
    sliders = [
        el("label", f"Selection {name}", el("input", type="range", data_end=name, **ends))
        for name in ("from", "to")
    ]
    return el(
        "div",
        el("div", sliders, class_="vh js-only"),
        el(
            "div",
            el("output"),
            el("a", "Zoom in", class_="b", href="#hist"),
            el("button", "Clear", class_="b quiet", type="button", data_clear=True),
            class_="brushbar",
            hidden=True,
        ),
    )


def _uncounted(view: SearchView) -> Markup:
    """Counts that are late or fail never hold up what was found."""
    why = f": {view.tally.why}" if view.tally.why else ""
    now = view.asked.href(count="wait")
    return el(
        "figure",
        el(
            "figcaption",
            glyph("unk", "g unk"),
            el("span", f"Not counted in time{why}. "),
            el("a", "Count now", href=now, class_="b"),
        ),
        class_="panel hist",
        id="hist",
        data_late=None if view.tally.why else now,
    )


# -- what was found ----------------------------------------------------------------------------


def _results(view: SearchView, found: Page) -> Markup:
    if not found.events:
        return join([_bar(view, found), _nothing(view)])
    links: list[Child] = []
    if view.asked.cursor:
        newest = structs.replace(view.asked, cursor="").href()
        links.append(el("a", "Newest events", class_="b", href=newest))
    if found.next:
        older = structs.replace(view.asked, cursor=found.next).href()
        links.append(el("a", "Older events", class_="b", href=older))
    table = rows.table(found.events, view.frame.now_us)
    return join([_bar(view, found), table, el("p", links, class_="bar2 mt") if links else None])


def _bar(view: SearchView, found: Page) -> Markup:
    count = len(found.events)
    shown = f"{count:,} event{'' if count == 1 else 's'}, newest first"
    if not found.next:
        shown += ", the oldest that match" if view.asked.cursor else ", all that match"
    return el(
        "div",
        el("span", shown if count else "No events", class_="dim"),
        el("span", class_="sp"),
        _tail(view.asked),
        _export(view.asked),
        class_="bar2",
        id="results",
    )


def _tail(asked: Asked) -> Markup | None:
    """New events as they come, where new ones can match: not in a time that is over."""
    if asked.cursor or asked.to:
        return None
    query = asked.parameters()
    query.pop("from", None)
    return el(
        "button",
        el("span", class_="dot"),
        "Live tail",
        class_="b js-only",
        type="button",
        aria_pressed="false",
        data_tail="/v1/tail" + ("?" + urlencode(query) if query else ""),
    )


def _export(asked: Asked) -> Markup:
    """All that match as a file, and the same answer as a program gets it."""
    query = asked.parameters()
    if asked.last and asked.from_us is not None and asked.to_us is not None:
        query |= {"from": format_us(asked.from_us), "to": format_us(asked.to_us)}
    links: list[Child] = [
        el(
            "a",
            name,
            el("span", what, class_="dim3"),
            href="/v1/events/export?" + urlencode({"format": kind, **query}),
        )
        for kind, name, what in EXPORTS
    ]
    newest = "/v1/events" + ("?" + urlencode(query) if query else "")
    links.append(el("a", "JSON", el("span", "the newest, as the API", class_="dim3"), href=newest))
    note = el("p", "All that match, however many: not this page alone.")
    return el("details", el("summary", "Export", class_="b"), el("div", links, note), class_="menu")


def _nothing(view: SearchView) -> Markup:
    said, now_us = view.frame.said, view.frame.now_us
    if said.complete_through_us is None:
        what = "Nothing that matches can be seen. That does not mean that there is nothing."
        return el("p", what, class_="note unk")
    through = clock(said.complete_through_us, now_us)
    but = ", but for the gaps below." if said.gaps else "."
    what = f"No event matches: of what was received through {through} UTC, that is certain{but}"
    return el("p", what, class_="note")
