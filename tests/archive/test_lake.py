"""docs/LAKE.md's queries, run as they stand against an archive, with no code of ours between."""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import dask
import duckdb
import pytest

from holdfast.regions.units import DAY_US
from tests.archive.days import archivist, laid_out, trail_of
from tests.read.trails import World

PAGE = (Path(__file__).parents[2] / "docs" / "LAKE.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: ([\w-]+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SQL = [text for kind, engine, text in BLOCKS if (kind, engine) == ("sql", "duckdb")]
SHELL = next(text for kind, _, text in BLOCKS if kind == "sh")


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A region with two archived days, 48 events."""
    folder = tmp_path_factory.mktemp("lake")

    async def made() -> Path:
        world = World()
        trail_of(world)
        region = folder / "data" / "regions" / "a"
        one = await archivist(world, folder / "work")
        one._regions.by_id["a"].uris = (region.as_uri(), region.as_uri())
        await one.archive(DAY_US)
        laid_out(world, folder / "data")
        return region

    return asyncio.run(made())


def rows(sql: str, region: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        *before, last = sql.replace("REGION", str(region)).split(";\n")
        for each in before:
            db.execute(each)
        found = db.execute(f"SELECT row::JSON FROM ({last}) AS row").fetchall()
        return [json.loads(row) for (row,) in found]


def test_duckdb_counts_by_what_is_in_the_path_and_in_the_files(region: Path) -> None:
    found = rows(SQL[0], region)

    per_tenant = {("", 4), ("acme", 16), ("blå", 4)}
    assert {(row["day"], row["tenant"], row["events"]) for row in found} == {
        (day, tenant, count) for day in ("2026-03-01", "2026-03-02") for tenant, count in per_tenant
    }


def test_duckdb_reads_what_is_no_column_from_the_record(region: Path) -> None:
    found = rows(SQL[1], region)

    assert len(found) == 16 and {row["actor_type"] for row in found} == {"user"}
    assert [row["time"] for row in found] == sorted((row["time"] for row in found), reverse=True)


def test_polars_reads_the_same(region: Path) -> None:
    found = ran("polars", region)["per_day"]

    assert found["len"].to_list() == [16, 16]
    assert [str(day) for day in found["day"]] == ["2026-03-01", "2026-03-02"]


def test_pyarrow_reads_the_same(region: Path) -> None:
    found = ran("pyarrow", region)["newest"]

    assert len(found) == 32
    assert all(json.loads(record)["tenant"] == "acme" for record in found["record"].to_pylist())


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Dask's own
def test_dask_reads_the_same(region: Path) -> None:
    with dask.config.set(scheduler="synchronous"):
        counts = ran("dask", region)["counts"]

    assert {(str(day), action): count for (day, action), count in counts.items()} == {
        (day, "a"): 16 for day in ("2026-03-01", "2026-03-02")
    }


def test_pyiceberg_and_polars_read_the_table(region: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # without the plug-in, it warns

    newest = ran("pyiceberg", region)["newest"]
    per_day = ran("polars-iceberg", region)["per_day"]

    assert len(newest) == 32
    assert sorted((str(row["day"]), row["len"]) for row in per_day.to_dicts()) == [
        ("2026-03-01", 24),
        ("2026-03-02", 24),
    ]


def test_only_what_the_newest_manifests_name_is_read(region: Path) -> None:
    part = next(region.glob("ev/arc/*/*/*.parquet"))
    left_over = part.with_name(f"{'0' * 64}.parquet")
    left_over.write_bytes(part.read_bytes())

    counted = rows(SQL[2], region)
    listed = subprocess.run(
        ["sh", "-c", SHELL.replace("REGION", str(region))], capture_output=True, check=True
    ).stdout.decode()
    left_over.unlink()

    assert list(counted[0].values()) == [48]
    assert sorted(listed.split()) == sorted(
        str(path.relative_to(region / "ev" / "arc")) for path in region.glob("ev/arc/*/*/*.parquet")
    )


def ran(kind: str, region: Path) -> dict[str, Any]:
    text = next(text for _, found, text in BLOCKS if found == kind)
    names: dict[str, Any] = {}
    place = region.as_uri() if "iceberg" in text else str(region)
    exec(compile(text.replace("REGION", place), kind, "exec"), names)
    return names
