"""An archive in buckets under Object Lock: put once, read back, and seen through what lies over."""

import asyncio
from pathlib import Path

import pytest
from pyarrow.dataset import dataset, partitioning
from pyarrow.fs import FileSelector, S3FileSystem
from pyiceberg.table import StaticTable

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.sweep import Sweeper
from holdfast.keep.keeper import Keeper
from holdfast.regions import Regions, layout
from holdfast.regions.port import Listing, Stored
from holdfast.regions.units import DAY_US
from holdfast.restore.restorer import Restorer
from tests.archive.days import FIRST, archivist, person, trail_of
from tests.read.trails import ALL, TRAIL, World
from tests.s3.ceph import CephRegion
from tests.s3.locked import Locked

pytestmark = [pytest.mark.s3, pytest.mark.timeout(180)]


def test_days_are_archived_under_object_lock_and_a_marker_hides_nothing(
    tmp_path: Path, ceph: CephRegion
) -> None:
    locked = Locked(ceph, "archived", "GOVERNANCE")

    async def story() -> None:
        world = World()
        trail_of(world)
        regions = Regions([locked.region(id, f"{id}/") for id in ALL], 2, TRAIL.trail)
        for region in regions:
            for key, (data, _) in world.stores[region.id].objects.items():
                put = region.create if key.startswith("ev/") else region.replace
                assert await put(key, data) == Stored()
        reading = await archivist(world, tmp_path)
        real = Archivist(
            *(regions, reading._reader, world.host, lambda: person(world)),
            Workshop(tmp_path / "work"),
        )

        report = await real.archive(DAY_US)
        again = await real.archive(DAY_US)
        listing = await regions.by_id["b"].list(layout.ARCHIVE_PREFIX)
        assert isinstance(listing, Listing)
        part = next(each.key for each in listing if each.key.endswith(".parquet"))
        locked.client.delete_object(Bucket=locked.name, Key=f"b/{part}")
        kept = await Keeper(regions, world.host).reconcile(whole=True)
        one = Restorer(regions, reading._reader, world.host, tmp_path / "restores", 1 << 30)
        days = [await one.restore_day(id, day) for id in ALL for day in (FIRST, "2026-03-02")]
        sweeper = Sweeper(regions, world.host, real.key_of, tmp_path / "sweep")
        kept_all = await sweeper.sweep(0)
        segments = await regions.by_id["b"].list(layout.SEGMENTS_PREFIX)
        assert isinstance(segments, Listing)
        for segment in segments:
            for version in locked.kept(f"b/{segment.key}"):
                locked.end_lock(f"b/{segment.key}", version["VersionId"])
        await asyncio.sleep(3)  # a lock ends by the gateway's clock, in whole seconds
        swept = await sweeper.sweep(0)

        assert [each.regions for each in report.units] == [ALL, ALL]
        assert report.untabled == again.untabled == ()
        assert await asyncio.to_thread(read_by_engines, locked, "a") == (48, 48)
        assert again.units == () and again.archived == 2
        assert len(listing.objects) == 6
        assert kept.identical
        assert [(f.kind, f.region, f.key) for f in kept.findings] == [("hidden", "b", part)]
        assert {(done.verdict, done.why, done.brought.events) for done in days} == {
            ("good", "", 24)
        }
        assert {(each.region, each.segments, each.left) for each in kept_all.swept} == {
            (id, 0, 12) for id in ALL
        }
        assert all("AccessDenied" in each.why for each in kept_all.swept)
        assert [e.segments for e in swept.swept if e.region == "b"] == [12, 12]
        assert await regions.by_id["b"].list(layout.SEGMENTS_PREFIX) == Listing(())
        assert (await Keeper(regions, world.host).reconcile(whole=True)).identical

    try:
        asyncio.run(story())
    finally:
        locked.close()


def read_by_engines(locked: Locked, prefix: str) -> tuple[int, int]:
    """The rows that pyarrow finds in the parts and pyiceberg in the table, with no code of ours."""
    key, secret = locked.ceph.credentials
    store = S3FileSystem(
        access_key=key,
        secret_key=secret,
        endpoint_override=locked.ceph.address,
        scheme="http",
        region="us-east-1",
    )
    found = store.get_file_info(FileSelector(f"{locked.name}/{prefix}/ev/arc", recursive=True))
    parts = [each.path for each in found if each.path.endswith(".parquet")]
    rows = dataset(parts, filesystem=store, partitioning=partitioning(flavor="hive")).count_rows()
    properties = {
        "s3.endpoint": f"http://{locked.ceph.address}",
        "s3.access-key-id": key,
        "s3.secret-access-key": secret,
        "s3.region": "us-east-1",
    }
    table = StaticTable.from_metadata(f"{locked.control_url}/{prefix}/lake/events", properties)
    return rows, len(table.scan().to_arrow())
