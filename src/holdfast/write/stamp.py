"""The clock of an epoch: stamps of arrival that never go back, and promises over them. Pure.

The machine's clock may jump in any direction. What is stated must hold all the same: `received`
never goes back, lies above every promise made and above all that was sealed before (I8, I9).
"""


class Stamp:
    """Hands out `received` times, all above a floor that only rises. Times in µs, UTC."""

    def __init__(self, floor_us: int) -> None:
        """floor_us: the base's `sealed_us`, the birth's start time or the clock when the birth was
        known to lie in W regions, whichever is latest: every stamp lies above it."""
        self._floor_us = floor_us
        self._last_us = floor_us
        self._promised_us = floor_us

    def next(self, now_us: int) -> int:
        """The `received` of what arrives now."""
        self._last_us = max(now_us, self._floor_us + 1, self._last_us)
        return self._last_us

    def seal(self) -> int:
        """`sealed_us` for all stamped so far: at or after each of them, before each later one."""
        self._floor_us = max(self._floor_us, self._last_us)
        return self._last_us

    def promise(self, now_us: int, oldest_waiting_us: int | None) -> int:
        """The latest time through which everything received is acknowledged.

        Args:
            now_us: The machine's clock.
            oldest_waiting_us: The least `received` among events taken in and not acknowledged
                yet; None where there is none.

        Never goes back. Where nothing waits, the floor rises to the time promised, so that no later
        stamp can break it; where something does, its stamp already lies above.
        """
        if oldest_waiting_us is None:
            self._floor_us = max(now_us, self._floor_us, self._last_us)
            self._promised_us = self._floor_us
        else:
            self._promised_us = max(self._promised_us, min(now_us, oldest_waiting_us - 1))
        return self._promised_us
