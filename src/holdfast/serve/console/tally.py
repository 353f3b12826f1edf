"""The counts beside a search: how events spread over time, and the most frequent values.

A count reads everything that matches, a search only its newest page: so counts have a deadline of
their own. What is not there by then is said to be missing, and goes on being counted for whoever
asks again.
"""

import asyncio
from typing import Final

from msgspec import structs

from holdfast.errors import HoldfastError, RejectedError
from holdfast.model import Counts, Query
from holdfast.read.reader import Reader
from holdfast.serve.ui.bars import Bars, Bins, bars_of, step_for
from holdfast.serve.ui.facets import Facet, Tally
from holdfast.serve.ui.words import DAY_US
from holdfast.times import MAX_US, MIN_US

FACETS: Final = ("outcome", "action", "tenant", "actor", "ip")  # what is counted soonest first
VALUES_SHOWN_MAX: Final = 6
QUESTIONS_MAX: Final = 8
TALLY_SECONDS: Final = 30.0
SPAN_US_MIN: Final = 15 * 60 * 1_000_000  # of a drawing whose ends nobody named


class Tallies:
    """Counts for everyone who looks at the page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._running: dict[Query, tuple[Tally, asyncio.Task[None]]] = {}

    async def of(self, query: Query, seconds: float) -> Tally:
        """What can be counted in so many seconds; the rest goes on for whoever asks again."""
        query = structs.replace(query, cursor="", limit=1)
        running = self._running.get(query)
        if running is None:
            if len(self._running) >= QUESTIONS_MAX:
                return Tally(why="too many counts at once")
            tally = Tally(facets={})
            task = asyncio.create_task(self._count(query, tally))
            self._running[query] = running = (tally, task)
            task.add_done_callback(lambda _: self._running.pop(query, None))
        tally, task = running
        await asyncio.wait((task,), timeout=seconds)
        return structs.replace(tally, facets=dict(tally.facets))

    async def _count(self, query: Query, tally: Tally) -> None:
        try:
            async with asyncio.timeout(TALLY_SECONDS):
                await self._fill(query, tally)
        except TimeoutError:
            tally.why = f"it takes more than {TALLY_SECONDS:g} s: a shorter time is counted sooner"
        except HoldfastError as error:
            tally.why = str(error)

    async def _fill(self, query: Query, tally: Tally) -> None:
        """The histogram first, then a field after the other."""
        window = (query.from_us, query.to_us)
        bucket_us = DAY_US if None in window else step_for(*window)  # type: ignore[arg-type]
        counts = await self._reader.count(query, ("outcome",), bucket_us)
        tally.count = counts.count
        self._take(tally, "outcome", counts)
        tally.bars = await self._bars(query, counts, bucket_us)
        for field in FACETS[1:]:
            try:
                self._take(tally, field, await self._reader.count(query, (field,)))
            except RejectedError:  # more values than can be counted
                tally.facets[field] = Facet(field, (), -1)

    def _take(self, tally: Tally, field: str, counts: Counts) -> None:
        shown = counts.groups[:VALUES_SHOWN_MAX]
        more = len(counts.groups) - len(shown)
        tally.facets[field] = Facet(field, tuple((values[0], n) for values, n in shown), more)

    async def _bars(self, query: Query, counts: Counts, bucket_us: int) -> Bars | None:
        """The histogram, by outcome. Without a range it spans what there is, which may turn out
        short enough for finer bars, again and again."""
        every = dict(counts.histogram)
        window = _window(query, every, bucket_us)
        while window is not None and (step_us := step_for(*window)) < bucket_us:
            bucket_us = step_us
            every = dict((await self._reader.count(query, (), bucket_us)).histogram)
            window = _window(query, every, bucket_us)
        if window is None:
            return None
        parts: dict[str, dict[int, int]] = {"failure": {}, "denied": {}}
        there = {values[0] for values, _ in counts.groups}
        for outcome in parts:
            if outcome in there:
                narrowed = structs.replace(query, outcome=outcome)
                found = await self._reader.count(narrowed, (), bucket_us)
                parts[outcome] = dict(found.histogram)
        return bars_of(window, step_for(*window), every, parts["failure"], parts["denied"])


def _window(query: Query, bins: Bins, bucket_us: int) -> tuple[int, int] | None:
    """From where to where the bars go: as asked for, else as far as there is anything."""
    if not bins and (query.from_us is None or query.to_us is None):
        return None
    to_us = max(bins) + bucket_us if query.to_us is None else query.to_us
    from_us = min(*bins, to_us - SPAN_US_MIN) if query.from_us is None else query.from_us
    return max(from_us, MIN_US), min(max(to_us, from_us + 1), MAX_US)
