"""Times as text and as numbers. Pure.

Everywhere inside, a time is an int: µs since 1970-01-01T00:00:00Z, UTC, leap seconds not counted.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_DAY_US = 86_400_000_000
_MINUTE_US = 60_000_000

MIN_US = (date(1, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY_US
MAX_US = (date(9999, 12, 31).toordinal() - _EPOCH_ORDINAL + 1) * _DAY_US - 1

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def format_us(us: int) -> str:
    """A time as RFC 3339 with 6 digits and Z: "2026-11-24T10:00:00.000000Z".

    Args:
        us: µs since 1970, UTC, from MIN_US to MAX_US.
    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    second, fraction_us = divmod(us, 1_000_000)
    return f"{_format_second(second)}.{fraction_us:06d}Z"


def parse_time(text: str) -> int:
    """Read an RFC 3339 time.

    Any offset, "T" or a space between date and time, any number of fraction digits; what is finer
    than a µs is cut off. A leap second (":60") becomes the last µs before it ends.

    Returns:
        µs since 1970, UTC.
    Raises:
        ValueError: with what is wrong, for a person.
    Source: RFC 3339, section 5.6.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(_why_not(text))
    moment, fraction, sign, hours, minutes = found.groups()
    us = _parse_moment(moment)
    if fraction and moment[17:] != "60":
        us += int(fraction[:6].ljust(6, "0"))
    if sign:
        if hours > "23" or minutes > "59":
            raise ValueError(f"there is no such offset: {sign}{hours}:{minutes}")
        offset_us = (int(hours) * 60 + int(minutes)) * _MINUTE_US
        us += offset_us if sign == "-" else -offset_us
        if not MIN_US <= us <= MAX_US:
            raise ValueError("outside the years 1 to 9999 in UTC")
    return us


# Events of one second tend to come together: both directions do the calendar once a second.


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:19]


@lru_cache(maxsize=4096)
def _parse_moment(moment: str) -> int:
    """µs of a date and time of day without fraction and offset, digits already checked."""
    try:
        day = date.fromisoformat(moment[:10]).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        raise ValueError(f"there is no such day: {moment[:10]}") from None
    hour, minute, second = int(moment[11:13]), int(moment[14:16]), int(moment[17:])
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"there is no such time of day: {moment[11:]}")
    leap_us = second // 60  # ":60" is kept as ":59.999999"
    return day * _DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 - leap_us


def _why_not(text: str) -> str:
    if re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?", text, re.ASCII):
        return "no time zone: RFC 3339 ends with Z or an offset such as +02:00"
    shown = text if len(text) <= 40 else text[:40] + "..."
    return f"not RFC 3339, such as 2026-11-24T10:00:00.000000Z: {shown!r}"
