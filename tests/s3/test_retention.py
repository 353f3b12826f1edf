"""Under Object Lock what a rule lets go is hidden at once, and deleted once the lock has ended."""

import asyncio
from pathlib import Path

import pytest

from holdfast.archive.archivist import Workshop
from holdfast.regions import Regions, layout
from holdfast.regions.layout import FloorKey
from holdfast.regions.port import Present, Stored
from holdfast.retention.expire import Retention
from tests.archive.days import person
from tests.archive.test_archivist import DAYS
from tests.read.trails import ALL, TRAIL
from tests.retention.years import RULES, Years, years
from tests.s3.ceph import CephRegion
from tests.s3.locked import Locked

pytestmark = [pytest.mark.s3, pytest.mark.timeout(180)]


def test_a_locked_part_stays_below_its_floor_until_the_lock_has_ended(
    tmp_path: Path, ceph: CephRegion
) -> None:
    locked = Locked(ceph, "retained", "GOVERNANCE")

    async def story(found: Years) -> None:
        regions = Regions([locked.region(id, f"{id}/") for id in ALL], 2, TRAIL.trail)
        for region in regions:
            for key, (data, _) in found.world.stores[region.id].objects.items():
                put = region.create if key.startswith("ev/") else region.replace
                assert await put(key, data) == Stored()
        one = Retention(
            *(regions, found.keeper._reader, found.world.host, lambda: person(found.world)),
            Workshop(tmp_path / "archive", RULES),
        )

        planned = await one.plan()
        refused = await one.expire()
        for id in ALL:
            for key in found.parts(id):
                for version in locked.kept(f"{id}/{key}"):
                    locked.end_lock(version["Key"], version["VersionId"])
        await asyncio.sleep(1.5)
        removed = await one.expire()

        why = planned.expiring[0].why
        assert [each.partition(" until ")[0] for each in why] == [
            f"its parts are locked in region {id}" for id in ALL
        ]
        [short] = refused.expiring
        assert short.floored and short.removed == ()
        assert [id for id, why in short.left if "denied" in why.lower()] == list(ALL)
        assert [(id, parts) for id, parts, _ in removed.expiring[0].removed] == [
            (id, 1) for id in ALL
        ]
        floor = layout.retained_key(FloorKey(DAYS[0], "short"))
        for region in regions:
            assert isinstance(await region.read(floor), Present)
            for key in found.parts(region.id):
                assert not locked.kept(f"{region.id}/{key}")

    try:
        years(tmp_path, story)
    finally:
        locked.close()
