"""Stamps of arrival and promises, under clocks that jump."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.write.stamp import Stamp

CLOCKS = st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(["event", "seal", "promise"])))


@given(st.integers(0, 500), CLOCKS)
def test_stamps_never_go_back_and_lie_above_the_floor_and_every_seal(
    floor_us: int, steps: list[tuple[int, str]]
) -> None:
    stamp = Stamp(floor_us)
    last, above = floor_us, floor_us

    for now_us, step in steps:
        if step == "event":
            received_us = stamp.next(now_us)
            assert received_us > above
            assert received_us >= last
            last = received_us
        elif step == "seal":
            above = stamp.seal()
            assert above >= last


@given(st.integers(0, 500), CLOCKS)
def test_whatever_was_promised_lies_below_all_that_arrives_later(
    floor_us: int, steps: list[tuple[int, str]]
) -> None:
    stamp = Stamp(floor_us)
    waiting: list[int] = []
    promised = 0

    for now_us, step in steps:
        if step == "event":
            received_us = stamp.next(now_us)
            assert received_us > promised
            waiting.append(received_us)
        elif step == "seal":
            stamp.seal()
            waiting.clear()
        else:
            promise_us = stamp.promise(now_us, waiting[0] if waiting else None)
            assert promise_us >= promised or not promised
            assert all(promise_us < received_us for received_us in waiting)
            promised = promise_us
