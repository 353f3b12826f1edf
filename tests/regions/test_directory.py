"""What only a directory has: the order of its system calls, its root, its leftovers."""

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.regions import Region, layout
from holdfast.regions import disk as disks
from holdfast.regions.directory import LEFTOVER_US, DirectoryStore
from holdfast.regions.disk import PosixDisk, Stat
from holdfast.regions.port import (
    Absent,
    Level,
    Listed,
    Listing,
    Present,
    Refused,
    Stored,
    Unknown,
)
from holdfast.settings import load
from holdfast.wiring import real_regions
from tests.machine import no_tracing, program
from tests.regions.worlds import RecordingDisk, at_once

KEY = "ev/seg/name"
REMOVABLE = "ev/seg/name.ndjson.zst"


@pytest.fixture
def disk() -> RecordingDisk:
    return RecordingDisk()


@pytest.fixture
def store(tmp_path: Path, disk: RecordingDisk) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "root", disk, at_once)
    assert asyncio.run(store.make_root()) == Stored()
    disk.log.clear()
    return store


def create(store: DirectoryStore, key: str = KEY, data: bytes = b"bytes") -> Stored | Unknown:
    return asyncio.run(store.create(key, data))


def leftovers(store: DirectoryStore) -> list[str]:
    return sorted(path.name for path in (store.root / ".tmp").iterdir())


def test_a_create_is_durable_before_it_is_stored(
    store: DirectoryStore, disk: RecordingDisk
) -> None:
    assert create(store) == Stored()

    assert disk.log == [
        ("create", ".tmp/*"),
        ("write", ".tmp/*"),
        ("fsync", ".tmp/*"),
        ("mkdir", "ev"),
        ("fsync", "."),
        ("mkdir", "ev/seg"),
        ("fsync", "ev"),
        ("link", KEY),
        ("fsync", "ev/seg"),
        ("unlink", ".tmp/*"),
    ]


def test_of_many_bytes_some_at_a_time_are_made_durable(
    store: DirectoryStore, disk: RecordingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "SYNC_BYTES", 4)

    assert create(store, data=b"0123456789") == Stored()

    assert [call for call, _ in disk.log][:7] == ["create", *["write", "fsync"] * 3]
    assert (store.root / KEY).read_bytes() == b"0123456789"


def test_directories_are_settled_once(store: DirectoryStore, disk: RecordingDisk) -> None:
    create(store)
    disk.log.clear()

    create(store, "ev/seg/other")

    assert [call for call, _ in disk.log] == [
        "create", "write", "fsync", "link", "fsync", "unlink"
    ]  # fmt: skip


def test_a_directory_that_another_process_made_is_settled_too(
    store: DirectoryStore, disk: RecordingDisk
) -> None:
    (store.root / "ev" / "seg").mkdir(parents=True)

    create(store)

    assert disk.log.index(("fsync", ".")) < disk.log.index(("fsync", "ev"))
    assert disk.log.index(("fsync", "ev")) < disk.log.index(("link", KEY))


def test_a_replacement_is_durable_before_it_is_stored(
    store: DirectoryStore, disk: RecordingDisk
) -> None:
    asyncio.run(store.replace("ctl/hb", b"one"))
    disk.log.clear()

    assert asyncio.run(store.replace("ctl/hb", b"two")) == Stored()

    assert disk.log == [
        ("create", ".tmp/*"),
        ("write", ".tmp/*"),
        ("fsync", ".tmp/*"),
        ("rename", "ctl/hb"),
        ("fsync", "ctl"),
    ]


def test_a_refused_create_makes_what_lies_there_durable(
    store: DirectoryStore, disk: RecordingDisk
) -> None:
    """Its writer may have died between link and fsync; a reader would count what it reads back."""
    create(store)
    disk.log.clear()

    assert create(store) == Unknown("already exists", answered=True)

    assert disk.log[-4:] == [
        ("link", KEY),
        ("fsync", KEY),
        ("fsync", "ev/seg"),
        ("unlink", ".tmp/*"),
    ]


