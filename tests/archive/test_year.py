"""A year in three directories: kept as rules and holds say, damaged, and mended."""

from pathlib import Path

import pytest

from tests.archive.days import laid_out
from tests.archive.year import Year, write
from tests.read.trails import World


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_some_days_are_kept_as_long_as_rules_and_holds_say(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tell(4, tmp_path, capfdbinary)


@pytest.mark.year
@pytest.mark.timeout(3600)
def test_a_year_is_kept_as_long_as_rules_and_holds_say(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tell(365, tmp_path, capfdbinary)


def tell(days: int, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
    """The story."""
    world = World()
    write(world, days)
    data = laid_out(world, folder / "data")
    year = Year(days, data, "", capture)

    before = year.exported()
    assert year.command("archive")[0] == 0
    assert year.command("sweep", "--kept", "0")[0] == 0
    assert list(data.glob("regions/*/ev/seg/**/*.zst")) == []
    assert year.exported() == before

    year.hold()
    assert year.command("retention", "run")[0] == 0
    after = year.exported()
    assert after == year.left(before)
    assert 0 < len(after) < len(before)
    year.convince(folder)
    damage_and_mend(year, after)


def damage_and_mend(year: Year, kept: dict[str, str]) -> None:
    """One flipped byte in any object is named; one that is gone is repaired from another region."""
    archive = year.data / "regions" / "b" / "ev" / "arc"
    for pattern in ("day=*/class=default/*.parquet", "day=*/*.ndjson.zst", "day=*/*.note"):
        path = sorted(archive.glob(pattern))[-1]
        good = path.read_bytes()
        path.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
        code, said = year.command("verify", "--depth", "bytes", "--json")
        assert (code, path.name in said) == (1, True), pattern
        path.write_bytes(good)
    path = sorted(archive.glob("day=*/class=default/*.parquet"))[0]
    good = path.read_bytes()
    path.unlink()
    code, said = year.command("verify", "--json")
    assert (code, path.name in said, "under_replicated" in said) == (0, True, True)
    assert year.command("reconcile")[0] == 0
    assert path.read_bytes() == good
    assert year.command("verify", "--depth", "events")[0] == 0
    assert year.exported() == kept
