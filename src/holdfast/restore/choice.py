"""Which day of which region is restored next. Pure.

A third of the draws fall to what failed, a third to what has waited longest, a third to anything:
what was mended is seen to be within hours, no day waits for ever, and nobody knows what is next.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.regions import units
from holdfast.regions.port import RegionId

WAYS: Final = 3
ROUND_MIN: Final = 12  # places: of a young trail, a day that a region is away is none to wait for


class Tried(Struct, frozen=True, array_like=True):
    """What is known of a day in a region. tried_us, good_us: when it was last restored, and last
    restored well; 0: never. is_whole: all of it was, the last time that it went well. why: it
    failed since, at the piece of that number, which is the one to try again; "": it did not."""

    tried_us: int = 0
    good_us: int = 0
    is_whole: bool = False
    why: str = ""
    piece: int = 0


NEVER: Final = Tried()
Known = Mapping[RegionId, Mapping[str, Tried]]  # by day


def days_of(first_us: int, last_us: int) -> tuple[str, ...]:
    """The days from one time to another, both in them."""
    numbers = range(first_us // units.DAY_US, last_us // units.DAY_US + 1)
    return tuple(units.day_at(number * units.DAY_US) for number in numbers)


def choose(
    days: Sequence[str], regions: Sequence[RegionId], known: Known, draw: int
) -> tuple[RegionId, str] | None:
    """A region and a day; None where there is none.

    draw: any number; of evenly drawn ones all that fit come up evenly.
    """
    pairs = [(region, day) for region in regions for day in days]
    if not pairs:
        return None
    way, draw = draw % WAYS, draw // WAYS
    failed = [pair for pair in pairs if of(known, *pair).why]
    if way == 0 and failed:
        return failed[draw % len(failed)]
    if way == 2:
        return pairs[draw % len(pairs)]
    longest_us = min(of(known, *pair).tried_us for pair in pairs)
    waiting = [pair for pair in pairs if of(known, *pair).tried_us == longest_us]
    return waiting[draw % len(waiting)]


def of(known: Known, region: RegionId, day: str) -> Tried:
    """What is known of them."""
    return known.get(region, {}).get(day, NEVER)


def allowed_us(days_count: int, regions_count: int, every_us: int) -> int:
    """How long a day may wait to be restored well: twice as long as it takes to come round to all,
    when two thirds of the turns are lost to chance and to what fails."""
    return 2 * WAYS * max(ROUND_MIN, days_count * regions_count) * every_us


def oldest_us(days: Sequence[str], known: Mapping[str, Tried], since_us: int) -> int | None:
    """Since when the day of a region that has waited longest was not restored well; None: no day.

    known: of that region. since_us: when all this began. A day counts from its end.
    """
    waits = (max(since_us, known.get(day, NEVER).good_us, units.end_us(day)) for day in days)
    return min(waits, default=None)
