"""`holdfast completeness`: what is known to be there, and on what that rests."""

from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, INCOMPLETE
from holdfast.cli.options import Where
from holdfast.cli.source import decode, open_source

LASTING = ("hole", "unreadable", "conflict")


def completeness(
    where: Where, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """Say through when the trail is complete.

    Exit 4: a gap, a hole that nothing explains, a segment without a good copy, or nothing is known
    to be complete.
    """
    with open_source(where) as source:
        answer = source.completeness()
    said = decode(answer)
    if json:
        printer.machine(answer)
    else:
        for text in printer.statement_lines(said):
            printer.line(text)
    lasting = any(holding["kind"] in LASTING for holding in said["holding_back"])
    incomplete = said["complete_through"] is None or said["gaps"] or lasting
    return INCOMPLETE if incomplete else GOOD
