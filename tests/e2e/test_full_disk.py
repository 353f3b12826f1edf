"""Regions whose disk is full: refused or unknown, never lost, and on again when there is room."""

import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server, wait_until
from tests.machine import mount_small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SMALL = ("a", "b")


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose regions a and b lie on file systems of 1 MiB each."""
    data = tmp_path / "data"
    mounted = []
    try:
        for region in SMALL:
            place = data / "regions" / region
            place.mkdir(parents=True)
            mount_small_disk(place)
            mounted.append(place)
        yield data
    finally:
        for place in mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=False)


def test_two_full_disks_refuse_what_they_cannot_keep_and_lose_nothing(small_disks: Path) -> None:
    server = Server(small_disks, ACK_TIMEOUT_S="3")
    try:
        server.start()
        acknowledged: list[str] = []
        refusals: list[int] = []
        for number in range(400):
            try:
                acknowledged += server.send(*(f"n{number}.{'x' * 4000}{i}" for i in range(20)))[
                    "ids"
                ]
            except urllib.error.HTTPError as error:
                refusals.append(error.code)
                if error.code == 503:
                    break
        for region in SMALL:
            place = small_disks / "regions" / region
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)

        wait_until(server.is_ready, server.log.read_text)
        acknowledged += server.send("after")["ids"]

        assert refusals[-1] == 503
        assert set(refusals) <= {503, 504}
        assert set(acknowledged) <= {event["id"] for event in server.events()}
        assert server.stop() == 0
    finally:
        server.close()
