"""`python -m bench.profile NAME`: where the time goes, as a flame graph in docs/profile-NAME.svg.

A server under load on one core, all its processes and threads sampled from outside by py-spy while
they run. A bar is as wide as its share of the samples, and below what called it. Time in the kernel
and in libraries without Python (zstd, SHA-256, JSON, SQLite) belongs to the function of Python that
called them. A thread that waits for the interpreter's lock is seen as running now and then: read
shares, not rates.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final

from bench import load, server
from bench.events import make_pool
from bench.plan import BATCH_CONNECTIONS, QUICK, SINGLE_CONNECTIONS, Ground, say
from bench.processes import Side, choose_cores, tail

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
SAMPLES_A_SECOND: Final = 400
SPY_S_MAX: Final = 60
WARM_EVENTS: Final = 10_000
EVENTS_MAX: Final = 80_000  # so few that nothing is folded, which has a process of its own
WARM_S_MAX: Final = 60
IDLE_S: Final = 20
DAY_US: Final = 24 * 3_600_000_000
SEARCHED_EVENTS: Final = 300_000
SEARCHED_S_MAX: Final = 120
FOLDED_S: Final = 3.0  # no pause between two folds is longer
SVG_BYTES_MAX: Final = 500_000
SVG: Final = ".svg"
_FOLDERS: Final = re.compile(r"(?<![\w/<])/(?:[\w.+-]+/)+")  # of this machine: in command lines
_TITLE: Final = re.compile(r'(?<=id="title")([^>]*>)[^<]*')

Loaded = Callable[[float], None]  # keep the server busy for so many seconds
Load = Callable[[Ground, server.Server], AbstractContextManager[Loaded]]


def main() -> int:
    options = _options()
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.client})
    directory = Path(mkdtemp(prefix="holdfast-profile-", dir=options.directory))
    try:
        pool, random = make_pool(options.seed), Random(options.seed)
        ground = Ground(QUICK, cores, directory, None, pool, random)
        profile(ground, LOADS[options.name], options.seconds, options.into)
    finally:
        rmtree(directory, ignore_errors=True)
    say(f"{options.into} has {options.into.stat().st_size:,} bytes")
    return 0


def profile(ground: Ground, load: Load, seconds: float, into: Path) -> None:
    """Sample a fresh server under a load, once that is ready.

    Args:
        into: A flame graph as SVG; under another suffix stacks with their samples, a line each.
    Raises:
        RuntimeError: py-spy may not look, or what it drew is too large to be kept.
    """
    with (
        server.running(ground.directory / "data", ground.cores.side) as running,
        load(ground, running) as loaded,
        _sampled(running.side, ground.directory / "sampled", into.suffix),
    ):
        loaded(seconds)
    text = (ground.directory / "sampled").read_text("utf-8")
    if into.suffix == SVG and len(text) > SVG_BYTES_MAX:
        raise RuntimeError(f"the graph has {len(text):,} bytes, more than {SVG_BYTES_MAX:,}")
    text = _TITLE.sub(rf"\1{into.stem}", text)
    into.write_text(_FOLDERS.sub("", text), "utf-8")


@contextmanager
def _sampled(side: Side, into: Path, suffix: str) -> Iterator[None]:
    program = Path(sys.executable).with_name("py-spy")
    command = [str(program), "record", "--pid", str(side.pid), "--subprocesses", "--function"]
    command += ["--rate", str(SAMPLES_A_SECOND), "--output", str(into)]
    # While it is held still for each sample, a thread that waits looks like one that runs.
    command += ["--nonblocking", "--format", "flamegraph" if suffix == SVG else "raw"]
    log = into.with_suffix(".log")
    with log.open("wb") as said:
        spy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield
    finally:
        spy.send_signal(signal.SIGINT)
        spy.wait(SPY_S_MAX)
    if not into.exists():
        raise RuntimeError(f"py-spy wrote nothing:\n{tail(log)}")


@contextmanager
def _ingest(
    make: load.Way, connections: int, ground: Ground, running: server.Server
) -> Iterator[Loaded]:
    requests = make(ground.stream())
    with load.Client(running.port, connections) as client:
        warm = client.closed(requests, WARM_EVENTS, WARM_S_MAX)
        running.wait_found(*warm.last)
        running.side.wait_idle(IDLE_S)

        def loaded(seconds: float) -> None:
            found = client.closed(requests, EVENTS_MAX, seconds)
            say(f"{found.events:,} events acknowledged, {found.rate:,.0f} a second")

        yield loaded


@contextmanager
def _search(ground: Ground, running: server.Server) -> Iterator[Loaded]:
    """Every kind of question in turn, over events of the last day."""
    stream = ground.stream(DAY_US / SEARCHED_EVENTS, ago_s=DAY_US / 1e6)
    with load.Client(running.port, BATCH_CONNECTIONS) as client:
        filled = client.closed(load.batches(stream), SEARCHED_EVENTS, SEARCHED_S_MAX)
    running.wait_found(*filled.last)
    running.side.wait_idle(IDLE_S, FOLDED_S)
    since = datetime.now(UTC) - timedelta(hours=1)
    every = running.ask("/v1/events", limit="1000")["events"]

    def loaded(seconds: float) -> None:
        end = time.monotonic() + seconds
        asked = count()
        for number in asked:
            record = every[number * 7 % len(every)]
            for path, question in _questions(record, since.isoformat()):
                running.ask(path, **question)
            if time.monotonic() > end:
                break
        say(f"{next(asked)} times every question")

    yield loaded


def _questions(record: Mapping[str, Any], since: str) -> Iterator[tuple[str, dict[str, str]]]:
    yield "/v1/events", {"tenant": record["tenant"], "from": since}
    yield "/v1/events", {"actor": record["actor"]["id"]}
    yield "/v1/events", {"id": record["id"]}
    yield "/v1/events", {"word": record["trace"]["request_id"]}
    yield "/v1/events", {"q": record["trace"]["trace_id"][4:]}
    yield "/v1/events/count", {"by": "action", "bucket": "1h"}


LOADS: Final[Mapping[str, Load]] = {
    "ingest": partial(_ingest, load.batches, BATCH_CONNECTIONS),
    "ingest-single": partial(_ingest, load.singles, SINGLE_CONNECTIONS),
    "search": _search,
}


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("name", choices=list(LOADS))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1, help="of the events")
    parser.add_argument(
        "--into", type=Path, help="another file; stacks as text unless it is an .svg"
    )
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="a real disk")
    options = parser.parse_args()
    options.into = options.into or DOCS / f"profile-{options.name}.svg"
    return options


if __name__ == "__main__":
    sys.exit(main())
