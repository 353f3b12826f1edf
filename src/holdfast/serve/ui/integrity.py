"""The page of integrity: what was looked at and found, signed heads, keys, repairs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.keep.keeper import Reconciliation
from holdfast.keep.repair import Finding
from holdfast.keep.roster import Member
from holdfast.keep.scrub import ScrubReport
from holdfast.keep.witnesses import WitnessesReport
from holdfast.read.checkpoints import Look
from holdfast.read.fetch import CorruptCopy
from holdfast.serve.ui import frame
from holdfast.serve.ui.heat import DAYS, heat, legend
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.parts import command_box, head, mono, state, table
from holdfast.serve.ui.verified import VERDICTS, Verified, findings, reach
from holdfast.serve.ui.words import Frame, Mood, clock, counted, short, size
from holdfast.times import format_us
from holdfast.watch.advice import FINDING
from holdfast.watch.history import HOUR_US, Hour

FINDINGS_MAX: Final = 30
REPAIRS_MAX: Final = 20
NODES_MAX: Final = 40
GRAVE: Final = frozenset({"corrupt", "differs", "lost"})


class Lacking(Struct, frozen=True):
    """What could not be had, and why."""

    why: str


class IntegrityView(Struct, frozen=True, kw_only=True):
    """hours: what was kept of the last days, by when each began. survey, scrub: the last of this
    process; None before the first, and where nothing is written. corrupt: copies that reading came
    upon. where: see `CompletenessView`. url: how this server was called. verified: the last
    verification that was asked for here."""

    frame: Frame
    hours: Mapping[int, Hour]
    survey: Reconciliation | None
    scrub: ScrubReport | None
    corrupt: tuple[CorruptCopy, ...]
    look: Look | Lacking
    members: Mapping[str, Member] | Lacking
    witnesses: WitnessesReport | None
    scrub_period_days: int
    where: str
    url: str
    verified: Verified | None = None


def render(view: IntegrityView) -> bytes:
    """The whole page, in UTF-8."""
    told, small = standing(view)
    return frame.render(
        view.frame,
        "Integrity",
        el("div", el("h1", told), el("p", small), class_="hd"),
        forms(),
        _verified(view),
        _findings(view),
        _map(view),
        el(
            "div",
            el("div", _checkpoints(view), _witnesses(view), class_="stack"),
            el("div", _repairs(view), _keys(view), class_="stack"),
            class_="g2 mt",
        ),
        current="/integrity",
    )


# -- how it stands -------------------------------------------------------------------------------


def standing(view: IntegrityView) -> tuple[Markup, Markup]:
    """What the last survey, the last scrub and reading came to, and how far that reaches."""
    mood, told = _standing(view)
    return state(mood, told), join(list(_reach(view)))


def _standing(view: IntegrityView) -> tuple[Mood, str]:
    survey = view.survey
    grave = {(each.kind, each.region, each.key) for each in _grave(view)}
    if grave:
        lost = sum(kind == "lost" for kind, _, _ in grave)
        wrong = len(grave) - lost
        said = []
        if wrong:
            copies = "1 copy is" if wrong == 1 else f"{wrong} copies are"
            said.append(f"{copies} not what was stored, and never served")
        if lost:
            said.append(f"{lost} range{'s' if lost > 1 else ''} of segments in no region")
        return "down", "; ".join(said)
    if survey is None:
        return "unk", "Nothing has been compared since this server started"
    absent = [each.region for each in survey.regions if each.state != "ok"]
    lacking = [each.region for each in survey.regions if each.state == "ok" and each.lacking]
    if absent:
        those = "its" if len(absent) == 1 else "their"
        return "unk", f"{', '.join(absent)} could not be compared; {those} state is not known"
    if lacking:
        lack = "lacks" if len(lacking) == 1 else "lack"
        return "behind", f"{', '.join(lacking)} {lack} copies, which are being put there"
    if not survey.identical:
        return "behind", "The regions are not equal yet"
    return "held", "All regions hold the same, by names and sizes"


def _grave(view: IntegrityView) -> Iterator[Finding]:
    """What no repair mends, of surveys, of scrubs and of reading."""
    for report in (view.survey, view.scrub):
        if report is not None:
            yield from (each for each in report.findings if each.kind in GRAVE)
    for copy in view.corrupt:
        yield Finding("corrupt", copy.region, copy.key, "reading came upon it")


def _reach(view: IntegrityView) -> Iterator[Child]:
    now_us, survey, scrub = view.frame.now_us, view.survey, view.scrub
    if survey is not None:
        what = "over everything" if survey.whole else "from where all were last seen equal"
        yield f"Names and sizes were compared at {clock(survey.ended_us, now_us)}, {what}"
        whole = max((us for us, hour in view.hours.items() if hour.whole), default=None)
        if not survey.whole and whole is not None:
            yield f"; over everything in the hour of {clock(whole, now_us)[:-3]}"
        yield ". "
    period = f"Every byte is read once in {counted(view.scrub_period_days, 'day')}"
    if scrub is None:
        yield f"{period}; no share has been read since this server started. "
    elif not scrub.objects:
        yield f"{period}: the last share, by {clock(scrub.ended_us, now_us)}, held no object. "
    else:
        share = f"{scrub.objects:,} objects, {size(scrub.size_bytes)}"
        found = "none of them corrupt"
        if any(each.kind == "corrupt" for each in scrub.findings):
            found = "and corrupt copies are known"
        yield f"{period}: the last share, {share}, was read by {clock(scrub.ended_us, now_us)}, "
        yield f"{found}. "
    yield "Not looked at is not the same as broken."


# -- verify, and report --------------------------------------------------------------------------


def forms() -> Markup:
    """Verify now, and a report of a period: forms, whose answers are pages."""
    depth = el(
        "select",
        el("option", "names, roots, signatures", value="names"),
        el("option", "and every byte", value="bytes"),
        el("option", "and every event", value="events"),
        name="depth",
        aria_label="How deep",
    )
    verify = el(
        "form",
        el("label", "Verify ", depth),
        time_box("from"),
        time_box("to"),
        el("button", "Verify now", class_="b p", type="submit"),
        action="/integrity/verify",
        class_="bar2 vform",
        data_verify=True,
    )
    told = (
        "Reads the regions again, in a process of its own, with progress; it stops when you leave. "
        "Without a time, all of the trail."
    )
    report = el("p", el("a", "Audit report of a period, to print", class_="b", href="/report"))
    lines = (verify, el("p", told, class_="dim"), el("div", report, class_="mt"))
    return el("section", lines, class_="panel pad", id="verify")


def time_box(name: str) -> Markup:
    """A field for a time."""
    box = el(
        "input",
        name=name,
        size=17,
        placeholder="2026-01-31T00:00",
        aria_label=f"{name}: a time in UTC, or empty",
    )
    return el("label", f"{name} ", box)


def _verified(view: IntegrityView) -> Markup | None:
    """What the last verification found; it stays until the next one, or the server's end."""
    of, now_us = view.verified, view.frame.now_us
    if of is None:
        return None
    report = of.report
    mood, words, rest = VERDICTS[report.verdict]
    when = f"By {clock(report.ended_us, now_us)} UTC: "
    title = head("The last verification", [when, state(mood, words), ": ", rest])
    told = f"Checked: {reach(report.depth, of.from_us, of.to_us)}"
    found = findings(report) if report.findings else None
    return join([title, el("p", told, class_="dim"), found])