def test_the_order_of_system_calls_is_the_order_of_the_design(tmp_path: Path) -> None:
    strace = program("strace")
    script = """
        import asyncio, sys, pathlib
        from holdfast.regions.directory import DirectoryStore
        from holdfast.regions.disk import PosixDisk
        from holdfast.regions.threads import Threads

        async def main():
            store = DirectoryStore(pathlib.Path(sys.argv[1]), PosixDisk(), Threads("x", 1))
            await store.make_root()
            print(await store.create("ev/seg/name", b"the bytes"))

        asyncio.run(main())
    """
    trace = tmp_path / "trace"
    calls = "trace=write,fsync,linkat,unlinkat"
    command = [strace, "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c"]

    ran = subprocess.run(
        [*command, textwrap.dedent(script), str(tmp_path / "root")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    if ran.returncode != 0 and "ptrace" in ran.stderr:
        no_tracing()
    assert ran.returncode == 0, ran.stderr
    lines = trace.read_text().splitlines()
    steps = [
        ("write(", '/.tmp/writer-0>, "the bytes"'),
        ("fsync(", "/.tmp/writer-0>"),
        ("linkat(", '"ev/seg/name"'),
        ("fsync(", "/ev/seg>"),
        ("unlinkat(", '".tmp/writer-0"'),
        ("write(", '"Stored()'),
    ]
    at = 0
    for call, shown in steps:
        at = next(n for n in range(at, len(lines)) if call in lines[n] and shown in lines[n]) + 1


def test_a_missing_root_is_unknown_for_good_and_never_made(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "gone" / "root", PosixDisk(), at_once)

    async def story() -> None:
        for outcome in (
            await store.create(KEY, b""),
            await store.replace("ctl/hb", b""),
            await store.read(KEY),
            await store.list(""),
        ):
            assert isinstance(outcome, Unknown) and outcome.permanent
        assert await store.has_root() is False

    asyncio.run(story())
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_a_file_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    store = DirectoryStore(tmp_path / "root", PosixDisk(), at_once)

    assert isinstance(create(store), Unknown)
    assert isinstance(asyncio.run(store.has_root()), Unknown)
    assert isinstance(asyncio.run(store.make_root()), Unknown)


def test_an_empty_root_is_not_written_to(tmp_path: Path) -> None:
    """A mount point without its disk: what is written there is hidden when the disk is back."""
    store = DirectoryStore(tmp_path, PosixDisk(), at_once)

    outcome = create(store)

    assert isinstance(outcome, Unknown) and outcome.permanent and "empty" in outcome.reason
    assert list(tmp_path.iterdir()) == []


def everything(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def all_that_a_shell_names(root: Path) -> None:
    for path in root.glob("[!.]*"):
        shutil.rmtree(path)


def the_cookie(root: Path) -> None:
    (root / layout.REGION_KEY).unlink()


@pytest.mark.parametrize("wipe", [everything, all_that_a_shell_names, the_cookie])
def test_nothing_is_put_into_a_store_that_was_wiped(
    tmp_path: Path, wipe: Callable[[Path], None]
) -> None:
    """As the settings make it: else its writer would build it up again, empty, where it lay."""

    async def story(region: Region) -> list[Stored | Unknown]:
        assert await region.make_root() == Stored()
        for key in (layout.REGION_KEY, KEY):
            assert await region.create(key, b"bytes") == Stored()
        assert await region.replace("ctl/hb/x", b"bytes") == Stored()
        wipe(root)
        before.extend(sorted(root.rglob("*")))
        return [
            await region.create("ev/seg/other/name", b""),
            await region.replace("ctl/hb/x", b""),
            await region.create(KEY, b"bytes"),
        ]

    before: list[Path] = []
    settings = load(None, {}, {"data": str(tmp_path)})
    root = settings.data_path / "regions" / "a"
    with real_regions(settings) as regions:
        outcomes = asyncio.run(story(regions.by_id["a"]))

    assert all(isinstance(outcome, Unknown) and outcome.permanent for outcome in outcomes)
    assert sorted(root.rglob("*")) == before


class WipedMeanwhile(PosixDisk):
    """The store is emptied while the bytes of a put are on their way to the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.is_wiping = False

    def fsync(self, handle: int) -> None:
        if self.is_wiping:
            all_that_a_shell_names(self._root)
        super().fsync(handle)


@pytest.mark.parametrize("call", ["create", "replace"])
def test_nothing_is_made_again_in_a_store_that_is_wiped_under_a_put(
    tmp_path: Path, call: str
) -> None:
    disk = WipedMeanwhile(tmp_path)
    store = DirectoryStore(tmp_path, disk, at_once, cookie=layout.REGION_KEY)
    assert asyncio.run(store.make_root()) == Stored()
    assert create(store, layout.REGION_KEY) == Stored()

    disk.is_wiping = True
    outcome = asyncio.run(getattr(store, call)("ctl/hb/x", b"bytes"))

    assert isinstance(outcome, Unknown) and outcome.permanent
    assert [path.name for path in tmp_path.rglob("*")] == [".tmp"]


def test_a_copied_root_without_its_temporary_directory_is_written_to(
    store: DirectoryStore,
) -> None:
    create(store)
    shutil.rmtree(store.root / ".tmp")

    assert create(store, "ev/seg/other") == Stored()


def test_a_root_is_made_with_its_parents_durably(tmp_path: Path, disk: RecordingDisk) -> None:
    store = DirectoryStore(tmp_path / "data" / "regions" / "a", disk, at_once)

    assert asyncio.run(store.make_root()) == Stored()
    assert asyncio.run(store.make_root()) == Stored()

    assert asyncio.run(store.has_root()) is True
    for name in ("data", "regions", "a", ".tmp"):
        assert disk.log[disk.log.index(("mkdir", name)) + 1][0] == "fsync"


def test_a_wiped_root_is_noticed_by_a_store_that_knew_its_directories(
    store: DirectoryStore,
) -> None:
    create(store)
    shutil.rmtree(store.root)
    store.root.mkdir()
    (store.root / "note").touch()

    outcomes = [create(store), create(store, "ev/seg/other")]

    # The new directory may have the old one's inode: then the first create finds out.
    assert outcomes[1] == Stored() and isinstance(outcomes[0], Stored | Unknown)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("create", ".tmp/*"),
        ("write", ".tmp/*"),
        ("fsync", ".tmp/*"),
        ("mkdir", "ev/seg"),
        ("fsync", "ev"),
        ("link", KEY),
    ],
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES])
def test_a_create_that_fails_before_its_name_is_there_leaves_nothing(
    store: DirectoryStore, disk: RecordingDisk, call: str, path: str, number: int
) -> None:
    disk.fail[call, path] = OSError(number, os.strerror(number))

    outcome = create(store)

    assert isinstance(outcome, Unknown) and os.strerror(number) in outcome.reason
    assert outcome.permanent == (number == errno.EACCES)
    assert leftovers(store) == []
    assert asyncio.run(store.read(KEY)) == Absent()
    assert create(store) == Stored()


def test_a_create_whose_directory_cannot_be_synced_is_unknown_until_it_can(
    store: DirectoryStore, disk: RecordingDisk
) -> None:
    disk.fail["fsync", "ev/seg"] = OSError(errno.EIO, os.strerror(errno.EIO))

    first = create(store)
    disk.log.clear()
    second = create(store)

    assert isinstance(first, Unknown) and not first.answered
    assert isinstance(second, Unknown) and second.answered
    assert ("fsync", "ev/seg") in disk.log and ("fsync", "ev") in disk.log


def test_a_replacement_that_fails_leaves_the_old_bytes(
    store: DirectoryStore, disk: RecordingDisk
) -> None:
    asyncio.run(store.replace("ctl/hb", b"old"))
    disk.fail["rename", "ctl/hb"] = OSError(errno.EIO, os.strerror(errno.EIO))

    outcome = asyncio.run(store.replace("ctl/hb", b"new"))
    found = asyncio.run(store.read("ctl/hb"))

    assert isinstance(outcome, Unknown)
    assert isinstance(found, Present) and found.data == b"old"
    assert leftovers(store) == []


def test_only_old_leftovers_are_swept(store: DirectoryStore) -> None:
    old, young = store.root / ".tmp" / "other-1", store.root / ".tmp" / "other-2"
    for path in (old, young):
        path.touch()
    before = young.stat().st_mtime - LEFTOVER_US / 1e6 - 60
    os.utime(old, (before, before))

    create(store)

    assert leftovers(store) == ["other-2"]


def test_a_leftover_of_the_same_name_is_no_obstacle(store: DirectoryStore) -> None:
    for number in range(3):
        (store.root / ".tmp" / f"writer-{number}").write_bytes(b"of a crash")

    assert create(store) == Stored()
    assert asyncio.run(store.read(KEY)) != Absent()


def test_foreign_names_are_not_listed(store: DirectoryStore) -> None:
    create(store)
    create(store, "ev/.tmp/allowed-below-the-root")
    (store.root / ".tmp" / "leftover").touch()
    (store.root / "ev" / "Foreign").touch()
    (store.root / "lost+found").mkdir()
    (store.root / "lost+found" / "x").touch()

    listing = asyncio.run(store.list(""))

    assert isinstance(listing, Listing)
    assert [listed.key for listed in listing] == ["ev/.tmp/allowed-below-the-root", KEY]


def a_socket(path: Path) -> None:
    short = Path(tempfile.mkdtemp())  # the name of a socket may have some 100 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(short / "s"))
        shutil.move(short / "s", path)
    finally:
        shutil.rmtree(short)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "a FIFO"),
        (a_socket, "a socket"),
        (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
        (lambda path: path.symlink_to(path.name), "a link that leads nowhere"),
    ],
)
def test_what_lies_in_an_objects_place_and_is_no_file_is_named(
    store: DirectoryStore, make: Callable[[Path], object], what: str
) -> None:
    """Listed, for its name is taken; and nothing to hold against the store, or to wait for."""
    create(store, "ev/seg/other")
    make(store.root / KEY)

    listing = asyncio.run(store.list("ev/"))
    level = asyncio.run(store.level("ev/seg/"))
    outcomes = (asyncio.run(store.read(KEY)), create(store))

    assert isinstance(listing, Listing) and isinstance(level, Level)
    assert [(each.key, each.size_bytes) for each in listing] == [(KEY, 0), ("ev/seg/other", 5)]
    assert level.objects == (KEY, "ev/seg/other")
    assert outcomes == (Unknown(f"{what} lies there, not a file", answered=True),) * 2


def test_a_directory_in_an_objects_place_is_named_to_whoever_puts_it(store: DirectoryStore) -> None:
    create(store, "ev/seg/name/below")

    assert create(store) == Unknown("a directory lies there, not a file", answered=True)
    assert asyncio.run(store.read(KEY)) == Absent()


def test_a_directory_that_was_moved_to_another_disk_and_linked_is_followed(
    store: DirectoryStore, tmp_path: Path
) -> None:
    create(store)
    (store.root / "ev").rename(tmp_path / "elsewhere")
    (store.root / "ev").symlink_to(tmp_path / "elsewhere")

    listing = asyncio.run(store.list("ev/"))

    assert isinstance(listing, Listing)
    assert [listed.key for listed in listing] == [KEY]


def test_a_loop_of_directories_ends(store: DirectoryStore) -> None:
    create(store)
    (store.root / "ev" / "loop").symlink_to(store.root)

    assert isinstance(asyncio.run(store.list("")), Unknown)


class CountingDisk(PosixDisk):
    def __init__(self) -> None:
        self.opened: list[str] = []
        self.asked: list[str] = []

    def scandir(self, root: int, path: str) -> list[str]:
        self.opened.append(path)
        return super().scandir(root, path)

    def stat(self, root: int, path: str) -> Stat:
        self.asked.append(path)
        return super().stat(root, path)


def test_a_listing_opens_and_asks_only_what_lies_beyond(tmp_path: Path) -> None:
    for shard in range(4):
        (tmp_path / "seg" / str(shard)).mkdir(parents=True)
        for name in range(5):
            (tmp_path / "seg" / str(shard) / str(name)).touch()
    disk = CountingDisk()

    listing = asyncio.run(DirectoryStore(tmp_path, disk, at_once).list("seg/", "seg/2/3"))

    assert isinstance(listing, Listing)
    assert [listed.key for listed in listing] == ["seg/2/4", *(f"seg/3/{n}" for n in range(5))]
    assert disk.opened == ["seg/", "seg/2/", "seg/3/"]
    assert set(disk.asked) == {"seg/2", "seg/3", "seg/2/3", *(listed.key for listed in listing)}


def test_a_level_of_thousands_asks_none_for_its_facts_but_links(tmp_path: Path) -> None:
    (tmp_path / "ret" / "folder").mkdir(parents=True)
    for name in range(5):
        (tmp_path / "ret" / str(name)).touch()
    (tmp_path / "ret" / "link").symlink_to("folder")
    disk = CountingDisk()

    level = asyncio.run(DirectoryStore(tmp_path, disk, at_once).level("ret/"))

    assert level == Level(("folder", "link"), tuple(f"ret/{name}" for name in range(5)))
    assert disk.asked == ["ret//link"]


class RestlessDisk(PosixDisk):
    """Someone renames the root away and back around every look at one of its names."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
        away = self.root.rename(self.root.parent / "away")
        try:
            return super().read(root, path, size_max)
        finally:
            away.rename(self.root)

    def scandir(self, root: int, path: str) -> list[str]:
        away = self.root.rename(self.root.parent / "away")
        try:
            return super().scandir(root, path)
        finally:
            away.rename(self.root)


def test_a_root_that_is_away_for_a_moment_never_looks_like_absence(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "ev").mkdir(parents=True)
    (root / "ev" / "fence").write_bytes(b"fenced")
    store = DirectoryStore(root, RestlessDisk(root), at_once)

    found, listing = asyncio.run(store.read("ev/fence")), asyncio.run(store.list(""))

    assert isinstance(found, Present) and found.data == b"fenced"
    assert isinstance(listing, Listing)
    assert [listed.key for listed in listing] == ["ev/fence"]


def test_a_file_that_shrinks_while_it_is_read_is_unknown(store: DirectoryStore) -> None:
    class Torn(PosixDisk):
        def read(self, root: int, path: str, size_max: int) -> tuple[bytes, Stat]:
            data, facts = super().read(root, path, size_max)
            return data[:-1], facts

    create(store)

    torn = asyncio.run(DirectoryStore(store.root, Torn(), at_once).read(KEY))

    assert isinstance(torn, Unknown) and not torn.permanent


def test_times_are_the_file_systems_own(store: DirectoryStore) -> None:
    create(store)
    os.utime(store.root / KEY, ns=(0, 1_700_000_000_123_456_789))

    listing = asyncio.run(store.list("ev/"))

    assert listing == Listing((Listed(KEY, 5, 1_700_000_000_123_456),))


def test_nothing_is_removed_from_a_directory_without_its_cookie(tmp_path: Path) -> None:
    async def story() -> None:
        store = DirectoryStore(tmp_path, PosixDisk(), at_once, cookie=layout.REGION_KEY)
        await store.make_root()
        await store.create(layout.REGION_KEY, b"the cookie")
        await store.create(REMOVABLE, b"bytes")
        (tmp_path / layout.REGION_KEY).unlink()

        outcome = await store.remove(REMOVABLE)

        assert isinstance(outcome, Unknown) and "holds no ev/region.note" in outcome.reason
        assert (tmp_path / REMOVABLE).exists()

    asyncio.run(story())


def test_a_disk_that_lets_nobody_delete_refuses_and_stays_well(tmp_path: Path) -> None:
    async def story() -> None:
        disk = RecordingDisk()
        region = Region("a", DirectoryStore(tmp_path, disk, at_once))
        await region.make_root()
        await region.create(REMOVABLE, b"bytes")
        outcomes = []
        for _ in range(9):
            disk.fail["unlink", REMOVABLE] = OSError(errno.EPERM, "an immutable file")
            outcomes.append(await region.remove(REMOVABLE))

        assert outcomes == [Refused("an immutable file (EPERM)")] * 9
        assert region.report().writing == "closed"

    asyncio.run(story())
