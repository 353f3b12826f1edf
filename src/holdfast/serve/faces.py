"""What the handlers share: the system behind them, and bounds on what is asked of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from holdfast.errors import UnavailableError
from holdfast.watch.alarms import Alarms
from holdfast.watch.history import History
from holdfast.watch.metrics import Exposition
from holdfast.watch.standing import WriterReport
from holdfast.wiring import System

QUESTIONS_MAX: Final = 32
QUESTION_SECONDS: Final = 60.0
FILES_MAX: Final = 4  # of a kind, that are made while they are sent
TAILS_MAX: Final = 256

Answer = TypeVar("Answer")
Writers = Callable[[], tuple[WriterReport, ...]]


class Bounds:
    """How many questions are answered at once, and for how long; beyond that: 503.

    stopping: set when the server goes down; those who listen are told.
    """

    def __init__(self) -> None:
        self.questions = 0
        self.tails = 0
        self.files: Counter[str] = Counter()
        self.stopping = asyncio.Event()

    async def ask(self, question: Awaitable[Answer]) -> Answer:
        """Await an answer within the bounds.

        A question that ran out of time may go on in its worker until it is done.

        Raises:
            UnavailableError: too many at once, or no answer in time.
        """
        if self.questions >= QUESTIONS_MAX:
            if asyncio.iscoroutine(question):
                question.close()  # one that is never awaited would complain
            raise UnavailableError("too many questions at once")
        self.questions += 1
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                return await question
        except TimeoutError:
            reason = f"no answer within {QUESTION_SECONDS:g} s; a shorter range is answered sooner"
            raise UnavailableError(reason, retry_after_seconds=10) from None
        finally:
            self.questions -= 1

    @contextmanager
    def place(self, kind: str) -> Iterator[None]:
        """Hold one of the places in which files of this kind ("exports") are made.

        Raises:
            UnavailableError: none is free, or the server is stopping.
        """
        if self.stopping.is_set():
            raise UnavailableError("the server is stopping")
        if self.files[kind] >= FILES_MAX:
            reason = f"{FILES_MAX} {kind} are being made, and no more at once"
            raise UnavailableError(reason, retry_after_seconds=10)
        self.files[kind] += 1
        try:
            yield
        finally:
            self.files[kind] -= 1

    def refuse_tail(self) -> None:
        """Let one more listen.

        Raises:
            UnavailableError: too many do, or the server is stopping.
        """
        if self.stopping.is_set():
            raise UnavailableError("the server is stopping")
        if self.tails >= TAILS_MAX:
            raise UnavailableError("too many listen already", retry_after_seconds=10)


@dataclass(frozen=True, slots=True)
class Faces:
    """What answers questions. writers: how those that write behind this port stand, now.
    asks_token: whether requests must carry one. history: of this server, the last days."""

    system: System
    writers: Writers
    bounds: Bounds
    figures: Exposition
    alarms: Alarms
    asks_token: bool
    history: History
