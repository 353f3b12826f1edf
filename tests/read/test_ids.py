"""The id index against a plain dict, through crashes, damage and merges."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.errors import CorruptError
from holdfast.model import Place
from holdfast.read import ids as ids_module
from holdfast.read import runs as runs_module
from holdfast.read.decode import keys_of
from holdfast.read.ids import PLACES_MAX, IdIndex
from holdfast.read.runs import Run
from holdfast.read.sources import Stretch

NODES = ("0a" * 16, "f1" * 16, "77" * 16)


@pytest.fixture(autouse=True)
def _small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few keys fill a table, so that a short test has many runs and merges."""
    monkeypatch.setattr(ids_module, "TABLE_KEYS_MAX", 8)
    monkeypatch.setattr(runs_module, "_CHUNK_KEYS", 16)


def packed(keys: list[int]) -> bytes:
    return np.array(keys, "<u8").tobytes()


class Model:
    """What the index must know: every segment that was added and not dropped."""

    def __init__(self) -> None:
        self.segments: dict[tuple[str, int], list[int]] = {}

    def add(self, node: str, keys: list[int]) -> int:
        first = self.end(node)
        self.segments[node, first] = keys
        return first

    def end(self, node: str) -> int:
        return max((f + len(k) for (n, f), k in self.segments.items() if n == node), default=0)

    def drop(self, node: str, start: int) -> None:
        self.segments = {(n, f): k for (n, f), k in self.segments.items() if n != node or f < start}

    def places(self, key: int) -> tuple[Place, ...]:
        return tuple(
            sorted(
                Place(node, first + at)
                for (node, first), keys in self.segments.items()
                for at, one in enumerate(keys)
                if one == key
            )
        )

    def candidates(self, node: str, first: int, keys: list[int]) -> set[tuple[int, Place]]:
        """Equal keys elsewhere that were there before, and earlier ones of the segment itself."""
        return {
            (at, place)
            for at, key in enumerate(keys)
            for place in self.places(key)
            if place.node != node or not first + at <= place.position < first + len(keys)
        }


# Few enough of each that none comes more than PLACES_MAX times; the ends of the range are there.
KEYS = st.sampled_from(
    [0, 1, (1 << 64) - 1, 1 << 63, *(n * 0x9E3779B97F4A7C15 % 2**64 for n in range(40))]
)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 2), st.lists(KEYS, min_size=1, max_size=6)),
    st.tuples(st.just("many"), st.integers(0, 2), st.integers(0, 1 << 40)),
    st.tuples(st.just("maintain"), st.just(0), st.just(0)),
    st.tuples(st.just("flush"), st.just(0), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(st.just("drop"), st.integers(0, 2), st.integers(0, 20)),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(STEPS, max_size=25))
def test_the_index_knows_what_a_dict_would_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, list[int] | int]]
) -> None:
    directory = tmp_path_factory.mktemp("ids")
    model, index = Model(), IdIndex(directory)

    for step, number, what in steps:
        node = NODES[number]
        if step in {"add", "many"}:
            keys = what if isinstance(what, list) else [(what + n) << 20 for n in range(10)]
            if any(len(model.places(key)) + keys.count(key) > PLACES_MAX for key in keys):
                continue
            first = model.add(node, keys)
            assert set(index.add(node, first, packed(keys))) == model.candidates(node, first, keys)
        elif step == "drop" and isinstance(what, int):
            starts = [first for n, first in model.segments if n == node]
            if starts:
                start = starts[what % len(starts)]
                model.drop(node, start)
                index.drop(node, start)
        elif step == "maintain":
            index.maintain()
            assert not index.due
        elif step == "flush":
            index.flush()
        else:
            index = IdIndex(directory)
            again(index, model)
        check(index, model)
    shutil.rmtree(directory)


def again(index: IdIndex, model: Model) -> None:
    """Add what a crash has cost, as the catalog does."""
    known = index.known()
    for (node, first), keys in model.segments.items():
        if not any(s.node == node and s.start <= first < s.end for s in known):
            index.add(node, first, packed(keys))


def check(index: IdIndex, model: Model) -> None:
    for key in {key for keys in model.segments.values() for key in keys} | {42}:
        assert index.find(key) == model.places(key)
    assert len(index) == sum(map(len, model.segments.values()))
    for node in NODES:
        assert index.known_through(node) == model.end(node)


def test_earlier_events_of_the_same_segment_are_candidates_too(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)

    found = index.add(NODES[0], 100, packed([7, 8, 7, 7]))

    assert found == (
        (2, Place(NODES[0], 100)),
        (3, Place(NODES[0], 100)),
        (3, Place(NODES[0], 102)),
    )


def test_adding_a_segment_again_finds_the_others_and_changes_nothing(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)
    index.add(NODES[0], 0, packed([7]))
    index.add(NODES[1], 0, packed([7, 9]))
    index.flush()

    again = index.add(NODES[1], 0, packed([7, 9]))

    assert again == ((0, Place(NODES[0], 0)),)
    assert len(index) == 3


