"""Large jobs on processes of this machine and on a real Dask cluster, of which a worker dies."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.cli.crew import Crew, Hands, Workers, crew_of
from holdfast.errors import UnavailableError
from holdfast.read.compute import outcome_of
from holdfast.regions import Regions
from holdfast.settings import load
from holdfast.times import format_us
from holdfast.verify.findings import Report
from holdfast.verify.journal import Journal
from holdfast.verify.run import Means, Progress, Question, Verification, silent
from holdfast.wiring import real_host, real_regions
from tests.cli.trail import write_trail

Capture = pytest.CaptureFixture[str]
EVENTS = 24
BEGUN_SECONDS = 30


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers, processes of this test."""

    url: str
    scheduler: "subprocess.Popen[str]"
    workers: tuple["subprocess.Popen[str]", ...]


def started(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]", words: str) -> str:
    """The first line of its log that has them."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    scheduler = started("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    processes = [scheduler]
    try:
        address = said(scheduler, "Scheduler at:").split()[-1]
        options = (address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
        processes += [started("distributed.cli.dask_worker", *options) for _ in range(2)]
        for worker in processes[1:]:
            said(worker, "Registered to:")
        url = address.replace("tcp://", "dask://")
        yield Cluster(url, scheduler, (processes[1], processes[2]))
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("crew") / "data"
    events: list[dict[str, object]] = [
        {"id": f"{n}", "action": "a", "tenant": f"{n % 3}"} for n in range(EVENTS)
    ]
    write_trail(data, *events)
    for beat in data.glob("regions/*/ctl/hb/*.note"):  # by it reading tells the regions' time
        later = beat.stat().st_mtime + 60
        os.utime(beat, (later, later))
    return data


@pytest.fixture(autouse=True)
def many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few segments are worth a crew."""
    monkeypatch.setattr("holdfast.verify.run.FEW", 0)
    monkeypatch.setattr("holdfast.verify.batch.SEGMENTS_MAX", 1)
    monkeypatch.setattr("holdfast.prove.walk.BATCH_SEGMENTS", 2)


def verified(
    data: Path,
    by: Crew | Workers | None,
    journal: Path | None = None,
    progress: Progress = silent,
) -> Report:
    settings = load(None, {}, {"data": str(data)})

    async def main(regions: Regions, means: Means) -> Report:
        await regions.verify()
        return await Verification(regions, host, Question(depth="events"), means).run()

    with contextlib.ExitStack() as closing:
        host, regions = (
            closing.enter_context(real_host()),
            closing.enter_context(real_regions(settings)),
        )
        asyncio.run(regions.verify())
        kept = closing.enter_context(Journal(journal, regions.trail)) if journal else None
        workers = Workers(settings, by) if isinstance(by, Crew) else by
        return asyncio.run(main(regions, Means(workers, kept, progress)))


def same(report: Report) -> tuple[object, ...]:
    return (
        report.verdict,
        report.segments,
        report.deep_segments,
        report.deep_events,
        report.findings,
    )


class Dying:
    """Progress, at which a process is killed when so much is done."""

    def __init__(self, process: "subprocess.Popen[str]", at: int) -> None:
        self._process = process
        self._at = at

    def __call__(self, done: int, total: int) -> None:
        if done == self._at:
            os.kill(self._process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_cluster_makes_an_export_too(
    cluster: Cluster, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CLOCK_ERROR_MS", "1")
    until = format_us(max(path.stat().st_mtime_ns for path in data.rglob("*.zst")) // 1000)
    times = ["--from", "2020-01-01T00:00:00Z", "--to", until]
    out, which = tmp_path / "out", ["--tenant", "1", "--action", "a"]

    by = ["--executor", cluster.url]
    assert run(["export", "--data", str(data), *times, *which, "--out", str(out), *by]) == 0

    ids = [json.loads(line)["id"] for line in out.read_bytes().splitlines()]
    assert ids == [f"{n}" for n in range(EVENTS) if n % 3 == 1]


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_finds_what_one_process_finds(
    cluster: Cluster, data: Path, tmp_path: Path
) -> None:
    alone = verified(data, None)

    with crew_of(Hands(executor=cluster.url)) as crew:
        assert crew is not None
        assert crew.at_once == 2
        found = verified(data, crew, progress=Dying(cluster.workers[0], 4))

    assert cluster.workers[0].wait(10) == -signal.SIGKILL
    assert alone.deep_segments >= EVENTS
    assert same(found) == same(alone)


@pytest.mark.slow
def test_a_cluster_that_is_lost_is_no_verdict_and_what_was_done_is_kept(
    cluster: Cluster, data: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"

    with (
        pytest.raises(UnavailableError),
        crew_of(Hands(executor=cluster.url)) as crew,
    ):
        verified(data, crew, journal, Dying(cluster.scheduler, 6))

    again = verified(data, None, journal)
    assert again.resumed_segments >= 5
    assert same(again) == same(verified(data, None))


def test_a_worker_that_sees_a_region_otherwise_says_so_and_calls_nothing_missing(
    data: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    shutil.rmtree(copied / "regions" / "c")  # a mount that this machine lacks
    elsewhere = load(None, {}, {"data": str(copied)})

    with ThreadPoolExecutor(1) as threads:
        workers = Workers(elsewhere, Crew(threads, 1, is_elsewhere=True))
        with pytest.raises(UnavailableError, match="region c at "):
            verified(data, workers)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--executor", "ray://127.0.0.1:1"], 2, "dask://HOST:PORT"),
        (["--executor", "dask://127.0.0.1:1", "--jobs", "2"], 2, "does not go with"),
    ],
)
def test_an_executor_that_is_none_is_named(
    data: Path, capsys: Capture, arguments: list[str], code: int, told: str
) -> None:
    assert run(["verify", "--data", str(data), *arguments]) == code
    assert told in capsys.readouterr().err


def test_a_job_that_was_given_up_is_no_cancellation_of_who_waits() -> None:
    job: Future[int] = Future()
    job.cancel()

    async def waits() -> int:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(outcome_of(job))
        return waiting.result()

    with pytest.raises(ExceptionGroup):
        asyncio.run(waits())


def test_a_server_does_its_own_work(data: Path, capsys: Capture, tmp_path: Path) -> None:
    where = ["--server", "http://127.0.0.1:1", "--out", str(tmp_path / "a")]
    times = ["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z"]

    assert run(["export", *where, *times, "--jobs", "2"]) == 2
    assert "a server has its own" in capsys.readouterr().err