# -- the map -------------------------------------------------------------------------------------


def _map(view: IntegrityView) -> Markup:
    now_us = view.frame.now_us
    maps = [
        el(
            "div",
            el(
                "header",
                el("h3", region.id, class_="rg"),
                _map_state(region.id, view.hours),
            ),
            heat(region.id, view.hours, now_us),
        )
        for region in view.frame.regions
    ]
    told = (
        f"The last {DAYS} days by this server, a cell an hour of the clock (UTC). It is kept "
        "beside the cache and lost with it."
    )
    return join(
        [
            head("What was looked at", told),
            el(
                "section",
                el("div", maps, class_="pad g3 heatw"),
                legend(),
                class_="panel",
                aria_label="What was looked at per hour and region",
            ),
        ]
    )


def _map_state(region: str, hours: Mapping[int, Hour]) -> Markup:
    seen = [hour.regions[region] for hour in hours.values() if region in hour.regions]
    missed = sum(1 for each in seen if each.missed)
    if any(each.corrupt for each in seen):
        return state("down", "a corrupt copy")
    if not seen:
        return state("unk", "not looked at yet")
    if missed:
        return state("unk", f"away in {missed} hour{'s' if missed > 1 else ''}")
    return state("held", f"looked at in {len(seen)} hour{'s' if len(seen) > 1 else ''}")


# -- findings, repairs ---------------------------------------------------------------------------


def _findings(view: IntegrityView) -> Markup | None:
    found = dict.fromkeys(_grave(view))
    for report in (view.survey, view.scrub):
        found |= dict.fromkeys(report.findings if report else ())
    if not found:
        return None
    rows: list[Sequence[Child]] = [
        (
            state("down" if each.kind in GRAVE else "behind", each.kind),
            el("span", each.region, class_="rg"),
            [clip(each.reason, 240), el("small", clip(each.key, 200), class_="m dim3 key-of")],
            FINDING.get(each.kind, ""),
        )
        for each in list(found)[:FINDINGS_MAX]
    ]
    left = len(found) - FINDINGS_MAX
    return join(
        [
            head("Findings", "What a person should see to, of the last survey and the last scrub."),
            table("Findings", ("Finding", "Region", "What", "What to do"), rows),
            el("p", f"and {left:,} more", class_="dim") if left > 0 else None,
            command_box(f"holdfast reconcile {view.where}"),
        ]
    )


