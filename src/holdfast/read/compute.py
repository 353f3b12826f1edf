"""Worker processes that may die: a job that kills its worker takes nothing else with it.

`concurrent.futures` gives up a pool for good when one of its processes dies (out of memory, a
crash in a library). `Renewing` is an executor over such pools: it makes a new one and runs the
lost jobs once more there. A job that kills its worker twice fails, with the pool's own error.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

log = logging.getLogger("holdfast.read")

ATTEMPTS_MAX = 2


class Renewing(Executor):
    """See the module. `make` builds a pool; it is called at the first job and after each loss."""

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._turn = threading.Lock()
        self._pool: Executor | None = None
        self._over = False
        self.lost_count = 0

    def submit(
        self,
        fn: Callable[Parameters, Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Future[Result]:
        """As `Executor.submit`; the job may run twice."""
        outcome: Future[Result] = Future()
        self._try(outcome, lambda pool: pool.submit(fn, *args, **kwargs), 1)
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; nothing is taken after that."""
        with self._turn:
            self._over = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _try(
        self,
        outcome: Future[Result],
        start: Callable[[Executor], Future[Result]],
        attempt: int,
    ) -> None:
        try:
            pool = self._current()
        except RuntimeError as error:
            if attempt == 1:
                raise
            _fail(outcome, error)
            return
        try:
            job = start(pool)
        except BrokenExecutor as error:
            self._lost(pool)
            if attempt < ATTEMPTS_MAX:
                self._try(outcome, start, attempt + 1)
            else:
                _fail(outcome, error)
            return
        except OSError as error:
            _fail(outcome, _not_started(error))
            return

        def finished(done: Future[Result]) -> None:
            if done.cancelled():
                outcome.cancel()
                outcome.set_running_or_notify_cancel()
                return
            error = done.exception()
            if isinstance(error, BrokenExecutor):
                self._lost(pool)
                if attempt < ATTEMPTS_MAX and not outcome.cancelled():
                    self._try(outcome, start, attempt + 1)
                    return
            if error is not None:
                _fail(outcome, error)
            elif outcome.set_running_or_notify_cancel():
                outcome.set_result(done.result())

        job.add_done_callback(finished)
        begun = weakref.ref(job)  # in no circle: see `outcome_of`

        def ended(done: Future[Result]) -> None:
            """Nobody waits for it any more: if it has not begun, it need not."""
            if done.cancelled() and (left := begun()) is not None:
                left.cancel()

        outcome.add_done_callback(ended)

    def _current(self) -> Executor:
        with self._turn:
            if self._over:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._pool is None:
                try:
                    self._pool = self._make()
                except OSError as error:
                    raise _not_started(error) from error
            return self._pool

    def _lost(self, pool: Executor) -> None:
        """Leave a broken pool, once, however many of its jobs say so."""
        with self._turn:
            if self._pool is not pool:
                return
            self._pool = None
            self.lost_count += 1
        log.warning("a worker process died; its jobs are run again in new ones")
        pool.shutdown(wait=False, cancel_futures=True)


async def outcome_of(job: Future[Result]) -> Result:
    """What a job ends with. One that its executor gave up is an error, and not a cancellation of
    whoever waits for it, which could pass unnoticed.

    What it gave is free with the last who holds it: `asyncio.wrap_future` makes a circle of two
    futures, in which results of megabytes wait for the garbage collector, which counts objects.

    Raises BrokenExecutor: it was given up.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[Result]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended.set)

    job.add_done_callback(tell)
    try:
        await ended.wait()
    except asyncio.CancelledError:
        job.cancel()
        raise
    if job.cancelled():
        raise BrokenExecutor("a job was given up")
    return job.result()


def begin_work(nice: int) -> None:
    """For a worker's start: yield to others, and end when the process that made it does, however
    that one ends.

    A worker waits at a pipe whose other end it holds itself, so it would outlive a parent that was
    killed, for ever, with all its memory. Ctrl-C reaches a terminal's whole group: what a worker
    does then is its parent's to say, which may still be answering.
    """
    os.nice(nice)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _not_started(error: OSError) -> BrokenExecutor:
    """For want of memory, processes or open files: no fault of what a job reads or writes."""
    return BrokenExecutor(f"no worker process can be started: {error}")


def _fail(outcome: Future[Result], error: BaseException) -> None:
    if outcome.set_running_or_notify_cancel():
        outcome.set_exception(error)
