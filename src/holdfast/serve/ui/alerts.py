"""The page of alerts: what is wrong, what each means and what to do; what is over. Pure."""

from collections.abc import Sequence
from shlex import quote
from typing import Final

from msgspec import Struct

from holdfast.serve.ui import frame
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.parts import command_box, head, mono, state, table
from holdfast.serve.ui.words import Frame, clock, glyph, span
from holdfast.watch.alarms import AlarmsReport
from holdfast.watch.alerts import Alert
from holdfast.watch.kinds import DOCUMENT, KINDS

PAST_SHOWN: Final = 50
EVENTS: Final = "/?q=action%3Aholdfast.alert.*"
MOODS: Final = {"critical": "down", "warning": "behind"}
_FOLLOWS: Final = (  # the first that is open says what all of it comes to
    ("quorum-lost", "Events are refused now; nothing acknowledged is lost by that."),
    ("not-accepting", "Some events are refused now; nothing acknowledged is lost by that."),
    ("open-gap", "Some of what was acknowledged may be missing."),
    ("divergence", "What is stored contradicts itself."),
    ("no-progress", "What is newest may be missing in searches."),
    ("quorum-margin", "Nothing acknowledged is at risk; one more failure would stop writing."),
)


class AlertsView(Struct, frozen=True, kw_only=True):
    """where: the options that name this server's place to a command."""

    frame: Frame
    report: AlarmsReport
    where: str


def render(view: AlertsView) -> bytes:
    """The whole page, in UTF-8."""
    return frame.render(
        view.frame,
        "Alerts",
        _headline(view),
        [_card(each, view) for each in view.report.book.open],
        _silences(view),
        _past(view),
        _ways(view),
        current="/alerts",
    )


def _headline(view: AlertsView) -> Markup:
    kinds = {each.kind for each in view.report.book.open}
    if not kinds:
        told = "Nothing is wrong, as far as this server can see"
        return el("div", el("h1", glyph("held", "g held"), " ", told), class_="hd")
    follows = "Events are taken in, and found."
    follows = next((text for kind, text in _FOLLOWS if kind in kinds), follows)
    count = len(view.report.book.open)
    return el("div", el("h1", f"{count} open. {follows}"), class_="hd")


def _card(alert: Alert, view: AlertsView) -> Markup:
    now_us, kind = view.frame.now_us, KINDS[alert.kind]
    mood = MOODS[alert.severity]
    id = f"alert-{alert.opened_us}-{alert.kind}"
    since = f"since {clock(alert.since_us, now_us)}, {span(now_us - alert.since_us)}"
    path, name = kind.page
    more: list[Child] = ["More: ", mono(f"{DOCUMENT}#{alert.kind}")]
    if path != "/alerts":
        more += [", ", el("a", f"the page {name}", href=path)]
    return el(
        "article",
        el(
            "header",
            state(mood, alert.severity),
            el("h2", alert.title, id=id),
            el("span", since, ". ", _told(alert, view), class_="sp"),
        ),
        el(
            "div",
            el("p", clip(alert.summary, 600), class_="key-of"),
            el("p", el("b", "It means: "), kind.means, class_="dim"),
            el("p", more, class_="dim"),
            class_="stack",
        ),
        _steps(alert, view.where),
        class_=f"al is-{mood}",
        aria_labelledby=id,
    )


def _told(alert: Alert, view: AlertsView) -> str:
    now_us = view.frame.now_us
    silence = view.report.book.silence_of(alert.key, now_us)
    if silence is not None:
        until = clock(silence.until_us, now_us)
        return f"Silenced until {until} by {clip(silence.by, 40)}"
    if not _ways_to_people(view):
        return "Shown here only"
    return f"Told {clock(alert.told_us, now_us)}" if alert.told_us else "Not told yet"


def _steps(alert: Alert, where: str) -> Markup:
    lines = []
    for step in KINDS[alert.kind].do:
        command = step.command.replace("--data DIR", where)
        lines.append(el("li", step.text, command_box(command) if command else None))
    quiet = f"holdfast alerts silence {quote(alert.key)} --for 2h --why '...'"
    lines.append(el("li", "Known, and being worked on? Have nobody told:", command_box(quiet)))
    return el("ol", lines, class_="do")


def _silences(view: AlertsView) -> Markup | None:
    now_us = view.frame.now_us
    found = [each for each in view.report.book.silences if now_us < each.until_us]
    told = "A silence stops the messages, never this page, and is itself an event in the trail."
    if not found:
        return el("p", told, class_="dim mt") if view.report.book.open else None
    rows: list[Sequence[Child]] = [
        (
            mono(each.match),
            clock(each.until_us, now_us),
            clip(each.by, 60),
            clip(each.why, 200),
        )
        for each in found
    ]
    heads = ("Of alerts", "Until, UTC", "By", "Why")
    return join([head("Silences", told), table("Silences", heads, rows)])


def _past(view: AlertsView) -> Markup:
    events = el("a", "As events of the trail", href=EVENTS, class_="b")
    past = view.report.book.past
    if not past:
        return head("Past", "None that this server remembers.", events)
    told = "What was wrong, and is over."
    if len(past) > PAST_SHOWN:
        told = f"The last {PAST_SHOWN} of {len(past)} that this server remembers."
    rows = [_row(each, view.frame.now_us) for each in past[:PAST_SHOWN]]
    heads = ("Opened, UTC", "Lasted", "Severity", "What", "As it was last seen")
    return join([head("Past", told, events), table("Past alerts", heads, rows)])


def _row(alert: Alert, now_us: int) -> Sequence[Child]:
    return (
        el("span", clock(alert.opened_us, now_us), class_="m nw"),
        el("span", span(alert.resolved_us - alert.since_us), class_="nw"),
        alert.severity,
        alert.title,
        clip(alert.summary, 160),
    )


def _ways_to_people(view: AlertsView) -> int:
    return sum(each.for_people for each in view.report.channels)


def _ways(view: AlertsView) -> Markup:
    rows: list[Sequence[Child]] = []
    for each in view.report.channels:
        how = state("held", "takes messages") if each.delivered else state("unk", "not tried yet")
        if each.failing_us:
            since = span(view.frame.now_us - each.failing_us)
            how = state("down", f"takes nothing for {since}: {clip(each.why, 200)}")
        rows.append((clip(each.channel, 80), how, f"{each.delivered:,}", f"{each.waiting:,}"))
    told = "Counted since this server started."
    if not _ways_to_people(view):
        told = (
            "Nobody is told: the settings name no Alertmanager and no service. "
            f"{DOCUMENT} says how."
        )
    heads = ("To", "State", ">Delivered", ">Waiting")
    return join([head("Where alerts go", told), table("Where alerts go", heads, rows)])
