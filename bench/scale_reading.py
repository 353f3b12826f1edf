"""What a reader and a keeper do over a trail of some size: time, CPU, requests, memory.

Each of `STAGES` runs in a process of its own, so that its memory is its own, and finds in `Made`
what it needs to go on with the trail.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.events import Stream, make_pool
from bench.processes import cpu_us_of
from bench.requests import Counted, Requests
from bench.trails import Ledger, Trail
from holdfast.keep.keeper import Keeper
from holdfast.model import Query
from holdfast.ports import Host
from holdfast.proof.ledger import LedgerEnd
from holdfast.read.follow import Follow, FollowLimits
from holdfast.read.passes import Passes, PassLimits
from holdfast.read.reader import Reader, ReaderLimits
from holdfast.read.watermark import Judgement, judge
from holdfast.regions import Region, Regions
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.disk import PosixDisk
from holdfast.regions.threads import Threads
from holdfast.times import format_us
from holdfast.wiring import real_host

US: Final = 1_000_000
CLOCK_ERROR_US: Final = 10 * US  # as with object stores
NEWS: Final = 10  # segments that a pass with news finds
ASKED: Final = 5  # times that a question is asked
PASSES: Final = 5

Figures = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A trail: its segments are spread evenly over the nodes."""

    segments: int
    events: int  # a segment
    nodes: int = 1
    regions: int = 3
    interval_ms: int = 250


@dataclass(frozen=True)
class Made:
    """A trail as it lies in a folder, and how to go on with it."""

    shape: Shape
    folder: Path
    ends: tuple[LedgerEnd, ...]
    now_us: int
    asked_tenant: str
    asked_actor: str

    def ledgers(self) -> list[Ledger]:
        trail = Trail(self.folder / "regions", region_ids(self.shape.regions))
        return [Ledger(trail, n, 0, end=end) for n, end in enumerate(self.ends)]


def region_ids(count: int) -> tuple[str, ...]:
    return tuple("abcde"[:count])


class Records:
    """Records without end, as a node would have stored them, grouped by tenant."""

    def __init__(self, seed: int, start_us: int, step_us: float) -> None:
        self._lines = self._draw(Stream(make_pool(seed, 32), seed, start_us, step_us))
        self.first_tenant = self.first_actor = ""

    def _draw(self, stream: Stream) -> Iterator[tuple[str, bytes]]:
        for batch in stream:
            if not self.first_tenant:
                self.first_tenant = batch.tenants[0].decode()
                self.first_actor = batch.actors[0].decode()
            for line, tenant in zip(batch.lines, batch.tenants, strict=True):
                yield tenant.decode(), line

    def take(self, count: int, received_us: int) -> dict[str, list[bytes]]:
        """The next ones, all received at one time."""
        groups: dict[str, list[bytes]] = {}
        tail = b',"received":"%b","principal":"bench"}' % format_us(received_us).encode()
        for _ in range(count):
            tenant, line = next(self._lines)
            groups.setdefault(tenant, []).append(line[:-1] + tail)
        return groups


