"""Evidence under Object Lock: what the store refuses, and what lies over it is seen through."""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from holdfast.cli.app import run
from holdfast.cli.doctor import why_kept
from holdfast.proof.names import SegmentName
from holdfast.regions import layout
from holdfast.regions.port import (
    Absent,
    Differs,
    Listing,
    Present,
    Refused,
    Removed,
    Stored,
    Unknown,
)
from holdfast.regions.probe import QUORUM_RESTS_ON, Verdict, try_all, why_unfit
from holdfast.regions.region import Region
from holdfast.regions.trailkey import TrailKey
from holdfast.regions.versions import Protection
from tests.e2e.server import Server
from tests.s3.ceph import CephRegion
from tests.s3.locked import MODES, Locked

pytestmark = [pytest.mark.s3, pytest.mark.timeout(180)]

Make = Callable[..., Locked]

KEY = TrailKey(bytes(32), "ours")
THEIRS = TrailKey(bytes([1] * 32), "theirs")
DATA = b"the evidence"
NODE = "0a" * 16
SECOND_US = 1_000_000
# A read tells whole seconds, a listing the time of the bucket's index, which is written later.
APART_US = 5 * SECOND_US
NUMBERS = itertools.count()
DELETED, NEWER = "a delete marker", "a newer version"


@pytest.fixture
def make(ceph: CephRegion) -> Iterator[Make]:
    made: list[Locked] = []

    def one(mode: str = "COMPLIANCE") -> Locked:
        made.append(Locked(ceph, f"locked-{next(NUMBERS)}", mode))
        return made[-1]

    yield one
    for each in made:
        each.close()


def now_us() -> int:
    return time.time_ns() // 1000


def segment_of(data: bytes) -> str:
    """The key of a segment with those bytes."""
    name = SegmentName(0, 1, 0, 1, 1, 1, bytes(32), hashlib.sha256(data).digest())
    return layout.segment_key(NODE, name)


SEGMENT = segment_of(DATA)
FENCE = layout.fence_key(NODE, 1)


@pytest.mark.parametrize("mode", MODES)
def test_the_store_itself_lets_nobody_delete_a_version(make: Make, mode: str) -> None:
    locked = make(mode)
    assert asyncio.run(locked.store.create(SEGMENT, DATA)) == Stored()
    (version,) = locked.kept(SEGMENT)

    with pytest.raises(ClientError, match="AccessDenied"):
        locked.client.delete_object(Bucket=locked.name, Key=SEGMENT, VersionId=version["VersionId"])

    assert locked.kept(SEGMENT) == [version]


def test_once_its_lock_is_over_all_versions_of_a_segment_are_removed(make: Make) -> None:
    async def story() -> None:
        locked = make("GOVERNANCE")
        await locked.store.create(SEGMENT, DATA)
        locked.overwrite(SEGMENT, b"other")
        locked.delete(SEGMENT)

        refused = await locked.store.remove(SEGMENT)
        for version in locked.kept(SEGMENT):
            locked.end_lock(SEGMENT, version["VersionId"])
        await asyncio.sleep(3)  # a lock ends by the gateway's clock, in whole seconds
        removed = await locked.store.remove(SEGMENT)

        assert isinstance(refused, Refused) and "AccessDenied" in refused.reason
        assert removed == Removed()
        assert await locked.store.read(SEGMENT) == Absent()
        assert await locked.store.list("ev/seg/") == Listing(())

    asyncio.run(story())


@pytest.mark.parametrize("mode", MODES)
def test_the_doctor_knows_the_lock(make: Make, mode: str) -> None:
    kept = asyncio.run(make(mode).versions.protection())

    assert kept == Protection(True, mode.lower(), "1 days", 1)
    assert why_kept(kept, is_named=True) == ("ok", f"each is kept for 1 days ({mode.lower()})")


@pytest.mark.parametrize("key", [SEGMENT, FENCE, layout.REGION_KEY])
def test_what_is_laid_over_the_evidence_is_seen_through(make: Make, key: str) -> None:
    async def story() -> None:
        locked = make()
        store = locked.store
        data = {SEGMENT: DATA, layout.REGION_KEY: KEY.cookie("a")}.get(key, b"a fence\n")
        assert await store.create(key, data) == Stored()

        locked.delete(key)

        assert await locked.plain.read(key) == Absent()
        first = await store.read(key)
        assert isinstance(first, Present) and (first.data, first.covered) == (data, DELETED)
        assert abs(first.modified_us - await listed_us(locked, key)) <= APART_US
        assert await covered(locked, key) == DELETED

        locked.overwrite(key, b"other bytes")

        shown = await locked.plain.read(key)
        assert isinstance(shown, Present) and shown.data == b"other bytes"
        found = await store.read(key)
        assert isinstance(found, Present) and (found.data, found.covered) == (data, NEWER)
        assert await covered(locked, key) == NEWER

    asyncio.run(story())


async def covered(locked: Locked, key: str) -> str:
    listing = await locked.store.list("ev/")
    assert isinstance(listing, Listing)
    (listed,) = [each for each in listing if each.key == key]
    return listed.covered


async def listed_us(locked: Locked, key: str) -> int:
    """When it was written, by the listing; see APART_US."""
    kept = await locked.versions.list(key)
    assert not isinstance(kept, Unknown)
    return kept.versions[0].modified_us


