"""The units of the archive: days and hours, UTC, as keys and manifests name them. Pure.

`2026-11-29` is a day; `2026-11-29t13` the hour of it that begins at 13:00.
"""

import re

from holdfast.proof.errors import MalformedError
from holdfast.times import format_us, parse_time

HOUR_US = 3600 * 1_000_000
DAY_US = 24 * HOUR_US
CLASS_DEFAULT = "default"

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNIT = re.compile(r"([0-9-]{10})(?:t([01][0-9]|2[0-3]))?")
_CLASS = re.compile(r"[a-z][a-z0-9-]{0,31}")


def check_day(text: str) -> str:
    """The same text. Raises MalformedError: no day."""
    try:
        if _DAY.fullmatch(text):
            parse_time(f"{text}T00:00:00Z")
            return text
    except ValueError:
        pass
    raise MalformedError(f"{text[:40]!r} is not a day")


def check_unit(text: str) -> str:
    """The same text. Raises MalformedError: neither a day nor an hour."""
    match = _UNIT.fullmatch(text)
    if match is None:
        raise MalformedError(f"{text[:40]!r} is neither a day nor an hour")
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


def is_hour(unit: str) -> bool:
    return len(unit) > len("2026-11-29")


def day_at(us: int) -> str:
    """The day of a time."""
    return format_us(us)[:10]


def hour_at(us: int) -> str:
    """The hour of a time."""
    return format_us(us)[:13].lower()


def start_us(day: str) -> int:
    """When a day begins."""
    return parse_time(f"{day}T00:00:00Z")


def length_us(unit: str) -> int:
    return HOUR_US if is_hour(unit) else DAY_US


def end_us(unit: str) -> int:
    """When a day, or an hour of one, is over."""
    if is_hour(unit):
        return start_us(day_of(unit)) + (int(unit[-2:]) + 1) * HOUR_US
    return start_us(unit) + DAY_US
