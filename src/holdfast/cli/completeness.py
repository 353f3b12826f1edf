"""`holdfast completeness`: what is known to be there, and on what that rests."""

import re
from typing import Annotated, Any, Final

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, INCOMPLETE, text_of
from holdfast.cli.options import Where
from holdfast.cli.source import Source, decode, open_source, rejected
from holdfast.client import ClientError
from holdfast.errors import HoldfastError
from holdfast.model import LOSSES

UNITS_US: Final = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def completeness(
    where: Where,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
    last: Annotated[
        str,
        Option(metavar="WIDTH", help="Draw so much time, such as 15m, 24h or 30d (on a terminal)."),
    ] = "",
) -> int:
    """Say through when the trail is complete; on a terminal it is drawn, a line a node.

    Exit 4: a gap, a hole that nothing explains, a segment without a good copy, or nothing is known
    to be complete.
    """
    last_us = _width_us(last) if last else None
    with open_source(where) as source:
        if json:
            answer = source.completeness()
            printer.machine(answer)
            said = decode(answer)
        elif printer.is_terminal():
            said = _draw(source, last_us)
        else:
            said = decode(source.completeness())
            for text in printer.statement_lines(said):
                printer.line(text)
    lasting = any(holding["kind"] in LOSSES for holding in said["holding_back"])
    incomplete = said["complete_through"] is None or said["gaps"] or lasting
    return INCOMPLETE if incomplete else GOOD


def _draw(source: Source, last_us: int | None) -> dict[str, Any]:
    """Draw the status's statement, with the nodes that are known to the regions; returns it."""
    from holdfast.cli import screen, timeline
    from holdfast.proof import names

    said = decode(source.status())
    others: list[str] = []
    try:
        found = decode(source.checkpoints())["checkpoints"]
        others = [names.parse_ledger_origin(each["origin"])[1] for each in found]
    except (HoldfastError, ClientError, OSError) as error:
        printer.note(f"nodes elsewhere are not known: {printer.safe(text_of(error))}")
    screen.show(lambda wide: timeline.page(said, others, last_us))
    return said


def _width_us(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text, re.ASCII)
    if found is None:
        raise rejected("--last", "is a number and m, h or d, such as 24h")
    return int(found[1]) * UNITS_US[found[2]]
