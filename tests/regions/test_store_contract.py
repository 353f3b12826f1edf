"""One suite over every kind of store: what the port promises, whoever keeps it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from holdfast.regions.cloud import CloudStore
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.disk import Disk, PosixDisk
from holdfast.regions.port import (
    Absent,
    Level,
    Listing,
    Present,
    Refused,
    Removed,
    Store,
    Stored,
    Unknown,
)
from holdfast.regions.region import Region
from holdfast.regions.threads import Threads
from tests.regions.worlds import MemoryWorld, SwiftDisk
from tests.s3.ceph import CephRegion
from tests.s3.locked import Locked, plain_store

Make = Callable[[], Awaitable[Store]]
Open = Callable[[str], Store]

KEY = "ev/seg/0a/0000000/0000000000-x.ndjson.zst"
SECOND_US = 1_000_000
# The one part of `make test` that goes through a real S3 gateway; the rest is in tests/s3.
REAL = pytest.mark.slow, pytest.mark.timeout(180)
STORES = (
    *("directory", "cloud", "world", "directory region", "cloud region"),
    *(pytest.param(kind, marks=REAL) for kind in ("s3", "s3 region", "s3 locked region")),
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens stores of a real Ceph region, each of them empty: a prefix of its own in a bucket."""
    ceph = CephRegion(tmp_path_factory.mktemp("ceph") / "contract")
    numbers = itertools.count()
    try:
        bucket = ceph.up().bucket("contract")
        locked = Locked(ceph, "contract-locked")

        def open_store(kind: str) -> Store:
            prefix = f"stores/{next(numbers)}"
            if kind == "s3 locked region":
                return locked.region("a", f"{prefix}/")
            store = plain_store(f"{bucket}/{prefix}", ceph.access)
            return Region("a", store) if kind == "s3 region" else store

        yield open_store
        locked.close()
    finally:
        ceph.destroy()


async def made(kind: str, path: Path, threads: Threads, disk: Disk) -> Store:
    if kind.startswith("directory"):
        directory = DirectoryStore(path / "root", disk, threads)
        assert await directory.make_root() == Stored()
        return Region("a", directory) if kind.endswith("region") else directory
    if kind.startswith("cloud"):
        cloud = CloudStore(MemoryStore)
        return Region("a", cloud) if kind.endswith("region") else cloud
    return MemoryWorld()


async def opened(kind: str, gateway: Open) -> Store:
    return gateway(kind)


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    kind = request.param
    if kind.startswith("s3"):
        gateway = request.getfixturevalue("gateway")  # made for this alone: it takes seconds
        yield lambda: opened(kind, gateway)
        return
    threads = Threads("contract", 2)
    yield lambda: made(kind, tmp_path, threads, PosixDisk())
    threads.close()


async def keys(store: Store, prefix: str, after: str = "") -> list[str]:
    listing = await store.list(prefix, after)
    assert isinstance(listing, Listing)
    return [listed.key for listed in listing]


def test_what_was_created_is_read_back(make: Make) -> None:
    async def story() -> None:
        store = await make()

        created = await store.create(KEY, b"bytes")
        found = await store.read(KEY)

        assert created == Stored()
        assert isinstance(found, Present) and found.data == b"bytes" and found.modified_us > 0

    asyncio.run(story())


def test_a_second_create_is_unknown_and_changes_nothing(make: Make) -> None:
    async def story() -> None:
        store = await make()
        await store.create(KEY, b"first")

        again = await store.create(KEY, b"second")
        found = await store.read(KEY)

        assert isinstance(again, Unknown) and again.answered and not again.permanent
        assert isinstance(found, Present) and found.data == b"first"

    asyncio.run(story())


def test_of_many_creates_at_once_exactly_one_is_stored(make: Make) -> None:
    async def story() -> None:
        store = await make()

        outcomes = await asyncio.gather(*(store.create(KEY, b"%d" % n) for n in range(8)))
        found = await store.read(KEY)

        stored = [n for n, outcome in enumerate(outcomes) if outcome == Stored()]
        assert len(stored) == 1
        assert isinstance(found, Present) and found.data == b"%d" % stored[0]

    asyncio.run(story())