def test_a_create_after_a_marker_is_no_second_evidence(make: Make) -> None:
    async def story() -> None:
        locked = make()
        region = locked.region("a")
        assert await region.keep(FENCE, b"the first fence\n") == Stored()
        locked.delete(FENCE)

        told = await region.create(FENCE, b"the second\n")
        kept = await region.keep(FENCE, b"the third\n")
        again = await region.keep(FENCE, b"the first fence\n")

        assert isinstance(told, Unknown) and told.answered
        assert kept == Differs(b"the first fence\n")
        assert again == Stored()
        assert [each["Size"] for each in locked.kept(FENCE)] == [len(b"the first fence\n")]

    asyncio.run(story())


def test_of_creates_at_once_the_first_version_wins_whatever_the_gateway_does_with_conditions(
    make: Make,
) -> None:
    async def story() -> None:
        locked = make()

        plain = await try_all(Region("a", locked.plain), "0a" * 16, SECOND_US, now_us)
        seen = await try_all(locked.region("a"), "0b" * 16, SECOND_US, now_us)

        # Ceph's gateway takes every create of a taken name in a bucket that keeps versions.
        assert why_unfit(plain).startswith("put-if-absent: of 8 different creates")
        told = [each for each in seen if each.property in QUORUM_RESTS_ON]
        assert [each for each in told if each.verdict is not Verdict.HOLDS] == [] != told

    asyncio.run(story())


def test_what_was_there_before_the_evidence_and_cannot_be_it_is_passed_over(make: Make) -> None:
    async def story() -> None:
        locked = make()
        for key, data in ((layout.REGION_KEY, KEY.cookie("a")), (SEGMENT, DATA)):
            locked.overwrite(key, b"garbage")
            locked.delete(key)
            assert await locked.store.create(key, data) == Stored()

            found = await locked.store.read(key)

            assert isinstance(found, Present) and found.data == data

    asyncio.run(story())


def test_the_first_cookie_stays_whoever_signs_a_second(make: Make) -> None:
    async def story() -> None:
        locked = make()
        first = KEY.cookie("a")
        await locked.store.create(layout.REGION_KEY, first)
        locked.delete(layout.REGION_KEY)

        told = await locked.region("a").keep(layout.REGION_KEY, THEIRS.cookie("a"))

        assert told == Differs(first)

    asyncio.run(story())


def test_only_markers_are_nothing(make: Make) -> None:
    async def story() -> None:
        locked = make()
        locked.delete(SEGMENT)

        assert await locked.store.read(SEGMENT) == Absent()
        assert await locked.store.list("ev/") == Listing(())
        assert await locked.store.create(SEGMENT, DATA) == Stored()

    asyncio.run(story())


def test_versions_of_many_pages_are_listed_whole(make: Make) -> None:
    async def story() -> None:
        locked = make()
        keys = [f"ev/{number:05d}" for number in range(1100)]
        for start in range(0, len(keys), 50):
            await asyncio.gather(*(locked.plain.create(key, b"1") for key in keys[start:][:50]))
        for key in keys[::10]:
            locked.overwrite(key, b"22")
        for key in keys[::20]:
            locked.delete(key)

        listing = await locked.store.list("ev/", keys[9])

        assert isinstance(listing, Listing)
        assert [listed.key for listed in listing] == keys[10:]
        assert {listed.size_bytes for listed in listing} == {1}
        expected = {**dict.fromkeys(keys[::10], NEWER), **dict.fromkeys(keys[::20], DELETED)}
        assert all(listed.covered == expected.get(listed.key, "") for listed in listing)

    asyncio.run(story())


def test_refused_credentials_are_permanent_and_new_ones_are_taken(
    make: Make, ceph: CephRegion
) -> None:
    versions = make().fresh_versions()
    path = Path(ceph.access.credentials_file)
    right = path.read_text()
    try:
        path.write_text(right.replace("aws_secret_access_key = ", "aws_secret_access_key = x"))

        told = asyncio.run(versions.list("ev/"))
    finally:
        path.write_text(right)

    assert isinstance(told, Unknown) and told.permanent
    assert not isinstance(asyncio.run(versions.list("ev/")), Unknown)


def test_a_trail_survives_whoever_deletes_and_overwrites_all_of_a_region(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regions = {id: make(mode) for id, mode in zip("abc", (*MODES, MODES[0]), strict=True)}
    config = tmp_path / "holdfast.toml"
    config.write_text("\n".join(each.settings(id) for id, each in regions.items()))
    server = Server(tmp_path / "data", config).start()
    place = ["--data", str(tmp_path / "data"), "--config", str(config)]

    def ask(verb: str) -> tuple[int, dict[str, Any]]:
        code = run([verb, *place, "--json"])
        return code, json.loads(capsys.readouterr().out)

    try:
        server.send("one", "two")
        assert server.stop() == 0
        evidence = [each["Key"] for each in regions["a"].kept()]
        for number, key in enumerate(evidence):
            if number % 2:
                regions["a"].overwrite(key, b"nothing to see")
            regions["a"].delete(key)

        verified, report = ask("verify")
        reconciled, survey = ask("reconcile")
        doctored, checks = ask("doctor")
        server.start()
        server.send("three")
        found = [event["action"] for event in server.events()]

        assert (verified, report["verdict"]) == (0, "good")
        assert {(f["kind"], f["region"]) for f in report["findings"]} == {("hidden", "a")}
        assert {f["key"] for f in report["findings"]} == set(evidence)
        assert (reconciled, survey["identical"]) == (0, True)
        assert {(f["kind"], f["region"]) for f in survey["findings"]} == {("hidden", "a")}
        assert doctored == 0
        states = {each["check"]: each["state"] for each in checks["checks"]}
        assert {states[f"region {id}: versions"] for id in "abc"} == {"ok"}
        assert sorted(found) == ["one", "three", "two"]
    finally:
        server.close()
