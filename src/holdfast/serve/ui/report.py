"""The audit report of a period: one page, to be printed, that says how to check it without us.

It claims no more than was looked at for it: how far the trail is complete, how deep it was
verified and on which regions that rests, and what this page cannot say for its reader. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.keep.roster import Member
from holdfast.model import Completeness, Gap
from holdfast.read.checkpoints import Look
from holdfast.serve.ui import frame, verified
from holdfast.serve.ui.html import Child, Markup, clip, document, el, join
from holdfast.serve.ui.integrity import Lacking, time_box
from holdfast.serve.ui.parts import command_box, head, mono, table
from holdfast.serve.ui.symbols import SYMBOLS
from holdfast.serve.ui.words import Frame, Mood, counted, glyph, names, short
from holdfast.times import format_us
from holdfast.verify.findings import Depth, FindingKind, Report

VALUES_MAX: Final = 8
NOTES_MAX: Final = 20
GAPS_MAX: Final = 50


class Period(Struct, frozen=True):
    """[from_us, to_us)."""

    from_us: int
    to_us: int


class Values(Struct, frozen=True):
    """The most frequent values of a field. more: how many others there are; -1: not counted."""

    field: str
    counts: tuple[tuple[str, int], ...]
    more: int


class Figures(Struct, frozen=True):
    """Of the events whose time lies in the period, repeats counted once."""

    events: int
    values: tuple[Values, ...]


class ReportView(Struct, frozen=True, kw_only=True):
    """period: of the events' own times. received: when the segments were, that hold events of it;
    None: there are none. said: taken before anything else was asked. report: of a verification that
    was made for this page, of what was received then. where: the options that name the regions to
    a command. by: who made it."""

    version: str
    trail: str
    trail_name: str
    by: str
    made_us: int
    period: Period
    received: Period | None
    depth: Depth
    said: Completeness
    figures: Figures | Lacking
    report: Report | Lacking
    look: Look | Lacking
    members: Mapping[str, Member] | Lacking
    where: str

    @property
    def is_complete(self) -> bool:
        """Everything that was received in the period is known, but for declared gaps."""
        through = self.said.complete_through_us
        return through is not None and through >= self.period.to_us

    @property
    def began_us(self) -> int | None:
        """When the first node was admitted to the trail, as far as that is known."""
        if isinstance(self.members, Lacking):
            return None
        admitted = [member.certificate.certified_us for member in self.members.values()]
        return min(admitted, default=None)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Those that may hold events of the period: of what was received since it began."""
        return tuple(gap for gap in self.said.gaps if gap.to_us >= self.period.from_us)


def render(of: Frame, view: ReportView) -> bytes:
    """The page of the console."""
    links = [
        el("a", "Back to Integrity", class_="b", href="/integrity"),
        el("button", "Print", class_="b p js-only", type="button", data_print=True),
    ]
    body = el("div", el("p", links, class_="bar2"), sheet(view), class_="sheet")
    return frame.render(of, _title(view), body, current="/integrity")


def alone(view: ReportView, styles: str) -> bytes:
    """The same as a file of its own, which asks for nothing. styles: the console's sheet."""
    return document(
        f"{_title(view)} · Holdfast",
        SYMBOLS,
        el("main", el("div", sheet(view), class_="sheet")),
        head=join(
            [
                el("meta", name="viewport", content="width=device-width,initial-scale=1"),
                el("meta", name="color-scheme", content="light dark"),
                el("style", Markup(styles)),
            ]
        ),
    )


def ask(of: Frame, presets: Sequence[tuple[str, str]]) -> bytes:
    """The page that asks for the period. presets: (words, address)."""
    links = [el("a", words, class_="b", href=address) for words, address in presets]
    depth = el(
        "select",
        [el("option", words, value=each) for each, words in DEPTH_WORDS.items()],
        name="depth",
        aria_label="How deep",
    )
    form = el(
        "form",
        time_box("from"),
        time_box("to"),
        el("label", "verified by ", depth),
        el("button", "Make the report", class_="b p", type="submit"),
        action="/report",
        class_="bar2 vform",
    )
    told = (
        "One page to print: how much was recorded in a period, whether it is complete and "
        "unchanged, and how to check each of it without us. Times are UTC."
    )
    return frame.render(
        of,
        "Audit report",
        el("div", el("h1", "Audit report"), el("p", told), class_="hd"),
        el("p", links, class_="bar2"),
        el("section", form, class_="panel pad"),
        current="/integrity",
    )