def test_control_objects_are_replaced(make: Make) -> None:
    async def story() -> None:
        store = await make()

        outcomes = [await store.replace("ctl/hb/0a.note", text) for text in (b"one", b"two")]
        found = await store.read("ctl/hb/0a.note")

        assert outcomes == [Stored(), Stored()]
        assert isinstance(found, Present) and found.data == b"two"

    asyncio.run(story())


def test_what_is_not_there_is_absent(make: Make) -> None:
    async def story() -> None:
        store = await make()
        await store.create(KEY, b"bytes")

        answers = [await store.read(key) for key in ("ev/none", "ev/seg", KEY + "/x", "ev/seg/0")]

        assert answers == [Absent()] * 4

    asyncio.run(story())


def test_a_listing_is_sorted_whole_and_knows_sizes_and_times(make: Make) -> None:
    async def story() -> None:
        store = await make()
        names = ["ev/b/2", "ev/a-b", "ev/a/z", "ev/a.b", "ev/b/10/x", "ev/c", "ev/b/1"]
        names += ["ev/day=2026-11-29/class=a/1", "ev/day=2026-11-29/1", "ev/day=2026-11-28/2"]
        for name in names:
            await store.create(name, name.encode())

        listing = await store.list("ev/")

        assert isinstance(listing, Listing)
        assert [listed.key for listed in listing] == sorted(names)
        assert all(listed.size_bytes == len(listed.key) for listed in listing)
        for listed in listing:
            found = await store.read(listed.key)
            assert isinstance(found, Present)
            # A header of HTTP has whole seconds, where a listing may have more.
            assert found.modified_us in (listed.modified_us, _whole_second(listed.modified_us))

    asyncio.run(story())


def test_a_prefix_matches_whole_parts_only(make: Make) -> None:
    async def story() -> None:
        store = await make()
        for name in ("ev/a/1", "ev/ab/1", "ev/a-1", "ctl/a/1"):
            await store.create(name, b"")

        assert await keys(store, "ev/a/") == ["ev/a/1"]
        assert await keys(store, "ev/none/") == []
        assert await keys(store, "ev/a/1/") == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("ev/", ["ev/a/1", "ev/a/2", "ev/b/1"]),
        ("ev/a/1", ["ev/a/2", "ev/b/1"]),
        ("ev/a/2", ["ev/b/1"]),
        ("ev/a/", ["ev/a/1", "ev/a/2", "ev/b/1"]),
        ("ev/a0", ["ev/b/1"]),
        ("ev/b", ["ev/b/1"]),
        ("ev/b/1", []),
        ("a", ["ev/a/1", "ev/a/2", "ev/b/1"]),
        ("z", []),
    ],
)
def test_a_listing_begins_after_any_text(make: Make, after: str, expected: list[str]) -> None:
    async def story() -> None:
        store = await make()
        for name in ("ev/a/1", "ev/a/2", "ev/b/1"):
            await store.create(name, b"")

        assert await keys(store, "ev/", after) == expected

    asyncio.run(story())


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("ev/", Level(("a", "b"), ("ev/a-b",))),
        ("ev/b/", Level(("10",), ("ev/b/2",))),
        ("ev/none/", Level((), ())),
    ],
)
def test_a_level_shows_what_lies_directly_below(make: Make, prefix: str, expected: Level) -> None:
    async def story() -> None:
        store = await make()
        for name in ("ev/b/2", "ev/a-b", "ev/a/z", "ev/b/10/x", "ev/b/10/y", "ctl/a/1"):
            await store.create(name, b"")

        assert await store.level(prefix) == expected

    asyncio.run(story())


