"""What to do after an attempt to send. Pure.

An attempt ends in one of four ways. Only the first is an acknowledgement, and only the last is
final; after the two others the same events go out again under the same ids, so whatever was stored
twice is shown once.

    STORED    201
    NOTHING   503, 429, 408, or no connection: certainly nothing was stored
    UNKNOWN   504, 500, 502, a reset, a time-out: it may be stored
    REFUSED   every other answer
"""

import enum
from dataclasses import dataclass


class Outcome(enum.Enum):
    """How one attempt ended."""

    STORED = "stored"
    NOTHING = "nothing was stored"
    UNKNOWN = "the outcome is unknown"
    REFUSED = "refused"


@dataclass(frozen=True)
class Patience:
    """How long to go on.

    seconds_max: after the first failure of a request, no further attempt begins.
    pause_first_seconds, pause_max_seconds: the pause doubles from the one to the other.
    timeout_seconds: of one attempt, for each wait on the socket.
    """

    seconds_max: float = 60.0
    pause_first_seconds: float = 0.1
    pause_max_seconds: float = 5.0
    timeout_seconds: float = 60.0


def outcome_of(status: int) -> Outcome:
    """What an answer's status says about the events that were sent."""
    if status == 201:
        return Outcome.STORED
    if status in (408, 425, 429, 503):
        return Outcome.NOTHING
    if status >= 500:
        return Outcome.UNKNOWN
    return Outcome.REFUSED


def plan_pause(
    patience: Patience, attempts: int, elapsed_seconds: float, asked_seconds: float, luck: float
) -> float | None:
    """How long to wait before the next attempt; None: give up.

    Args:
        attempts: Made so far, at least 1.
        elapsed_seconds: Since the first of them failed.
        asked_seconds: The answer's Retry-After; 0: none.
        luck: 0..1, so that many clients do not come back at the same moment.
    """
    doubled = patience.pause_first_seconds * 2.0 ** min(attempts - 1, 16)
    pause = max(min(doubled, patience.pause_max_seconds) * (0.5 + luck / 2), asked_seconds)
    return pause if elapsed_seconds + pause <= patience.seconds_max else None
