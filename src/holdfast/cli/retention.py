"""`holdfast retention`: what rules let go, and why not yet."""

from typing import Annotated, Any

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, UNREACHED
from holdfast.cli.options import Where
from holdfast.cli.printer import safe
from holdfast.cli.source import decode, open_source


def plan(
    where: Where, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """Say what a run would delete now, and what is in the way of the rest. Nothing is changed."""
    with open_source(where) as source:
        answer = source.retention()
    return _said(answer, json, "to remove")


def run(
    where: Where,
    unit: Annotated[str, Option(metavar="UNIT", help="Only this day or hour; with --class.")] = "",
    retention: Annotated[str, Option("--class", help="Only this class of it.")] = "",
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Let go what rules say, and delete it in every region.

    Servers do so every hour. Exit 2: what is asked for is held. Exit 3: parts of what is let go
    stay somewhere, or a region could not be looked at; another run goes on.
    """
    with open_source(where) as source:
        answer = source.expire({"unit": unit, "class": retention})
    return _said(answer, json, "removed")


def _said(answer: bytes, json: bool, doing: str) -> int:
    said = decode(answer)
    if json:
        printer.machine(answer)
    else:
        _print(said, doing)
    stays = any(each["left"] for each in said["expiring"])
    return UNREACHED if stays or said["away"] or said["trouble"] else GOOD


def _print(said: dict[str, Any], doing: str) -> None:
    for rule in said["rules"]:
        kept = f"at most {rule['max']} days" if rule["max"] else "for ever"
        printer.line(f"class {safe(rule['class'])}: kept at least {rule['min']} days, {kept}")
    if not any(rule["max"] for rule in said["rules"]):
        printer.line("no rule has a max: nothing expires")
    found = said["expiring"]
    rows = [_row(each) for each in found if each["removed"] or each["left"] or each["why"]]
    if rows:
        printer.table(("unit", "class", "events", "bytes", "may go", doing, "why not"), rows)
    printer.line(f"classes of days or hours that have expired: {sum(e['floored'] for e in found)}")
    for id, why in said["away"].items():
        printer.line(f"{safe(id)} could not be looked at: {safe(why)}")
    if said["trouble"]:
        printer.line(safe(said["trouble"]))
    parts = sum(one["parts"] for each in said["expiring"] for one in each["removed"])
    printer.line(f"parts {doing}: {parts}; ages are counted by {safe(said['through'] or '-')}")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    removed = [f"{one['parts']} in {safe(one['region'])}" for one in each["removed"]]
    why = [*map(safe, each["why"])]
    why += [f"{safe(id)}: {safe(reason)}" for id, reason in each["left"].items()]
    return (
        *(safe(each["unit"]), safe(each["class"]), f"{each['rows']}", f"{each['bytes']}"),
        *(safe(each["due"] or "-"), ", ".join(removed) or "-", "; ".join(why) or "-"),
    )
