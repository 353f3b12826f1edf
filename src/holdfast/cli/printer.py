"""All that a command prints: answers on standard output, everything about them on standard error.

What a person reads here was written by strangers: control characters in it are shown as escapes,
so that no event can move the cursor, hide a line or speak to the terminal. What is meant for
programs (`--json`, `--ndjson`) is passed on byte for byte.
"""

import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

JsonObject = Mapping[str, Any]

_DANGEROUS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Progress(Protocol):
    """A bar on standard error, or nothing where that is no terminal."""

    def __call__(self, done: int, detail: str = "", total: int | None = None) -> None: ...


def is_terminal() -> bool:
    """Whether a person looks at what is printed."""
    return sys.stdout.isatty()


def machine(data: bytes) -> None:
    """A line for programs, as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def block(data: bytes) -> None:
    """Part of a file, as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def machine_object(value: object) -> None:
    """A JSON value for programs, on one line."""
    machine(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def line(text: str = "") -> None:
    """A line for a person. What is in it must have gone through `safe`, or be ours."""
    print(text)


def announce(text: str) -> None:
    """A line from a process that goes on: seen at once, through a pipe too."""
    print(text, flush=True)


def note(text: str) -> None:
    """Something about the answer, or on the way to it."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def failure(text: str) -> None:
    """Why the command failed."""
    note(f"holdfast: {safe(text)}")


def confirmed(question: str) -> bool:
    """Ask a person; whoever is not there says no."""
    note(f"{question} Type yes to go on:")
    try:
        return input().strip() == "yes"
    except EOFError:
        return False


def safe(value: object) -> str:
    """A value as text that cannot act on the terminal."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in _DANGEROUS:
        return character.encode("unicode_escape", "backslashreplace").decode()
    return character


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows in columns as wide as their widest cell; nothing is cut."""
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line("  ".join(padded).rstrip())


def events(found: Sequence[JsonObject]) -> None:
    """Events as a search shows them: newest first, a line each."""
    if not found:
        return
    head = ("time", "tenant", "actor", "action", "target", "outcome", "ip", "id")
    table(head, [_row(event) for event in found])


def event_line(event: JsonObject) -> None:
    """One event of a stream, as soon as it is there."""
    print("  ".join(_row(event)), flush=True)


def _row(event: JsonObject) -> tuple[str, ...]:
    actor, source = _member(event, "actor"), _member(event, "source")
    targets = [each.get("id") or each.get("name") for each in event.get("targets") or ()]
    mark = " (conflict)" if event.get("conflict") else ""
    cells = (
        event.get("time") or event.get("received"),
        event.get("tenant"),
        actor.get("id") or actor.get("name"),
        event.get("action"),
        ", ".join(str(target) for target in targets[:2]) + (", ..." if len(targets) > 2 else ""),
        event.get("outcome"),
        source.get("ip"),
        f"{event.get('id')}{mark}",
    )
    return tuple(safe(str(cell)) if cell else "-" for cell in cells)


def _member(event: JsonObject, name: str) -> JsonObject:
    value = event.get(name)
    return value if isinstance(value, Mapping) else {}


def event_in_full(event: JsonObject) -> None:
    """One event with everything that is in it."""
    text = json.dumps(event, ensure_ascii=False, indent=2)
    for part in text.split("\n"):
        line(safe(part))


def statement(answer: JsonObject) -> None:
    """The statement under an answer, on standard error beside it."""
    for text in statement_lines(answer):
        note(text)


def statement_lines(answer: JsonObject) -> Iterator[str]:
    """What an answer is complete through, on which regions that rests, and what holds it back."""
    through = answer.get("complete_through")
    regions = ", ".join(safe(basis["region"]) for basis in answer.get("basis", ()))
    if through is None:
        yield "complete through: unknown (no region has shown enough yet)"
    else:
        yield f"complete through {safe(through)}"
    yield f"resting on regions: {regions or 'none'}"
    for holding in answer.get("holding_back", ()):
        node = f"node {safe(holding['node'])}: " if holding["node"] else ""
        yield f"held back: {node}{safe(holding['reason'])} (since {safe(holding['since'])})"
    for gap in answer.get("gaps", ()):
        yield (
            f"GAP in node {safe(gap['node'])}: segments {gap['start']} up to {gap['end']}, "
            f"{safe(gap['from'])} to {safe(gap['to'])}: {safe(gap['cause'])}"
        )
    for gone in answer.get("retained_out", ()):
        yield (
            f"retained out: {gone['events']} events of the class {safe(gone['class'])}, of "
            f"{gone['units']} days or hours from {safe(gone['from'])} to {safe(gone['to'])}, by "
            f"{safe(gone['rule'])}"
        )


def tree(value: JsonObject, depth: int = 0) -> None:
    """A JSON object for a person: names and values, what is nested indented below its name."""
    indent = "  " * depth
    plain = {name: each for name, each in value.items() if not isinstance(each, (dict, list))}
    width = max(map(len, plain), default=0)
    for name, each in plain.items():
        line(f"{indent}{safe(name).ljust(width)}  {'-' if each in (None, '') else safe(each)}")
    for name, each in value.items():
        if isinstance(each, dict):
            line(f"{indent}{safe(name)}")
            tree(each, depth + 1)
        elif isinstance(each, list) and each and all(isinstance(row, dict) for row in each):
            line(f"{indent}{safe(name)}")
            for row in each:
                tree(row, depth + 1)
                line()
        elif isinstance(each, list):
            line(f"{indent}{safe(name)}  {', '.join(map(safe, each)) or 'none'}")


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Progress]:
    """A progress bar on standard error; silent where that is no terminal. total: None: unknown."""
    if not sys.stderr.isatty():
        yield lambda done, detail="", total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%" if total else "", markup=False),
        TextColumn("{task.fields[detail]}", markup=False),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, detail="")

        def show(done: int, detail: str = "", total: int | None = None) -> None:
            bar.update(task, completed=done, detail=detail, total=total)  # total None: as before

        yield show
