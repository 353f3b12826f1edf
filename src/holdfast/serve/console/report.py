"""What an audit report rests on: the statement, counts, a verification, checkpoints, keys.

The server makes it for /report, the command line straight from the regions: the same view.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

from holdfast import __version__
from holdfast.errors import HoldfastError, Problem, RejectedError
from holdfast.keep.roster import look_for_nodes
from holdfast.model import Query
from holdfast.read.reader import Reader
from holdfast.serve.console.asking import in_time
from holdfast.serve.console.completeness import where_of
from holdfast.serve.console.verifying import Verifier
from holdfast.serve.faces import Faces
from holdfast.serve.ui import report
from holdfast.serve.ui.integrity import Lacking
from holdfast.serve.ui.report import Figures, Period, ReportView, Values
from holdfast.serve.ui.words import DAY_US, Frame
from holdfast.times import format_us
from holdfast.verify.findings import Depth, Report
from holdfast.verify.run import Question
from holdfast.wiring import System

VERIFY_SECONDS: Final = 45.0  # the page is to be there within a minute
ASK_SECONDS: Final = 20.0
FIELDS: Final = ("outcome", "tenant", "action", "actor")


class Asked(NamedTuple):
    """What a report is of: a period, when what holds it was received, how deep to verify that."""

    period: Period
    received: Period | None
    depth: Depth


def period_of(question: Question) -> Period:
    """The period that is asked for.

    Raises:
        RejectedError: it has no end, or ends before it begins.
    """
    lacking = [
        Problem(0, name, "is missing")
        for name, us in (("from", question.from_us), ("to", question.to_us))
        if us is None
    ]
    if question.from_us is None or question.to_us is None:
        raise RejectedError("bad-parameter", *lacking)
    if question.to_us <= question.from_us:
        raise RejectedError("bad-parameter", Problem(0, "to", "is not after `from`"))
    return Period(question.from_us, question.to_us)


def presets(now_us: int) -> tuple[tuple[str, str], ...]:
    """Periods that are asked for most: (words, address)."""
    today = now_us // DAY_US * DAY_US
    month = _first_of_month(today)
    before = _first_of_month(month - DAY_US)
    named = (
        ("Yesterday", today - DAY_US, today),
        ("The last 7 days", today - 7 * DAY_US, today),
        ("The last month", before, month),
    )
    return tuple(
        (f"{words}, {_day(start)} to {_day(end)}", f"/report?from={_day(start)}&to={_day(end)}")
        for words, start, end in named
    )


async def as_page(
    faces: Faces, frame: Frame, verifier: Verifier, asked: Asked
) -> AsyncIterator[bytes]:
    """The page in one piece; closed when its reader leaves, which ends the verification."""
    found = await _verified(verifier, narrowed(asked))
    by = f"node {frame.node}" if frame.node else "a server that only reads"
    where = where_of(faces.system.settings)
    view = await view_of(faces.system, asked, found, where=where, by=by)
    yield report.render(frame, view)


async def asked_of(system: System, question: Question) -> Asked:
    """What is asked for. What holds events of a period may have been received much later.

    Raises:
        RejectedError: as `period_of`. HoldfastError: it cannot be looked up.
    """
    period = period_of(question)
    found = await system.reader.received(period.from_us, period.to_us)
    return Asked(period, Period(*found) if found else None, question.depth)


def narrowed(asked: Asked) -> Question:
    """The verification of what holds the period; of names alone, where nothing does."""
    if asked.received is None:
        return Question(depth="names")
    return Question(asked.depth, from_us=asked.received.from_us, to_us=asked.received.to_us)


async def view_of(
    system: System, asked: Asked, found: Report | Lacking, *, where: str, by: str
) -> ReportView:
    """The view. found: by a verification that was just made."""
    period, said = asked.period, system.reader.completeness()
    figures, look, members = await asyncio.gather(
        in_time(ASK_SECONDS, _figures(system.reader, period)),
        in_time(ASK_SECONDS, system.checkpoints.look()),
        in_time(ASK_SECONDS, look_for_nodes(system.regions)),
    )
    return ReportView(
        version=__version__,
        trail=system.regions.trail,
        trail_name=system.regions.trail_name,
        by=by,
        made_us=system.host.now_us(),
        period=period,
        received=asked.received,
        depth=asked.depth,
        said=said,
        figures=figures,
        report=found,
        look=look,
        members=members,
        where=where,
    )


async def _verified(verifier: Verifier, question: Question) -> Report | Lacking:
    try:
        async with aclosing(verifier.run(question, VERIFY_SECONDS)) as coming:
            async for said in coming:
                if isinstance(said, Report):
                    return said
    except HoldfastError as error:
        return Lacking(str(error))
    return Lacking("it ended without a report")


async def _figures(reader: Reader, period: Period) -> Figures:
    query = Query(from_us=period.from_us, to_us=period.to_us)
    count = (await reader.count(query)).count
    return Figures(count, tuple([await _values(reader, query, field) for field in FIELDS]))


async def _values(reader: Reader, query: Query, field: str) -> Values:
    try:
        groups = (await reader.count(query, (field,))).groups
    except RejectedError:  # more values than can be counted
        return Values(field, (), -1)
    shown = tuple((values[0], count) for values, count in groups[: report.VALUES_MAX])
    return Values(field, shown, len(groups) - len(shown))


def _first_of_month(us: int) -> int:
    day = int(format_us(us)[8:10])
    return us - (day - 1) * DAY_US


def _day(us: int) -> str:
    return format_us(us)[:10]
