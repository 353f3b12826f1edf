"""`holdfast reconcile`: survey every region by names and sizes, and copy to each what it lacks.

Archives first, unit by unit: a region that has one needs no segments of it. The survey then copies
what else there is, and says what a region lacks all the same.
"""

from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from holdfast.archive.archivist import ArchiveReport
from holdfast.cli import archive, printer
from holdfast.cli.exits import GOOD, INCOMPLETE, REFUTED, UNREACHED
from holdfast.cli.options import Place
from holdfast.errors import UnavailableError
from holdfast.keep.keeper import Reconciliation
from holdfast.times import format_us

if TYPE_CHECKING:
    from holdfast.cli.straight import Opened

CORRUPT = frozenset({"corrupt", "differs"})
UNKNOWN = frozenset({"unreadable", "vanished", "not-copied"})


def reconcile(
    place: Place,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Compare what all regions list, from the beginning, and repair what is missing.

    Names and sizes are compared; bytes are read only where sizes differ, or of what is copied. A
    server reads all bytes over its scrub period. An archive that a region lacks is copied where the
    trail's key is. Exit 1: a copy is corrupt. Exit 3: a region could not be reached, or still lacks
    something. Exit 4: a segment is in no region.
    """
    from holdfast.cli.straight import opened

    with opened(place.data, place.config) as found:
        copied = _copy_archives(found)
        report = found.run(found.system.keeper.reconcile(whole=True))
    if json:
        told = archive.report_object(copied) if copied else None
        printer.machine_object({**report_object(report), "archives": told})
    else:
        _print(report, copied)
    code = exit_code(report)
    return archive.exit_code(copied) if code == GOOD and copied else code


def _copy_archives(found: "Opened") -> ArchiveReport | None:
    """Give each region's archive what it lacks; None: nothing, or too little answers to know."""
    archivist = found.system.archivist
    try:
        if not found.run(archivist.lacking()):
            return None
        found.run(found.system.reader.pass_once())
        with archive.progress("copying archives") as progress:
            return found.run(archivist.copy(progress))
    except UnavailableError:
        return None  # the survey names the regions that do not answer


def exit_code(report: Reconciliation) -> int:
    """Refuted before unreached before incomplete before good."""
    kinds = {finding.kind for finding in report.findings}
    if kinds & CORRUPT:
        return REFUTED
    if kinds & UNKNOWN or any(each.state != "ok" or each.lacking for each in report.regions):
        return UNREACHED
    if "lost" in kinds:
        return INCOMPLETE
    return GOOD if report.identical else UNREACHED


def report_object(report: Reconciliation) -> dict[str, Any]:
    """The report as `--json` has it; docs/API.md says what is what."""
    return {
        "started": format_us(report.started_us),
        "ended": format_us(report.ended_us),
        "identical": report.identical,
        "regions": [
            {
                "region": each.region,
                "state": each.state,
                "objects": each.objects,
                "lag_segments": each.lag_segments,
                "lag_bytes": each.lag_bytes,
                "lag_oldest": format_us(each.oldest_us) if each.oldest_us else None,
                "repaired": each.repaired,
                "lacking": each.lacking,
            }
            for each in report.regions
        ],
        "findings": [
            {"kind": each.kind, "region": each.region, "key": each.key, "reason": each.reason}
            for each in report.findings
        ],
    }


def _print(report: Reconciliation, copied: ArchiveReport | None) -> None:
    if copied:
        archive.print_report(copied)
    head = ("region", "state", "objects", "repaired", "still lacking")
    rows = [
        (
            each.region,
            printer.safe(each.state),
            f"{each.objects}",
            f"{each.repaired}",
            f"{each.lacking}",
        )
        for each in report.regions
    ]
    printer.table(head, rows)
    for finding in report.findings:
        where = f" in region {finding.region}" if finding.region else ""
        what = f"{finding.kind}{where}: {finding.key}: {finding.reason}"
        printer.line(printer.safe(what))
    printer.line("compared: names and sizes (a server reads all bytes, over scrub_period_days)")
    if report.identical:
        printer.line("every region lists every ledger in full, in copies of the same sizes")
    else:
        printer.line("the regions do NOT all hold everything that must be there")
