"""When to leave a failing region alone. Pure: whoever calls brings the time.

closed ── failures in a row, or one permanent ──▶ open ── pause is over ──▶ half-open
   ▲                                               ▲                          │ one call, the
   └──────────────── it succeeded ─────────────────┼──────────────────────────┤ probe, goes out
                                                   └── it failed: pause x 2 ──┘
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """CLOSED: calls go out. OPEN: none does. HALF_OPEN: one is out to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Pass(StrEnum):
    """What a call may do; hand it back with the call's outcome."""

    CALL = "call"
    PROBE = "probe"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """failures_max: so many in a row open it. Pauses in seconds: the first, and the longest."""

    failures_max: int = 3
    pause_seconds: float = 1.0
    pause_seconds_max: float = 15.0


class Breaker:
    """One breaker. Times are seconds of any clock that never goes back."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self.state = State.CLOSED
        self._failures = 0
        self._pause_seconds = limits.pause_seconds
        self._open_until = 0.0

    def admit(self, now: float) -> Pass:
        """Whether a call may go out now."""
        if self.state is State.CLOSED:
            return Pass.CALL
        if self.state is State.OPEN and now >= self._open_until:
            self.state = State.HALF_OPEN
            return Pass.PROBE
        return Pass.REFUSED

    def succeeded(self, admitted: Pass) -> None:
        """The store answered. A call from before it opened says nothing about now."""
        if admitted is Pass.PROBE or self.state is State.CLOSED:
            self.reset()

    def failed(self, admitted: Pass, now: float, permanent: bool = False) -> None:
        """The store did not answer, or said that it never will."""
        if admitted is Pass.PROBE:
            self._pause_seconds *= 2
            self._open(now, permanent)
        elif self.state is State.CLOSED:
            self._failures += 1
            if permanent or self._failures >= self._limits.failures_max:
                self._open(now, permanent)

    def abandoned(self, admitted: Pass, now: float) -> None:
        """The call was given up before anything was known; the next one is the probe."""
        if admitted is Pass.PROBE:
            self.state = State.OPEN
            self._open_until = now

    def reset(self) -> None:
        """As new."""
        self.state = State.CLOSED
        self._failures = 0
        self._pause_seconds = self._limits.pause_seconds

    def _open(self, now: float, permanent: bool) -> None:
        longest = self._limits.pause_seconds_max
        self._pause_seconds = longest if permanent else min(self._pause_seconds, longest)
        self.state = State.OPEN
        self._open_until = now + self._pause_seconds
