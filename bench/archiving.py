"""What the archive costs: CPU and bytes an event, objects, memory, and acknowledgements beside it.

Days of one node are written straight into three directories, by the code that seals, in segments
as it seals them each 250 ms: of 25 events at 100 a second, of 250 at 1,000, of 2,500 at 10,000. No
event's ticket or target is drawn twice: a part would find it again. A process of its own reads the
names, and then archives a day: into all three regions, each read back. Its CPU and memory count
from there, its workers' with it. Acknowledgements: a server that archives such a day, on one core,
takes single events in all the while; those that were due while it archived, and the others.
"""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import msgspec

from bench import load, server
from bench.events import BATCH_EVENTS, Stream, make_pool
from bench.plan import Ground, say
from bench.processes import Side, pinned
from bench.report import Finding, Part, Table, median
from bench.trails import Ledger, Trail
from holdfast.cli.archive import report_object
from holdfast.regions.trailkey import KEY_FILE
from holdfast.regions.units import DAY_US, day_at, start_us
from holdfast.settings import load as load_settings
from holdfast.times import format_us
from holdfast.wiring import open_system

SIZES: Final = (25, 250, 2_500)  # events of a segment
CPU_US_MAX: Final = 8.0
BYTES_MAX: Final = 0.9
FEWER_MIN: Final = 1_000.0
P99_MAX: Final = 1.10
RATE: Final = 1_000  # single events a second, while acknowledgements are timed
ACK_CONNECTIONS: Final = 256
SETTLED_S: Final = 30  # a server archives a minute after its start
ACKS_S: Final = 70
SEEN_S: Final = 0.1
REGION: Final = "a"
READY_S: Final = 120


@dataclass(frozen=True)
class Archived:
    """A day. Bytes and objects are those of one region."""

    events: int
    segments: int
    segment_bytes: int
    part_bytes: int
    evidence_bytes: int
    objects: int
    cpu_us: float
    resident_bytes: int

    @property
    def ratio(self) -> float:
        """Bytes of the archive, those of segments being 1."""
        return (self.part_bytes + self.evidence_bytes) / self.segment_bytes


def measure(ground: Ground) -> Part:
    """Takes about eight minutes."""
    plan = ground.plan
    found: dict[int, list[Archived]] = {size: [] for size in SIZES}
    with ground.folder("archive") as folder:
        for size in SIZES:
            _trail_of(folder / f"{size}", plan.archive_events, size)
        for _ in range(plan.archive_rounds):
            for size in SIZES:
                found[size].append(_archived(ground, folder / f"{size}"))
                say(f"  segments of {size}: {found[size][-1].cpu_us:.1f} µs")
        acks = _acks(ground, folder / f"{SIZES[1]}")
    table = _table(found)
    data = {"archived": found, "ack_ms": acks}
    return Part("archive", (table,), tuple(_findings(found, acks)), msgspec.to_builtins(data))


def _findings(found: dict[int, list[Archived]], acks: dict[str, list[float]]) -> Iterator[Finding]:
    cpu = tuple(each.cpu_us for each in found[SIZES[-1]])
    why = "reading JSON, Parquet twice over, a hash for each record and tree, and three regions"
    yield Finding("archiving: CPU an event", median(cpu), CPU_US_MAX, "µs", samples=cpu, why=why)
    for size, several in found.items():
        yield Finding(
            f"archived bytes an event, in segments of {size}: 1",
            several[0].ratio,
            BYTES_MAX,
            "x",
            why="columns repeat ids and targets, which are random here and do not compress",
        )
    first = found[SIZES[0]][0]
    yield Finding(
        f"objects in segments of {SIZES[0]}, in the archive: 1",
        first.segments / first.objects,
        FEWER_MIN,
        "x",
        is_least=True,
    )
    ratios = tuple(a / b for a, b in zip(acks["beside"], acks["alone"], strict=True))
    told = f"p99 {median(acks['beside']):.1f} ms, alone {median(acks['alone']):.1f} ms"
    name = f"ack p99 at {RATE:,} single events/s beside archiving, alone: 1"
    yield Finding(name, median(ratios), P99_MAX, "x", note=told, samples=ratios)


def _table(found: dict[int, list[Archived]]) -> Table:
    head = (
        *("segments of", "bytes an event in them", "in parts", "as evidence", "archive: 1"),
        *("objects before", "after", "CPU µs an event", "MB of memory"),
    )
    rows = []
    for size, several in found.items():
        one = several[0]
        each = (one.segment_bytes, one.part_bytes, one.evidence_bytes)
        rows.append(
            (
                *(f"{size:,} events", *(f"{value / one.events:.0f}" for value in each)),
                *(f"{one.ratio:.2f}", f"{one.segments:,}", f"{one.objects:,}"),
                f"{median([each.cpu_us for each in several]):.1f}",
                f"{max(each.resident_bytes for each in several) / 1e6:,.0f}",
            )
        )
    return Table(f"A day of {found[SIZES[0]][0].events:,} events:", head, tuple(rows))


# -- a day ----------------------------------------------------------------------------------------


