"""`holdfast status`: how the trail, its regions and this node are."""

from typing import Annotated, Any

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Where
from holdfast.cli.printer import safe
from holdfast.cli.source import decode, open_source


def status(
    where: Where, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """Say how the trail, its regions and the nodes are."""
    with open_source(where) as source:
        answer = source.status()
    if json:
        printer.machine(answer)
    else:
        _print(decode(answer))
    return GOOD


def _print(said: dict[str, Any]) -> None:
    trail, reader = said["trail"], said["reader"]
    printer.line(
        f"trail {safe(trail['id'])} ({safe(trail['name'])}): {trail['quorum']} regions must hold "
        f"an event, any {trail['needed']} show all that were acknowledged"
    )
    for reason in said["reasons"]:
        printer.line(f"NOT READY: {safe(reason)}")
    for node in said["nodes"]:
        _print_node(node)
    printer.line(
        f"known: {reader['events']} events in {reader['segments']} segments, of them "
        f"{reader['repeats']} repeats and {reader['conflicts']} conflicts"
    )
    for alarm in (*reader["alarms"], *reader["corrupt"], *reader["strays"]):
        printer.line(f"ALARM: {safe(alarm)}")
    for text in printer.statement_lines(said):
        printer.line(text)
    printer.line()
    head = ("region", "state", "usable", "lacks", "clock", "why")
    printer.table(head, [_region(region) for region in said["regions"]])


def _print_node(node: dict[str, Any]) -> None:
    printer.line(
        f"node {safe(node['node'])}, epoch {node['epoch']}: {safe(node['state'])}, "
        f"{node['events']} events in {node['segments']} segments acknowledged, "
        f"{node['waiting']['events']} waiting"
    )


def _region(region: dict[str, Any]) -> tuple[str, ...]:
    lag, offset = region["lag"], region["clock_offset_seconds"]
    lacks = f"{lag['segments']} segments, {lag['bytes']} bytes" if lag else "-"
    return (
        safe(region["region"]),
        safe(region["state"]),
        "yes" if region["usable"] else "no",
        lacks,
        "-" if offset is None else f"{offset:+.3f} s",
        safe(region["why"]) or "-",
    )
