"""Virtual time: an event loop whose clock stands still while anything runs, and jumps else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Result = TypeVar("Result")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is a number of seconds from 0; it moves to the next timer when everything waits."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            first = self._scheduled[0]  # type: ignore[attr-defined]
            if first.cancelled():  # it is dropped below, and real time would pass until the next
                waiting = [each for each in self._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
                first = min(waiting, default=first)
            self.now = max(self.now, first.when())
        super()._run_once()  # type: ignore[misc]


class VirtualTime:
    """What a test sees of the loop. complaints: errors that nobody awaited."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.complaints: list[str] = []
        loop.set_exception_handler(
            lambda _, context: self.complaints.append(str(context["message"]))
        )

    @property
    def now(self) -> float:
        return self._loop.now


def run_with_time(work: Callable[[VirtualTime], Awaitable[Result]]) -> Result:
    """Run on an event loop whose time stands still, and jumps when everything waits."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)

        async def main() -> Result:
            return await work(VirtualTime(loop))

        return runner.run(main())