def _trail_of(data: Path, events: int, size: int) -> None:
    """The day before yesterday, of one node that is alive still."""
    now_us = int(time.time() * 1e6)
    begin_us = start_us(day_at(now_us - 2 * DAY_US))
    trail = Trail(data / "regions")
    trail.keep_key(data / KEY_FILE)
    ledger = Ledger(trail, 1, begin_us)
    step_us = DAY_US // (events // size + 1)
    pool = make_pool(size, max(1, events // BATCH_EVENTS), is_fresh=True)
    stream = Stream(pool, size, begin_us, step_us / size)
    waiting: list[tuple[bytes, bytes]] = []
    for number in range(events // size):
        while len(waiting) < size:
            batch = stream.draw()
            waiting += zip(batch.lines, batch.tenants, strict=True)
        at_us = begin_us + (number + 1) * step_us - 1
        tail = f',"received":"{format_us(at_us - 1)}","principal":"bench"}}'.encode()
        groups: dict[str, list[bytes]] = {}
        for line, tenant in waiting[:size]:
            groups.setdefault(tenant.decode(), []).append(line[:-1] + tail)
        del waiting[:size]
        ledger.segment(at_us, groups)
    ledger.beat(now_us)


@contextmanager
def _archivist(data: Path, core: int) -> Iterator["Side"]:
    """A process that has read the names, and archives once it is told to."""
    with pinned({core}):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.archiving", str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    side = Side(process, data.with_name(f"{data.name}.log"))
    try:
        assert process.stdout is not None, "it was asked for"
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{data.name}: the archivist did not become ready")
        yield side
    finally:
        assert process.stdin is not None, "it was asked for"
        process.stdin.close()
        process.wait(READY_S)
        _forget(data)


def _go(side: Side) -> None:
    assert side.process.stdin is not None, "it was asked for"
    side.process.stdin.write(b"go\n")
    side.process.stdin.flush()


def _report(side: Side) -> dict[str, Any]:
    """What it did, once it is done."""
    assert side.process.stdout is not None, "it was asked for"
    report: dict[str, Any] = msgspec.json.decode(side.process.stdout.readline())
    if report["trouble"] or report["untabled"] or len(report["units"]) != 1:
        raise RuntimeError(f"not archived: {report}")
    return report


def _archived(ground: Ground, data: Path) -> Archived:
    with _archivist(data, ground.cores.side) as side:
        before_us = side.cpu_us()
        with side.watched():
            _go(side)
            unit = _report(side)["units"][0]
        cpu_us = side.cpu_us() - before_us
        kept = [path for path in _region(data, "ev/arc").rglob("*") if path.is_file()]
        segments = [path.stat().st_size for path in _region(data, "ev/seg").rglob("*.zst")]
        return Archived(
            events=unit["events"],
            segments=len(segments),
            segment_bytes=sum(segments),
            part_bytes=sum(path.stat().st_size for path in kept if path.suffix == ".parquet"),
            evidence_bytes=sum(path.stat().st_size for path in kept if path.suffix != ".parquet"),
            objects=len(kept),
            cpu_us=cpu_us / unit["events"],
            resident_bytes=side.resident_bytes_max,
        )


def _region(data: Path, prefix: str) -> Path:
    return data / "regions" / REGION / prefix


def _forget(data: Path) -> None:
    """So that the same day can be archived again."""
    for root in (data / "regions").iterdir():
        for prefix in ("ev/arc", "lake"):
            rmtree(root / prefix, ignore_errors=True)
    rmtree(data / "cache", ignore_errors=True)


# -- acknowledgements -----------------------------------------------------------------------------


def _acks(ground: Ground, data: Path) -> dict[str, list[float]]:
    """The p99 of each round, ms: of events that were due while a unit was archived, and of the
    others."""
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    for _ in range(ground.plan.archive_rounds):
        _forget(data)
        with server.running(data, ground.cores.side, {"archive_after_hours": 1}) as running:
            time.sleep(SETTLED_S)  # it reads and folds what it found
            requests = load.singles(ground.stream(step_us=1_000_000 / RATE))
            with (
                load.Client(running.port, ACK_CONNECTIONS) as client,
                _seen(data / "cache" / "archive") as times,
            ):
                loaded = client.paced(requests, RATE, ACKS_S)
            _wait_archived(running)
        if set(loaded.statuses) != {201}:
            raise RuntimeError(f"not everything was taken: {loaded.statuses}")
        begin, end = times[0], times[-1]
        ways: dict[str, list[float]] = {"alone": [], "beside": []}
        for due, ack_ms in zip(loaded.due, loaded.ack_ms, strict=True):
            ways["beside" if begin <= due <= end else "alone"].append(ack_ms)
        for way, several in ways.items():
            found[way].append(sorted(several)[int(len(several) * 0.99)])
        say(f"  p99 {found}, {end - begin:.0f} s of archiving")
    return found


def _wait_archived(running: server.Server) -> None:
    deadline = time.monotonic() + READY_S
    while (report := running.ask("/v1/status")["archive"]) is None:
        if time.monotonic() > deadline:
            raise RuntimeError("nothing was archived")
        time.sleep(1)
    if report["units"] != 1 or report["trouble"]:
        raise RuntimeError(f"not archived: {report}")


@contextmanager
def _seen(path: Path) -> Iterator[list[float]]:
    """When a folder was seen to be there meanwhile, by `time.perf_counter`."""
    over, times = threading.Event(), list[float]()

    def watch() -> None:
        while not over.wait(SEEN_S):
            if path.exists():
                times.append(time.perf_counter())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


async def _archive(data: str) -> None:
    """The process itself."""
    async with open_system(load_settings(None, {}, {"data": data}), write=False) as system:
        await system.reader.pass_once()
        print("ready", flush=True)
        if await asyncio.to_thread(sys.stdin.readline):
            report = report_object(await system.archivist.archive(0))
            print(msgspec.json.encode(report).decode(), flush=True)
            await asyncio.to_thread(sys.stdin.readline)  # its workers' time is read meanwhile


if __name__ == "__main__":
    asyncio.run(_archive(sys.argv[1]))
