"""What it takes to read years from the archive alone, by how many days there are.

Trails of one node, of small days written by the code that seals, are archived by `holdfast archive`
and swept by `holdfast sweep --kept 0`: no segment is left. Then servers start on them, one after
the other, each without a cache, and are asked: *ready* is from the start of the process until it
states that all days are complete; *cold* is the very first question after that, for which parts are
fetched and the process that searches begins; *first* are the next ones, and *again* the same ones
once their parts lie in the cache. The system has the files in memory.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from bench import server
from bench.plan import Ground, say
from bench.processes import pinned
from bench.report import Finding, Part, Table, median, spread
from bench.scale_reading import Records
from bench.server import Server
from bench.trails import Ledger, Trail
from holdfast.regions.trailkey import KEY_FILE
from holdfast.regions.units import DAY_US, day_at, start_us
from holdfast.times import format_us, parse_time

DAYS: Final = (10, 100, 365)
SEGMENTS: Final = 10  # a day
LIMIT: Final = 100
ASKED: Final = 20  # tenants, and ids
READY_S: Final = 120
COMMAND_S: Final = 1_200
READY_S_MAX: Final = 5.0
COLD_MS_MAX: Final = 1_000.0
WARM_MS_MAX: Final = 100.0

Samples = list[float]


@dataclass
class Read:
    """A trail of so many days. bytes and objects: of the archive in one region. ready_s: of each
    server. *_ms: of questions, by what is asked."""

    days: int
    events: int
    objects: int
    size_bytes: int
    ready_s: Samples = field(default_factory=list)
    ready_cpu_s: Samples = field(default_factory=list)
    cold_ms: Samples = field(default_factory=list)
    first_ms: dict[str, Samples] = field(default_factory=dict)
    again_ms: dict[str, Samples] = field(default_factory=dict)
    resident_mib: Samples = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """What is asked for: events that a trail has."""

    tenants: tuple[str, ...]
    ids: tuple[tuple[str, str], ...]  # tenant, id
    through_us: int


def measure(ground: Ground) -> Part:
    """Takes about twelve minutes."""
    found = []
    with ground.folder("years") as folder:
        for days in (each for each in DAYS if each <= ground.plan.years_days):
            data = folder / f"{days}"
            wanted = _write(ground, data, days)
            read = _archived(data, days, days * ground.plan.years_events)
            for _ in range(ground.plan.years_rounds):
                _round(ground, data, wanted, read)
            found.append(read)
            say(f"  {days} days: ready in {spread(read.ready_s)} s, cold {spread(read.cold_ms)} ms")
            rmtree(data)
    return Part("years", (_table(found),), tuple(_findings(found[-1])), {"read": found})


def _findings(read: Read) -> Iterator[Finding]:
    days = f"of {read.days} archived days"
    yield Finding(
        f"a reader {days} is ready",
        median(read.ready_s),
        READY_S_MAX,
        "s",
        note=f"{median(read.ready_cpu_s):.1f} s of CPU",
        samples=tuple(read.ready_s),
    )
    for when, limit, samples in (
        ("cold", COLD_MS_MAX, read.cold_ms),
        ("warm", WARM_MS_MAX, read.again_ms[NEWEST]),
    ):
        name = f"{NEWEST} {days}, {when}, p50"
        yield Finding(name, median(samples), limit, "ms", samples=tuple(samples))


def _table(found: list[Read]) -> Table:
    """A column for each trail."""
    rows = [
        ("events", *(f"{each.events:,}" for each in found)),
        ("objects of the archive", *(f"{each.objects:,}" for each in found)),
        ("MB of it", *(f"{each.size_bytes / 1e6:,.1f}" for each in found)),
        ("ready, s", *(spread(each.ready_s) for each in found)),
        ("CPU until then, s", *(spread(each.ready_cpu_s) for each in found)),
        (f"cold: {NEWEST}, ms", *(spread(each.cold_ms, 0) for each in found)),
    ]
    for name in QUESTIONS:
        rows.append((f"first: {name}, ms", *(spread(each.first_ms[name], 0) for each in found)))
        rows.append((f"again: {name}, ms", *(spread(each.again_ms[name], 0) for each in found)))
    rows.append(("memory, MiB", *(f"{max(each.resident_mib):,.0f}" for each in found)))
    return Table("", ("", *(f"{each.days} days" for each in found)), tuple(rows))


# -- a trail --------------------------------------------------------------------------------------


def _write(ground: Ground, data: Path, days: int) -> Wanted:
    """Days that end the day before yesterday, of one node that is alive still."""
    now_us = int(time.time() * 1e6)
    begin_us = start_us(day_at(now_us - (days + 1) * DAY_US))
    trail = Trail(data / "regions")
    trail.keep_key(data / KEY_FILE)
    ledger = Ledger(trail, 1, begin_us)
    records = Records(ground.random.getrandbits(32), begin_us, DAY_US / ground.plan.years_events)
    wanted_ids, counts = [], dict[str, int]()
    for segment in range(days * SEGMENTS):
        sealed_us = begin_us + (segment + 1) * (DAY_US // SEGMENTS) - 1
        groups = records.take(ground.plan.years_events // SEGMENTS, sealed_us - 1)
        ledger.segment(sealed_us, groups)
        for tenant, lines in groups.items():
            counts[tenant] = counts.get(tenant, 0) + len(lines)
        tenant = ground.random.choice(sorted(groups))
        wanted_ids.append((tenant, json.loads(groups[tenant][0])["id"]))
    ledger.beat(now_us)
    often = sorted(counts, key=lambda tenant: -counts[tenant])[:ASKED]
    ids = tuple(ground.random.sample(wanted_ids, min(ASKED, len(wanted_ids))))
    return Wanted(tuple(often), ids, begin_us + days * DAY_US)


def _archived(data: Path, days: int, events: int) -> Read:
    begun = time.monotonic()
    _command(data, "archive")
    _command(data, "sweep", "--kept", "0")
    region = data / "regions" / server.REGION / "ev"
    if left := next((region / "seg").rglob("*.zst"), None):
        raise RuntimeError(f"not swept: {left}")
    kept = [path.stat().st_size for path in (region / "arc").rglob("*") if path.is_file()]
    say(f"  {days} days archived and swept in {time.monotonic() - begun:.0f} s")
    return Read(days, events, len(kept), sum(kept))


def _command(data: Path, *words: str) -> None:
    program = Path(sys.executable).with_name("holdfast")
    command = [str(program), *words, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")


# -- a server -------------------------------------------------------------------------------------


def _round(ground: Ground, data: Path, wanted: Wanted, read: Read) -> None:
    """A server without a cache is asked everything twice."""
    rmtree(data / "cache", ignore_errors=True)
    begun = time.monotonic()
    with pinned({ground.cores.client}), server.running(data, ground.cores.side) as running:
        _wait_complete(running, wanted.through_us)
        read.ready_s.append(time.monotonic() - begun)
        read.ready_cpu_s.append(running.side.cpu_us() / 1e6)
        with running.side.watched():
            read.cold_ms.append(_newest(running, ground.random.choice(wanted.tenants)))
            for into in (read.first_ms, read.again_ms):
                for name, ask in QUESTIONS.items():
                    into.setdefault(name, []).extend(ask(running, wanted, read))
        read.resident_mib.append(running.side.resident_bytes_max / 2**20)


def _wait_complete(running: Server, through_us: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        through = running.ask("/v1/completeness")["complete_through"]
        if through and parse_time(through) >= through_us:
            return
        time.sleep(0.02)
    raise RuntimeError(f"not complete within {READY_S} s: {running.ask('/v1/completeness')}")


def _newest(running: Server, tenant: str) -> float:
    ms, answer = _asked(running, "/v1/events", tenant=tenant, limit=str(LIMIT))
    times = [event["time"] for event in answer["events"]]
    if not times or times != sorted(times, reverse=True):
        raise RuntimeError(f"not the newest of {tenant}: {times}")
    return ms


def _newest_of_each(running: Server, wanted: Wanted, _read: Read) -> Samples:
    return [_newest(running, tenant) for tenant in wanted.tenants]


def _by_id(running: Server, wanted: Wanted, _read: Read) -> Samples:
    took = []
    for tenant, id in wanted.ids:
        ms, answer = _asked(running, f"/v1/events/{id}", tenant=tenant)
        if [event["id"] for event in answer["events"]] != [id]:
            raise RuntimeError(f"not the event {id}: {answer}")
        took.append(ms)
    return took


def _count_week(running: Server, wanted: Wanted, _read: Read) -> Samples:
    since = format_us(wanted.through_us - 7 * DAY_US)
    ms, answer = _asked(running, "/v1/events/count", tenant=wanted.tenants[0], **{"from": since})
    if not answer["count"]:
        raise RuntimeError(f"nothing since {since}: {answer}")
    return [ms]


def _count(running: Server, wanted: Wanted, read: Read) -> Samples:
    ms, answer = _asked(running, "/v1/events/count")
    if answer["count"] < read.events:
        raise RuntimeError(f"not all of {read.events} events: {answer}")
    return [ms]


def _asked(running: Server, path: str, **parameters: str) -> tuple[float, Mapping[str, Any]]:
    begun = time.perf_counter()
    answer = running.ask(path, **parameters)
    return (time.perf_counter() - begun) * 1000, answer


NEWEST: Final = f"newest {LIMIT} of a tenant"
QUESTIONS: Final[Mapping[str, Callable[[Server, Wanted, Read], Samples]]] = {
    NEWEST: _newest_of_each,
    "one id": _by_id,
    "count of a tenant's last week": _count_week,
    "count of all": _count,
}