DEPTH_WORDS: Final[Mapping[Depth, str]] = {
    "names": "names, roots, signatures",
    "bytes": "and every byte",
    "events": "and every event",
}


def _title(view: ReportView) -> str:
    return f"Audit report: trail {clip(view.trail_name, 40)}"


def sheet(view: ReportView) -> Markup:
    """All of it."""
    period = f"{_utc(view.period.from_us)} to {_utc(view.period.to_us)} UTC"
    made = f"Made {_utc(view.made_us)} UTC by {view.by}, Holdfast {view.version}, of the trail "
    return join(
        [
            el(
                "div",
                el("h1", f"{_title(view)}, {period}"),
                el("p", made, mono(view.trail), ". All of it can be checked without us."),
                class_="hd",
            ),
            _finding(view),
            table("Questions", ("Question", "Answer", "Rests on"), list(_questions(view))),
            _gaps(view),
            _figures(view),
            _findings(view),
            _checkpoints(view),
            _checking(view),
        ]
    )


# -- the finding ---------------------------------------------------------------------------------


def finding(view: ReportView) -> tuple[Mood, str, str]:
    """The page in a sentence: its mood, its first words, and the rest."""
    mood, first = _completeness(view)
    if isinstance(view.report, Lacking):
        worst: Mood = "unk" if mood in ("held", "behind") else mood
        return worst, first, f" It could not be verified: {view.report.why}."
    verdict, words, rest = verified.VERDICTS[view.report.verdict]
    if view.report.verdict != "good":
        return verdict, f"{words}:", f" {rest} Of the period: {first[:1].lower()}{first[1:]}"
    return mood, first, f" {words}, by {DEPTH_SAID[view.depth]}."


DEPTH_SAID: Final[Mapping[Depth, str]] = {
    "names": "its names, roots and signatures; no byte was read for this report",
    "bytes": "its names, roots and signatures, and every byte of what holds the period",
    "events": "its names, roots and signatures, and every byte and event of what holds the period",
}


def _completeness(view: ReportView) -> tuple[Mood, str]:
    through = view.said.complete_through_us
    if through is None:
        return "unk", "How far this is complete is not known."
    if through < view.period.from_us:
        return "behind", f"Nothing of this period is known to be complete; {_utc(through)} is."
    if not view.is_complete:
        return "behind", f"Complete through {_utc(through)} UTC, which is before the period's end."
    began = view.began_us
    if began is not None and began >= view.period.to_us:
        later = f"The trail began later, {_utc(began)} UTC:"
        return "behind", f"{later} of this period it holds what was brought in since."
    if view.gaps:
        lost = sum(gap.end - gap.start for gap in view.gaps)
        gaps = counted(len(view.gaps), "declared gap")
        return "behind", f"Complete but for {gaps} of {counted(lost, 'segment')}."
    if began is not None and began > view.period.from_us:
        return "held", f"Complete since the trail began, {_utc(began)} UTC."
    return "held", "Complete."


def _finding(view: ReportView) -> Markup:
    mood, first, rest = finding(view)
    said = el("p", glyph(mood), el("b", first), rest, class_="wl-say")
    return el("section", said, class_=f"wl is-{mood}", aria_label="Finding")


# -- questions -----------------------------------------------------------------------------------

Row = tuple[Child, Child, Child]


def _questions(view: ReportView) -> Iterator[Row]:
    yield _how_many(view)
    yield _how_complete(view)
    yield from _of_verification(view)
    yield _who(view)
    yield (
        "Was history rewritten before this?",
        "This page cannot say that for you. It follows from notes that you kept: none of them may "
        "contradict the checkpoints below.",
        "your notes, and the checkpoints below",
    )


