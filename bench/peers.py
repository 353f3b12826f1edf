"""The same events into what else takes events in: what they cost there, and how fast.

Each server runs on one core, freshly started, with the defaults of its package, and is loaded from
the other core; rounds alternate in shuffled order. Holdfast parses and checks every event, refuses
a repeated id, makes it found by search, hashes it into a tree and stores it in three regions with
every fsync. PostgreSQL parses, indexes and syncs one copy. NATS JetStream and rsyslog keep a
message as bytes, in one copy, and look at nothing in it; what their answers promise is in the part
`durability`. CPU is the server's, of all its processes, until the event is stored (with Holdfast:
found).
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bench import nats, postgres, rsyslog, throughput
from bench.pipe import Pipe
from bench.plan import Ground, say
from bench.processes import Side
from bench.report import Part, median
from bench.throughput import Sample

JETSTREAM: Final = "NATS JetStream, 1,024 under way"
RSYSLOG: Final = {
    "rsyslog, TCP (no answer)": rsyslog.TCP,
    "rsyslog, RELP, 128 under way": rsyslog.RELP,
    "rsyslog, RELP, queue direct, file synced": rsyslog.RELP_SYNCED,
}
WARM_EVENTS: Final = 2_000
SETTLED_S: Final = 3.0
STORED_S_MAX: Final = 30


class Server(Protocol):
    """One that keeps messages."""

    side: Side

    def connect(self) -> Pipe: ...

    def count(self) -> int: ...

    def stored_bytes(self) -> int: ...


Running = Callable[[Path, int], AbstractContextManager[Server]]


def measure(ground: Ground) -> Part:
    """Takes about eight minutes."""
    plan = ground.plan
    versions = {"postgresql": postgres.version(ground.binaries)}
    runs = throughput.ours(ground) | throughput.theirs(ground)
    if told := nats.version():
        versions["nats-server"] = told
        runs[JETSTREAM] = partial(_run, ground, nats.running, plan.batch_events)
    if told := rsyslog.version():
        versions["rsyslog"] = told
        for name, way in RSYSLOG.items():
            events = plan.single_row_events if way.is_answered else plan.batch_events
            runs[name] = partial(_run, ground, partial(rsyslog.running, way), events)
    for name in sorted({"nats-server", "rsyslog"} - set(versions)):
        say(f"  NOT INSTALLED: {name}")
    arms = throughput.measure(ground, runs)
    data = {name: msgspec.to_builtins(samples) for name, samples in arms.items()}
    return Part("peers", (throughput.table(arms),), (), data, versions)


def _run(ground: Ground, running: Running, count: int) -> Sample:
    """A message an event, into a new store."""
    lines = (line for batch in ground.stream() for line in batch.lines)
    with (
        ground.folder("peer") as folder,
        running(folder, ground.cores.side) as server,
        server.connect() as pipe,
    ):
        side = server.side
        pipe.send(pipe.prepare(list(islice(lines, WARM_EVENTS))))
        _wait_stored(server, WARM_EVENTS)
        chunks = pipe.prepare(list(islice(lines, count)))
        before_us, before_bytes = side.wait_idle(ground.plan.settle_s), server.stored_bytes()
        begin = time.perf_counter()
        with side.watched():
            loaded = pipe.send(chunks)
        _wait_stored(server, WARM_EVENTS + count)
        seconds = loaded.seconds if loaded.ack_ms else time.perf_counter() - begin
        stored_us = side.cpu_us()
        settled_us = side.wait_idle(ground.plan.settle_s, SETTLED_S)
        stored_bytes = server.stored_bytes() - before_bytes
    return Sample(
        count / seconds,
        (stored_us - before_us) / count,
        (settled_us - before_us) / count,
        stored_bytes / count,
        median(loaded.ack_ms or [0.0]),
        side.resident_bytes_max,
    )


def _wait_stored(server: Server, events: int) -> None:
    deadline = time.monotonic() + STORED_S_MAX
    while (stored := server.count()) < events:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{stored} stored of {events}")
        time.sleep(0.02)