def _repairs(view: IntegrityView) -> Markup:
    now_us = view.frame.now_us
    rows: list[Sequence[Child]] = []
    for hour_us, hour in sorted(view.hours.items(), reverse=True):
        for id, seen in sorted(hour.regions.items()):
            if seen.repaired:
                when = hour.repaired_us if hour.repaired_us >= hour_us else hour_us + HOUR_US
                lacked = f"{id} lacked up to {seen.lacked:,} segments, {size(seen.lacked_bytes)}"
                done = f"{seen.repaired:,} objects copied there, all hash to their names"
                rows.append((mono(clock(when, now_us)), lacked, done))
    title = head("Repairs", "Only bytes that hash to their name are ever copied.")
    if not rows:
        none = "None in the days that are kept here."
        return el("div", title, el("p", none, class_="dim"))
    heads = ("When, UTC", "What was wrong", "What was done")
    return el("div", title, table("Repairs", heads, rows[:REPAIRS_MAX]))


# -- what is signed ------------------------------------------------------------------------------


def _checkpoints(view: IntegrityView) -> Markup:
    title = head("Checkpoints", "The newest of each node: it commits to every event before it.")
    if isinstance(view.look, Lacking):
        why = f"They could not be looked up: {view.look.why}."
        return el("div", title, el("p", why, class_="note unk"))
    look = view.look
    rows: list[Sequence[Child]] = []
    for node, newest in list(look.newest.items())[:NODES_MAX]:
        root = newest.checkpoint.root.hex()
        cosigned = look.cosigned.get(node)
        said: Child = "not cosigned"
        if cosigned is not None:
            said = f"through {cosigned.checkpoint.size:,}"
        if node in look.conflicts:
            said = state("down", "two stories")
        rows.append(
            (
                mono(short(node), node),
                f"{newest.checkpoint.size:,}",
                mono(short(root), root),
                said,
            )
        )
    heads = ("Node", ">Segments", "Root", "Witnessed")
    absent = [
        el("p", f"{id} was not asked: {clip(why, 160)}", class_="dim")
        for id, why in sorted(look.absent.items())
    ]
    keep = f"holdfast checkpoint --server {view.url} --trail {view.frame.trail} >> notes.ndjson"
    empty = el("p", "None yet: nothing was sealed.", class_="dim")
    told = el("p", "Keep them where we have no say; what follows can be held against them:")
    return el(
        "div",
        title,
        table("Checkpoints", heads, rows) if rows else empty,
        absent,
        el("div", told, command_box(keep), class_="mt"),
    )


def _witnesses(view: IntegrityView) -> Markup | None:
    report = view.witnesses
    if report is None:
        return None
    rows: list[Sequence[Child]] = []
    for each in report.witnesses:
        when = clock(each.cosigned_us, view.frame.now_us) if each.cosigned_us else "never"
        how = state("behind", clip(each.failed, 160)) if each.failed else state("held", "cosigns")
        rows.append((each.witness, f"{each.size:,}", mono(when), how))
    told = f"{report.quorum} must cosign; {report.cosigned} did the newest kept checkpoint."
    heads = ("Witness", ">Segments", "Last, UTC", "State")
    return el("div", head("Witnesses", told), table("Witnesses", heads, rows))


def _keys(view: IntegrityView) -> Markup:
    told = "Compare the trail's id with a copy from elsewhere; it vouches for the rest."
    title = head("Keys", told)
    trail = el("p", "trail ", mono(view.frame.trail))
    if isinstance(view.members, Lacking):
        why = f"The nodes could not be looked up: {view.members.why}."
        return el("div", title, trail, el("p", why, class_="note unk"))
    members = list(view.members.values())
    rows = [_member(each) for each in members[:NODES_MAX]]
    heads = ("Node: hash of its key", "Certified", ">Epoch", "State")
    left = len(members) - NODES_MAX
    more = el("p", f"and {left:,} more: holdfast keys show", class_="dim") if left > 0 else None
    keys = el("div", table("Keys", heads, rows), class_="mt") if rows else None
    return el("div", title, trail, keys, more)


def _member(member: Member) -> Sequence[Child]:
    certified = format_us(member.certificate.certified_us)[:16].replace("T", " ")
    how: Child = state("held", "may write")
    if member.retired is not None:
        how = state("none", "retired")
    elif member.closed:
        how = state("none", "epoch closed")
    return mono(short(member.node), member.node), certified, f"{member.epoch}", how
