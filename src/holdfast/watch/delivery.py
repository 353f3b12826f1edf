"""Getting messages to where people read them: a queue a channel, until it took them.

A message waits in its queue, which is kept over a restart, until its channel has taken it: so it
arrives at least once, and twice only if the process dies between the two. One channel that fails
or hangs holds up no other, and is told of in the others and in every report.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from holdfast.errors import HoldfastError, RejectedError
from holdfast.watch.alerts import Alert, Silence, Verb

log = logging.getLogger("holdfast.watch")

WAITING_MAX: Final = 500
ANSWER_SECONDS: Final = 30.0
RETRY_FIRST_SECONDS: Final = 1.0
RETRY_MAX_SECONDS: Final = 60.0
REFRESH_SECONDS: Final = 60.0
OLD_US: Final = 24 * 3600 * 1_000_000  # what nobody took for so long is not sent any more


Hears = Literal["messages", "changes"]


class Message(Struct, frozen=True):
    """What is to be told: an alert that opened or is resolved, or a silence."""

    verb: Verb | Literal["silenced"]
    at_us: int
    alert: Alert | None = None
    silence: Silence | None = None


class Channel(Protocol):
    """A way to people.

    name: without secrets; the same after a restart. hears: "messages" for people; "changes" for
    who keeps a record, which silenced alerts belong to as well. wants_silences: or whoever is told
    of alerts alone.
    """

    name: str
    hears: Hears
    wants_silences: bool

    async def deliver(self, message: Message) -> None:
        """Hand a message over.

        Raises:
            RejectedError: it never will be taken.
            OSError, HoldfastError: it is not known to have arrived.
        """

    async def refresh(self, alerts: Sequence[Alert]) -> None:
        """Say again what is open and was told, to who forgets. Errors as `deliver`."""


class ChannelReport(Struct, frozen=True):
    """How a channel does. waiting: messages; dropped: too old, or too many. failing_us: since when
    it takes nothing, 0: it does; why: the last reason. for_people: or it keeps a record."""

    channel: str
    waiting: int
    delivered: int
    dropped: int
    failing_us: int
    why: str
    for_people: bool = True


class Courier:
    """Brings one channel its messages."""

    def __init__(
        self,
        channel: Channel,
        now_us: Callable[[], int],
        told: Callable[[], Sequence[Alert]],
        keep: Callable[[], Awaitable[None]],
    ) -> None:
        """told: the alerts that are open and were told. keep: makes the queue survive a crash."""
        self.channel = channel
        self._now_us = now_us
        self._told = told
        self._keep = keep
        self._waiting: deque[Message] = deque()
        self._news = asyncio.Event()
        self._delivered = self._dropped = self._failing_us = 0
        self._why = ""

    @property
    def waiting(self) -> tuple[Message, ...]:
        return tuple(self._waiting)

    def send(self, message: Message) -> None:
        """Queue it. Of too many, the oldest goes."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(message)
        self._news.set()

    def report(self) -> ChannelReport:
        return ChannelReport(
            channel=self.channel.name,
            waiting=len(self._waiting),
            delivered=self._delivered,
            dropped=self._dropped,
            failing_us=self._failing_us,
            why=self._why,
            for_people=self.channel.hears == "messages",
        )

    async def run_forever(self) -> None:
        """Deliver what comes, in order; say again, in a while, what is still open."""
        pause = RETRY_FIRST_SECONDS
        while True:
            if await self._tried(self._next):
                pause = RETRY_FIRST_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MAX_SECONDS)

    async def _next(self) -> None:
        """One message, or else a refreshment."""
        if not self._waiting and not await self._heard():
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.channel.refresh(self._told())
            return
        message = self._waiting[0]
        is_old = self._now_us() - message.at_us > OLD_US
        if is_old and self.channel.hears == "messages":
            self._dropped += 1
        else:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self.channel.deliver(message)
                self._delivered += 1
            except RejectedError as error:
                log.error("%s does not take a message: %s", self.channel.name, error)
                self._dropped += 1
        if self._waiting and self._waiting[0] is message:  # else it was dropped meanwhile
            self._waiting.popleft()
        await self._keep()

    async def _heard(self) -> bool:
        """Whether a message comes within a time."""
        self._news.clear()
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                return await self._news.wait()
        except TimeoutError:
            return False

    async def _tried(self, what: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well; else why not is kept for the reports."""
        try:
            await what()
        except TimeoutError:
            self._why = f"no answer within {ANSWER_SECONDS:g} s"
        except (OSError, HoldfastError) as error:
            self._why = str(error) or type(error).__name__
        except Exception as error:
            # Whatever a channel's library makes of it, the others go on and it is tried again.
            log.exception("%s failed", self.channel.name)
            self._why = f"{type(error).__name__}: {error}"
        else:
            self._failing_us, self._why = 0, ""
            return True
        if not self._failing_us:
            self._failing_us = self._now_us()
            log.warning("alerts do not reach %s: %s", self.channel.name, self._why)
        return False
