"""From when on latencies are normal after a fault."""

from bench.outage import CALM_S, normal_after

STEP = 0.02


def acks(slow_until: float, end: float) -> list[tuple[float, float]]:
    """Latencies of 10 ms, and of 500 before that moment."""
    moments = [number * STEP for number in range(int(end / STEP))]
    return [(moment, 500.0 if moment < slow_until else 10.0) for moment in moments]


def test_what_was_never_slow_is_normal_at_once() -> None:
    assert normal_after(acks(0, 10), 1.0, 9.0, 20.0) == 0.0


def test_it_is_normal_from_the_end_of_what_was_slow() -> None:
    assert 2.9 < normal_after(acks(4.0, 10), 1.0, 9.0, 20.0) < 3.1


def test_what_stays_slow_is_told_as_all_the_time_there_was() -> None:
    assert normal_after(acks(9.0 - CALM_S / 2, 10), 1.0, 9.0, 20.0) == 8.0


def test_one_of_a_hundred_may_be_slow() -> None:
    one = [*acks(0, 10), (5.0, 500.0)]

    assert normal_after(sorted(one), 1.0, 9.0, 20.0) == 0.0
