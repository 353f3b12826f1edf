"""The probe bites: before a real gateway, each promise that a proxy breaks is found broken."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.cli.app import run
from holdfast.regions.buckets import Access
from holdfast.regions.port import Stored
from holdfast.regions.probe import QUORUM_RESTS_ON, Tried, Verdict, try_all, try_evidence, why_unfit
from holdfast.regions.region import Region
from tests.e2e.server import Server, wait_until
from tests.s3.ceph import CephRegion
from tests.s3.locked import plain_store
from tests.s3.proxy import Proxy, served

pytestmark = [pytest.mark.s3, pytest.mark.timeout(180)]

ALLOWED_US = 5_000_000
PLACES = itertools.count()
BIRTH = ("ev/node/" + "0a" * 16 + "/000001/birth.note", b"a birth\n")


class Broken:
    """A bucket behind the proxy. proxy: says what to break. region: a new one, in its own place."""

    def __init__(self, ceph: CephRegion, proxy: Proxy, endpoint: str) -> None:
        self.proxy = proxy
        self.access: Access = msgspec.structs.replace(ceph.access, endpoint=endpoint)
        self.url = ceph.bucket("behind")

    def region(self) -> Region:
        return Region("a", plain_store(f"{self.url}/{next(PLACES)}", self.access))


@pytest.fixture
def broken(ceph: CephRegion) -> Iterator[Broken]:
    proxy = Proxy(ceph)
    with served(proxy) as endpoint:
        yield Broken(ceph, proxy, endpoint)


def now_us() -> int:
    return time.time_ns() // 1000


def tried_all(broken: Broken) -> dict[str, Tried]:
    tried = asyncio.run(try_all(broken.region(), "0a" * 16, ALLOWED_US, now_us))
    return {each.property: each for each in tried}


def fails(tried: dict[str, Tried]) -> list[str]:
    return [each.property for each in tried.values() if each.verdict is Verdict.FAILS]


def test_through_a_proxy_that_breaks_nothing_everything_holds(broken: Broken) -> None:
    tried = tried_all(broken)

    assert {each.verdict for each in tried.values()} == {Verdict.HOLDS}


@pytest.mark.parametrize(
    ("what", "found", "why"),
    [
        ("conditions", "put-if-absent", "of 8 different creates of one name 8 were told `stored`"),
        ("names", "put-if-absent", "every create of a new name"),
        ("reads", "read-after-write", "read as absent"),
        ("listings", "list-after-write", "is not listed"),
        ("clock", "clock", "allowed is 5 s"),
        ("speed", "latency", "put 1"),
    ],
)
def test_each_promise_that_is_broken_is_found_and_no_other(
    broken: Broken, what: str, found: str, why: str
) -> None:
    broken.proxy.broken = {what}

    tried = tried_all(broken)

    assert fails(tried) == [found]
    assert why in tried[found].detail
    assert bool(why_unfit(tuple(tried.values()))) == (found in QUORUM_RESTS_ON)


def test_what_is_thrown_away_is_neither_read_nor_listed(broken: Broken) -> None:
    broken.proxy.broken = {"puts"}

    assert "put-if-absent" in fails(tried_all(broken))


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("conditions", "put-if-absent"),
        ("listings", "list-after-write"),
        ("reads", "read-after-write"),
    ],
)
def test_a_birth_alone_shows_it_too(broken: Broken, what: str, found: str) -> None:
    async def story() -> tuple[Tried, ...]:
        region = broken.region()
        await region.read(BIRTH[0])
        broken.proxy.broken = {what}
        assert await region.create(*BIRTH) == Stored()
        return await try_evidence(region, *BIRTH)

    tried = asyncio.run(story())

    assert [each.property for each in tried if each.verdict is Verdict.FAILS] == [found]


def test_a_server_counts_no_region_that_takes_a_second_create_and_says_why(
    ceph: CephRegion, broken: Broken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken.proxy.broken = {"conditions"}
    table = '[regions.{}]\nurl = "{}"\nendpoint = "{}"\ncredentials_file = "{}"\n'
    access, url = ceph.access, ceph.bucket("well")
    config = tmp_path / "holdfast.toml"
    config.write_text(
        "".join(
            table.format(id, where, endpoint, access.credentials_file)
            for id, where, endpoint in (
                ("a", f"{url}/a", access.endpoint),
                ("b", f"{url}/b", access.endpoint),
                ("c", f"{broken.url}/c", broken.access.endpoint),
            )
        )
    )
    server = Server(tmp_path / "data", config)

    def region_c() -> dict[str, str]:
        region: dict[str, str] = server.get("/v1/status")["regions"][2]
        return region

    try:
        server.start()
        wait_until(lambda: region_c()["state"] == "unfit", server.log.read_text)

        told = [server.send(f"event.{number}")["regions"] for number in range(3)]

        assert told == [["a", "b"]] * 3
        assert "put-if-absent: a create of a name that was taken" in region_c()["why"]
        wait_until(lambda: not region_c()["usable"])
        place = ["--data", str(tmp_path / "data"), "--config", str(config)]
        code = run(["doctor", *place, "--json"])
        checks = json.loads(capsys.readouterr().out)["checks"]
        bad = {each["check"] for each in checks if each["state"] == "bad"}
        quorum = next(each["detail"] for each in checks if each["check"] == "quorum")
        assert (code, bad) == (3, {"region c: put-if-absent"})
        assert quorum == "2 of 3 regions take events; 2 must"

        assert server.stop() == 0
        server.start()
        told_at_the_start = server.log.read_text().rpartition("stopping:")[2]
        unfit, born = told_at_the_start.find("is not counted on"), told_at_the_start.find("accepts")
        assert 0 < unfit < born  # before it closes, votes and is born
    finally:
        server.close()