def test_one_id_that_comes_ever_again_costs_a_bounded_amount(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)

    found = [index.add(NODES[0], segment * 10, packed([5] * 10)) for segment in range(20)]

    assert len(found[-1]) == 10 * PLACES_MAX
    assert index.find(5) == tuple(Place(NODES[0], n) for n in range(PLACES_MAX))
    assert index.known_through(NODES[0]) == 200


def test_a_hole_ends_what_is_known_and_what_lies_beyond_is_said_too(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)
    index.add(NODES[0], 0, packed([1, 2]))
    index.add(NODES[0], 5, packed([3]))

    assert index.known() == (Stretch(NODES[0], 0, 2), Stretch(NODES[0], 5, 6))
    assert index.known_through(NODES[0]) == 2
    assert index.known_through(NODES[0], start=5) == 6
    assert index.known_through(NODES[1]) == 0


def test_positions_that_were_dropped_may_come_again_with_other_events(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)
    index.add(NODES[0], 0, packed([1, 2]))
    index.add(NODES[0], 2, packed([3, 4]))
    index.flush()

    index.drop(NODES[0], 2)
    index.add(NODES[0], 2, packed([9]))
    index.flush()

    index = IdIndex(tmp_path)
    assert index.find(3) == ()
    assert index.find(9) == (Place(NODES[0], 2),)
    assert index.known() == (Stretch(NODES[0], 0, 3),)


def filled(directory: Path) -> IdIndex:
    index = IdIndex(directory)
    for segment in range(30):
        keys = keys_of(["t"] * 10, [f"{segment}-{n}" for n in range(10)])
        index.add(NODES[segment % 3], segment // 3 * 10, keys)
    index.flush()
    return index


def runs_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.run"))


def damaged(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 97):
        yield data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
    for size in (0, 1, 15, 16, 17, len(data) // 2, len(data) - 1):
        yield data[:size]
    yield data + b"\0"
    yield b"\0" * len(data)


def test_a_damaged_run_is_set_aside_and_its_events_are_not_claimed_to_be_known(
    tmp_path: Path,
) -> None:
    filled(tmp_path)
    victim = runs_in(tmp_path)[0]
    data = victim.read_bytes()
    lost = Run(victim).footer.covered

    for bad in damaged(data):
        victim.write_bytes(bad)
        index = IdIndex(tmp_path)

        assert index.set_aside == (victim.name,)
        known = index.known()
        assert not any(s.node == k.node and k.start <= s.start < k.end for s in lost for k in known)
        assert not victim.exists()


def test_a_run_of_an_index_that_numbered_its_nodes_differently_is_set_aside(tmp_path: Path) -> None:
    for name, nodes in (("one", NODES), ("other", NODES[::-1])):
        index = IdIndex(tmp_path / name)
        for node in nodes:
            index.add(node, 0, packed([1]))
        index.flush()
    shutil.copy(runs_in(tmp_path / "other")[0], tmp_path / "one" / "000000000077.run")

    index = IdIndex(tmp_path / "one")

    assert index.set_aside == ("000000000077.run",)
    assert index.find(1) == tuple(Place(node, 0) for node in sorted(NODES))


def test_every_run_is_checked_whole_when_it_is_opened(tmp_path: Path) -> None:
    filled(tmp_path)
    path = runs_in(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[8] ^= 1
    path.write_bytes(data)

    with pytest.raises(CorruptError):
        Run(path)


def test_a_crash_between_a_merge_and_the_end_of_its_sources_leaves_no_event_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "before"
    index = filled(before)
    monkeypatch.setattr(ids_module, "FAN", 2)
    shutil.copytree(before, tmp_path / "after")
    merged = IdIndex(tmp_path / "after")
    merged.maintain()
    for path in runs_in(before):  # what was merged is still there
        shutil.copy(path, tmp_path / "after")

    opened = IdIndex(tmp_path / "after")

    assert len(runs_in(tmp_path / "after")) < len(runs_in(before))
    assert len(opened) == len(index) == 300
    assert opened.known() == index.known()


def test_what_a_crash_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    filled(tmp_path)
    half = tmp_path / "00000000ffff.run.tmp"
    half.write_bytes(b"half")

    index = IdIndex(tmp_path)

    assert not half.exists()
    assert len(index) == 300


def test_the_number_of_runs_grows_with_the_logarithm_of_the_events(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)
    rng = np.random.default_rng(1)

    for segment in range(200):
        index.add(NODES[0], segment * 8, rng.integers(0, 2**64, 8, np.uint64).tobytes())
        if index.due:
            index.maintain()

    assert len(index) == 1_600
    assert len(runs_in(tmp_path)) <= 3 * 5


def test_memory_stays_bounded_when_nobody_maintains(tmp_path: Path) -> None:
    index = IdIndex(tmp_path)

    for segment in range(30):
        index.add(NODES[0], segment * 8, packed([segment * 8 + n for n in range(8)]))

    assert len(index._frozen) <= ids_module.TABLES_MAX
    assert index.known_through(NODES[0]) == 240
