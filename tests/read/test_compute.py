"""Worker processes that die."""

import asyncio
import gc
import multiprocessing
import os
import threading
import weakref
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path

import pytest

from holdfast.read.compute import Renewing, outcome_of


def pool() -> Executor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def die_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).write_bytes(b"")
        os._exit(1)
    return "done"


def die() -> None:
    os._exit(1)


def fail() -> None:
    raise ValueError("no")


@pytest.mark.slow
def test_a_job_whose_worker_died_is_run_again_in_a_new_one(tmp_path: Path) -> None:
    with Renewing(pool) as workers:
        outcome = workers.submit(die_once, str(tmp_path / "died")).result(60)

        assert outcome == "done"
        assert workers.lost_count == 1


@pytest.mark.slow
def test_a_job_that_kills_its_worker_twice_fails_and_the_next_one_runs() -> None:
    with Renewing(pool) as workers:
        with pytest.raises(BrokenExecutor):
            workers.submit(die).result(60)

        assert workers.submit(abs, -1).result(60) == 1


class Breaking(Executor):
    """A pool that is broken from the start."""

    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[int]:  # type: ignore[override]
        raise BrokenExecutor("broken")


class Dying(Executor):
    """A pool whose worker dies with its first job."""

    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[int]:  # type: ignore[override]
        job: Future[int] = Future()
        job.set_exception(BrokenExecutor("died"))
        return job


class Crowded(Executor):
    """A pool that the machine has no process for."""

    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[int]:  # type: ignore[override]
        raise OSError(11, "Resource temporarily unavailable")


@pytest.mark.parametrize("again", [Crowded, None])
def test_a_job_ends_where_no_other_worker_can_be_started(again: type[Executor] | None) -> None:
    made = 0

    def make() -> Executor:
        nonlocal made
        made += 1
        if made > 1 and again is None:
            raise OSError(24, "Too many open files")
        return again() if made > 1 and again is not None else Dying()

    with pytest.raises(BrokenExecutor, match="no worker process can be started"):
        Renewing(make).submit(abs, -1).result(5)


class Busy(Executor):
    """A pool that has not come to a job yet."""

    def __init__(self) -> None:
        self.job: Future[int] = Future()

    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[int]:  # type: ignore[override]
        return self.job


def test_a_job_that_nobody_waits_for_any_more_is_not_begun() -> None:
    busy = Busy()

    Renewing(lambda: busy).submit(abs, -1).cancel()

    assert busy.job.cancelled()


class Whole(Executor):
    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[int]:  # type: ignore[override]
        outcome: Future[int] = Future()
        outcome.set_result(7)
        return outcome


def test_a_pool_that_refuses_is_replaced_at_once() -> None:
    pools = [Breaking(), Whole()]
    workers = Renewing(lambda: pools.pop(0))

    assert workers.submit(abs, 1).result(1) == 7


def test_pools_that_are_all_broken_fail_the_job() -> None:
    workers = Renewing(Breaking)

    with pytest.raises(BrokenExecutor):
        workers.submit(abs, 1).result(1)


def test_nothing_is_taken_after_the_end() -> None:
    workers = Renewing(Whole)
    workers.shutdown()

    with pytest.raises(RuntimeError):
        workers.submit(abs, 1)


@pytest.mark.slow
def test_a_jobs_own_error_is_its_own() -> None:
    with Renewing(pool) as workers, pytest.raises(ValueError, match="no"):
        workers.submit(fail).result(60)


def test_what_a_job_gave_is_free_with_the_last_who_holds_it() -> None:
    class Large:
        """A result."""

    with ThreadPoolExecutor(1) as threads:
        workers, gone, begun = Renewing(lambda: threads), list[bool](), threading.Event()

        async def story() -> None:
            job = workers.submit(lambda: Large() if begun.wait(10) else None)
            begun.set()
            found = weakref.ref(await outcome_of(job))
            del job
            threads.submit(int).result()  # the thread has let go of the job before
            gone.append(found() is None)

        gc.collect()
        gc.disable()
        try:
            asyncio.run(story())
        finally:
            gc.enable()

    assert gone == [True]
