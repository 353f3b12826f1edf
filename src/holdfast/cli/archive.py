"""`holdfast archive`: give every region an archive of the days that are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from typer import Option

from holdfast.archive.archivist import ArchiveReport, Archiving, Progress
from holdfast.cli import printer
from holdfast.cli.exits import GOOD, UNREACHED
from holdfast.cli.options import Place
from holdfast.regions.units import HOUR_US
from holdfast.times import format_us

AFTER_HOURS = 24


def archive(
    place: Place,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be done.")] = False,
    after: Annotated[
        int | None,
        Option(
            min=0,
            metavar="HOURS",
            help="How long after its end a day is due. (default: archive_after_hours, else 24)",
        ),
    ] = None,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Put days that are complete into the archive of every region, as Parquet with its evidence.

    Segments stay where they are. The trail's key must be at hand, which signs what is made. Exit 3:
    a region does not have all of it, or something that is needed cannot be read.
    """
    from holdfast.cli.straight import opened

    with opened(place.data, place.config) as found:
        archivist = found.system.archivist
        usual = found.system.settings.archive_after_hours or AFTER_HOURS
        hours = usual if after is None else after
        found.run(found.system.reader.pass_once())
        if dry_run:
            report = found.run(archivist.plan(hours * HOUR_US))
        else:
            with progress("archiving") as telling:
                report = found.run(archivist.archive(hours * HOUR_US, telling))
    if json:
        printer.machine_object(report_object(report))
    else:
        print_report(report, is_dry=dry_run)
    return exit_code(report, is_dry=dry_run)


@contextmanager
def progress(doing: str) -> Iterator[Progress]:
    """A line that says which unit is worked on."""
    with printer.progress(doing, None) as bar:
        yield lambda unit, what: bar(0, f"{unit}: {what}")


def exit_code(report: ArchiveReport, *, is_dry: bool = False) -> int:
    """Good where nothing is left to be done, or nothing was to be."""
    behind = not is_dry and any(each.lacking for each in report.units)
    behind |= bool(report.trouble or report.away or report.untabled)
    return UNREACHED if behind else GOOD


def report_object(report: ArchiveReport) -> dict[str, Any]:
    """The report as `--json` has it; docs/CLI.md says what is what."""
    return {
        "started": format_us(report.started_us),
        "ended": format_us(report.ended_us),
        "archived": report.archived,
        "waiting": report.waiting,
        "trouble": report.trouble,
        "away": dict(report.away),
        "untabled": dict(report.untabled),
        "units": [
            {
                "unit": each.unit,
                "segments": each.segments,
                "events": each.events,
                "parts": each.parts,
                "bytes": each.size_bytes,
                "regions": list(each.regions),
                "lacking": dict(each.lacking),
            }
            for each in report.units
        ],
    }


def print_report(report: ArchiveReport, *, is_dry: bool = False) -> None:
    """The report for a person."""
    if report.units:
        head = ("unit", "segments", "events", "parts", "bytes", "archived in", "lacking")
        printer.table(head, [_row(each, is_dry) for each in report.units])
    away = [f"{id} could not be looked at: {why}" for id, why in report.away]
    untabled = [
        f"the Iceberg table of {id} is not what it holds: {why}" for id, why in report.untabled
    ]
    for line in (*away, *untabled, report.trouble, report.waiting):
        if line:
            printer.line(printer.safe(line))
    printer.line(f"units in the archive of every region: {report.archived}")


def _row(each: Archiving, is_dry: bool) -> tuple[str, ...]:
    lacking = [id if is_dry else f"{id} ({why})" for id, why in each.lacking]
    made = (f"{each.parts}", f"{each.size_bytes}") if each.parts else ("-", "-")
    return (
        *(each.unit, f"{each.segments}", f"{each.events}", *made),
        *(", ".join(each.regions) or "-", printer.safe(", ".join(lacking)) or "-"),
    )
