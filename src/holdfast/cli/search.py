"""`holdfast search`: find events, or count them."""

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Raw, Struct
from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Filters, Where
from holdfast.cli.source import Parameters, Source, decode, open_source, rejected
from holdfast.cli.views import Counting, Output

PAGE_MAX = 1000

# What a search object adds at the end of a record, as `serve.answers` and docs/API.md have it.
_PLACE = re.compile(rb',"node":"[0-9a-f]{32}","segment":\d+,"position":\d+(?:,"conflict":true)?}$')


class _Page(Struct):
    """Of a search object, what paging needs; an element stays as it came."""

    events: list[Raw]
    next: str | None = None


def search(
    where: Where,
    filters: Filters,
    counting: Counting,
    output: Output,
    limit: Annotated[int, Option(min=1, help="Events at most.")] = 100,
    cursor: Annotated[str, Option(help="Go on after an earlier page: its `next`.")] = "",
) -> int:
    """Find events, newest first. Beside them: what the answer is complete through.

    With --ndjson the limit may be any number; the pages are fetched one after the other.
    """
    output.check()
    parameters = filters.parameters()
    with open_source(where) as source:
        if counting.is_wanted:
            _print_counts(source.count({**parameters, **counting.parameters()}), output)
            return GOOD
        if cursor:
            parameters["cursor"] = cursor
        if output.ndjson:
            _stream(source, parameters, limit)
            return GOOD
        if limit > PAGE_MAX:
            raise rejected("--limit", f"is at most {PAGE_MAX} without --ndjson")
        answer = source.search({**parameters, "limit": str(limit)})
    if output.json:
        printer.machine(answer)
        return GOOD
    page = decode(answer)
    printer.events(page["events"])
    printer.statement(page)
    if page.get("next"):
        printer.note(f"more: --cursor {printer.safe(page['next'])}")
    return GOOD


def _stream(source: Source, parameters: Parameters, limit: int) -> None:
    """Records, a line each; the statement of the last page follows on standard error."""
    last = b"{}"
    for answer, elements in _pages(source, dict(parameters), limit):
        last = answer
        for element in elements:
            printer.machine(record_of(bytes(element)))
    printer.statement(decode(last))


def record_of(element: bytes) -> bytes:
    """The record as it is stored: an element of a search object, less where it lies."""
    return _PLACE.sub(b"}", element)


def _pages(
    source: Source, parameters: dict[str, str], limit: int
) -> Iterator[tuple[bytes, list[Raw]]]:
    left = limit
    while True:
        answer = source.search({**parameters, "limit": str(min(left, PAGE_MAX))})
        page = msgspec.json.decode(answer, type=_Page)
        yield answer, page.events
        left -= len(page.events)
        if not page.next or left <= 0:
            return
        parameters["cursor"] = page.next


def _print_counts(answer: bytes, output: Output) -> None:
    if output.json:
        printer.machine(answer)
        return
    counts = decode(answer)
    for group in counts.get("groups", ()):
        named = "  ".join(printer.safe(str(v)) or "-" for k, v in group.items() if k != "count")
        printer.line(f"{group['count']:>10}  {named}")
    for bar in counts.get("histogram", ()):
        printer.line(f"{bar['count']:>10}  {printer.safe(bar['from'])}")
    printer.line(f"{counts['count']:>10}  in all")
    printer.statement(counts)
