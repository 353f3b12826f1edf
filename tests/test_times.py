from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holdfast.times import MAX_US, MIN_US, format_us, parse_time


def test_a_known_moment_is_written_with_six_digits_and_z() -> None:
    assert format_us(1_795_514_400_000_001) == "2026-11-24T10:00:00.000001Z"
    assert format_us(0) == "1970-01-01T00:00:00.000000Z"
    assert format_us(MIN_US) == "0001-01-01T00:00:00.000000Z"
    assert format_us(MAX_US) == "9999-12-31T23:59:59.999999Z"


@given(st.integers(MIN_US, MAX_US))
def test_parsing_inverts_formatting(us: int) -> None:
    assert parse_time(format_us(us)) == us


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.integers(-1439, 1439),
    st.sampled_from("Tt "),
)
def test_any_offset_names_the_same_moment_as_the_standard_library_says(
    utc: datetime, offset_minutes: int, separator: str
) -> None:
    assume(1 < utc.year < 9999)
    moment = utc.astimezone(timezone(timedelta(minutes=offset_minutes)))
    text = moment.isoformat(sep=separator)

    us = parse_time(text)

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert us == (moment - epoch) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("fraction", "us"),
    [
        ("", 0),
        (".5", 500_000),
        (".12", 120_000),
        (".123", 123_000),
        (".12345", 123_450),
        (".123456", 123_456),
        (".1234569", 123_456),
        (".123456999", 123_456),
        (".999999999999", 999_999),
    ],
)
def test_fractions_of_any_length_are_cut_to_the_microsecond(fraction: str, us: int) -> None:
    assert parse_time(f"1970-01-01T00:00:00{fraction}Z") == us


def test_a_leap_second_is_clamped_to_the_end_of_the_minute() -> None:
    assert format_us(parse_time("2016-12-31T23:59:60Z")) == "2016-12-31T23:59:59.999999Z"
    assert format_us(parse_time("2016-12-31T23:59:60.25Z")) == "2016-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not RFC 3339"),
        ("...", "not RFC 3339"),
        ("redacted", "not RFC 3339"),
        ("1700000000", "not RFC 3339"),
        ("2026-11-24", "not RFC 3339"),
        ("2026-W47-2T10:00:00Z", "not RFC 3339"),
        ("20261124T100000Z", "not RFC 3339"),
        ("2026-11-24T10:00Z", "not RFC 3339"),
        ("2026-11-24T10:00:000Z", "not RFC 3339"),
        ("2026-11-24T10:00:00,5Z", "not RFC 3339"),
        ("2026-11-24T10:00:00.Z", "not RFC 3339"),
        ("2026-11-24T10:00:00+0200", "not RFC 3339"),
        ("2026-11-24T10:00:00+02:00:30", "not RFC 3339"),
        ("2026-11-24T10:00:00Z\n", "not RFC 3339"),
        (" 2026-11-24T10:00:00Z", "not RFC 3339"),
        ("٢٠٢٦-11-24T10:00:00Z", "not RFC 3339"),
        ("2026-11-24T10:00:00", "no time zone"),
        ("2026-11-24 10:00:00.123", "no time zone"),
        ("2026-02-30T10:00:00Z", "no such day"),
        ("0000-01-01T00:00:00Z", "no such day"),
        ("2026-11-24T24:00:00Z", "no such time of day"),
        ("2026-11-24T10:60:00Z", "no such time of day"),
        ("2026-11-24T10:00:61Z", "no such time of day"),
        ("2026-11-24T10:00:00+24:00", "no such offset"),
        ("0001-01-01T00:00:00+01:00", "outside the years"),
        ("9999-12-31T23:59:59-01:00", "outside the years"),
    ],
)
def test_what_is_no_time_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_time(text)


@given(st.text())
def test_arbitrary_text_raises_nothing_but_value_error(text: str) -> None:
    try:
        us = parse_time(text)
    except ValueError:
        return

    assert MIN_US <= us <= MAX_US
