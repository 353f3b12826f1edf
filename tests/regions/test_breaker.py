"""The breaker alone: no store, no clock."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.regions.breaker import Breaker, BreakerLimits, Pass, State

LIMITS = BreakerLimits(failures_max=3, pause_seconds=1.0, pause_seconds_max=4.0)


def opened() -> Breaker:
    breaker = Breaker(LIMITS)
    for _ in range(3):
        breaker.failed(breaker.admit(0.0), 0.0)
    assert breaker.state is State.OPEN
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_does_not() -> None:
    breaker = Breaker(LIMITS)

    for failed in (True, True, False, True, True):
        admitted = breaker.admit(0.0)
        if failed:
            breaker.failed(admitted, 0.0)
        else:
            breaker.succeeded(admitted)

    assert breaker.state is State.CLOSED
    breaker.failed(breaker.admit(0.0), 0.0)
    assert breaker.state.value == "open"


def test_while_open_nothing_goes_out_and_after_the_pause_one_probe() -> None:
    breaker = opened()

    assert [breaker.admit(now) for now in (0.0, 0.9)] == [Pass.REFUSED, Pass.REFUSED]
    assert [breaker.admit(now) for now in (1.0, 1.0)] == [Pass.PROBE, Pass.REFUSED]


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    breaker = opened()
    now, pauses = 0.0, []

    for _ in range(4):
        begun = now
        while (admitted := breaker.admit(now)) is not Pass.PROBE:
            now += 0.5
        pauses.append(now - begun)
        breaker.failed(admitted, now)

    assert pauses == [1.0, 2.0, 4.0, 4.0]
    breaker.succeeded(breaker.admit(now + 4.0))
    assert breaker.state is State.CLOSED
    for _ in range(3):
        breaker.failed(breaker.admit(now), now)
    assert breaker.admit(now + 1.0) is Pass.PROBE


def test_one_permanent_failure_opens_it_for_the_longest_pause() -> None:
    breaker = Breaker(LIMITS)

    breaker.failed(breaker.admit(0.0), 0.0, permanent=True)

    assert breaker.admit(3.9) is Pass.REFUSED
    assert breaker.admit(4.0) is Pass.PROBE


def test_calls_from_before_it_opened_change_nothing() -> None:
    breaker = opened()

    breaker.succeeded(Pass.CALL)
    breaker.failed(Pass.CALL, 0.9, permanent=True)

    assert breaker.state is State.OPEN
    assert breaker.admit(1.0) is Pass.PROBE


def test_an_abandoned_probe_lets_the_next_call_probe() -> None:
    breaker = opened()

    breaker.abandoned(breaker.admit(1.0), 1.1)

    assert breaker.admit(1.1) is Pass.PROBE


@given(st.lists(st.tuples(st.sampled_from("ox!c"), st.floats(0, 3)), max_size=60))
def test_whatever_happens_it_can_always_be_tried_again(steps: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(LIMITS), 0.0

    for what, seconds in steps:
        now += seconds
        admitted = breaker.admit(now)
        if admitted is Pass.REFUSED:
            continue
        if what == "o":
            breaker.succeeded(admitted)
        elif what == "c":
            breaker.abandoned(admitted, now)
        else:
            breaker.failed(admitted, now, permanent=what == "!")

    assert breaker.admit(now + LIMITS.pause_seconds_max) is not Pass.REFUSED
