"""`holdfast verify`: whether what the regions hold is what was written, and all of it."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from msgspec import to_builtins
from typer import Option

from holdfast.cli import printer
from holdfast.cli.crew import Hands, Workers, crew_of
from holdfast.cli.exits import GOOD, INCOMPLETE, REFUTED, UNREACHED
from holdfast.cli.options import Place
from holdfast.cli.place import read_trail_key, settings_of
from holdfast.cli.source import rejected
from holdfast.errors import HoldfastError, UnavailableError
from holdfast.proof import MalformedError, names
from holdfast.regions import Regions
from holdfast.regions.trailkey import KEY_FILE
from holdfast.serve.ui.asked import read_time
from holdfast.settings import Settings
from holdfast.times import format_us
from holdfast.verify.expect import Kept, parse_kept
from holdfast.verify.findings import Depth, Finding, Report, Verdict
from holdfast.verify.journal import Journal
from holdfast.verify.run import Means, Question, Verification

CODES: dict[Verdict, int] = {
    "good": GOOD,
    "refuted": REFUTED,
    "unchecked": UNREACHED,
    "incomplete": INCOMPLETE,
}
SHOWN_MAX = 50
SAID: dict[Verdict, str] = {
    "good": "GOOD: what is there is what was written, and nothing that must be there is missing",
    "refuted": "REFUTED: something was changed, is corrupt, or contradicts itself",
    "unchecked": "COULD NOT BE CHECKED: too few regions were looked at, or not all in them read",
    "incomplete": "INCOMPLETE: something that must be there is missing",
}


@dataclass(frozen=True)
class What:
    """What to verify."""

    depth: Annotated[
        str,
        Option(
            metavar="DEPTH", help="names (listings and notes), bytes (every object), or events."
        ),
    ] = "names"
    region: Annotated[
        list[str] | None,
        Option(metavar="ID", help="Only this region, which must answer. Repeatable."),
    ] = None
    from_: Annotated[
        str, Option("--from", metavar="TIME", help="Read only what was received at or after.")
    ] = ""
    to: Annotated[str, Option(metavar="TIME", help="Read only what was received before.")] = ""
    expect: Annotated[
        list[Path] | None,
        Option(metavar="FILE", help="Notes that were kept elsewhere. Repeatable."),
    ] = None
    trail: Annotated[
        str, Option(metavar="ID", help="The trail's id, known from elsewhere: 32 hex digits.")
    ] = ""


@dataclass(frozen=True)
class How(Hands):
    """How to go about it."""

    resume: Annotated[
        Path | None,
        Option(metavar="FILE", help="Keep here what was read, and go on from what is there."),
    ] = None


def verify(
    place: Place,
    what: What,
    how: How,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Verify what the regions hold, with no server alive. Changes and repairs nothing.

    Exit 1: something was changed or is corrupt. Exit 3: too few regions could be looked at, or one
    that was named could not. Exit 4: something that must be there is missing.
    """
    report = asyncio.run(report_on(settings_of(place.data, place.config), what, how))
    if json:
        printer.machine_object(report_object(report))
    else:
        _print(report)
    return CODES[report.verdict]


async def report_on(settings: Settings, what: What, how: How) -> Report:
    """Verify, and show how far it is."""
    from holdfast.wiring import PATIENT, real_host, real_regions

    question = question_of(what)
    with contextlib.ExitStack() as closing:
        host = closing.enter_context(real_host())
        regions = closing.enter_context(real_regions(settings, PATIENT))
        await _know_the_trail(regions, settings, what.trail)
        journal = None
        if how.resume is not None:
            journal = closing.enter_context(Journal(how.resume, regions.trail))
        crew = closing.enter_context(crew_of(how))
        workers = Workers(settings, crew) if crew else None
        bar = closing.enter_context(printer.progress("verifying", None))

        def progress(done: int, total: int) -> None:
            bar(done, f"{done} of {total} segments", total)

        return await Verification(regions, host, question, Means(workers, journal, progress)).run()


