"""When to end another node's epoch. Pure.

A node shows that it lives by its heartbeats, whose number grows. Whose number has not grown for
long is lost, or paused, or cut off: its epoch is closed, so that readers need not wait for promises
that nobody makes. If it was only paused, it finds the fence and goes on as its next epoch.

Time is that of whoever watches, from when it first saw a heartbeat: no clock is compared.
"""

from collections.abc import Mapping

EpochId = tuple[str, int]  # node, epoch


class Watch:
    """Remembers since when each open epoch has not advanced."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._seen: dict[EpochId, tuple[int, float]] = {}

    def lost(self, beats: Mapping[EpochId, int], now_seconds: float) -> tuple[EpochId, ...]:
        """The open epochs that have not advanced for too long.

        Args:
            beats: For each open epoch: the largest number that a heartbeat of it has; 0: none.
            now_seconds: By any clock that does not go back.
        """
        seen: dict[EpochId, tuple[int, float]] = {}
        for epoch, number in beats.items():
            last, since = self._seen.get(epoch, (-1, now_seconds))
            seen[epoch] = (number, now_seconds) if number > last else (last, since)
        self._seen = seen
        return tuple(
            epoch
            for epoch, (_, since) in seen.items()
            if now_seconds - since >= self._patience_seconds
        )
