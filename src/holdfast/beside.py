"""What goes on beside the rest, until it is cancelled, and which nobody waits for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

log = logging.getLogger("holdfast")


def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Let it begin. Should it fail, the log has that at once, and not when the process stops."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell)
    return task


@asynccontextmanager
async def at_work(work: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Let it go on meanwhile."""
    tasks = [begin(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def repeat(
    job: Callable[[], Awaitable[object]],
    first_s: float,
    every_s: float,
    what: str,
    wanted: asyncio.Event | None = None,
) -> None:
    """Do a job soon after the start, and then again and again. Whatever ends one early, the next
    begins where that ended. what: "archiving", for the log. wanted: set, it is done at once."""
    pause, wanted = first_s, wanted or asyncio.Event()
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(wanted.wait(), pause)
        wanted.clear()
        pause = every_s
        try:
            await job()
        except Exception:
            log.exception("%s ended early", what)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("it has failed, and goes on no more: %s", task.get_coro(), exc_info=error)
