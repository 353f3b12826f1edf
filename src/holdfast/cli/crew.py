"""Who does large jobs: processes of this machine, or a cluster that there is already.

Either is an executor (`concurrent.futures`) and does again what a lost process had. What is done is
kept by whoever asked: a journal, or a file as far as it is written.
"""

import asyncio
import multiprocessing
import os
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from typer import Option

import holdfast
from holdfast.cli.options import Where
from holdfast.cli.source import ServerSource, Source, open_source, rejected
from holdfast.errors import UnavailableError
from holdfast.read.compute import Renewing, begin_work, outcome_of
from holdfast.regions import Regions
from holdfast.settings import Settings
from holdfast.verify.batch import Batch, Done, check_batch

DASK = "dask://"
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Hands:
    """Who does the work."""

    jobs: Annotated[
        int, Option(min=0, metavar="N", help="Worker processes. (default: one for each core)")
    ] = 0
    executor: Annotated[
        str, Option(metavar="URL", help="A cluster instead: dask://HOST:PORT, its scheduler.")
    ] = ""


@dataclass(frozen=True, slots=True)
class Crew:
    """An executor of large jobs. at_once: so many it works on at a time. is_elsewhere: on other
    machines, perhaps."""

    executor: Executor
    at_once: int
    is_elsewhere: bool = False


@contextmanager
def crew_of(hands: Hands) -> Iterator[Crew | None]:
    """Who is asked for; None where this process is enough.

    Raises:
        RejectedError: no such executor. UnavailableError: it cannot be reached, or is lost.
    """
    with ExitStack() as ending:
        try:
            if hands.executor:
                if hands.jobs:
                    raise rejected("--jobs", "does not go with --executor, which has its own")
                yield ending.enter_context(_cluster(hands.executor))
            else:
                jobs = hands.jobs or len(os.sched_getaffinity(0))
                yield None if jobs == 1 else ending.enter_context(_processes(jobs))
        except BrokenExecutor as error:
            raise UnavailableError(f"whoever did the work is lost: {error}") from error


@contextmanager
def worked_source(where: Where, hands: Hands) -> Iterator[Source]:
    """What is asked, with whoever is to do the work. Raises as `open_source` and `crew_of`;
    RejectedError: a server has its own."""
    with open_source(where) as source:
        if isinstance(source, ServerSource) and hands == Hands():
            yield source
            return
        with crew_of(hands) as crew:
            if crew is not None:
                source.hand_to(crew.executor, crew.at_once)
            yield source


@contextmanager
def _processes(jobs: int) -> Iterator[Crew]:
    """They start with the first job. One that kills its process is done once more by another."""
    spawn = multiprocessing.get_context("spawn")
    pool = Renewing(lambda: ProcessPoolExecutor(jobs, spawn, initializer=begin_work, initargs=(0,)))
    try:
        yield Crew(pool, jobs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _cluster(url: str) -> Iterator[Crew]:
    """A Dask cluster, whose workers have the same version of Holdfast."""
    if not url.startswith(DASK):
        raise rejected("--executor", f"is {DASK}HOST:PORT, not {url!r}")
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.core import CommClosedError
    except ModuleNotFoundError:
        raise rejected("--executor", "dask is missing: install holdfast-audit[dask]") from None
    try:
        address = url.removeprefix(DASK)
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{url} cannot be reached: {error}") from error
    with client:
        try:
            threads = sum(client.nthreads().values())
            if not threads:
                raise UnavailableError(f"{url} has no worker now")
            _check_versions(client.run(_version))
            yield Crew(client.get_executor(pure=False), threads, is_elsewhere=True)
        except (KilledWorker, CommClosedError) as error:
            raise UnavailableError(f"{url}: {error}") from error


def _version() -> str:
    return holdfast.__version__


def _check_versions(found: dict[str, str]) -> None:
    """Raises RejectedError: a worker would judge by other rules."""
    for worker, version in sorted(found.items()):
        if version != holdfast.__version__:
            reason = f"{worker} has Holdfast {version}, and this is {holdfast.__version__}"
            raise rejected("--executor", reason)


class Workers:
    """A crew that reads and judges segments: each process over regions that it opened for itself.
    As `verify.run.Crew`."""

    def __init__(self, settings: Settings, crew: Crew) -> None:
        self.at_once = crew.at_once
        self._settings = settings
        self._crew = crew

    async def do(self, batch: Batch) -> Done:
        executor, is_elsewhere = self._crew.executor, self._crew.is_elsewhere
        return await outcome_of(executor.submit(_check, self._settings, batch, is_elsewhere))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Opened:
    """What a thread of a worker process keeps from one batch to the next, and closes at its end."""

    settings: Settings
    loop: asyncio.AbstractEventLoop
    regions: Regions


_kept = threading.local()


def _check(settings: Settings, batch: Batch, is_elsewhere: bool) -> Done:
    """In a worker.

    Raises UnavailableError: on another machine, a region is not what it is here; nothing there may
    be taken for missing.
    """
    opened = _opened(settings, batch.trail, is_elsewhere)
    if is_elsewhere:
        held = {id for target in batch.targets for id in target.holders}
        for region in opened.regions:
            if region.id in held and region.why_unverified:
                where = f"region {region.id} at {os.uname().nodename}"
                raise UnavailableError(f"{where}: {region.why_unverified}")
    return opened.loop.run_until_complete(check_batch(opened.regions, batch))


def _opened(settings: Settings, trail: str, is_elsewhere: bool) -> _Opened:
    from holdfast.wiring import PATIENT, real_regions

    opened: _Opened | None = getattr(_kept, "opened", None)
    if opened is not None and opened.settings == settings:
        return opened
    closing = ExitStack()
    regions = closing.enter_context(real_regions(settings, PATIENT))
    opened = _kept.opened = _Opened(settings, asyncio.new_event_loop(), regions)
    closing.callback(opened.loop.close)
    weakref.finalize(opened, closing.close)
    if is_elsewhere:
        regions.trail = trail
        opened.loop.run_until_complete(regions.verify())
    return opened
