"""`holdfast report`: the audit report of a period, one page of HTML that asks for nothing."""

import asyncio
import sys
from contextlib import suppress
from importlib import resources
from pathlib import Path
from shlex import quote
from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import INCOMPLETE
from holdfast.cli.options import Place
from holdfast.cli.place import settings_of
from holdfast.cli.source import rejected
from holdfast.cli.straight import opened
from holdfast.cli.verify import CODES, How, What, question_of, report_on
from holdfast.serve.console.report import asked_of, narrowed, period_of, view_of
from holdfast.serve.ui import report as page
from holdfast.times import format_us
from holdfast.verify.run import Question


def report(
    from_: Annotated[
        str, Option("--from", metavar="TIME", help="Begins then (a day, or RFC 3339).")
    ],
    to: Annotated[str, Option(metavar="TIME", help="Ends before then.")],
    place: Place,
    how: How,
    depth: Annotated[
        str, Option(metavar="DEPTH", help="names, bytes or events; see `holdfast verify`.")
    ] = "bytes",
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="FILE", help="Write it there. (default: standard output)"),
    ] = None,
) -> int:
    """Write the audit report of a period: figures, findings, and how to check each without us.

    It verifies the regions for that, with no server alive, changes nothing, and exits as `holdfast
    verify` does; with 4 also where the period is not complete, or has a declared gap.
    """
    question = question_of(What(depth=depth, from_=from_, to=to))
    period_of(question)
    with opened(place.data, place.config) as there:
        there.run(there.system.reader.pass_once())
        asked = there.run(asked_of(there.system, question))
        what = _what(narrowed(asked))
        found = asyncio.run(report_on(settings_of(place.data, place.config), what, how))
        by = "`holdfast report`, straight from the regions"
        view = there.run(view_of(there.system, asked, found, where=_where(place), by=by))
    styles = resources.files("holdfast.serve.ui").joinpath("holdfast.css").read_text("utf-8")
    _write(out, page.alone(view, styles))
    printer.note("".join(page.finding(view)[1:]))
    code = CODES[found.verdict]
    return code or (0 if view.is_complete and not view.gaps else INCOMPLETE)


def _what(question: Question) -> What:
    """The same as options."""
    if question.from_us is None or question.to_us is None:
        return What(depth=question.depth)
    times = format_us(question.from_us), format_us(question.to_us)
    return What(depth=question.depth, from_=times[0], to=times[1])


def _where(place: Place) -> str:
    options = [
        f"--{name} {quote(str(value))}"
        for name, value in (("data", place.data), ("config", place.config))
        if value is not None
    ]
    return " ".join(options) or "--data holdfast-data"


def _write(out: Path | None, data: bytes) -> None:
    if out is None:
        with suppress(BrokenPipeError):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise rejected("--out", f"{out} cannot be written: {error.strerror}") from None
