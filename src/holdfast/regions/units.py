"""The units of the archive, as `proof.units` has them, and the one that a time lies in. Pure."""

from holdfast.proof.units import (
    DAY_US,
    HOUR_US,
    check_class,
    check_day,
    check_unit,
    day_of,
    end_us,
    is_hour,
    length_us,
    start_us,
)
from holdfast.times import format_us

__all__ = [
    "CLASS_DEFAULT",
    "DAY_US",
    "HOUR_US",
    "check_class",
    "check_day",
    "check_unit",
    "day_at",
    "day_of",
    "end_us",
    "hour_at",
    "is_hour",
    "length_us",
    "start_us",
]

CLASS_DEFAULT = "default"


def day_at(us: int) -> str:
    """The day of a time."""
    return format_us(us)[:10]


def hour_at(us: int) -> str:
    """The hour of a time."""
    return format_us(us)[:13].lower()