def question_of(what: What) -> Question:
    """The question.

    Raises:
        RejectedError: an option makes no sense; names it.
    """
    depths: dict[str, Depth] = {each: each for each in get_args(Depth)}
    if what.depth not in depths:
        raise rejected("--depth", f"is one of {', '.join(depths)}")
    return Question(
        depth=depths[what.depth],
        regions=tuple(dict.fromkeys(what.region or ())),
        expected=tuple(kept for path in what.expect or () for kept in _kept(path)),
        from_us=_time("--from", what.from_),
        to_us=_time("--to", what.to),
    )


def _time(option: str, text: str) -> int | None:
    try:
        return read_time(text) if text else None
    except ValueError as error:
        raise rejected(option, str(error)) from None


def _kept(path: Path) -> tuple[Kept, ...]:
    try:
        return parse_kept(path.read_bytes(), str(path))
    except OSError as error:
        raise rejected("--expect", f"{path} cannot be read: {error.strerror}") from None
    except MalformedError as error:
        raise rejected("--expect", f"{path}: {error}") from None


async def _know_the_trail(regions: Regions, settings: Settings, trail: str) -> None:
    """Which trail is meant: as asked, by the key that is here, or as most regions say."""
    if trail:
        try:
            regions.trail = names.check_id(trail)
        except MalformedError as error:
            raise rejected("--trail", str(error)) from None
    else:
        with contextlib.suppress(HoldfastError, OSError):  # the doctor says what is wrong with it
            regions.trail = read_trail_key(settings.data_path / KEY_FILE).trail
    await regions.verify()
    if not regions.trail:
        regions.refuse_mix_ups()
        told = "; ".join(f"{region.id}: {region.why_unverified}" for region in regions)
        raise UnavailableError(f"no region shows which trail this is ({told})")


def report_object(report: Report) -> dict[str, Any]:
    """The report as `--json` has it; docs/CLI.md says what is what."""
    whole: dict[str, Any] = to_builtins(report)
    started, ended = whole.pop("started_us"), whole.pop("ended_us")
    return {
        "verdict": whole.pop("verdict"),
        **whole,
        "started": format_us(started),
        "ended": format_us(ended),
    }


def _print(report: Report) -> None:
    rows = [
        (
            each.region,
            "yes" if each.relied_on else "no",
            f"{each.objects}",
            printer.safe(each.state),
        )
        for each in report.regions
    ]
    printer.table(("region", "relied on", "objects", "state"), rows)
    for finding in report.findings[:SHOWN_MAX]:
        printer.line(printer.safe(_line(finding)))
    more = len(report.findings) - SHOWN_MAX + sum(report.left_out.values())
    if more > 0:
        printer.line(f"and {more} more (--json shows up to 1000 of a kind)")
    printer.line(
        f"trail {report.trail}, depth {report.depth}: {report.nodes} ledgers, {report.segments} "
        f"segments, {report.events} events; {report.pending} segments beyond what is known for sure"
    )
    if report.depth != "names":
        read = f"{report.deep_segments} segments are good by their bytes"
        read += f", {report.deep_events} events by their records" if report.deep_events else ""
        earlier = f" ({report.resumed_segments} of them read by an earlier run)"
        printer.line(read + (earlier if report.resumed_segments else ""))
    if report.archived_units:
        printer.line(f"{report.archived_units} days or hours are archived")
    printer.line(SAID[report.verdict])


def _line(finding: Finding) -> str:
    place = f" in region {finding.region}" if finding.region else ""
    if finding.node:
        place += f", node {finding.node}"
    if finding.start is not None and finding.end is not None:
        last = max(finding.start, finding.end - 1)
        spread = (
            f"segment {last}" if finding.start == last else f"segments {finding.start} to {last}"
        )
        place += f", {spread}"
    key = f": {finding.key}" if finding.key else ""
    return f"{finding.kind}{place}{key}: {finding.reason}"
