"""`holdfast proof`: a file with which anyone can check that an event is in the trail."""

from typing import Annotated

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Where
from holdfast.cli.source import open_source, rejected


def proof(
    id: Annotated[str, Argument(help="The event's id.")],
    where: Where,
    tenant: Annotated[str | None, Option(help="Of this tenant; '' for none.")] = None,
    node: Annotated[str, Option(help="In this node's ledger, as `show` has it.")] = "",
    position: Annotated[int | None, Option(min=0, help="At this position there.")] = None,
) -> int:
    """Print a proof that an event is in the trail: `holdfast proof ID > FILE`.

    Whoever gets the file runs `python -m holdfast.proof check FILE --trail TRAIL`, and needs
    nothing else of ours, no key, and no server.
    """
    if not id:
        raise rejected("ID", "is empty: every event has an id")
    asked = {"tenant": tenant, "node": node or None, "position": position}
    parameters = {name: str(value) for name, value in asked.items() if value is not None}
    with open_source(where) as source:
        printer.machine(source.proof(id, parameters).removesuffix(b"\n"))
    return GOOD
