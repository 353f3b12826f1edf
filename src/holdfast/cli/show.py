"""`holdfast show`: everything that is known under one id."""

from typing import Annotated

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.exits import BAD_INPUT, GOOD
from holdfast.cli.options import Where
from holdfast.cli.source import decode, open_source, rejected


def show(
    id: Annotated[str, Argument(help="The event's id.")],
    where: Where,
    tenant: Annotated[str | None, Option(help="Of this tenant only.")] = None,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Show an event in full. Two events that differ under one id are both shown."""
    if not id:
        raise rejected("ID", "is empty: every event has an id")
    parameters = {} if tenant is None else {"tenant": tenant}
    with open_source(where) as source:
        answer = source.show(id, parameters)
    found = decode(answer)
    if json:
        printer.machine(answer)
    else:
        for event in found["events"]:
            printer.event_in_full(event)
        printer.statement(found)
    if not found["events"]:
        printer.failure(f"there is no event with the id {id}")
        return BAD_INPUT
    return GOOD
