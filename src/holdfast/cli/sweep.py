"""`holdfast sweep`: remove the small segments of a region that its own archive holds."""

from typing import Annotated, Any

from typer import Option

from holdfast.archive.sweep import SweepReport, Swept
from holdfast.cli import printer
from holdfast.cli.archive import progress
from holdfast.cli.exits import GOOD, UNREACHED
from holdfast.cli.options import Place
from holdfast.times import format_us

KEPT_DAYS = 7


def sweep(
    place: Place,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only say what would be removed; nothing is read back.")
    ] = False,
    kept: Annotated[
        int | None,
        Option(
            min=0,
            metavar="DAYS",
            help="How long segments stay once they are archived. "
            "(default: segments_kept_days, else 7)",
        ),
    ] = None,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Remove the segments of archived days, region by region.

    A region's archive of a day is read back whole, from that region, before any segment of it goes
    there; and W regions must have the day in their archives. Exit 3: some stay that could go, or a
    region could not be looked at.
    """
    from holdfast.cli.straight import opened

    with opened(place.data, place.config) as found:
        days = found.system.settings.segments_kept_days or KEPT_DAYS if kept is None else kept
        found.run(found.system.reader.pass_once())
        with progress("sweeping") as telling:
            report = found.run(found.system.sweeper.sweep(days, telling, is_dry=dry_run))
    if json:
        printer.machine_object(report_object(report))
    else:
        _print(report, dry_run)
    stays = any(each.left for each in report.swept)
    return UNREACHED if stays or report.trouble or report.away else GOOD


def report_object(report: SweepReport) -> dict[str, Any]:
    """The report as `--json` has it; docs/CLI.md says what is what."""
    return {
        "started": format_us(report.started_us),
        "ended": format_us(report.ended_us),
        "trouble": report.trouble,
        "away": dict(report.away),
        "swept": [
            {
                "unit": each.unit,
                "region": each.region,
                "segments": each.segments,
                "bytes": each.size_bytes,
                "left": each.left,
                "why": each.why,
            }
            for each in report.swept
        ],
    }


def _print(report: SweepReport, dry_run: bool) -> None:
    if report.swept:
        head = ("unit", "region", "to remove" if dry_run else "removed", "bytes", "left", "why")
        printer.table(head, [_row(each) for each in report.swept])
    away = [f"{id} could not be looked at: {why}" for id, why in report.away]
    for line in (*away, report.trouble):
        if line:
            printer.line(printer.safe(line))
    count = sum(each.segments for each in report.swept)
    printer.line(f"segments {'to remove' if dry_run else 'removed'}: {count}")


def _row(each: Swept) -> tuple[str, ...]:
    counted = (f"{each.segments}", f"{each.size_bytes}", f"{each.left}")
    return (each.unit, each.region, *counted, printer.safe(each.why) or "-")
