"""What a process asks of the machine it runs on.

`wiring` builds the real one, the tests' world a virtual one; nothing else of ours reads a clock or
draws a random number. Sleeping, time-outs and monotonic time (`loop.time()`) come from the running
asyncio event loop, which a simulation replaces. Stores are a port of their own (`regions.port`).
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Offload(Protocol):
    """Run a blocking function away from the event loop and await its result."""

    def __call__(
        self, function: Callable[..., Result], /, *arguments: object
    ) -> Awaitable[Result]: ...


@dataclass(frozen=True)
class Host:
    """The machine.

    now_us: wall clock, µs since 1970, UTC; may jump in any direction.
    random: that many unpredictable bytes.
    offload: blocking calls (files, SQL), in threads.
    compute: CPU-bound jobs that somebody waits for (search), in spawned processes. Functions and
        arguments must be picklable; a job that dies must not take anything with it.
    background: the same for long jobs that nobody waits for (fold); they yield to all others.
    """

    now_us: Callable[[], int]
    random: Callable[[int], bytes]
    offload: Offload
    compute: Executor
    background: Executor
