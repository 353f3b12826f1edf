"""Units of the archive, UTC, and classes of retention, as statements name them. Pure.

`2026-11-29` is a day; `2026-11-29t13` the hour of it that begins at 13:00; `2026-11-29t1310` the
ten minutes of that which begin at 13:10.
"""

import re
from datetime import UTC, datetime, timedelta

from holdfast.proof.errors import MalformedError

MINUTES_US = 600 * 1_000_000
HOUR_US = 6 * MINUTES_US
DAY_US = 24 * HOUR_US

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_UNIT = re.compile(r"([0-9-]{10})(?:t([01][0-9]|2[0-3])([0-5]0)?)?")
_CLASS = re.compile(r"[a-z][a-z0-9-]{0,31}")


def check_day(text: str) -> str:
    """The same text. Raises MalformedError: no day."""
    try:
        if _DAY.fullmatch(text):
            start_us(text)
            return text
    except ValueError:
        pass
    raise MalformedError(f"{text[:40]!r} is not a day")


def check_unit(text: str) -> str:
    """The same text. Raises MalformedError: no unit has that name."""
    match = _UNIT.fullmatch(text)
    if match is None:
        raise MalformedError(f"{text[:40]!r} is no day, hour or ten minutes")
    check_day(match[1])
    return text


def check_class(text: str) -> str:
    """The same text. Raises MalformedError: no class of retention."""
    if not _CLASS.fullmatch(text):
        raise MalformedError(f"{text[:40]!r} is not a class of retention")
    return text


def day_of(unit: str) -> str:
    """The day that a unit is, or lies in."""
    return unit[:10]


def start_us(day: str) -> int:
    """When a day begins."""
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return (moment - _1970) // timedelta(microseconds=1)


def length_us(unit: str) -> int:
    """How long a unit is."""
    return {10: DAY_US, 13: HOUR_US, 15: MINUTES_US}[len(unit)]


def end_us(unit: str) -> int:
    """When a unit is over."""
    hour, minute = unit[11:13] or "0", unit[13:] or "0"
    begin_us = int(hour) * HOUR_US + int(minute) // 10 * MINUTES_US
    return start_us(day_of(unit)) + begin_us + length_us(unit)
