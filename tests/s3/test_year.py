"""Some days in three real buckets under Object Lock, which has the last word over what goes."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.regions.port import Stored
from holdfast.regions.trailkey import KEY_FILE
from tests.archive.year import Year, write
from tests.read.trails import TRAIL, World
from tests.s3.ceph import CephRegion
from tests.s3.locked import Locked

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(600)]

SOON_SECONDS = 5.0


def test_days_go_once_the_lock_lets_them(
    tmp_path: Path, cephs: Mapping[str, CephRegion], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    locked = {id: Locked(ceph, "years", "GOVERNANCE") for id, ceph in cephs.items()}
    data = tmp_path / "data"
    data.mkdir()
    (data / KEY_FILE).write_text(TRAIL.text())
    settings = "".join(each.settings(id) for id, each in locked.items())
    year = Year(4, data, settings, capfdbinary)
    try:
        asyncio.run(fill(locked))
        before = year.exported()
        assert year.command("archive")[0] == 0

        code, told = year.command("sweep", "--kept", "0", "--json")
        assert code == 3 and "lock" in told.lower()
        assert {id: len(versions(each, "ev/seg/")) for id, each in locked.items()} == dict.fromkeys(
            locked, 48
        )
        end_locks(locked, "ev/seg/")
        assert year.command("sweep", "--kept", "0")[0] == 0
        assert not any(versions(each, "ev/seg/") for each in locked.values())
        assert year.exported() == before

        year.hold()
        assert year.command("retention", "run")[0] == 3
        assert year.exported() == year.left(before)
        end_locks(locked, "ev/arc/")
        assert year.command("retention", "run")[0] == 0
        gone = [f"ev/arc/day=2025-11-20/class={name}/" for name in ("debug", "guests")]
        assert not any(versions(each, prefix) for each in locked.values() for prefix in gone)
        assert year.exported() == year.left(before)
        year.convince(tmp_path)
    finally:
        for each in locked.values():
            each.close()


async def fill(locked: Mapping[str, Locked]) -> None:
    """Put the trail into the buckets, evidence under their lock."""
    world = World()
    write(world, 4)
    for id, each in locked.items():
        region = each.region(id)
        for key, (data, _) in world.stores[id].objects.items():
            put = region.create if key.startswith("ev/") else region.replace
            assert await put(key, data) == Stored()


def versions(locked: Locked, prefix: str) -> list[str]:
    return [version["Key"] for version in locked.kept(prefix)]


def end_locks(locked: Mapping[str, Locked], prefix: str) -> None:
    """What an administrator may, where the mode is not that of compliance."""
    for each in locked.values():
        for version in each.kept(prefix):
            each.end_lock(version["Key"], version["VersionId"], SOON_SECONDS)
    time.sleep(SOON_SECONDS + 1)  # by the stores' clocks, to the second
