"""The units of the archive, as `proof.units` has them, and the one that a time lies in. Pure."""

from holdfast.proof.units import (
    DAY_US,
    HOUR_US,
    MINUTES_US,
    check_class,
    check_day,
    check_unit,
    day_of,
    end_us,
    length_us,
    start_us,
)
from holdfast.times import format_us

__all__ = [
    "CLASS_DEFAULT",
    "DAY_US",
    "HOUR_US",
    "MINUTES_US",
    "check_class",
    "check_day",
    "check_unit",
    "day_at",
    "day_of",
    "end_us",
    "hour_at",
    "length_us",
    "minutes_at",
    "start_us",
]

CLASS_DEFAULT = "default"


def day_at(us: int) -> str:
    """The day of a time."""
    return format_us(us)[:10]


def hour_at(us: int) -> str:
    """The hour of a time."""
    return format_us(us)[:13].lower()


def minutes_at(us: int) -> str:
    """The ten minutes of a time."""
    return hour_at(us) + format_us(us)[14] + "0"
