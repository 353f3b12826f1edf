"""`holdfast status`: how the trail, its regions and the nodes are."""

import time
from dataclasses import replace
from typing import Annotated, Final, NoReturn

from rich.console import RenderableType
from typer import Option

from holdfast.cli import printer, screen
from holdfast.cli.board import Board, page
from holdfast.cli.exits import GOOD, UNREACHED, code_of, text_of
from holdfast.cli.options import Where
from holdfast.cli.source import QUESTION_TIMEOUT_SECONDS, Source, decode, open_source
from holdfast.client import ClientError
from holdfast.errors import HoldfastError

WATCH_TIMEOUT_SECONDS: Final = 5.0  # a page that is looked at says soon that nobody answers
CHECKPOINTS_EVERY_SECONDS: Final = 30.0  # they come hourly, and every region is asked for them


def status(
    where: Where,
    json: Annotated[
        bool, Option("--json", help="One JSON object; with --watch a line for each look.")
    ] = False,
    watch: Annotated[bool, Option("--watch", help="Go on looking, until Ctrl-C.")] = False,
    every: Annotated[
        float, Option(min=0.1, max=3600, metavar="SECONDS", help="With --watch: the pause.")
    ] = 2.0,
) -> int:
    """Say how the trail, its regions and the nodes are."""
    timeout_seconds = WATCH_TIMEOUT_SECONDS if watch else QUESTION_TIMEOUT_SECONDS
    with open_source(where, timeout_seconds=timeout_seconds) as source:
        view = View(source)
        if watch:
            source.follow()
            view.watch(every, json)
        view.show(json)
    return GOOD


class View:
    """What was seen last."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._board = Board()
        self._asked_checkpoints = 0.0

    def page(self, wide: bool) -> RenderableType:
        """The page of it."""
        return page(self._board, time.time_ns() // 1000, wide)

    def show(self, json: bool) -> None:
        """Look once, and show what came of it.

        Raises:
            HoldfastError, ClientError, OSError: there is no answer.
        """
        answer = self._source.status()
        if json:
            printer.machine(answer)
            return
        self._take(answer)
        screen.show(self.page)

    def watch(self, every_seconds: float, json: bool) -> NoReturn:
        """Look and show again and again, through silences too, until interrupted."""
        if not json:
            screen.watch(self.page, self.look, every_seconds)
        while True:
            self.tell()
            time.sleep(every_seconds)

    def look(self) -> None:
        """Look again; who does not answer is asked again the next time."""
        self._board = replace(self._board, asked_us=time.time_ns() // 1000)
        try:
            self._take(self._source.status())
        except (HoldfastError, ClientError, OSError) as error:
            if code_of(error) != UNREACHED:
                raise
            self._board = self._board.without(text_of(error), time.time_ns() // 1000)

    def tell(self) -> None:
        """A line for programs; why there is none, on standard error."""
        try:
            printer.machine(self._source.status())
        except (HoldfastError, ClientError, OSError) as error:
            if code_of(error) != UNREACHED:
                raise
            printer.failure(text_of(error))

    def _take(self, answer: bytes) -> None:
        self._board = self._board.after(decode(answer))
        now = time.monotonic()
        if self._asked_checkpoints and now - self._asked_checkpoints < CHECKPOINTS_EVERY_SECONDS:
            return
        self._asked_checkpoints = now
        try:
            found = decode(self._source.checkpoints())
            self._board = replace(self._board, checkpoints=found, no_checkpoints="")
        except (HoldfastError, ClientError, OSError) as error:
            self._board = replace(self._board, no_checkpoints=text_of(error))