def make(shape: Shape, folder: Path, seed: int) -> tuple[Made, Figures]:
    """Write a trail whose last event is some seconds old."""
    now_us = time.time_ns() // 1000
    per_node = shape.segments // shape.nodes
    step_us = shape.interval_ms * 1000
    start_us = now_us - 60 * US - per_node * step_us
    trail = Trail(folder / "regions", region_ids(shape.regions))
    ledgers = [Ledger(trail, n, start_us - US) for n in range(shape.nodes)]
    records = Records(seed, start_us, step_us / shape.events / shape.nodes)
    begun, size = time.monotonic(), 0
    for index in range(per_node):
        sealed_us = start_us + (index + 1) * step_us
        for ledger in ledgers:
            size += ledger.segment(sealed_us, records.take(shape.events, sealed_us))
    for ledger in ledgers:
        ledger.beat(time.time_ns() // 1000)
    ends = tuple(ledger.end for ledger in ledgers)
    asked = records.first_tenant, records.first_actor
    figures = {"written_s": time.monotonic() - begun, "stored_bytes": size}
    return Made(shape, folder, ends, now_us, *asked), figures


@dataclass
class Ground:
    """Where a stage runs: a reader's regions, counted."""

    made: Made
    regions: Regions
    host: Host
    stores: Sequence[Counted]

    @property
    def cache(self) -> Path:
        return self.made.folder / "cache"

    async def measured(self, work: Callable[[], Awaitable[Any]]) -> Figures:
        """What it took; requests of one region, in the middle of all."""
        before, cpu_us, begun = self._requests(), cpu_us_of(os.getpid()), time.monotonic()
        await work()
        seconds = time.monotonic() - begun
        used = asdict(self._requests() - before)
        return {
            "s": seconds,
            "cpu_s": (cpu_us_of(os.getpid()) - cpu_us) / US,
            **{name: value / len(self.stores) for name, value in used.items()},
        }

    def _requests(self) -> Requests:
        return sum((store.requests for store in self.stores), Requests())


@contextmanager
def opened(made: Made) -> Iterator[Ground]:
    """The regions as `wiring` opens directories, but counted."""
    with ExitStack() as closing:
        host = closing.enter_context(real_host())
        stores = []
        regions = []
        for id in region_ids(made.shape.regions):
            threads = Threads(id, 8)
            closing.callback(threads.close)
            root = made.folder / "regions" / id
            stores.append(Counted(DirectoryStore(root, PosixDisk(), threads)))
            regions.append(Region(id, stores[-1]))
        trail = Trail(made.folder / "regions", region_ids(made.shape.regions))
        yield Ground(made, Regions(regions, trail.quorum, trail.id), host, stores)


def peaks() -> Figures:
    """The most memory that this process, and its workers, had resident, in MiB."""
    found: Figures = {"main_mib": _peak_mib(os.getpid())}
    for child in multiprocessing.active_children():
        name = "fold_mib" if os.getpriority(os.PRIO_PROCESS, child.pid or 0) else "search_mib"
        found[name] = _peak_mib(child.pid or 0)
    return found


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmHWM")


def _pass_limits(whole_s: float = 3600.0) -> PassLimits:
    return PassLimits(follow=FollowLimits(clock_error_us=CLOCK_ERROR_US, whole_s=whole_s))


async def _through(passes: Passes) -> None:
    """As `Reader.pass_once`."""
    await passes.once()
    while passes.follow.partial:
        await passes.once()
    while await passes.tidy():
        pass


async def _following(ground: Ground) -> Figures:
    """From nothing; then passes without news, with some, and one that lists all."""
    await ground.regions.verify()
    made, ledgers = ground.made, ground.made.ledgers()
    passes = Passes(ground.regions, ground.host, ground.cache, _pass_limits(), None)
    await passes.open()
    found: Figures = {"start": await ground.measured(lambda: _through(passes))}
    found["start"] |= peaks()
    events = made.shape.segments * made.shape.events
    if (passes.holdings.segments_count, passes.holdings.events_count) != (
        made.shape.segments,
        events,
    ):
        raise RuntimeError(f"{passes.holdings.events_count} of {events} events were found")
    found["idle"] = [await _pass(ground, passes, ledgers) for _ in range(PASSES)]
    records = Records(99, made.now_us, 1000.0)
    found["news"] = []
    for _ in range(PASSES):
        now_us = time.time_ns() // 1000
        for number in range(max(NEWS, made.shape.nodes)):
            groups = records.take(made.shape.events, now_us)
            ledgers[number % len(ledgers)].segment(now_us + number, groups)
        found["news"].append(await _pass(ground, passes, ledgers))
    found["ends"] = tuple(ledger.end for ledger in ledgers)
    found["judge_s"] = await _judging(passes, passes.follow)
    await passes.close()
    fresh = Follow(ground.regions, ground.host, _pass_limits().follow, None)
    found["judge_backlog_s"] = await _judging(passes, fresh)
    found["backlog_segments"] = sum(len(one.seen) for one in fresh.ledgers.values())
    return found


async def _pass(ground: Ground, passes: Passes, ledgers: Sequence[Ledger]) -> Figures:
    for ledger in ledgers:
        ledger.beat(time.time_ns() // 1000)
    figures = await ground.measured(passes.once)
    if passes.judgement.complete_through_us is None or passes.judgement.holding_back:
        raise RuntimeError(f"the pass is held back: {passes.judgement.holding_back}")
    return figures


async def _judging(passes: Passes, follow: Follow) -> list[float]:
    view = await follow.look()
    taken = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        judge(view, Judgement())
        taken.append(time.perf_counter() - begun)
    return taken


async def _asking(ground: Ground) -> Figures:
    """Start again with the cache that is there, and search."""
    await ground.regions.verify()
    made = ground.made
    for ledger in made.ledgers():
        ledger.beat(time.time_ns() // 1000)
    limits = ReaderLimits(passes=_pass_limits())
    reader = Reader(ground.regions, ground.host, ground.cache, limits)
    found: Figures = {"again": await ground.measured(reader.pass_once)}
    questions: Mapping[str, Callable[[], Awaitable[Any]]] = {
        "tenant": lambda: reader.search(Query(tenant=made.asked_tenant)),
        "actor": lambda: reader.search(Query(actor=made.asked_actor)),
        "count": lambda: reader.count(Query(), ("action",)),
    }
    await questions["tenant"]()  # the worker loads
    found["search"] = {
        name: [(await ground.measured(ask)) for _ in range(ASKED)]
        for name, ask in questions.items()
    }
    found["memory"] = peaks()
    await reader.stop()
    return found


async def _keeping(ground: Ground) -> Figures:
    """A keeper's survey of all names, as once a day, and of the newest, as twice a minute."""
    await ground.regions.verify()
    keeper = Keeper(ground.regions, ground.host)
    found: Figures = {"before_mib": peaks()["main_mib"]}
    found["whole"] = await ground.measured(lambda: keeper.reconcile(whole=True))
    if keeper.last is None or not keeper.last.identical:
        raise RuntimeError(f"the survey did not see all: {keeper.last}")
    found["whole"] |= peaks()
    found["newest"] = [
        await ground.measured(lambda: keeper.reconcile(whole=False)) for _ in range(PASSES)
    ]
    return found


async def _listing_all(ground: Ground) -> Figures:
    """What a reader does once an hour, to see what is gone, as a pass of its own."""
    await ground.regions.verify()
    for ledger in ground.made.ledgers():
        ledger.beat(time.time_ns() // 1000)
    passes = Passes(ground.regions, ground.host, ground.cache, _pass_limits(0.0), None)
    await passes.open()
    found = await ground.measured(passes.once)
    await passes.close()
    return found


STAGES: Final = {
    "follow": _following,
    "ask": _asking,
    "keep": _keeping,
    "whole": _listing_all,
}


def measure(made: Made, stages: Sequence[str] = tuple(STAGES)) -> Figures:
    """All stages, one after the other, each in a process of its own."""
    found: Figures = {}
    for name in stages:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found[name] = process.submit(_stage, made, name).result()
        made = replace(made, ends=found[name].pop("ends", made.ends))
    return found


def _stage(made: Made, name: str) -> Figures:
    with opened(made) as ground:
        return asyncio.run(STAGES[name](ground))
