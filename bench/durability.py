"""What each server's "ok" means, by what it did before, and by what is left after a kill -9.

First single events, one after another, while strace follows all processes of the server: which
writes to its files, and which calls that bring them to disk, came back between the moment in which
the client began to send and that in which it had its answer. Then, five times, a thousand events as
fast as the server takes single ones, SIGKILL to all its processes right after the last ok, a new
start on the same data, and a count of what is there.

A kill shows what the server itself had not handed on yet, if it came in time for that: a queue in
memory that was just empty loses nothing. And what was written lies in the kernel's memory, which a
kill leaves alone and a power cut does not. Of that tells strace: an event whose ok came after no
sync may be lost with the power. So both only bound what an ok means from above.

Ours has three directories and answers when the event lies in two; PostgreSQL, NATS JetStream and
rsyslog keep one copy. Where a setting decides, both ways are run: the package's own, and the other.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bench import load, nats, postgres, rsyslog, server, throughput, tracing
from bench.events import Batch
from bench.peers import Running
from bench.plan import Ground, say
from bench.processes import Side
from bench.report import Finding, Part, Table

OURS: Final = "Holdfast, three directories"
CONNECTIONS: Final = 16
SETTLED_S_MAX: Final = 15
STEADY_S: Final = 1.0
SYNCS_MIN: Final = 4  # two regions, and in each the file and its directory
HEAD: Final = (
    *("", "written before its ok", "synced before its ok", "calls before an ok, least-most"),
    *("acknowledged", "gone after kill -9", "so an ok means no more than"),
)


class Event(NamedTuple):
    """One event, in the shapes that the servers take."""

    line: bytes
    row: postgres.Row
    request: load.Request


@dataclass(frozen=True)
class Peer:
    """A running server. tell: returns once all were acknowledged. count: how many it has."""

    side: Side
    tell: Callable[[Sequence[Event]], None]
    count: Callable[[], int]


Start = Callable[[Path], AbstractContextManager[Peer]]


@dataclass(frozen=True)
class Meaning:
    """What was seen of one server.

    calls: for each request, how often what was called before its ok. told, gone: events that were
    acknowledged before a kill, and how many of them were not there afterwards, for each kill.
    """

    calls: tuple[dict[str, int], ...]
    told: tuple[int, ...]
    gone: tuple[int, ...]

    @property
    def written(self) -> list[int]:
        """Writes before each ok."""
        kinds = (tracing.WRITE, tracing.SYNCED_WRITE)
        return [sum(each.get(kind, 0) for kind in kinds) for each in self.calls]

    @property
    def synced(self) -> list[int]:
        """Syncs before each ok."""
        return [sum(each.values()) - each.get(tracing.WRITE, 0) for each in self.calls]

    @property
    def words(self) -> str:
        """The least that an ok was seen to mean."""
        if sum(self.gone) or not all(self.written):
            return "in the server's memory"
        if not all(self.synced):
            return "in the kernel's memory"
        return "on disk" if self.calls else "-"


def measure(ground: Ground) -> Part:
    """Takes about three minutes."""
    starts, versions = _starts(ground)
    found: dict[str, Meaning] = {}
    for name, start in starts.items():
        found[name] = _look_at(ground, start)
        say(f"  {', '.join(_row(name, found[name]))}")
    rows = tuple(_row(name, meaning) for name, meaning in found.items())
    data = {name: asdict(meaning) for name, meaning in found.items()}
    table = Table("", HEAD, rows)
    return Part("durability", (table,), tuple(_findings(found[OURS])), data, versions)


def _starts(ground: Ground) -> tuple[dict[str, Start], dict[str, str]]:
    """What can be run here, and the versions of it."""
    starts: dict[str, Start] = {OURS: partial(_ours, ground)}
    versions: dict[str, str] = {}
    if ground.binaries is not None:
        versions["postgresql"] = postgres.version(ground.binaries)
        starts["PostgreSQL"] = partial(_postgres, ground, True)
        starts["PostgreSQL, synchronous_commit off"] = partial(_postgres, ground, False)
    if told := nats.version():
        versions["nats-server"] = told
        starts["NATS JetStream"] = partial(_messages, ground, nats.running)
        with ground.folder("try") as folder:
            if nats.can_sync_always(folder):
                always = partial(nats.running, synced=True)
                starts["NATS JetStream, sync always"] = partial(_messages, ground, always)
            else:
                say(f"  nats-server {told} cannot sync after every message")
    if told := rsyslog.version():
        versions["rsyslog"] = told
        ways = {
            "rsyslog, RELP": rsyslog.RELP,
            "rsyslog, RELP, queue disk-assisted, file synced": rsyslog.RELP_ASSISTED,
            "rsyslog, RELP, queue direct, file synced": rsyslog.RELP_SYNCED,
        }
        for name, way in ways.items():
            starts[name] = partial(_messages, ground, partial(rsyslog.running, way))
    return starts, versions


@contextmanager
def _ours(ground: Ground, folder: Path) -> Iterator[Peer]:
    with (
        server.running(folder / "data", ground.cores.side) as running,
        load.Client(running.port, CONNECTIONS) as client,
    ):

        def tell(events: Sequence[Event]) -> None:
            requests = iter([event.request for event in events])
            loaded = client.closed(requests, len(events), throughput.LOAD_S_MAX)
            if loaded.events != len(events):
                raise RuntimeError(f"not everything was acknowledged: {dict(loaded.statuses)}")

        yield Peer(running.side, tell, running.count)


@contextmanager
def _postgres(ground: Ground, commits_synced: bool, folder: Path) -> Iterator[Peer]:
    assert ground.binaries is not None
    is_new = not (folder / "data").exists()
    core = ground.cores.side
    with postgres.running(ground.binaries, folder, core, commits_synced) as cluster:
        if is_new:
            cluster.make_table()
        connection = cluster.connect()

        def tell(events: Sequence[Event]) -> None:
            for insert in postgres.single_row([[event.row for event in events]]):
                insert(connection)

        try:
            yield Peer(cluster.side, tell, lambda: cluster.size()[0])
        finally:
            connection.close()


@contextmanager
def _messages(ground: Ground, running: Running, folder: Path) -> Iterator[Peer]:
    """One that takes an event as a message."""
    with running(folder, ground.cores.side) as other, other.connect() as pipe:

        def tell(events: Sequence[Event]) -> None:
            pipe.send(pipe.prepare([event.line for event in events]))

        yield Peer(other.side, tell, other.count)


def _events(batch: Batch) -> list[Event]:
    requests = load.singles((batch,))
    return list(map(Event, batch.lines, postgres.rows(batch), requests))


def _look_at(ground: Ground, start: Start) -> Meaning:
    plan = ground.plan
    stream = ground.stream()
    with ground.folder("ok") as folder:
        with start(folder) as peer:
            first, *few = _events(stream.draw())[: plan.ok_requests + 1]
            peer.tell([first])  # whatever is made for the first event is there then
            calls = _calls_before_ok(peer, few, folder) if tracing.is_there() else ()
        told: list[int] = []
        gone: list[int] = []
        for _ in range(plan.ok_kills):
            with start(folder) as peer:
                before = peer.count()
                peer.tell(_events(stream.draw())[: plan.ok_events])
                peer.side.kill()
            told.append(plan.ok_events)
            with start(folder) as peer:
                gone.append(before + plan.ok_events - _steady(peer))
    return Meaning(calls, tuple(told), tuple(gone))


def _calls_before_ok(
    peer: Peer, events: Sequence[Event], folder: Path
) -> tuple[dict[str, int], ...]:
    """For each event, the calls between its sending and its ok. folder: of the server's files."""
    moments: list[tuple[float, float]] = []
    traces = folder.with_name(folder.name + "-trace")
    traces.mkdir()
    with tracing.traced(peer.side, folder, traces) as trace:
        for event in events:
            begin = time.time()
            peer.tell([event])
            moments.append((begin, time.time()))
    return tuple(dict(Counter(c.name for c in trace.within(*each))) for each in moments)


