"""Settings that name sets of regions."""

from pathlib import Path

import pytest

from holdfast.errors import RejectedError
from holdfast.settings import EarlierSet, Settings, load

TABLES = "".join(f'[regions.{id}]\nurl = "file:///mnt/{id}"\n' for id in "abcd")


def settings(folder: Path, head: str = "", tail: str = "") -> Settings:
    file = folder / "holdfast.toml"
    file.write_text(head + TABLES + tail)
    return load(file, {}, {})


def earlier(quorum: int, *regions: str) -> str:
    return f"[[earlier]]\nquorum = {quorum}\nregions = {list(regions)}\n"


def test_earlier_sets_are_named_by_ids_and_quorum(tmp_path: Path) -> None:
    found = settings(tmp_path, "quorum = 3\n", earlier(2, "a", "b", "c"))

    assert found.earlier == (EarlierSet(2, ("a", "b", "c")),)
    assert (found.quorum, found.leaving) == (3, frozenset())


def test_a_region_that_leaves_is_no_part_of_the_set_in_force(tmp_path: Path) -> None:
    found = settings(tmp_path, tail="leaving = true\n" + earlier(3, "a", "b", "c", "d"))

    assert found.leaving == {"d"}
    assert found.quorum == 2


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (earlier(2, "a", "b", "x"), "names x, which has no"),
        (earlier(2, "a", "a", "b"), "names a region twice"),
        (earlier(1, "a", "b", "c"), "quorum 1 is not more than half"),
        (earlier(4, "a", "b", "c"), "quorum 4 is not more than half, or more than all"),
        ("leaving = true\n", "regions.d: is leaving, and in no"),
        ("leaving = true\n" + earlier(2, "a", "b", "c"), "regions.d: is leaving, and in no"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, tail: str, reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        settings(tmp_path, tail=tail)


def test_the_quorum_is_one_of_the_regions_that_stay(tmp_path: Path) -> None:
    tail = "leaving = true\n" + earlier(3, "a", "b", "c", "d")

    with pytest.raises(RejectedError, match="is 4; of 3 regions"):
        settings(tmp_path, "quorum = 4\n", tail)
