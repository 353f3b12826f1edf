"""The catalog, and the folder that it lies in."""

import sqlite3
from pathlib import Path

import pytest
from msgspec import structs

from holdfast.errors import UnavailableError
from holdfast.model import Place
from holdfast.read import slot
from holdfast.read.catalog import (
    Catalog,
    Entry,
    RegionFacts,
    Settled,
)
from holdfast.read.database import ClosedError, DamagedError
from holdfast.read.decode import Part
from holdfast.read.repeats import Copy, Standing
from holdfast.read.slot import claim, set_aside
from holdfast.read.watermark import End

TRAIL = "5" * 32


def entry(index: int, node: str = "n", epoch: int = 1, count: int = 10) -> Entry:
    return Entry(
        node=node,
        index=index,
        epoch=epoch,
        first=index * 10,
        count=count,
        name=f"{node}-{index}-{epoch}",
        size_bytes=100,
        time_min_us=1,
        time_max_us=2,
        received_min_us=3,
        received_max_us=4,
        tenants={"a": Part(0, 2, 0, 80), "é": Part(2, 5, 80, 200)},
    )


def opened(folder: Path) -> Catalog:
    return Catalog(folder / "catalog.sqlite", TRAIL)


def test_what_was_entered_is_there_after_opening_again(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(1), entry(0), entry(0, node="m")])
        catalog.report(77, [Settled("n", End(1, 10), 1)])

    with opened(tmp_path) as catalog:
        assert catalog.hot() == (entry(0), entry(1), entry(0, node="m"))
        assert catalog.settled() == (Settled("n", End(1, 10), 1), Settled("m", End(), 0))
        assert catalog.from_settled() == (entry(1), entry(0, node="m"))
        assert catalog.reported_us() == 77
        assert catalog.totals() == (3, 30)


def test_entering_twice_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(0)])
        catalog.enter([structs.replace(entry(0), count=99)])

        assert catalog.hot() == (entry(0),)


def test_an_event_is_found_by_its_position(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(index) for index in range(5)])

        assert catalog.at(Place("n", 29)) == entry(2)
        assert catalog.at(Place("n", 50)) is None
        assert catalog.at(Place("m", 0)) is None
        assert catalog.after("n", 29, 2) == (entry(2), entry(3))


def test_a_lost_segment_takes_the_settled_end_back(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(0), entry(1, epoch=2), entry(2, epoch=3), entry(3, epoch=3)])
        catalog.report(77, [Settled("n", End(4, 40), 3)])

        catalog.remove([entry(2, epoch=3)])

        assert catalog.settled() == (Settled("n", End(2, 20), 2),)
        assert [one.index for one in catalog.from_settled()] == [3]
    opened(tmp_path).close()


def test_a_fold_takes_its_segments_and_a_merged_one_those_of_its_parts(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(index) for index in range(3)])
        catalog.fold(0, b"x", [entry(0)], ())
        catalog.fold(1, b"y", [entry(1)], ())

        catalog.fold(2, b"z", [], (0, 1))

        assert catalog.folds() == ((2, b"z"),)
        assert [one.index for one in catalog.of_fold(2)] == [0, 1]
        assert catalog.hot() == (entry(2),)


def test_a_lost_fold_takes_its_segments_and_the_settled_end_along(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(index) for index in range(4)])
        catalog.report(77, [Settled("n", End(4, 40), 1)])
        catalog.fold(0, b"x", [entry(1), entry(2)], ())

        catalog.unfold(0)

        assert catalog.settled() == (Settled("n", End(1, 10), 1),)
        assert [one.index for one in catalog.hot()] == [0, 3]


