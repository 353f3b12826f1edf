"""How long the console's pages take over six million events, and how large they are.

A server with its defaults takes in the events of a day, and folds them. Then each page is asked for
as a person gets it: the first one is the search with no filter, over all time, with its histogram,
the most frequent values and the statement; and one page after the other, round by round, so that
what slows the machine down meets all alike. What counts is the time from the request until all of
the page is read, over loopback. Before that each page is asked for once and what it counts waited
for: whoever comes first to a server that has just started sees the rest of the counts a moment
after the page. CPU is that of all of the server's processes while a page was asked for.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from numpy import quantile

from bench import load, server
from bench.plan import BATCH_CONNECTIONS, Ground, say
from bench.report import Finding, Part, Table

DAY_S: Final = 86_400
FILL_S: Final = 1_800
FOLDED_S: Final = 15.0  # nothing was folded for so long: all is
FIRST: Final = "search, all time"
PAGE_MS_MAX: Final = 100.0
PAGE_KIB_MAX: Final = 100.0
LATE: Final = b"Not counted in time"
HEAD: Final = ("page", "p50 / p99 ms", "CPU ms", "KiB", "counted in time")


@dataclass
class Page:
    """What was seen of a page, request by request."""

    path: str
    took_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    kib: float = 0.0
    late: int = 0


def measure(ground: Ground) -> Part:
    """Takes about fifteen minutes, most of them until all events are there."""
    plan = ground.plan
    with (
        ground.folder("console") as folder,
        server.running(folder / "data", ground.cores.all) as running,
    ):
        with load.Client(running.port, BATCH_CONNECTIONS) as client:
            stream = ground.stream(DAY_S * 1e6 / plan.lookups_events, ago_s=DAY_S)
            filled = client.closed(load.batches(stream), plan.lookups_events, FILL_S)
        running.wait_found(*filled.last)
        folds = wait_folded(running, plan.settle_s)
        say(f"  {filled.events:,} events in {folds:,} folds")
        pages = look(running, plan.console_rounds)
    note = f"{filled.events:,} events, {plan.console_rounds} requests"
    rows = tuple(_row(name, page) for name, page in pages.items())
    for row in rows:
        say(f"  {', '.join(row)}")
    return Part("console", (Table("", HEAD, rows),), (*_findings(pages[FIRST], note),), pages)


def wait_folded(running: server.Server, settle_s: float) -> int:
    """Until nothing is folded any more; how many folds there are."""
    seen: tuple[int, int] = (0, 0)
    since = time.monotonic()
    while time.monotonic() < since + min(FOLDED_S, settle_s):
        reader = running.ask("/v1/status")["reader"]
        now = reader["folds"], reader["hot_segments"]
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.5)
    return seen[0]


def look(running: server.Server, rounds: int) -> dict[str, Page]:
    """Each page once, to be warm, and then so many times."""
    pages = {name: Page(path) for name, path in _paths(running)}
    for page in pages.values():
        if page.path.startswith("/?") or page.path == "/":
            _ask(running, page.path + ("&" if "?" in page.path else "?") + "count=wait")
    for number in range(rounds + 1):
        for page in pages.values():
            before_us, begin = running.side.cpu_us(), time.perf_counter()
            body = _ask(running, page.path)
            took_ms = (time.perf_counter() - begin) * 1e3
            if number:
                page.took_ms.append(took_ms)
                page.cpu_ms.append((running.side.cpu_us() - before_us) / 1e3)
                page.kib = max(page.kib, len(body) / 1024)
                page.late += LATE in body
    return pages


def _paths(running: server.Server) -> Iterator[tuple[str, str]]:
    """Of all pages, and of a busy tenant's and a rare actor's search."""
    (newest,) = running.ask("/v1/events", limit="1")["events"]
    yield FIRST, "/"
    yield "search, the last day", "/?last=24h"
    yield "search, one tenant", "/?" + urlencode({"tenant": newest["tenant"]})
    yield "search, one actor", "/?" + urlencode({"actor": newest["actor"]["id"]})
    which = urlencode({"node": newest["node"], "position": newest["position"]})
    yield "an event, with its proof", f"/events/{newest['id']}?{which}"
    for name in ("regions", "completeness", "integrity", "alerts"):
        yield name, f"/{name}"


def _ask(running: server.Server, path: str) -> bytes:
    status, body = running.get(path)
    if status != 200:
        raise RuntimeError(f"GET {path} answered {status}: {body[:500]!r}")
    return body


def _row(name: str, page: Page) -> tuple[str, ...]:
    p50, p99 = (quantile(page.took_ms, part) for part in (0.5, 0.99))
    count = len(page.took_ms)
    counted = f"{count - page.late} of {count}" if name.startswith("search") else "-"
    cpu_ms = quantile(page.cpu_ms, 0.5)
    return name, f"{p50:,.1f} / {p99:,.1f}", f"{cpu_ms:,.1f}", f"{page.kib:,.0f}", counted


def _findings(first: Page, note: str) -> Iterator[Finding]:
    yield Finding(
        "the console's first page: p50",
        float(quantile(first.took_ms, 0.5)),
        PAGE_MS_MAX,
        "ms",
        note=f"p99 {quantile(first.took_ms, 0.99):,.0f} ms; {note}",
        why="counts beside the newest events have a deadline of 60 ms, and the machine is busy",
    )
    yield Finding("the console's first page: size", first.kib, PAGE_KIB_MAX, "KiB", note=note)
    counted = 100 * (1 - first.late / len(first.took_ms))
    yield Finding("... of which with all its counts", counted, 100, "%", is_least=True, note=note)
