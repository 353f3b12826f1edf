"""How often a token may be guessed: failures of the last minute, by address and in all. Pure.

Who signs in rightly is not counted. At the limit nobody is let in, rightly or not: else the answer
would tell which token it is.
"""

import math
from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60.0
EACH_MAX: Final = 10
ALL_MAX: Final = 100


class Attempts:
    """Remembers no more than `ALL_MAX`: beyond that, nobody asks."""

    def __init__(self) -> None:
        self._failed: deque[tuple[float, str]] = deque()

    def wait_seconds(self, address: str, now: float) -> int:
        """How long until that address may try again; 0: it may now. now: in seconds, of a clock
        that only goes forth."""
        while self._failed and self._failed[0][0] + WINDOW_SECONDS <= now:
            self._failed.popleft()
        every = [at for at, _ in self._failed]
        own = [at for at, who in self._failed if who == address]
        counted = ((own, EACH_MAX), (every, ALL_MAX))
        full = [times[-most] for times, most in counted if len(times) >= most]
        return max((math.ceil(at + WINDOW_SECONDS - now) for at in full), default=0)

    def failed(self, address: str, now: float) -> None:
        """One did."""
        self._failed.append((now, address))
