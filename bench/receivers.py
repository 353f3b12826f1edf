"""Every way in, and what an event costs on it: the server's CPU, and the sender's.

The server has one core, three directories and every fsync; senders share the other core with the
bench. For each run a trail of its own, and the ways in shuffled order, round after round. Requests
over HTTP come from the bench's own client, whose cost is that of making events, compressing them
and moving bytes; `holdfast.client` is our client library, four requests under way, in the bench's
process; `holdfast send` and `holdfast import` are commands as a user starts them, and their cost
holds a start of Python each time. What is imported are real records of CloudTrail (gzip, a hundred
in an envelope) and of Kubernetes (a line each), over and over with fresh ids; each is kept whole
beside what is mapped from it, so the server has nearly twice the bytes to take in.
"""

import gzip
import os
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from bench import load, server
from bench.events import BATCH_EVENTS
from bench.plan import BATCH_CONNECTIONS, SINGLE_CONNECTIONS, Ground, say
from bench.report import Part, Table, spread
from bench.throughput import LOAD_S_MAX
from holdfast.client import BulkLimits, Client, Delivered, Endpoint, Outgoing, send_all

EVENTS: Final = Path(__file__).parent.parent / "tests" / "data" / "events"
CLOUDTRAIL: Final = EVENTS / "cloudtrail" / "invictus_stratus_20230710.ndjson.gz"
KUBERNETES: Final = EVENTS / "kubernetes" / "audit2rbac_demo.ndjson.gz"
ENVELOPE_RECORDS: Final = 100
SENT_AT_ONCE: Final = 10_000  # events of one `holdfast send`, within its 8 MiB
WARM_EVENTS: Final = 5_000
IDLE_S: Final = 10
COMMAND_S_MAX: Final = 120
HEAD: Final = (
    *("", "events/s", "server, CPU µs/event until found", "sender, CPU µs/event"),
    *("bytes an event, as sent", "events a request"),
)

Last = tuple[str, str]  # tenant and id of the event that was sent last


@dataclass(frozen=True)
class Errand:
    """Events that are ready to be sent. at_once: how many in a request.

    send: to the server at a port. Returns once all are acknowledged: which was the last of them,
    and how many bytes all had.
    """

    events: int
    at_once: int
    send: Callable[[int], tuple[Last, int]]


Way = Callable[[Ground, Path], Errand]


@dataclass(frozen=True)
class Run:
    """One way, once."""

    rate: float
    server_us: float
    sender_us: float
    sent_bytes: float
    at_once: int


def measure(ground: Ground) -> Part:
    """Takes about three minutes."""
    runs: dict[str, list[Run]] = {name: [] for name in WAYS}
    for _ in range(ground.plan.receivers_rounds):
        for name in ground.random.sample(list(WAYS), len(WAYS)):
            run = _run(ground, WAYS[name])
            runs[name].append(run)
            say(f"  {', '.join(_row(name, [run]))}")
    table = Table("", HEAD, tuple(_row(name, each) for name, each in runs.items()))
    data = {name: [asdict(run) for run in each] for name, each in runs.items()}
    return Part("receivers", (table,), (), data)


def _run(ground: Ground, way: Way) -> Run:
    with (
        ground.folder("receivers") as folder,
        server.running(folder / "data", ground.cores.side) as running,
    ):
        with load.Client(running.port, BATCH_CONNECTIONS) as client:
            warm = client.closed(load.batches(ground.stream()), WARM_EVENTS, LOAD_S_MAX)
        running.wait_found(*warm.last)
        errand = way(ground, folder)
        before_us, own_us = running.side.wait_idle(IDLE_S), _own_cpu_us()
        begin = time.perf_counter()
        last, sent_bytes = errand.send(running.port)
        seconds = time.perf_counter() - begin
        own_us = _own_cpu_us() - own_us
        running.wait_found(*last)
        server_us = running.side.cpu_us() - before_us
        if running.count() != WARM_EVENTS + errand.events:
            raise RuntimeError("what is found is not what was sent")
    return Run(
        rate=errand.events / seconds,
        server_us=server_us / errand.events,
        sender_us=own_us / errand.events,
        sent_bytes=sent_bytes / errand.events,
        at_once=errand.at_once,
    )


def _own_cpu_us() -> float:
    """CPU of this process and of the commands that it ran; not of a server that still runs."""
    of_commands = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (time.process_time() + of_commands.ru_utime + of_commands.ru_stime) * 1e6


# The ways


def _http(make: load.Way, connections: int, at_once: int, ground: Ground, folder: Path) -> Errand:
    count = ground.plan.receivers_events
    requests = make(ground.stream())

    def send(port: int) -> tuple[Last, int]:
        sizes: list[int] = []

        def counted() -> Iterator[load.Request]:
            for request in requests:
                sizes.append(len(request.data))
                yield request

        with load.Client(port, connections) as client:
            loaded = client.closed(counted(), count, LOAD_S_MAX)
        if loaded.events != count:
            raise RuntimeError(f"not everything was acknowledged: {dict(loaded.statuses)}")
        return loaded.last, sum(sizes)

    return Errand(count, at_once, send)