def test_copies_are_kept_by_place_and_dropped_by_range(tmp_path: Path) -> None:
    first = Copy(Place("n", 1), b"x", 5, b"1", Standing.SHOWN)
    second = Copy(Place("n", 11), b"x", 6, b"1", Standing.REPEAT)
    with opened(tmp_path) as catalog:
        unmatched = structs.replace(entry(0), matched=False)
        catalog.enter([unmatched])
        assert catalog.unmatched() == (unmatched,)

        catalog.stand([first, second], [unmatched])

        assert catalog.unmatched() == ()
        assert set(catalog.copies([b"x", b"x"])) == {first, second}
        assert catalog.standings() == ((Place("n", 11), Standing.REPEAT),)
        assert catalog.drop_copies("n", 10, 20) == (b"x",)
        assert catalog.copies([b"x"]) == (first,)


def test_statements_and_regions_are_kept(tmp_path: Path) -> None:
    facts = RegionFacts("s", 5, {"n": ((0, 3), (7, 9))}, 2)
    with opened(tmp_path) as catalog:
        catalog.keep_statements([("a", "ev/node/x", b"1"), ("b", "ev/node/x", b"2")])
        catalog.keep_region("a", facts)

        assert catalog.statements() == (("a", "ev/node/x", b"1"), ("b", "ev/node/x", b"2"))
        assert catalog.regions() == {"a": facts}


def test_another_version_or_trail_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()

    with pytest.raises(DamagedError, match="another trail"):
        Catalog(tmp_path / "catalog.sqlite", "6" * 32)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as raw:
        raw.execute("PRAGMA user_version = 9")
    with pytest.raises(DamagedError, match="version 9"):
        opened(tmp_path)


def test_rows_that_are_missing_below_the_settled_end_are_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(index) for index in range(3)])
        catalog.report(7, [Settled("n", End(3, 30), 1)])
    raw = sqlite3.connect(tmp_path / "catalog.sqlite")
    raw.execute("DELETE FROM segments WHERE idx = 1")
    raw.commit()
    raw.close()

    with pytest.raises(DamagedError, match="missing"):
        opened(tmp_path)


@pytest.mark.parametrize("size", [0, 100, 4096, 10_000])
def test_a_truncated_file_is_empty_or_refused(tmp_path: Path, size: int) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(index) for index in range(500)])
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[:size])

    try:
        with opened(tmp_path) as catalog:
            assert catalog.totals() == (0, 0)
    except DamagedError:
        pass


def test_a_full_disk_changes_nothing_and_is_no_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as catalog:
        catalog.enter([entry(0)])
        catalog._db.execute("PRAGMA max_page_count = 1")  # SQLite: at least what there is

        with pytest.raises(OSError, match="full"):
            catalog.enter([entry(n, node="other") for n in range(2000)])

        assert catalog.totals() == (1, 10)
        catalog._db.execute("PRAGMA max_page_count = 1000000")
        catalog.enter([entry(0, node="third"), entry(0, node="other")])

    with opened(tmp_path) as catalog:
        assert {one.node for one in catalog.hot()} == {"n", "third", "other"}


def test_a_closed_catalog_says_so(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    catalog.close()

    with pytest.raises(ClosedError):
        catalog.hot()


def test_a_catalog_that_is_set_aside_leaves_its_place(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"first")
    set_aside(path)
    path.write_bytes(b"second")

    set_aside(path)

    assert [file.name for file in tmp_path.iterdir()] == ["catalog.sqlite.set-aside"]
    assert (tmp_path / "catalog.sqlite.set-aside").read_bytes() == b"second"


def test_each_process_claims_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "SLOTS_MAX", 2)
    first, second = claim(tmp_path), claim(tmp_path)

    assert (first.path.name, second.path.name) == ("0", "1")
    with pytest.raises(UnavailableError):
        claim(tmp_path)
    first.release()
    third = claim(tmp_path)
    assert third.path.name == "0"
    third.release()
    second.release()


def test_a_folder_that_was_deleted_or_made_anew_is_not_alive(tmp_path: Path) -> None:
    mine = claim(tmp_path)
    assert mine.alive()

    (mine.path / "lock").unlink()
    assert not mine.alive()

    (mine.path / "lock").write_bytes(b"")
    assert not mine.alive()
    mine.release()