def _how_many(view: ReportView) -> Row:
    what = "How many events?"
    if isinstance(view.figures, Lacking):
        return what, f"Not counted: {view.figures.why}.", ""
    rests = "their own times; where none was sent, when they were received. Repeats count once"
    return what, el("b", f"{view.figures.events:,}"), rests


def _how_complete(view: ReportView) -> Row:
    through = view.said.complete_through_us
    rests: list[Child] = ["no region could be listed"]
    if view.said.basis:
        listed = max(basis.listed_to_us for basis in view.said.basis)
        ids = [basis.region for basis in view.said.basis]
        rests = ["listings of ", names(ids), f", by {_utc(listed)} UTC"]
    if through is None:
        return "Is it complete?", "Not known.", rests
    began = view.began_us
    lead = "Yes" if view.is_complete else "Not to its end"
    if began is not None and began > view.period.from_us:
        lead = f"Only since the trail began, {_utc(began)}"
    told: list[Child] = [el("b", lead), f": through {_utc(through)} UTC"]
    if view.gaps:
        told.append(f", but for {counted(len(view.gaps), 'declared gap')}, below")
    return "Is it complete?", told, rests


class Asked(Struct, frozen=True):
    """What findings of some kinds answer. none: where there are none."""

    question: str
    kinds: frozenset[FindingKind]
    none: str


ASKED: Final = (
    Asked(
        "Was anything changed?",
        verified.kinds("corrupt", "forged", "false", "rewritten", "conflict"),
        "Nothing was found",
    ),
    Asked(
        "Is anything missing that must be there?",
        verified.kinds("hole", "cut_tail", "no_birth", "vanished"),
        "Nothing was found missing",
    ),
    Asked("Does a region lack copies?", verified.kinds("under_replicated"), "None of these does"),
    Asked(
        "Did anybody write who may not?",
        verified.kinds("uncertified", "retired"),
        "Nothing of theirs was found",
    ),
    Asked(
        "Is anything beside the trail?",
        verified.kinds("orphan", "foreign", "hidden"),
        "Nothing was found",
    ),
)


def _of_verification(view: ReportView) -> Iterator[Row]:
    report = view.report
    if isinstance(report, Lacking):
        yield "Was anything changed?", f"Not verified: {report.why}.", ""
        return
    rests = _rests(view, report)
    for asked in ASKED:
        found = [each for each in report.findings if each.kind in asked.kinds]
        left = sum(report.left_out.get(kind, 0) for kind in asked.kinds)
        told: Child = f"{asked.none}."
        if found:
            told = el("b", counted(len(found) + left, "finding") + ", below")
        elif not any(region.relied_on for region in report.regions):
            told = "Not known."
        yield asked.question, told, rests
        rests = "the same"


def _rests(view: ReportView, report: Report) -> Child:
    """What the verification looked at."""
    relied = [region.region for region in report.regions if region.relied_on]
    if not relied:
        return "no region could be relied on"
    rests: list[Child] = [f"the names of {counted(report.segments, 'segment')} in ", names(relied)]
    if report.depth != "names" and view.received is not None:
        times = f"{_utc(view.received.from_us)} to {_utc(view.received.to_us)}"
        read = f"the bytes of {report.deep_segments:,}, received {times}, which hold the period"
        rests += ["; ", read]
    return rests


def _who(view: ReportView) -> Row:
    what = "Who may write?"
    if isinstance(view.members, Lacking):
        return what, f"Not looked up: {view.members.why}.", ""
    retired = sum(member.retired is not None for member in view.members.values())
    told = counted(len(view.members), "node") + (f", {retired} of them retired" if retired else "")
    return what, told, "certificates under the trail's key, which hashes to the trail's id"


# -- what stands below ---------------------------------------------------------------------------