def _library(ground: Ground, folder: Path) -> Errand:
    """Our client, as an application that has many events uses it."""
    count, limits = ground.plan.receivers_events, BulkLimits()
    drawn = list(islice(ground.stream(), -(-count // BATCH_EVENTS)))
    lines = [line for batch in drawn for line in batch.lines][:count]
    last = drawn[-1].tenants[-1].decode(), drawn[-1].ids[-1].decode()

    def send(port: int) -> tuple[Last, int]:
        done: list[Delivered] = []
        with Client(Endpoint(f"http://127.0.0.1:{port}")) as client:
            events = (Outgoing(line, "bench") for line in lines)
            send_all(client, events, limits, done.append)
        if sum(each.acknowledged for each in done) != count:
            raise RuntimeError("not everything was acknowledged")
        return last, sum(map(len, lines)) + len(lines)

    return Errand(count, limits.events_max, send)


def _stdin(ground: Ground, folder: Path) -> Errand:
    """`holdfast send`, with as much at once as one request takes."""
    count = ground.plan.receivers_events
    at_once = min(count, SENT_AT_ONCE)
    drawn = list(islice(ground.stream(), count // BATCH_EVENTS))
    step = at_once // BATCH_EVENTS
    texts = [b"".join(b.data for b in drawn[at : at + step]) for at in range(0, len(drawn), step)]
    last = drawn[-1].tenants[-1].decode(), drawn[-1].ids[-1].decode()

    def send(port: int) -> tuple[Last, int]:
        for text in texts:
            _command(port, "send", given=text)
        return last, sum(map(len, texts))

    return Errand(count, at_once, send)


def _cloudtrail(ground: Ground, folder: Path) -> Errand:
    records = _fresh(CLOUDTRAIL, "eventID", ground)
    lines = [
        msgspec.json.encode({"Records": records[at : at + ENVELOPE_RECORDS]})
        for at in range(0, len(records), ENVELOPE_RECORDS)
    ]
    file = folder / "cloudtrail.json.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 6))
    return _import(file, "cloudtrail", len(records), str(records[-1]["eventID"]))


def _kubernetes(ground: Ground, folder: Path) -> Errand:
    events = _fresh(KUBERNETES, "auditID", ground)
    file = folder / "audit.log"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, events)) + b"\n")
    last = events[-1]
    return _import(file, "k8s", len(events), f"{last['auditID']}:{last['stage']}")


def _import(file: Path, format: str, count: int, id: str) -> Errand:
    def send(port: int) -> tuple[Last, int]:
        _command(port, "import", "--format", format, str(file))
        return ("", id), file.stat().st_size

    return Errand(count, BulkLimits().events_max, send)


def _fresh(source: Path, key: str, ground: Ground) -> list[dict[str, Any]]:
    """Real records, over and over, each time under other ids."""
    kept = msgspec.json.Decoder(dict[str, Any]).decode_lines(gzip.decompress(source.read_bytes()))
    random = Random(ground.random.getrandbits(32))
    chosen = islice(cycle(kept), ground.plan.receivers_events)
    return [{**each, key: str(uuid.UUID(int=random.getrandbits(128)))} for each in chosen]


def _command(port: int, *words: str, given: bytes = b"") -> None:
    program = Path(sys.executable).with_name("holdfast")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    environment["HOLDFAST_SERVER"] = f"http://127.0.0.1:{port}"
    subprocess.run(
        [str(program), *words],
        input=given,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=COMMAND_S_MAX,
    )


WAYS: Final[dict[str, Way]] = {
    "JSON, an event a request": partial(_http, load.singles, SINGLE_CONNECTIONS, 1),
    "JSON, an array": partial(_http, load.arrays, BATCH_CONNECTIONS, BATCH_EVENTS),
    "NDJSON": partial(_http, load.batches, BATCH_CONNECTIONS, BATCH_EVENTS),
    "NDJSON, gzip": partial(
        _http, partial(load.batches, coding="gzip"), BATCH_CONNECTIONS, BATCH_EVENTS
    ),
    "NDJSON, zstd": partial(
        _http, partial(load.batches, coding="zstd"), BATCH_CONNECTIONS, BATCH_EVENTS
    ),
    "`holdfast.client`, bulk": _library,
    "`holdfast send`, standard input": _stdin,
    "`holdfast import`, CloudTrail": _cloudtrail,
    "`holdfast import`, Kubernetes": _kubernetes,
}


def _row(name: str, runs: list[Run]) -> tuple[str, ...]:
    return (
        name,
        spread([run.rate for run in runs], 0),
        spread([run.server_us for run in runs]),
        spread([run.sender_us for run in runs]),
        f"{runs[0].sent_bytes:,.0f}",
        f"{runs[0].at_once:,}",
    )
