"""When hot segments are folded, folds merged, and which places are left out."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from holdfast.model import Place
from holdfast.proof.names import SegmentName
from holdfast.read import shelf
from holdfast.read.catalog import Entry
from holdfast.read.fold import FoldFacts
from holdfast.read.packs import Packs
from holdfast.read.repeats import Standing
from holdfast.read.shelf import Fold, FoldLimits, Hot, Shelf, plan_fold, plan_merge, segment_source

LIMITS = FoldLimits(events=1000, segments=10, old_s=60, old_events=100, very_old_s=3600)


class Nowhere(Packs):
    """Packs that nobody opens."""

    def __init__(self) -> None:
        self._folder = Path("nowhere")


PACKS = Nowhere()


def hot(index: int, count: int = 10, received_us: int = 0, node: str = "n") -> Hot:
    name = SegmentName(index, 1, index * 10, count, 1, 1, bytes(32), bytes(32))
    entry = Entry(
        node=node,
        index=index,
        epoch=1,
        first=index * 10,
        count=count,
        name=name.text,
        size_bytes=100,
        time_min_us=0,
        time_max_us=0,
        received_min_us=received_us,
        received_max_us=received_us,
        tenants={},
    )
    return Hot(entry, segment_source(PACKS, entry))


def fold(number: int, count: int) -> Fold:
    facts = FoldFacts(
        count=count,
        size_bytes=1,
        sha256="",
        time_min_us=0,
        time_max_us=0,
        received_min_us=0,
        received_max_us=0,
        tenants=(),
        stretches=(),
    )
    return Fold(number, facts, facts.source(str(number)))


def planned(some: list[Hot], settled: int = 99, now_s: float = 1) -> list[int]:
    return [one.entry.index for one in plan_fold(some, {"n": settled}, int(now_s * 1e6), LIMITS)]


def test_little_that_is_new_stays_hot() -> None:
    assert planned([hot(0), hot(1)]) == []


def test_many_events_many_segments_or_old_ones_are_folded() -> None:
    assert planned([hot(0, 1000)]) == [0]
    assert planned([hot(index) for index in range(10)]) == list(range(10))
    assert planned([hot(0, 99)], now_s=61) == []
    assert planned([hot(0, 100)], now_s=61) == [0]
    assert planned([hot(0, 1)], now_s=3601) == [0]


def test_what_is_not_final_is_not_folded() -> None:
    assert planned([hot(0, 2000), hot(1, 2000)], settled=1) == [0]
    assert planned([hot(0, 2000, node="m")]) == []


def test_a_fold_is_bounded_and_takes_the_oldest() -> None:
    some = [hot(index, 30_000, received_us=9 - index) for index in range(4)]

    assert planned(some) == [3, 2]


def test_one_segment_beyond_the_bound_is_folded_alone() -> None:
    assert planned([hot(0, shelf.FOLD_EVENTS_MAX + 1), hot(1, 10)]) == [0]


def test_eight_folds_of_about_one_size_are_merged_and_large_ones_never() -> None:
    small = [fold(number, 100) for number in range(8)]
    large = [fold(number, shelf.FOLD_WHOLE) for number in range(20, 40)]

    assert plan_merge(small[:7] + large) == ()
    assert [one.number for one in plan_merge(small + large)] == list(range(8))


def test_a_merge_is_bounded() -> None:
    folds = [fold(number, 20_000) for number in range(8)]

    assert sum(one.facts.count for one in plan_merge(folds)) <= shelf.FOLD_EVENTS_MAX
    assert len(plan_merge(folds)) > 1


PLACES = st.lists(
    st.tuples(st.sampled_from("mn"), st.integers(0, 9), st.sampled_from(Standing)), max_size=40
)


@given(PLACES)
def test_the_last_standing_of_a_place_counts(changes: list[tuple[str, int, Standing]]) -> None:
    some = Shelf(PACKS, Path("nowhere"))
    expected: dict[Place, Standing] = {}

    for node, position, standing in changes:
        some.stand([(Place(node, position), standing)])
        expected[Place(node, position)] = standing

    for place, standing in expected.items():
        assert (place in some.repeats) == (standing is Standing.REPEAT)
        assert (place in some.conflicts) == (standing is Standing.CONFLICT)
    assert some.repeats_count == sum(s is Standing.REPEAT for s in expected.values())


def test_places_that_are_cut_are_forgotten() -> None:
    some = Shelf(PACKS, Path("nowhere"))
    some.stand((Place("n", at), Standing.REPEAT) for at in range(10))

    some.forget_places("n", 3, 8)

    assert [at for at in range(10) if Place("n", at) in some.repeats] == [0, 1, 2, 8, 9]


def test_sources_follow_what_is_added_and_removed() -> None:
    some = Shelf(PACKS, Path("nowhere"))
    first = hot(0).entry
    some.add(first)
    some.add(first)
    some.add(hot(1).entry)
    assert (len(some.sources), some.hot_events) == (2, 20)

    some.remove([first, structs.replace(first, index=7)])

    assert (len(some.sources), some.hot_events) == (1, 10)
