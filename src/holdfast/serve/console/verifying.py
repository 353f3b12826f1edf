"""Verify what the regions hold, now: one verification at a time, in a process of its own.

It opens the regions for itself and yields to everything else on the machine, so that nobody who
writes or searches waits for it. Whoever asked leaves, or time is up: the process is ended.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from multiprocessing.connection import Connection
from typing import Final

from msgspec import Struct

from holdfast.errors import HoldfastError, UnavailableError
from holdfast.read.compute import begin_work
from holdfast.serve.process import readable
from holdfast.serve.ui.verified import Verified
from holdfast.settings import Settings
from holdfast.verify.findings import Report
from holdfast.verify.run import Means, Question, Verification
from holdfast.wiring import NICE, PATIENT, real_host, real_regions

SECONDS_MAX: Final = 600.0
TELL_EVERY: Final = 1 / 200  # of the work


class Progress(Struct, frozen=True):
    """So many segments are done, of so many that are known of."""

    done: int
    total: int


class Verifier:
    """Lets one verification run. last: the last one that came to its end."""

    def __init__(self, settings: Settings, trail: str) -> None:
        self._settings = settings
        self._trail = trail
        self.is_busy = False
        self.last: Verified | None = None

    async def run(
        self, question: Question, seconds: float = SECONDS_MAX
    ) -> AsyncGenerator[Progress | Report, None]:
        """Progress again and again, and at last the report. Ends the process when it is closed.

        Raises:
            UnavailableError: another one is running, it was not done in time, or it died.
            HoldfastError: what it ended with.
        """
        if self.is_busy:
            raise UnavailableError("a verification is running already", retry_after_seconds=30)
        self.is_busy = True
        try:
            async with asyncio.timeout(seconds), aclosing(self._told(question)) as telling:
                async for said in telling:
                    if isinstance(said, Report):
                        self.last = Verified(said, question.from_us, question.to_us)
                    yield said
        except TimeoutError:
            raise UnavailableError(
                f"it was not done within {seconds:g} s; `holdfast verify` takes as long as it needs"
            ) from None
        finally:
            self.is_busy = False

    async def _told(self, question: Question) -> AsyncGenerator[Progress | Report, None]:
        """What a process says that verifies, as long as somebody listens."""
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe(duplex=False)
        process = spawn.Process(
            target=_verify, args=(self._settings, self._trail, question, there), daemon=True
        )
        try:
            await asyncio.to_thread(process.start)
            there.close()
            async for said in _heard(here):
                yield said
        finally:
            here.close()
            if process.pid is not None:
                process.kill()
                await asyncio.shield(asyncio.to_thread(process.join))


async def _heard(pipe: Connection) -> AsyncGenerator[Progress | Report, None]:
    """What the process says, up to its report."""
    while True:
        await readable(pipe.fileno())
        try:
            said = pipe.recv()
        except (EOFError, OSError):
            raise UnavailableError("the process that verified has died") from None
        if isinstance(said, HoldfastError):
            raise said
        yield said
        if isinstance(said, Report):
            return


def _verify(settings: Settings, trail: str, question: Question, pipe: Connection) -> None:
    """The process."""
    begin_work(NICE)
    with suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            said: object = asyncio.run(_report(settings, trail, question, pipe))
        except HoldfastError as error:
            said = error
        pipe.send(said)


async def _report(settings: Settings, trail: str, question: Question, pipe: Connection) -> Report:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done - told >= total * TELL_EVERY or done == total:
            told = done
            pipe.send(Progress(done, total))

    with real_host() as host, real_regions(settings, PATIENT) as regions:
        regions.trail = trail
        await regions.verify()
        return await Verification(regions, host, question, Means(progress=progress)).run()
