"""What goes on beside the rest, until it is cancelled, and which nobody waits for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
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


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("it has failed, and goes on no more: %s", task.get_coro(), exc_info=error)
