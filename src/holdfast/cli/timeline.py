"""Completeness drawn over time, a line a node. Pure.

What is known never looks larger than it is: a cell that is complete only in part is in flight, and
a gap of an instant still takes a cell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from holdfast.cli.marks import heading, statement
from holdfast.cli.printer import JsonObject, safe
from holdfast.serve.ui.words import DAY_US, clock, counted, short
from holdfast.times import format_us, parse_time

HOUR_US: Final = 3_600_000_000
CELLS_MIN: Final = 20
NODES_MAX: Final = 40  # more are counted

Cell = Literal["complete", "flight", "unknown", "gap"]
CELLS: Final[Mapping[Cell, tuple[str, str, str]]] = {
    "complete": ("█", "green", "known complete, also where it is empty"),
    "flight": ("░", "green", "in flight"),
    "gap": ("X", "bold red", "gap: known to be missing"),
    "unknown": ("?", "yellow", "unknown: nobody can say yet"),
}


@dataclass(frozen=True)
class Span:
    """From a time up to another, µs."""

    from_us: int
    to_us: int


@dataclass(frozen=True)
class Line:
    """A node. through_us: everything it received until then is known, outside the gaps; None:
    nothing is. waiting: what comes after that is not known, rather than on its way."""

    node: str
    through_us: int | None
    gaps: tuple[Span, ...]
    waiting: bool
    note: str


def page(
    said: JsonObject, others: Sequence[str] = (), last_us: int | None = None
) -> RenderableType:
    """The statement, and below it the drawing.

    Args:
        said: the answer of GET /v1/status.
        others: nodes that wrote, as far as they are known from elsewhere.
        last_us: how much of the time until now to draw; None: what there is to be seen.
    """
    now_us = parse_time(said["now"])
    lines = tuple(_lines(said, others))
    window = Span(now_us - last_us if last_us else _beginning(said, now_us), now_us)
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(max_width=24, overflow="fold")
    table.add_row("", _Axis(window), "")
    for line in lines[:NODES_MAX]:
        table.add_row(short(safe(line.node)), _Strip(line, window), Text(line.note, "dim"))
    parts: list[RenderableType] = [*statement(said, now_us), heading("Nodes", "times in UTC")]
    parts.append(table)
    if len(lines) > NODES_MAX:
        parts.append(Text(f"and {len(lines) - NODES_MAX} more nodes", "dim"))
    if not lines:
        parts.append(Text("None has written anything yet, as far as is known.", "dim"))
    return Group(*parts, _legend())


def cells_of(line: Line, window: Span, count: int) -> tuple[Cell, ...]:
    """A line's cells, from the beginning of the window to its end."""
    width_us = window.to_us - window.from_us
    edges = [window.from_us + width_us * index // count for index in range(count + 1)]
    return tuple(_cell(line, start, end) for start, end in pairwise(edges))


def _cell(line: Line, from_us: int, to_us: int) -> Cell:
    if any(gap.from_us < to_us and gap.to_us >= from_us for gap in line.gaps):
        return "gap"
    if line.through_us is not None and to_us <= line.through_us:
        return "complete"
    return "unknown" if line.waiting else "flight"


def _lines(said: JsonObject, others: Sequence[str]) -> Iterator[Line]:
    through = said["complete_through"]
    through_us = parse_time(through) if through else None
    here = {node["node"]: node for node in said["nodes"]}
    held = {each["node"]: each["kind"] for each in said["holding_back"]}
    gaps: dict[str, list[Span]] = {}
    for gap in said["gaps"]:
        found = Span(parse_time(gap["from"]), parse_time(gap["to"]))
        gaps.setdefault(gap["node"], []).append(found)
    for node in sorted({*here, *held, *gaps, *others} - {""}):
        waiting = node in held or "" in held or through_us is None
        own = tuple(gaps.get(node, ()))
        notes = []
        if node in here:
            notes.append(f"epoch {here[node]['epoch']}, {safe(here[node]['state'])}")
        if node in held:
            notes.append(f"holds back: {safe(held[node])}")
        if own:
            notes.append(counted(len(own), "gap"))
        yield Line(node, through_us, own, waiting, ", ".join(notes) or "nothing missing")


def _beginning(said: JsonObject, now_us: int) -> int:
    """An hour ago; earlier where a gap, or how far all is known, would else not be seen."""
    seen = [parse_time(gap["from"]) for gap in said["gaps"]]
    seen += [parse_time(said["complete_through"])] if said["complete_through"] else []
    first_us = min([now_us - HOUR_US * 9 // 10, *seen])
    return first_us - (now_us - first_us) // 9


def _legend() -> Text:
    text = Text("\n")
    for index, (glyph, style, meaning) in enumerate(CELLS.values()):
        text.append("  " if index else "").append(glyph, style).append(f" {meaning}", "dim")
    return text


class _Drawn:
    """Something that takes all the room that there is."""

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(CELLS_MIN, options.max_width)


class _Strip(_Drawn):
    """A node's line."""

    def __init__(self, line: Line, window: Span) -> None:
        self._line, self._window = line, window

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Text(no_wrap=True)
        for cell in cells_of(self._line, self._window, options.max_width):
            glyph, style, _ = CELLS[cell]
            text.append(glyph, style)
        yield text


class _Axis(_Drawn):
    """The times above the lines: where they begin, the middle, the end."""

    def __init__(self, window: Span) -> None:
        self._window = window

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from_us, to_us = self._window.from_us, self._window.to_us
        left, middle, right = (
            _label(us, to_us - from_us, to_us) for us in (from_us, (from_us + to_us) // 2, to_us)
        )
        room = options.max_width
        line = left.ljust(room)
        start = (room - len(middle)) // 2
        if start > len(left) and start + len(middle) < room - len(right):
            line = f"{line[:start]}{middle}{line[start + len(middle) :]}"
        yield Text(line[: room - len(right)] + right, "dim", no_wrap=True)


def _label(us: int, width_us: int, now_us: int) -> str:
    if width_us > 2 * DAY_US:
        return format_us(us)[:10]
    text = clock(us, now_us)
    return text if width_us < HOUR_US * 2 else text[:-3]
