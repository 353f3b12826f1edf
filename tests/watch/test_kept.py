"""What is kept over a restart comes back as it was; what cannot be read stops nothing."""

import stat
from pathlib import Path

import pytest

from holdfast.regions.disk import PosixDisk
from holdfast.watch.alerts import Book, silence
from holdfast.watch.delivery import Message
from holdfast.watch.kept import FILE, AlertsFile, Kept
from tests.watch.test_alerts import quiet
from tests.watch.test_delivery import ALERT

KEPT = Kept(
    book=silence(Book((ALERT,), (ALERT,)), quiet("*", 60)),
    waiting={"mail": (Message("opened", 7, alert=ALERT),)},
    nodes={"n": 3},
)


def test_what_was_written_is_read_and_nobody_else_may(tmp_path: Path) -> None:
    AlertsFile(tmp_path, PosixDisk()).write(KEPT)

    assert AlertsFile(tmp_path, PosixDisk()).read() == KEPT
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_where_nothing_was_kept_there_is_nothing(tmp_path: Path) -> None:
    assert AlertsFile(tmp_path, PosixDisk()).read() == Kept()


@pytest.mark.parametrize("data", [b"", b"{", b'{"format":2}', b"\xff", b'{"book":{"alerts":3}}'])
def test_what_cannot_be_read_is_moved_aside(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)

    kept = AlertsFile(tmp_path, PosixDisk()).read()

    assert kept == Kept()
    assert (tmp_path / f"{FILE}.bad").read_bytes() == data
    assert not (tmp_path / FILE).exists()


def test_a_crash_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    file = AlertsFile(tmp_path, PosixDisk())
    file.write(KEPT)
    (tmp_path / f"{FILE}.new").write_bytes(b"half a fi")

    assert file.read() == KEPT
    file.write(Kept())
    assert file.read() == Kept()
