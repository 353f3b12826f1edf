"""The archive page's questions: what was last seen of it, and which days there are."""

from typing import Final

from holdfast.regions import layout
from holdfast.regions.layout import ArchivedKey
from holdfast.restore.choice import days_of
from holdfast.restore.ranges import first_us
from holdfast.serve.console.asking import in_time
from holdfast.serve.console.completeness import where_of
from holdfast.serve.faces import Faces
from holdfast.serve.status import standing_of
from holdfast.serve.ui.archive import ArchiveView
from holdfast.serve.ui.words import Frame
from holdfast.watch.standing import Standing

DAYS_SECONDS: Final = 3.0


async def look(faces: Faces, frame: Frame) -> ArchiveView:
    """The page."""
    system = faces.system
    standing = standing_of(system, faces.writers())
    first = await in_time(DAYS_SECONDS, first_us(system.reader))
    return ArchiveView(
        frame=frame,
        days=days_of(first, frame.now_us) if isinstance(first, int) else (),
        shelves=standing.shelves,
        after_hours=system.settings.archive_after_hours,
        last=standing.archived,
        swept=standing.swept,
        restored=standing.restored,
        where=where_of(system.settings),
        rotten=_rotten(standing),
    )


def _rotten(standing: Standing) -> dict[str, frozenset[str]]:
    """The days of archives with an object that the last survey or scrub found corrupt."""
    found: dict[str, frozenset[str]] = {}
    reports = (standing.reconciled, standing.scrubbed)
    for finding in (each for report in reports if report for each in report.findings):
        key = layout.known_key(finding.key)
        if finding.kind == "corrupt" and isinstance(key, ArchivedKey):
            found[finding.region] = found.get(finding.region, frozenset()) | {key.day}
    return found
