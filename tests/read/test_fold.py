"""Folds hold exactly their sources' events, sorted, under their final name or not at all."""

from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from holdfast.read import fold as fold_module
from holdfast.read import segments as segments_module
from holdfast.read.decode import SCHEMA
from holdfast.read.fold import fold
from holdfast.read.segments import SourceError
from holdfast.read.sources import FoldSource, Source, Stretch, joined
from tests.read.little_trail import NODES, START_US, Stored, Trail, record_of, records


def sort_key(one: Stored) -> tuple[bytes, int, str, int]:
    return one.event.get("tenant", "").encode(), one.time_us, one.node, one.position


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.lists(records(), min_size=1, max_size=8), min_size=1, max_size=8),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
    st.sampled_from([1, 2_000, 1 << 20]),
)
def test_a_fold_holds_every_event_once_sorted_by_tenant_and_time(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    segments: list[list[bytes]],
    older: list[int],
    held_bytes: int,
) -> None:
    monkeypatch.setattr(fold_module, "ROW_GROUP_EVENTS", 3)
    monkeypatch.setattr(fold_module, "HELD_BYTES", held_bytes)
    monkeypatch.setattr(segments_module, "BATCH_EVENTS", 4)
    trail = Trail(tmp_path)
    for number, lines in enumerate(segments):
        trail.add(NODES[number % 2], lines)
    sources: list[Source] = [s for s, n in zip(trail.sources, older, strict=False) if n == 0]
    for number in (1, 2, 3):  # the others are in older folds already
        group = [s for s, n in zip(trail.sources, older, strict=False) if n == number]
        if group:
            old = str(tmp_path / f"old{number}.parquet")
            sources.append(fold(group, old).source(old))
    path = tmp_path / "fold.parquet"

    made = fold(sources, str(path))

    rows = pq.read_table(path).to_pylist()
    want = sorted(trail.stored, key=sort_key)
    assert [row["record"].encode() for row in rows] == [one.record for one in want]
    assert [(row["node"], row["position"]) for row in rows] == [
        (one.node, one.position) for one in want
    ]
    assert list(tmp_path.glob("*.tmp")) == []
    assert made.count == len(want)
    assert (made.time_min_us, made.time_max_us) == (
        min(one.time_us for one in want),
        max(one.time_us for one in want),
    )
    assert made.tenants == tuple(sorted({one.event.get("tenant", "") for one in want}))


def test_a_fold_of_folds_holds_the_same_as_a_fold_of_their_segments(tmp_path: Path) -> None:
    trail = several(tmp_path, segments=9)
    old: list[Source] = []
    for number in range(2):
        path = str(tmp_path / f"old{number}.parquet")
        old.append(fold(trail.sources[4 * number : 4 * number + 4], path).source(path))

    again = fold([*old, trail.sources[8]], str(tmp_path / "again.parquet"))

    once = fold(trail.sources, str(tmp_path / "once.parquet"))
    assert pq.read_table(tmp_path / "again.parquet").equals(
        pq.read_table(tmp_path / "once.parquet")
    )
    assert again.stretches == once.stretches == (Stretch(NODES[0], 0, 45),)


def test_row_groups_are_small_sorted_and_carry_bounds_and_a_bloom_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "ROW_GROUP_EVENTS", 10)
    trail = several(tmp_path, segments=9)
    path = tmp_path / "fold.parquet"

    fold(trail.sources, str(path))

    file = pq.ParquetFile(path)
    tenants = SCHEMA.get_field_index("tenant")
    bounds = [
        file.metadata.row_group(number).column(tenants).statistics
        for number in range(file.metadata.num_row_groups)
    ]
    assert len(bounds) == 5
    assert all(one.max <= two.min for one, two in pairwise(bounds))
    assert file.metadata.row_group(0).column(tenants).has_column_index


def test_row_groups_hold_few_events_where_these_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "GROUP_BYTES", 1_000)
    trail = Trail(tmp_path)
    for size in (10, 300, 5_000, 300, 300, 10):
        trail.add(NODES[0], [record_of({"id": "1", "reason": "x" * size}, START_US)])
    path = tmp_path / "fold.parquet"

    fold(trail.sources, str(path))

    table = pq.ParquetFile(path)
    groups = [table.read_row_group(number) for number in range(table.num_row_groups)]
    assert len(groups) > 2
    assert all(len(group) == 1 or sum(group["size_bytes"].to_pylist()) <= 1_000 for group in groups)


def test_nothing_lies_under_the_final_name_when_a_source_is_lost(tmp_path: Path) -> None:
    trail = several(tmp_path, segments=2)
    Path(trail.sources[1].path).unlink()

    with pytest.raises(SourceError) as caught:
        fold(trail.sources, str(tmp_path / "fold.parquet"))

    assert caught.value.path == trail.sources[1].path
    assert not (tmp_path / "fold.parquet").exists()


def test_sources_that_hold_more_or_less_than_is_known_of_them_are_not_folded(
    tmp_path: Path,
) -> None:
    trail = several(tmp_path, segments=2)
    fewer = structs.replace(trail.sources[0], count=4)

    with pytest.raises(SourceError):
        fold([fewer, trail.sources[1]], str(tmp_path / "fold.parquet"))

    assert not (tmp_path / "fold.parquet").exists()


def test_a_damaged_fold_is_not_folded_on(tmp_path: Path) -> None:
    trail = several(tmp_path, segments=2)
    path = tmp_path / "old.parquet"
    old: FoldSource = fold(trail.sources, str(path)).source(str(path))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)

    with pytest.raises(SourceError) as caught:
        fold([old], str(tmp_path / "new.parquet"))

    assert caught.value.path == str(path)


def test_stretches_that_touch_become_one() -> None:
    parts = [Stretch("b", 5, 9), Stretch("a", 0, 2), Stretch("b", 9, 10), Stretch("a", 3, 4)]

    assert joined(parts) == (Stretch("a", 0, 2), Stretch("a", 3, 4), Stretch("b", 5, 10))


def several(directory: Path, segments: int) -> Trail:
    trail = Trail(directory)
    for segment in range(segments):
        trail.add(
            NODES[0],
            [
                record_of({"id": f"{segment}-{n}", "tenant": f"t{n}"}, START_US + segment)
                for n in range(5)
            ],
        )
    return trail
