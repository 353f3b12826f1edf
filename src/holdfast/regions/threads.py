"""A few threads of one's own for blocking calls."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")
_Job = Callable[[], None]


class Threads:
    """An `Offload` whose threads nobody waits for at the end of the process.

    The standard executor joins its threads at exit, so one call that hangs in a dead disk would
    keep the process from ending; these are daemons. Threads are made when they are needed.
    """

    def __init__(self, name: str, count_max: int = 8) -> None:
        self._name = name
        self._count_max = count_max
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def __call__(self, function: Callable[..., Result], /, *arguments: object) -> Awaitable[Result]:
        future: Future[Result] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*arguments)
            except BaseException as error:  # whatever it is belongs to the caller
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._count_max:
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the threads end after what is queued. Does not wait: one of them may hang."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # or it would keep the bytes of the last call alive
            self._idle.release()