def _steady(peer: Peer) -> int:
    """How many events are there, once no more come out of a queue."""
    deadline = time.monotonic() + SETTLED_S_MAX
    count = -1
    while (now := peer.count()) != count and time.monotonic() < deadline:
        count = now
        time.sleep(STEADY_S)
    return now


def _row(name: str, meaning: Meaning) -> tuple[str, ...]:
    return (
        name,
        f"{sum(map(bool, meaning.written))} of {len(meaning.calls)}",
        f"{sum(map(bool, meaning.synced))} of {len(meaning.calls)}",
        ", ".join(_ranges(meaning)) or "none",
        f"{sum(meaning.told):,}",
        f"{sum(meaning.gone):,}",
        meaning.words,
    )


def _ranges(meaning: Meaning) -> Iterator[str]:
    """How often each call came, at least and at most."""
    for call in sorted({call for each in meaning.calls for call in each}):
        counts = [each.get(call, 0) for each in meaning.calls]
        low, high = min(counts), max(counts)
        yield f"{call} {low}" if low == high else f"{call} {low}-{high}"


def _findings(ours: Meaning) -> Iterator[Finding]:
    yield Finding(
        "acknowledged events gone after kill -9",
        float(sum(ours.gone)),
        0,
        "events",
        note=f"{sum(ours.told):,} acknowledged, {len(ours.told)} kills",
    )
    if ours.calls:
        yield Finding(
            "syncs before an ok, least of all requests",
            float(min(ours.synced)),
            SYNCS_MIN,
            "calls",
            is_least=True,
            note="a file and its directory, in two regions",
        )
