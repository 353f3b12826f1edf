"""`holdfast tail`: events as they become known."""

from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Filters, Where
from holdfast.cli.source import decode, open_source


def tail(
    where: Where,
    filters: Filters,
    ndjson: Annotated[
        bool, Option("--ndjson", "--json", help="Events, a line each, as a search has them.")
    ] = False,
) -> int:
    """Follow the trail until interrupted."""
    with open_source(where) as source:
        for event in source.tail(filters.parameters()):
            if ndjson:
                printer.machine(event)
            else:
                printer.event_line(decode(event))
    return GOOD