def _gaps(view: ReportView) -> Markup | None:
    if not view.gaps:
        return None
    rows = [
        (
            f"{_utc(gap.from_us)} to {_utc(gap.to_us)}",
            mono(short(gap.node), gap.node),
            f"{gap.start:,} to {gap.end - 1:,}",
            gap.cause,
        )
        for gap in view.gaps[:GAPS_MAX]
    ]
    heads = ("Received, UTC", "Node", "Segments", "Cause, as it was stated")
    return join([head("Declared gaps", "Known to be missing."), table("Gaps", heads, rows)])


def _figures(view: ReportView) -> Markup | None:
    if isinstance(view.figures, Lacking) or not view.figures.events:
        return None
    cells = [_values(values) for values in view.figures.values]
    return join([head("What was recorded"), el("div", cells, class_="g2")])


def _values(values: Values) -> Markup:
    if values.more < 0:
        many = "More different ones than are counted."
        return el("div", el("h3", values.field.capitalize()), el("p", many, class_="dim"))
    rows: list[Sequence[Child]] = [
        (clip(value, 80) or el("span", "none sent", class_="dim"), f"{count:,}")
        for value, count in values.counts
    ]
    more = el("p", f"and {values.more:,} others", class_="dim") if values.more else None
    return el("div", table(values.field, (values.field.capitalize(), ">Events"), rows), more)


def _findings(view: ReportView) -> Markup | None:
    if isinstance(view.report, Lacking):
        return None
    title = head("What the verification found")
    received = view.received or Period(0, 0)
    of = verified.Verified(view.report, received.from_us, received.to_us)
    return join([title, verified.facts(of, view.made_us)])


def _checkpoints(view: ReportView) -> Markup:
    told = (
        "Signed by each node; each commits to every event before it. Whoever keeps this page keeps "
        "them: no later history may contradict them."
    )
    title = head("Checkpoints", told)
    if isinstance(view.look, Lacking):
        return join([title, el("p", f"Not looked up: {view.look.why}.", class_="note unk")])
    newest = list(view.look.newest.values())
    notes = [
        el("pre", each.note.decode(), class_="code", tabindex=0) for each in newest[:NOTES_MAX]
    ]
    left = len(newest) - NOTES_MAX
    more = el("p", f"and {left:,} more nodes: holdfast checkpoint") if left > 0 else None
    conflicts = [
        el("p", el("b", f"Node {node} signed two stories of one size."), class_="note down")
        for node in view.look.conflicts
    ]
    none = None if newest else el("p", "None yet: nothing was sealed.", class_="dim")
    return join([title, conflicts, el("div", notes, class_="stack"), more, none])


def _checking(view: ReportView) -> Markup:
    """The commands: with the trail's id from elsewhere, and regions or copies of enough of them."""
    times = _options(view.period)
    deep = f" {_options(view.received)} --depth events" if view.received else ""
    told = (
        "With the trail's id from your own records, and the regions themselves or a copy of enough "
        "of them; no server, and no key. Exit codes: 0 good, 1 refuted, 3 could not look, 4 "
        "incomplete."
    )
    steps = (
        (
            "All that is claimed above, from the bytes, and against notes that you kept:",
            f"holdfast verify {view.where} --trail {view.trail}{deep} --expect NOTES",
        ),
        (
            "How many events, and through when they are complete:",
            f"holdfast search {view.where} {times} --count",
        ),
        (
            "One event, with nothing but its proof and the trail's id:",
            f"python -m holdfast.proof check EVENT.proof --trail {view.trail}",
        ),
        ("This report again:", f"holdfast report {view.where} {times} -o report.html"),
    )
    lines = [el("li", words, command_box(command)) for words, command in steps]
    return join([head("How to check this without us", told), el("ol", lines, class_="do")])


def _options(period: Period) -> str:
    times = [format_us(us).replace(".000000Z", "Z") for us in (period.from_us, period.to_us)]
    return f"--from {times[0]} --to {times[1]}"


def _utc(us: int) -> str:
    """Day and time; whole minutes without seconds."""
    text = format_us(us)
    return f"{text[:10]} {text[11:16]}" if us % 60_000_000 == 0 else f"{text[:10]} {text[11:19]}"
