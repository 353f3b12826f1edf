"""What senders notice when a region goes away under load, and when it comes back.

Single events arrive at a fixed rate, whatever the server does; a latency counts from when its
event was due. Three directories: one is renamed away, as when a disk dies, and one lies on a disk
that hangs (`fsfreeze`: every write waits). Three Cephs: a gateway is killed, and a storage daemon
is stopped, so that connections stand and nothing answers. Latencies are normal again from the first
moment on after which, for two seconds, their p99 is at most twice what it was before the fault.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from numpy import quantile

from bench import load, regions, server
from bench.plan import Ground, say
from bench.report import Finding, Part, Table

REGION: Final = regions.IDS[2]
WARM_S: Final = 3.0
CALM_S: Final = 2.0
STEP_S: Final = 0.1
NORMAL: Final = 2.0  # of the p99 before
BACK_S_MAX: Final = 2.0
CONNECTIONS: Final = 256
DISK_BYTES: Final = 512 * 1024 * 1024
RATES: Final = {"directories": 2_000.0, "ceph": 200.0}
HEAD: Final = (
    *("fault", "events/s", "failed", "ack p50 / p99 ms before", "while away", "once it is back"),
    *("normal again after s", "and after its return", "the region meanwhile"),
)

PERCENTILES: Final = tuple(number / 100 for number in range(101))

Act = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """begin, end: do it, and undo it. place: what the regions are."""

    name: str
    place: str
    begin: Act
    end: Act


@dataclass(frozen=True)
class Story:
    """What came of one fault. Latencies in ms, by when the event was due; failed: not 201.

    normal_s, back_s: until latencies were normal, since the fault began, and since it was undone.
    state: how the server saw the region just before that.
    """

    fault: str
    place: str
    rate: float
    failed: int
    before: tuple[float, ...]
    away: tuple[float, ...]
    back: tuple[float, ...]
    normal_s: float
    back_s: float
    state: str


def measure(ground: Ground) -> Part:
    """Takes about three minutes."""
    stories: list[Story] = []
    with ground.folder("outage") as folder, _on_directories(folder) as (config, faults):
        stories += _play(ground, folder / "data", config, faults)
    if regions.has_ceph():
        with ground.folder("outage") as folder, regions.cephs(ground) as cephs:
            config = folder / "holdfast.toml"
            config.write_text(regions.in_buckets(cephs, "outage"))
            ceph = cephs[REGION]
            faults = [
                Fault("a gateway is killed", "ceph", lambda: ceph.kill("rgw"), ceph.up),
                Fault(
                    "a storage daemon is stopped",
                    "ceph",
                    lambda: ceph.hang("osd"),
                    lambda: ceph.resume("osd"),
                ),
            ]
            stories += _play(ground, folder / "data", config, faults)
    rows = tuple(_row(story) for story in stories)
    data = [kept(asdict(story)) for story in stories]
    return Part("outage", (Table("", HEAD, rows),), tuple(_findings(stories)), data)


def kept(story: dict[str, Any]) -> dict[str, Any]:
    """With percentiles, the least to the most, for latencies: each story has 40,000 of them."""
    parts = {
        name: {"count": len(values), "percentiles_ms": quantile(values, PERCENTILES).tolist()}
        for name, values in story.items()
        if isinstance(values, tuple | list)
    }
    return {**story, **parts}


@contextmanager
def _on_directories(folder: Path) -> Iterator[tuple[Path, list[Fault]]]:
    """Settings, and what can be done here to one of its directories."""
    config, place = folder / "holdfast.toml", folder / REGION
    config.write_text(regions.in_directories(folder))
    away = place.with_name("away")
    faults = [
        Fault(
            "a directory is renamed away",
            "directories",
            lambda: place.rename(away),
            lambda: away.rename(place),
        )
    ]
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    # A region is a directory below: a mount cannot be renamed.
    mount = folder / "mounted"
    mount.mkdir()
    if not _run("mkfs.ext4", "-q", str(disk)) or not _run("mount", "-o", "loop", str(disk), mount):
        say("NO DISK CAN BE MOUNTED HERE: none is made to hang")
        yield config, faults
        return
    (mount / REGION).mkdir()
    place.symlink_to(mount / REGION)
    faults.append(
        Fault(
            "a disk hangs",
            "directories",
            lambda: _run("fsfreeze", "--freeze", mount),
            lambda: _run("fsfreeze", "--unfreeze", mount),
        )
    )
    try:
        yield config, faults
    finally:
        _run("fsfreeze", "--unfreeze", mount)
        _run("umount", "--lazy", mount)


def _run(*command: str | Path) -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def _play(ground: Ground, data: Path, config: Path, faults: list[Fault]) -> list[Story]:
    with (
        server.running(data, ground.cores.all, config=config) as running,
        load.Client(running.port, CONNECTIONS) as client,
    ):
        client.paced(load.singles(ground.stream()), RATES[faults[0].place], WARM_S)
        return [_story(ground, running, client, fault) for fault in faults]


def _story(ground: Ground, running: server.Server, client: load.Client, fault: Fault) -> Story:
    """Load, and what happens meanwhile."""
    rate, seconds = RATES[fault.place], ground.plan.outage_s
    requests = load.singles(ground.stream(step_us=1e6 / rate))
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(client.paced, requests, rate, 3.5 * seconds)
        time.sleep(seconds)
        begun = time.perf_counter()
        fault.begin()
        try:
            time.sleep(1.5 * seconds)
            state = _state(running)
        finally:
            ended = time.perf_counter()
            fault.end()
        loaded = loading.result()
    acks = sorted(zip(loaded.due, loaded.ack_ms, strict=True))
    before, away, back = (
        tuple(ms for due, ms in acks if since <= due < until)
        for since, until in ((0.0, begun), (begun, ended), (ended, float("inf")))
    )
    limit_ms = NORMAL * float(quantile(before, 0.99))
    story = Story(
        fault=fault.name,
        place=fault.place,
        rate=loaded.rate,
        failed=loaded.statuses.total() - loaded.statuses[201],
        before=before,
        away=away,
        back=back,
        normal_s=normal_after(acks, begun, ended, limit_ms),
        back_s=normal_after(acks, ended, loaded.due[-1], limit_ms),
        state=state,
    )
    say(f"  {', '.join(_row(story))}")
    return story


def _state(running: server.Server) -> str:
    """Of the region, as the server sees it. The fault is none where it does not notice."""
    of_all = {each["region"]: each["state"] for each in running.ask("/v1/status")["regions"]}
    state = str(of_all[REGION])
    if state == "ok":
        raise RuntimeError(f"region {REGION} was taken away, and the server has not noticed")
    return state


def normal_after(
    acks: list[tuple[float, float]], begin: float, end: float, limit_ms: float
) -> float:
    """Seconds from `begin`; all the time there was, where latencies did not become normal."""
    since = begin
    while since + CALM_S <= end:
        window = [ms for due, ms in acks if since <= due < since + CALM_S]
        if window and quantile(window, 0.99) <= limit_ms:
            return since - begin
        since += STEP_S
    return end - begin


def _row(story: Story) -> tuple[str, ...]:
    return (
        story.fault,
        f"{story.rate:,.0f}",
        f"{story.failed}",
        *(
            f"{quantile(ms, 0.5):,.0f} / {quantile(ms, 0.99):,.0f}"
            for ms in (story.before, story.away, story.back)
        ),
        f"{story.normal_s:.1f}",
        f"{story.back_s:.1f}",
        story.state,
    )


def _findings(stories: list[Story]) -> Iterator[Finding]:
    answered = sum(len(s.before) + len(s.away) + len(s.back) for s in stories)
    failed = sum(story.failed for story in stories)
    yield Finding(
        "acknowledged of what was sent while regions went away",
        100 * answered / (answered + failed),
        100,
        "%",
        is_least=True,
        note=f"{answered:,} events, {failed} answered otherwise",
    )
    for story in stories:
        name = f"{story.fault}: ack p99 normal again after"
        yield Finding(name, story.normal_s, BACK_S_MAX, "s")
