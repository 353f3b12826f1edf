"""Real processes that archive and sweep are killed at one removal after the other.

    python -m tests.nemesis.sweeping [--server]

A day of small segments is archived by a command whose clock is days behind (`faketime`), and swept
by commands and, with --server, by servers, each killed with SIGKILL once so many segments are gone.
Then everything is found, and `verify --depth events` is content. Says how many objects are left.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from holdfast.regions.units import DAY_US, HOUR_US
from tests.archive.days import FIRST, FIRST_US, laid_out
from tests.e2e.server import HOLDFAST, Server
from tests.read.trails import ALL, World, Writer

SEGMENTS = 3_100
EVENTS_EACH = 3
KILLED_AFTER = (1, 7, 40, 1_000)
SERVER_KILLED_AFTER = (60, 900)
PATIENCE_SECONDS = 900


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def run(*arguments: str, prefix: Sequence[str] = (), code: int = 0) -> str:
    """A command to its end with an exit code; what it printed. prefix: one that becomes it."""
    command = [*prefix, HOLDFAST, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == code, f"exit {done.returncode}: {done.stderr}\n{done.stdout}"
    return done.stdout


def wait_for(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.002)


def written(data: Path) -> str:
    """A trail whose one old day has many small segments, closed; whose they are."""
    world = World()
    world.now_us = FIRST_US + HOUR_US
    writer = Writer(world)
    writer.born()
    step = 22 * HOUR_US // SEGMENTS
    for number in range(SEGMENTS):
        world.now_us += step
        writer.seal(*(f"{number}-{each}" for each in range(EVENTS_EACH)))
    world.now_us = FIRST_US + 2 * DAY_US
    writer.beat()
    writer.close()
    laid_out(world, data)
    return writer.node


def objects(data: Path, node: str) -> dict[str, int]:
    """What each region has of the day."""
    kinds = (f"ev/seg/{node}", f"ev/arc/day={FIRST}")
    found = {}
    for id in ALL:
        below = (path for kind in kinds for path in (data / "regions" / id / kind).rglob("*"))
        found[id] = sum(path.is_file() for path in below)
    return found


def small(data: Path) -> int:
    return sum(1 for _ in data.glob("regions/*/ev/seg/*/*/*.zst"))


def killed_after(data: Path, count: int, command: Sequence[str]) -> int:
    """Run a command, and kill it once so many segments are gone; how many are."""
    before = small(data)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and before - small(data) < count:
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    return before - small(data)


def by_commands(data: Path) -> Iterator[str]:
    for count in KILLED_AFTER:
        command = [HOLDFAST, "sweep", "--data", str(data), "--kept", "0"]
        yield f"holdfast sweep killed when {killed_after(data, count, command)} were gone"


def by_servers(data: Path) -> Iterator[str]:
    """A server's own sweeps, which come two minutes after its start."""
    for count in SERVER_KILLED_AFTER:
        before = small(data)
        with closing(Server(data, ARCHIVE_AFTER_HOURS="24").start()) as server:
            wait_for(lambda: before - small(data) >= count)  # noqa: B023
            server.kill()
        yield f"holdfast serve killed when {before - small(data)} were gone"


def judged(data: Path, events: int) -> None:
    """All is found by a server that starts now, and verified."""
    with closing(Server(data).start()) as server:
        wait_for(lambda: sum(1 for _ in server.events(tenant="acme")) == events)
        server.send("still.working")
        server.stop()
    report = json.loads(run("verify", "--data", str(data), "--depth", "events", "--json"))
    assert report["deep_events"] >= events, report
    assert report["verdict"] == "good", report["findings"]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="holdfast-sweeping-") as folder:
        data = Path(folder) / "data"
        node, events = written(data), SEGMENTS * EVENTS_EACH
        before = objects(data, node)
        run("archive", "--data", str(data), prefix=("faketime", "-f", "-9d"))
        for each in by_servers(data) if "--server" in sys.argv else ():
            say(each)
        for each in by_commands(data):
            say(each)
        judged(data, events)
        say(run("sweep", "--data", str(data), "--kept", "0").splitlines()[-1])
        after = objects(data, node)
        judged(data, events)
        for id in ALL:
            say(f"{id}: {before[id]} objects of {FIRST} before, {after[id]} after")
            assert before[id] >= 1000 * after[id]
    return 0


if __name__ == "__main__":
    sys.exit(main())