def test_empty_and_large_objects_are_kept_whole(make: Make) -> None:
    async def story() -> None:
        store = await make()
        large = bytes(range(256)) * 4 * 6000  # beyond what obstore would send in parts

        for key, data in (("ev/empty", b""), ("ev/large", large)):
            assert await store.create(key, data) == Stored()
            found = await store.read(key)
            assert isinstance(found, Present) and found.data == data

    asyncio.run(story())


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "ev/", "/ev/a", "ev//a", "ev/./a", "ev/../a", "ev/A", "ev/a b", "ev/ä"),
        *("ev/a\n", "ev/a\0", ".tmp/a", "ev/\ud800", "ev/" + "a" * 241, "ev/" + "a/" * 300 + "a"),
    ],
)
def test_what_is_no_key_is_a_mistake_of_the_caller(make: Make, key: str) -> None:
    async def story() -> None:
        store = await make()

        for call in (store.create(key, b""), store.replace(key, b""), store.read(key)):
            with pytest.raises(ValueError):
                await call

    asyncio.run(story())


@pytest.mark.parametrize("prefix", ["ev", "/", "ev//", "../", "ev/../", "EV/"])
def test_what_is_no_prefix_is_a_mistake_of_the_caller(make: Make, prefix: str) -> None:
    async def story() -> None:
        store = await make()

        with pytest.raises(ValueError):
            await store.list(prefix)

    asyncio.run(story())


def test_bytes_that_could_change_are_refused(make: Make) -> None:
    async def story() -> None:
        store = await make()

        for data in (bytearray(b"x"), memoryview(b"x")):
            with pytest.raises(TypeError):
                await store.create(KEY, data)  # type: ignore[arg-type]

    asyncio.run(story())


def _whole_second(us: int) -> int:
    return us - us % SECOND_US


part = st.text("09a-._=", min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))
key = st.lists(part, min_size=1, max_size=4).map(lambda parts: "/".join(("ev", *parts)))


@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.sets(key, max_size=12), after=key, depth=st.integers(1, 3))
def test_every_listing_is_the_sorted_filter_of_all_keys(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    names: set[str],
    after: str,
    depth: int,
) -> None:
    # No object may be another one's directory: a file system has no room for both.
    names = {n for n in names if not any(other.startswith(n + "/") for other in names)}
    prefix = "/".join(after.split("/")[:depth]) + "/"

    async def story() -> tuple[list[str], list[str]]:
        threads = Threads("property", 1)
        if kind.startswith("s3"):
            store = await opened(kind, request.getfixturevalue("gateway"))
        else:
            store = await made(kind, tmp_path_factory.mktemp("property"), threads, SwiftDisk())
        for name in names:
            await store.create(name, b"")
        listed = await keys(store, "ev/", after), await keys(store, prefix, after)
        threads.close()
        return listed

    everything, below = asyncio.run(story())

    assert everything == sorted(name for name in names if name > after)
    assert below == sorted(n for n in names if n.startswith(prefix) and n > after)


ARCHIVED = "ev/arc/day=2026-11-29/class=default/00.parquet"


def test_what_is_removed_is_neither_read_nor_listed_and_its_name_is_free(
    make: Make, request: pytest.FixtureRequest
) -> None:
    async def story() -> None:
        store = await make()
        for key in (KEY, KEY.replace("-x", "-y"), ARCHIVED):
            await store.create(key, b"bytes")

        outcomes = [await store.remove(key) for key in (KEY, ARCHIVED, KEY)]

        if "locked" in request.node.callspec.id:
            assert all(isinstance(outcome, Refused) and outcome.reason for outcome in outcomes)
            assert isinstance(await store.read(KEY), Present)
            return
        assert outcomes == [Removed()] * 3
        assert await store.read(KEY) == await store.read(ARCHIVED) == Absent()
        assert await keys(store, "ev/") == [KEY.replace("-x", "-y")]
        assert await store.create(KEY, b"other") == Stored()

    asyncio.run(story())


@pytest.mark.parametrize(
    "key",
    [
        *("ev/region.note", "ev/node/0a/000001/fence.note", "ev/cp/0a/0000000001.note"),
        *("ev/gap/0a/0-1.note", "ev/arc/day=2026-11-29/2026-11-29.0001.note", "ctl/hb/0a.note"),
        *("ev/seg/0a/0000000/x.note", "ev/seg/0a", "ev/arc/day=2026-11-29", "ev/seg/../x.parquet"),
    ],
)
def test_no_note_is_ever_removed(make: Make, key: str) -> None:
    async def story() -> None:
        store = await make()

        with pytest.raises(ValueError):
            await store.remove(key)

    asyncio.run(story())
