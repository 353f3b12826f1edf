"""How fast a region that was away is given what it lacks.

While it is away, a server writes evidence into the two others, and ends: what it had queued for the
third is gone with it, so all that lacks is the keeper's to copy. Another server starts, the region
comes back, and whoever watches it counts what arrives. Beside it, in the same run, stands what the
store itself takes: the same objects, put by the same code into a new place, as many at once as the
keeper copies, with nothing to read and nothing to compare. Segments are as large as they become at
full speed, about 1 MiB; and in a trail of its own of 20 events each, where files count, not bytes.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench import load, regions, server
from bench.events import Stream, make_pool
from bench.plan import BATCH_CONNECTIONS, Ground, say
from bench.processes import pinned
from bench.report import Finding, Part, Table
from holdfast.keep.repair import COPIES_AT_ONCE
from holdfast.regions import Region, Regions, layout
from holdfast.regions.port import Listing, Present, Stored
from holdfast.settings import load as load_settings
from holdfast.wiring import real_regions

WHOLE, LATE = regions.IDS[0], regions.IDS[2]
MIB: Final = 2**20
MIB_PER_S_MIN: Final = 50.0
OF_RAW_MIN: Final = 0.9  # the store's own speed is reached, within what two runs differ by
FILL_S_MAX: Final = 90
SMALL_EVENTS: Final = 20  # a segment
CAUGHT_UP_S_MAX: Final = 120
LOOK_S: Final = 0.05
WHY: Final = (
    "a copy is a read, a hash and a put: 0.8 ms of one process for a small one, by profile mostly "
    "tasks and hand-overs between its threads, and a put alone half of that"
)
SETTINGS: Final = {"reconcile_interval_s": 1}
HEAD: Final = (
    *("regions", "MiB", "segments", "MiB/s", "segments/s", "the store alone, MiB/s"),
    *("of that", "the server's CPU ms a MiB", "s from its return until it is whole"),
)

Objects = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Caught:
    """What came of it. copy_s: from when none of it was seen there for the last time."""

    place: str
    size_bytes: int
    segments: int
    whole_s: float
    copy_s: float
    raw_s: float
    cpu_s: float

    @property
    def speed(self) -> float:
        """MiB/s."""
        return self.size_bytes / MIB / self.copy_s

    @property
    def raw_speed(self) -> float:
        return self.size_bytes / MIB / self.raw_s


@dataclass(frozen=True)
class Trail:
    """config: its settings. raw: those of new places in the same stores. go, come_back: what is
    done to one of its regions. segments: to write so many small ones; 0: as large as they become.
    """

    place: str
    data: Path
    config: Path
    raw: Path
    go: Callable[[], object]
    come_back: Callable[[], object]
    segments: int = 0


def measure(ground: Ground) -> Part:
    """Takes about four minutes."""
    plan = ground.plan
    caught = [
        _in_directories(ground, "directories", plan.catch_up_events),
        _in_directories(ground, "directories, small segments", 0, plan.catch_up_segments),
    ]
    if regions.has_ceph():
        with ground.folder("catch-up") as folder, regions.cephs(ground) as cephs:
            config, raw = folder / "holdfast.toml", folder / "raw.toml"
            config.write_text(regions.in_buckets(cephs, "trail"))
            raw.write_text(regions.in_buckets(cephs, "raw"))
            ceph = cephs[LATE]
            trail = Trail("Ceph", folder / "data", config, raw, ceph.kill, ceph.up)
            caught.append(_catch_up(ground, trail, plan.catch_up_far_events))
    rows = tuple(_row(each) for each in caught)
    findings = tuple(_finding(each) for each in caught)
    return Part("catch-up", (Table("", HEAD, rows),), findings, [asdict(each) for each in caught])


def _in_directories(ground: Ground, name: str, events: int, segments: int = 0) -> Caught:
    with ground.folder("catch-up") as folder:
        config, raw = folder / "holdfast.toml", folder / "raw.toml"
        config.write_text(regions.in_directories(folder))
        raw.write_text(regions.in_directories(folder / "raw"))
        place, away = folder / LATE, folder / "away"
        trail = Trail(
            *(name, folder / "data", config, raw),
            *(lambda: place.rename(away), lambda: away.rename(place), segments),
        )
        return _catch_up(ground, trail, events)


def _catch_up(ground: Ground, trail: Trail, events: int) -> Caught:
    """Fill two regions while the third is away; let it come back."""
    cores = ground.cores.all
    with server.running(trail.data, cores, config=trail.config):
        pass  # founds the trail in all three
    trail.go()
    _fill(ground, trail, events)
    with server.running(trail.data, cores, SETTINGS, trail.config) as running:
        running.side.wait_idle(ground.plan.settle_s)
        lacking = asyncio.run(_segments(trail.config))
        before_us = running.side.cpu_us()
        with pinned(cores):
            trail.come_back()
        begin = time.perf_counter()
        first, last = asyncio.run(_watch(trail.config, {key for key, _ in lacking}))
        cpu_s = (running.side.cpu_us() - before_us) / 1e6
    raw_s = asyncio.run(_put_all(trail.raw, lacking))
    caught = Caught(
        place=trail.place,
        size_bytes=sum(len(data) for _, data in lacking),
        segments=len(lacking),
        whole_s=last - begin,
        copy_s=last - first,
        raw_s=raw_s,
        cpu_s=cpu_s,
    )
    say(f"  {', '.join(_row(caught))}")
    return caught


def _fill(ground: Ground, trail: Trail, events: int) -> None:
    """As fast as it goes; or one small segment after the other."""
    stream, connections, settings = ground.stream(), BATCH_CONNECTIONS, {}
    if trail.segments:
        pool = make_pool(ground.random.getrandbits(32), 16, SMALL_EVENTS)
        stream = Stream(pool, ground.random.getrandbits(32), int(time.time() * 1e6), 1000.0)
        events, connections = trail.segments * SMALL_EVENTS, 1
        settings = {"seal_interval_ms": 1}
    with (
        server.running(trail.data, ground.cores.all, settings, trail.config) as running,
        load.Client(running.port, connections) as client,
    ):
        client.closed(load.batches(stream), events, FILL_S_MAX)


@contextmanager
def _opened(config: Path) -> Iterator[Regions]:
    with real_regions(load_settings(config, {}, {})) as opened:
        yield opened


async def _segments(config: Path) -> Objects:
    """Every segment of the region that was there all the time."""
    with _opened(config) as opened:
        region = opened.by_id[WHOLE]
        found = []
        for key in await _keys(region):
            answer = await region.read(key)
            if not isinstance(answer, Present):
                raise RuntimeError(f"{key} of region {WHOLE} cannot be read: {answer}")
            found.append((key, answer.data))
        return found


async def _watch(config: Path, wanted: set[str]) -> tuple[float, float]:
    """When none of the segments was seen in the region for the last time, and when all were."""
    none = time.perf_counter()
    with _opened(config) as opened:
        region, deadline = opened.by_id[LATE], none + CAUGHT_UP_S_MAX
        while (now := time.perf_counter()) < deadline:
            there = wanted.intersection(await _keys(region))
            if not there:
                none = now
            elif there == wanted:
                return none, time.perf_counter()
            await asyncio.sleep(LOOK_S)
    raise RuntimeError(f"the region was not whole {CAUGHT_UP_S_MAX} s after its return")


async def _keys(region: Region) -> list[str]:
    listing = await region.list(layout.SEGMENTS_PREFIX)
    return [entry.key for entry in listing] if isinstance(listing, Listing) else []


async def _put_all(raw: Path, objects: Objects) -> float:
    """Seconds for all of them, into a place that is empty."""
    at_once = asyncio.Semaphore(COPIES_AT_ONCE)
    with _opened(raw) as opened:
        region = opened.by_id[LATE]
        await region.make_root()
        await region.create(layout.REGION_KEY, b"stands for a cookie: without one nothing is put")

        async def put(key: str, data: bytes) -> None:
            async with at_once:
                if not isinstance(outcome := await region.create(key, data), Stored):
                    raise RuntimeError(f"{key} was not stored: {outcome}")

        begin = time.perf_counter()
        await asyncio.gather(*(put(*each) for each in objects))
        return time.perf_counter() - begin


def _row(caught: Caught) -> tuple[str, ...]:
    return (
        caught.place,
        f"{caught.size_bytes / MIB:,.0f}",
        f"{caught.segments:,}",
        f"{caught.speed:,.1f}",
        f"{caught.segments / caught.copy_s:,.0f}",
        f"{caught.raw_speed:,.1f}",
        f"{caught.speed / caught.raw_speed:.2f} x",
        f"{caught.cpu_s * 1000 / (caught.size_bytes / MIB):.1f}",
        f"{caught.whole_s:.1f}",
    )


def _finding(caught: Caught) -> Finding:
    """The target, or the store's own limit where that is lower."""
    return Finding(
        f"{caught.place}: a region that was away is caught up at",
        caught.speed,
        min(MIB_PER_S_MIN, OF_RAW_MIN * caught.raw_speed),
        "MiB/s",
        is_least=True,
        note=f"the store alone takes {caught.raw_speed:,.0f} MiB/s",
        why=WHY,
    )
