"""`holdfast status`: how the trail, its regions and this node are."""

from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Where
from holdfast.cli.source import decode, open_source


def status(
    where: Where, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """Say how the trail, its regions and the node are."""
    with open_source(where) as source:
        answer = source.status()
    if json:
        printer.machine(answer)
    else:
        printer.tree(decode(answer))
    return GOOD
