"""What a verification came to: the verdict in a sentence, regions, findings. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.parts import mono, state, table
from holdfast.serve.ui.words import Mood, clock, counted, glyph, names, short, span
from holdfast.times import format_us
from holdfast.verify.findings import Depth, Finding, FindingKind, Report, Verdict
from holdfast.watch.advice import FINDING

FINDINGS_SHOWN_MAX: Final = 50

VERDICTS: Final[Mapping[Verdict, tuple[Mood, str, str]]] = {
    "good": (
        "held",
        "What is there is what was written",
        "and nothing that must be there is missing.",
    ),
    "refuted": ("down", "Refuted", "something was changed, is corrupt, or contradicts itself."),
    "unchecked": (
        "unk",
        "It could not be checked",
        "too few regions could be looked at, or not all in them read.",
    ),
    "incomplete": ("down", "Incomplete", "something that must be there is missing."),
}
DEPTHS: Final[Mapping[Depth, str]] = {
    "names": "names, sizes, roots and signatures",
    "bytes": "names, roots, signatures, and every byte against the hash in its name",
    "events": "names, roots, signatures, every byte, and every event against its leaf",
}
MEANS: Final[Mapping[FindingKind, str]] = {
    "corrupt": "a copy contradicts its name, or a note its signature",
    "forged": "a segment that its node did not sign",
    "retired": "beyond what the trail's key states to be legitimate of that node",
    "false": "signed, and what it says of its own records is not so",
    "rewritten": "the names give another root than was signed once",
    "conflict": "two segments for one place, or two ends of one epoch",
    "uncertified": "of a node that the trail never admitted",
    "unreadable": "it was listed and cannot be read, or the region cannot",
    "vanished": "it was listed and is gone",
    "hole": "segments that must exist are in no region",
    "cut_tail": "the end of a ledger is in no region",
    "no_birth": "no record of the epoch's beginning is good",
    "unproven": "a signed root that cannot be recomputed: names before it are missing",
    "gap": "declared lost, under the trail's key",
    "retained": "let go by a rule of retention, as a signed floor says",
    "under_replicated": "a region lacks a copy; it is given one",
    "hidden": "a delete marker or a newer version lies over it; it is read all the same",
    "orphan": "beyond its epoch's end: never acknowledged, not in the trail",
    "foreign": "not a name of ours",
    "unused": "a region that was not relied on",
}
_STRANGE: Final = "Change nothing, keep copies of all regions, find out who wrote."
DO: Final[Mapping[FindingKind, str]] = {
    **dict.fromkeys(("forged", "retired", "false", "rewritten", "conflict"), _STRANGE),
    **dict.fromkeys(("uncertified", "no_birth", "unproven"), _STRANGE),
    **dict.fromkeys(("hole", "cut_tail"), FINDING["lost"]),
    **dict.fromkeys(("gap", "orphan", "retained"), "Nothing."),
    "under_replicated": "Nothing: it is copied within half a minute, where a server runs.",
    "unused": "Bring the region back, or wait until it is whole; then verify again.",
    **{kind: FINDING[kind] for kind in ("corrupt", "unreadable", "vanished", "hidden", "foreign")},
}


def kinds(*named: FindingKind) -> frozenset[FindingKind]:
    """Some of them."""
    return frozenset(named)


HARMLESS: Final = frozenset[FindingKind](
    {"gap", "retained", "under_replicated", "orphan", "foreign", "unused"}
)


class Verified(Struct, frozen=True):
    """A report, and what its bytes were read of. from_us, to_us: when that was received."""

    report: Report
    from_us: int | None = None
    to_us: int | None = None


def reach(depth: Depth, from_us: int | None, to_us: int | None) -> str:
    """How deep a verification goes, and of what."""
    told = f"{DEPTHS[depth]}."
    if depth == "names" or (from_us is None and to_us is None):
        return told
    start = format_us(from_us)[:19] if from_us is not None else "the first"
    end = format_us(to_us)[:19] if to_us is not None else "the last"
    return f"{told} Bytes only of what was received from {start} to {end}."


def verdict(report: Report) -> Markup:
    """The sentence. It says no more than was looked at."""
    mood, head, rest = VERDICTS[report.verdict]
    relied = [region.region for region in report.regions if region.relied_on]
    said: list[Child] = [glyph(mood), el("b", head), ": ", rest]
    if mood == "held":
        said = [glyph(mood), el("span", el("b", head), class_="held"), ", ", rest]
        gaps = sum(finding.kind == "gap" for finding in report.findings)
        if gaps:
            said.append(" Declared gaps aside: they are known to be missing.")
    if relied:
        said += [" It rests on ", "region " if len(relied) == 1 else "regions ", names(relied), "."]
    return el(
        "section",
        el("p", said, class_="wl-say"),
        class_=f"wl is-{mood}",
        aria_label="Verdict",
    )


def fragment(of: Verified, now_us: int) -> Markup:
    """All of it, to stand in a page."""
    return el("section", verdict(of.report), facts(of, now_us), id="verified", class_="vdone")


def facts(of: Verified, now_us: int) -> Markup:
    """What was looked at, how far, and what was found."""
    report = of.report
    took = span(report.ended_us - report.started_us)
    looked = f"{clock(report.started_us, now_us)} to {clock(report.ended_us, now_us)} UTC, {took}."
    ledgers = ", ".join(
        (
            counted(report.nodes, "ledger"),
            counted(report.segments, "segment"),
            counted(report.events, "event"),
        )
    )
    pending = f"{counted(report.pending, 'newer segment')} not promised yet"
    read = f"a good copy of {counted(report.deep_segments, 'segment')} was read"
    events = f"{counted(report.deep_events, 'event')} checked by their records"
    told = (
        (ledgers, True),
        (read, report.depth != "names"),
        (events, report.depth == "events"),
        (pending, report.pending),
    )
    figures = "; ".join(words for words, counts in told if counts)
    rows: list[Sequence[Child]] = [
        (
            el("span", each.region, class_="rg"),
            state("held", "looked at") if each.relied_on else state("unk", "not relied on"),
            f"{each.objects:,}",
            "" if each.state == "ok" else clip(each.state, 200),
        )
        for each in report.regions
    ]
    heads = ("Region", "State", ">Objects listed", "Why")
    return join(
        [
            el(
                "p",
                f"Checked: {reach(report.depth, of.from_us, of.to_us)} {looked} {figures}.",
                class_="dim",
            ),
            el("div", table("Regions that were looked at", heads, rows), class_="mt"),
            findings(report),
        ]
    )


def findings(report: Report) -> Markup:
    """What was found, the gravest first; that nothing was is said too."""
    if not report.findings:
        return el("p", state("held", "No finding."), class_="mt")
    shown = report.findings[:FINDINGS_SHOWN_MAX]
    left = len(report.findings) - len(shown) + sum(report.left_out.values())
    more = el("p", f"and {left:,} more: see ", mono("holdfast verify --json"), class_="dim")
    heads = ("Finding", "Where", "What", "What to do")
    rows = [_line(each) for each in shown]
    return join([el("div", table("Findings", heads, rows), class_="mt"), more if left else None])


def _line(finding: Finding) -> Sequence[Child]:
    mood = "none" if finding.kind in HARMLESS else "down"
    where: list[Child] = []
    if finding.region:
        where += ["region ", el("span", finding.region, class_="rg"), " "]
    if finding.node:
        where += ["node ", mono(short(finding.node), finding.node), " "]
    if finding.start is not None and finding.end is not None:
        last = max(finding.start, finding.end - 1)
        where.append(
            f"segment {last:,}" if last == finding.start else f"{finding.start:,} to {last:,}"
        )
    means = MEANS[finding.kind]
    told = f"{means[:1].upper()}{means[1:]}: {clip(finding.reason, 300)}"
    key = el("small", clip(finding.key, 200), class_="m dim3 key-of") if finding.key else None
    return state(mood, finding.kind.replace("_", " ")), where, [told, key], DO[finding.kind]
