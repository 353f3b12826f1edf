"""What the pages on a terminal share: signs, the statement, and what to do. Pure.

Whatever comes from an answer goes through `safe`, and is never read as markup.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.cli.printer import JsonObject, safe
from holdfast.model import LOSSES
from holdfast.serve.ui import advice
from holdfast.serve.ui.words import FRESH_US, clock, short, span
from holdfast.times import parse_time

Mood = Literal["held", "behind", "down", "unk"]

SIGNS: Final[dict[Mood, tuple[str, str]]] = {
    "held": ("✓", "green"),
    "behind": ("!", "yellow"),
    "down": ("✗", "bold red"),
    "unk": ("?", "dim"),
}
"""Glyph and colour: a state is never told by colour alone."""


def sign(mood: Mood, text: str) -> Text:
    """A state: glyph and words."""
    glyph, style = SIGNS[mood]
    return Text(f"{glyph} {text}", style)


def ago(time: str | None, now_us: int) -> str:
    """How long ago that was; "-": never."""
    return f"{span(now_us - parse_time(time))} ago" if time else "-"


def brief(us: int) -> str:
    """A duration in its largest unit alone, for a narrow column."""
    return " ".join(span(us).split()[:2])


def heading(title: str, lead: str = "") -> Text:
    """Of a part of the page, below an empty line."""
    return Text.assemble("\n", (title, "bold"), "  " if lead else "", (lead, "dim"))


def below(text: RenderableType, depth: int = 2) -> Padding:
    """Something that belongs to the line above it."""
    return Padding(text, (0, 0, 0, depth))


def to_do(text: str, command: str = "") -> Padding:
    """What to do about it, and with which command."""
    told = Text.assemble("→ ", (text, "italic"))
    return below(told.append(f"\n  {command}", "bold") if command else told, 4)


def _command(command: str, node: str) -> str:
    return command.format(where="--data DIR", node=safe(node) or "NODE")


def named(regions: Sequence[str]) -> str:
    """a, b and c."""
    *most, last = [safe(region) for region in regions] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


def columns(heads: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """An empty table without lines. numbers: heads of the columns that are aligned to the right."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for head in heads:
        right = head in numbers
        table.add_column(head, justify="right" if right else "left", no_wrap=head == "state")
    return table


def statement(said: JsonObject, now_us: int) -> Iterator[RenderableType]:
    """Through when everything is known, what holds that back, what to do, and the gaps."""
    yield _through(said, now_us)
    for holding in said["holding_back"]:
        node = f"node {short(safe(holding['node']))}: " if holding["node"] else ""
        age = span(now_us - parse_time(holding["since"]))
        yield below(sign("behind", f"held back for {age}: {node}{safe(holding['reason'])}"))
        known = advice.HOLDING.get(holding["kind"])  # a newer server may name another
        for step in known.steps if known else ():
            yield to_do(step.text.replace("`", ""), _command(step.command, holding["node"]))
    for gap in said["gaps"]:
        yield below(Group(*_gap(gap)))
    if any(holding["kind"] in LOSSES for holding in said["holding_back"]):
        yield below(sign("down", "Something acknowledged may be lost: delete nothing"))
    elif said["complete_through"] and not said["gaps"]:
        yield below(sign("held", "Nothing acknowledged is known to be lost"))


def _through(said: JsonObject, now_us: int) -> Text:
    through = said["complete_through"]
    if through is None:
        return sign("unk", "How far this is complete is not known: no region has shown enough yet")
    through_us = parse_time(through)
    age, when = now_us - through_us, clock(through_us, now_us, 3)
    mood: Mood = "behind" if said["holding_back"] or age > FRESH_US else "held"
    regions = [basis["region"] for basis in said["basis"]]
    word = "region" if len(regions) == 1 else "regions"
    rest = f", resting on {word} {named(regions)}" if regions else ", and no region can be read now"
    return sign(mood, f"Complete through {when} UTC, {span(age)} ago").append(rest, "default")


def _gap(gap: JsonObject) -> Iterator[Text]:
    yield sign(
        "down",
        f"GAP in node {short(safe(gap['node']))}: segments {gap['start']} up to {gap['end']}: "
        f"{safe(gap['cause'])}",
    )
    yield Text(f"  received {gap['from']} to {gap['to']}", "dim")
