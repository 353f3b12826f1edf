"""Simulated processes on one event loop of virtual time.

A process is a context: every callback that was scheduled inside it belongs to it. A killed process
runs nothing any more, not even a `finally`; a paused one runs nothing until it is resumed, while
time goes on for everyone else. Whatever the world does belongs to no process.
"""

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from tests.world import VirtualLoop

Result = TypeVar("Result")
CURRENT: ContextVar["Process | None"] = ContextVar("process", default=None)


class Killed(BaseException):
    """The process ends here, in the midst of a system call."""


class Task(asyncio.Task[Any]):
    """A task that takes the same place in a set in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class Loop(VirtualLoop):
    """Runs what is due, process by process. `tasks`: all that were ever made, kept alive."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[Task] = []
        self.set_task_factory(self._make)  # type: ignore[arg-type]

    def _make(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **named: Any
    ) -> Task:
        task = Task.__new__(Task)
        task.number = len(self.tasks)
        task.__init__(coro, loop=loop, **named)  # type: ignore[misc]
        self.tasks.append(task)
        return task

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready and scheduled:
            self.now = max(self.now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self.now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(CURRENT)
            if process is None or (process.alive and not process.paused):
                handle._run()
            elif process.alive:
                process.deferred.append(handle)

    def bury(self) -> None:
        """Close what killed processes left, so that nothing of it runs when it is collected. What
        it logs on that way (that it is to end, and cannot) is said by nobody who lives."""
        logging.disable()
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                for _ in range(3):
                    with contextlib.suppress(BaseException):
                        task.get_coro().close()
        logging.disable(logging.NOTSET)


class Process:
    """One process of the simulated world."""

    def __init__(self, name: str, loop: Loop) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.was_paused = False
        self.fuse: int | None = None  # calls of a disk until it is killed in the midst of one
        self.writes: int | None = None  # of an expiry, until it is killed before the next
        self.deferred: list[asyncio.Handle] = []
        self._loop = loop
        self.context: Context = copy_context()
        self.context.run(CURRENT.set, self)

    def spawn(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Run a coroutine in this process; what it sets in its context is its own."""
        return self._loop.create_task(work, context=self.context.copy())

    def kill(self) -> None:
        """End it at whatever it awaits."""
        self.alive = False
        self.deferred.clear()

    def resume(self) -> None:
        self.paused = False
        self._loop._ready.extend(self.deferred)  # type: ignore[attr-defined]
        self.deferred.clear()
