"""Events of the trail's own that wait until they are stored."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from holdfast.errors import HoldfastError
from holdfast.model import JsonObject

WAITING_MAX = 1000

Tell = Callable[[JsonObject], Awaitable[None]]


class Outbox:
    """In their order, the newest of them. tell: stores one; None: nobody here can."""

    def __init__(self, what: str, log: logging.Logger) -> None:
        """what: they are of, in words for the log."""
        self.tell: Tell | None = None
        self._what = what
        self._log = log
        self._waiting: deque[JsonObject] = deque(maxlen=WAITING_MAX)
        self._turn = asyncio.Lock()

    def put(self, event: JsonObject) -> None:
        """Have it stored by the next `flush`."""
        self._waiting.append(event)

    async def flush(self) -> None:
        """Store what waits. What cannot be stored now goes with the next time."""
        try:
            async with self._turn:
                while self.tell is not None and self._waiting:
                    event = self._waiting[0]
                    await self.tell(event)
                    if self._waiting[0] is event:  # else so many came that it was left out
                        self._waiting.popleft()
        except HoldfastError as error:
            self._log.warning("%s is not written into the trail yet: %s", self._what, error)
