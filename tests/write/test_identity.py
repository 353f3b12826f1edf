"""Keys and certificates of nodes, in memory and in files."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.errors import RejectedError
from holdfast.ports import Host
from holdfast.proof import statements
from holdfast.regions.disk import PosixDisk
from holdfast.write.identity import certify, identify, renew
from holdfast.write.keyfiles import KeyFiles
from tests.regions.worlds import at_once
from tests.write.world import TRAIL

THREADS = ThreadPoolExecutor(1)
HOST = Host(lambda: 1, os.urandom, at_once, THREADS, THREADS)


def test_a_node_keeps_its_key_over_restarts(tmp_path: Path) -> None:

    first = identify(KeyFiles(tmp_path / "n", PosixDisk()), TRAIL.trail, TRAIL.signing, HOST)
    again = identify(KeyFiles(tmp_path / "n", PosixDisk()), TRAIL.trail, None, HOST)

    assert (again.node, again.certificate) == (first.node, first.certificate)
    assert (tmp_path / "n" / "node.key").stat().st_mode & 0o777 == 0o600
    statements.verify_certificate(first.certificate, TRAIL.trail, first.key.public)


def test_a_node_that_cannot_be_certified_says_what_to_do_and_keeps_its_key(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path, PosixDisk())

    with pytest.raises(RejectedError, match="holdfast keys admit") as caught:
        identify(files, TRAIL.trail, None, HOST)
    with pytest.raises(RejectedError) as again:
        identify(files, TRAIL.trail, None, HOST)

    assert str(again.value) == str(caught.value)


def test_a_certificate_brought_from_elsewhere_is_enough(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path, PosixDisk())
    with pytest.raises(RejectedError):
        identify(files, TRAIL.trail, None, HOST)
    seed, _ = files.read()
    assert seed is not None
    public = identify(files, TRAIL.trail, TRAIL.signing, HOST).key.public
    (tmp_path / "node.cert").write_bytes(certify(TRAIL.trail, TRAIL.signing, public, 1))

    found = identify(files, TRAIL.trail, None, HOST)

    assert found.key.public == public


def test_a_new_key_sets_the_old_one_aside(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path, PosixDisk())
    old = identify(files, TRAIL.trail, TRAIL.signing, HOST)

    new = renew(files, TRAIL.trail, TRAIL.signing, HOST)

    assert new.node != old.node
    assert (tmp_path / f"node-{old.node}.key").exists()
    assert identify(files, TRAIL.trail, None, HOST).node == new.node


def test_an_admitted_node_is_told_from_one_that_certified_itself(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path, PosixDisk())
    node = identify(files, TRAIL.trail, TRAIL.signing, HOST)
    by_itself = files.is_admitted()
    admission = certify(TRAIL.trail, TRAIL.signing, node.key.public, 7)
    (tmp_path / "node.cert").write_bytes(admission)

    found = identify(files, TRAIL.trail, None, HOST)

    assert not by_itself and files.is_admitted()
    assert (found.node, found.certificate) == (node.node, admission)


def test_a_new_key_leaves_the_admission_of_the_old_one_behind(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path, PosixDisk())
    node = identify(files, TRAIL.trail, TRAIL.signing, HOST)
    admission = certify(TRAIL.trail, TRAIL.signing, node.key.public, 7)
    (tmp_path / "node.cert").write_bytes(admission)

    new = renew(files, TRAIL.trail, TRAIL.signing, HOST)

    assert not files.is_admitted()
    assert identify(files, TRAIL.trail, None, HOST).certificate == new.certificate


def test_a_change_of_keys_that_died_before_the_certificate_is_mended(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path, PosixDisk())
    identify(files, TRAIL.trail, TRAIL.signing, HOST)
    files.write(bytes(32), None)

    found = identify(files, TRAIL.trail, TRAIL.signing, HOST)

    statements.verify_certificate(found.certificate, TRAIL.trail, found.key.public)


@pytest.mark.parametrize("rest", ["seed AAAA\n", "seed AAAA\n\n", "seed \n", ""])
def test_a_damaged_key_is_named(tmp_path: Path, rest: str) -> None:
    (tmp_path / "node.key").write_text(f"holdfast-node-key/1\n{rest}")

    with pytest.raises(RejectedError, match=r"node\.key: is not a node's key"):
        KeyFiles(tmp_path, PosixDisk()).read()
