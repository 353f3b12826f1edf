"""Who is told of what, and when: once, and once that it is over."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.watch.alerts import (
    CALM_US,
    PAST_MAX,
    Book,
    Silence,
    Step,
    advance,
    restarted,
    silence,
)
from holdfast.watch.health import Diagnosis, Trouble
from holdfast.watch.kinds import KINDS

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
AWAY = Trouble("region-away", "b", "no route")
AFTER_US = KINDS["region-away"].after_s * SECOND_US


def quiet(match: str, until_s: int) -> Silence:
    until_us = START_US + until_s * SECOND_US
    return Silence(match=match, made_us=START_US, until_us=until_us, by="me", why="work")


class Watch:
    """Steps through time; keeps what was to be told."""

    def __init__(self) -> None:
        self.book = Book()
        self.told: list[tuple[str, str]] = []
        self.changed: list[tuple[str, str]] = []

    def at(self, second: float, *found: Trouble, unknown: Sequence[str] = ()) -> Step:
        now_us = START_US + int(second * SECOND_US)
        step = advance(self.book, Diagnosis(found, frozenset(unknown)), now_us)
        self.book = step.book
        self.told += [(each.verb, each.alert.key) for each in step.messages]
        self.changed += [(each.verb, each.alert.key) for each in step.changes]
        return step


def test_a_blip_tells_nobody() -> None:
    watch = Watch()

    watch.at(0, AWAY)
    watch.at(30, AWAY)
    watch.at(40)
    watch.at(59)
    watch.at(61, AWAY)

    assert watch.told == [] and not watch.book.open and not watch.book.past


def test_what_lasts_is_told_once_and_once_that_it_is_over() -> None:
    watch = Watch()

    for second in (0, 30, 60, 90, 120):
        watch.at(second, AWAY)
    for second in (121, 134, 136, 200):
        watch.at(second)

    assert watch.told == [("opened", "region-away:b"), ("resolved", "region-away:b")]
    (past,) = watch.book.past
    assert (past.since_us, past.opened_us) == (START_US, START_US + 60 * SECOND_US)
    assert past.resolved_us == START_US + 136 * SECOND_US


def test_what_comes_and_goes_is_one_alert() -> None:
    watch = Watch()

    for second in range(0, 300, 10):
        watch.at(second, *([AWAY] if second % 20 else []))

    assert watch.told == [("opened", "region-away:b")]
    assert not watch.book.past


def test_a_summary_that_changes_is_no_new_alert() -> None:
    watch = Watch()

    watch.at(0, AWAY)
    watch.at(60, AWAY)
    watch.at(61, Trouble("region-away", "b", "refused"))

    assert len(watch.told) == 1
    assert watch.book.open[0].summary == "refused"


def test_a_silenced_alert_opens_and_is_told_when_the_silence_ends() -> None:
    watch = Watch()
    watch.book = silence(watch.book, quiet("region-*", 100))

    watch.at(0, AWAY)
    watch.at(60, AWAY)
    during = list(watch.told)
    watch.at(101, AWAY)

    assert watch.changed == [("opened", "region-away:b")]
    assert during == []
    assert watch.told == [("opened", "region-away:b")]
    assert watch.book.silences == ()


def test_of_an_alert_that_came_and_went_in_silence_nobody_is_told() -> None:
    watch = Watch()
    watch.book = silence(watch.book, quiet("region-away:b", 100))

    watch.at(0, AWAY)
    watch.at(60, AWAY)
    watch.at(80)

    assert watch.told == []
    assert watch.changed == [("opened", "region-away:b"), ("resolved", "region-away:b")]


def test_who_was_told_before_a_silence_is_told_when_it_is_over() -> None:
    watch = Watch()

    watch.at(0, AWAY)
    watch.at(60, AWAY)
    watch.book = silence(watch.book, quiet("*", 200))
    watch.at(90)

    assert watch.told == [("opened", "region-away:b"), ("resolved", "region-away:b")]


def test_a_silence_covers_what_it_names_and_nothing_else() -> None:
    found = quiet("region-*:b", 10)

    assert found.covers("region-away:b", START_US)
    assert not found.covers("region-away:bb", START_US)
    assert not found.covers("xregion-away:b", START_US)
    assert not quiet("region.away:b", 10).covers("region-away:b", START_US)
    assert not found.covers("region-away:b", START_US + 10 * SECOND_US)


@pytest.mark.parametrize(
    ("match", "means"),
    [
        ("lag:b", True),
        ("quorum-lost", True),
        ("*", True),
        ("*:b", True),
        ("region-*:b", True),
        ("region-away:*", True),
        ("region-awy:b", False),
        ("region-away-*", False),
        ("la:*", False),
        ("b", False),
    ],
)
def test_a_silence_that_no_kind_of_alert_can_meet_is_known(match: str, means: bool) -> None:
    assert quiet(match, 1).means_something is means


def test_a_silence_takes_the_place_of_an_earlier_one() -> None:
    book = silence(silence(Book(), quiet("lag:*", 1000)), quiet("lag:*", 10))

    assert [each.until_us for each in book.silences] == [START_US + 10 * SECOND_US]


def test_what_cannot_be_judged_is_not_over() -> None:
    watch = Watch()

    watch.at(0, AWAY)
    watch.at(60, AWAY)
    watch.at(200, unknown=["region-away"])
    watch.at(210)

    assert watch.told == [("opened", "region-away:b")]
    watch.at(216)
    assert watch.told[1:] == [("resolved", "region-away:b")]


def test_a_clock_that_goes_back_holds_nothing_up_for_longer_than_the_wait() -> None:
    watch = Watch()

    watch.at(3600, AWAY)
    watch.at(0, AWAY)
    watch.at(60, AWAY)

    assert watch.told == [("opened", "region-away:b")]


def test_the_past_is_bounded() -> None:
    watch = Watch()
    for i in range(PAST_MAX + 5):
        watch.at(i * 200, AWAY)
        watch.at(i * 200 + 60, AWAY)
        watch.at(i * 200 + 100)

    assert len(watch.book.past) == PAST_MAX


SUBJECTS = ("a", "b")
TROUBLES = [Trouble(kind, subject, "x") for kind in ("lag", "corruption") for subject in SUBJECTS]
MOVES = st.lists(
    st.tuples(
        st.integers(1, 90),  # seconds that pass
        st.frozensets(st.sampled_from(TROUBLES)),
        st.sampled_from(["", "", "", "restart", "lag:*", "*:a", "*"]),
    ),
    max_size=40,
)


@given(MOVES)
def test_nothing_is_lost_nothing_told_twice_and_all_is_resolved_once(
    moves: list[tuple[int, frozenset[Trouble], str]],
) -> None:
    """Judged by what is told alone: a second opinion that keeps no book."""
    watch, second = Watch(), 0
    for seconds, found, what in moves:
        second += seconds
        if what == "restart":
            watch.book = restarted(msgspec.json.decode(msgspec.json.encode(watch.book), type=Book))
        elif what:
            watch.book = silence(watch.book, quiet(what, second + 60))
        watch.at(second, *found)

    for key in {each.key for each in TROUBLES}:
        told = [verb for verb, about in watch.told if about == key]
        assert told == ["opened", "resolved"] * (len(told) // 2) + ["opened"] * (len(told) % 2)
    second += 61  # every silence is over
    watch.at(second, *TROUBLES)
    watch.at(second + 120, *TROUBLES)
    assert {each.key for each in watch.book.open} == {each.key for each in TROUBLES}
    assert all(alert.told_us for alert in watch.book.open)
    watch.at(second + 121 + CALM_US / SECOND_US)
    last = {key: verb for verb, key in watch.told}
    assert set(last.values()) == {"resolved"} and not watch.book.alerts
