"""Real regions: Ceph with an S3 gateway, each complete and independent, in a folder of its own."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

from holdfast.regions.buckets import Access
from tests.machine import program
from tests.s3.network import Link

SCRIPT = Path(__file__).parents[2] / "dev" / "ceph-region.sh"
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool", "curl")
PORT = 7480  # where nobody else is
PORTS = 20  # what the script says that a region takes, from its first on
UP_SECONDS = 120


class CephRegion:
    """A region of Ceph's. Its keys are its own: a request with another one's is refused.

    access: how it is reached, with a file of its credentials. buckets are made by `bucket`. link:
    where it has a network of its own.
    """

    def __init__(self, folder: Path, link: Link | None = None) -> None:
        """Nothing is started yet; a machine without Ceph skips the test, by name."""
        for each in PROGRAMS:
            program(each)
        self.folder, self.link = folder, link
        self.address = f"{link.address}:{PORT}" if link else f"127.0.0.1:{free_ports('127.0.0.1')}"
        self._keys = {"S3_KEY": folder.name, "S3_SECRET": f"secret-of-{folder.name}"}
        self.access = self._access(folder.name)

    def up(self) -> "CephRegion":
        """Start what is not running, and make it first if it is not there."""
        self._run("up", self.address)
        return self

    def bucket(self, name: str) -> str:
        """Make a bucket; its URL."""
        self._run("bucket", name)
        return f"s3://{name}"

    def user(self, name: str) -> Access:
        """Another account, which has no rights yet."""
        self._run("user", name)
        return self._access(name)

    @property
    def credentials(self) -> tuple[str, str]:
        """Key and secret of its own account."""
        return self._keys["S3_KEY"], self._keys["S3_SECRET"]

    def kill(self, part: str = "") -> None:
        """SIGKILL the gateway (rgw), the storage daemon (osd), the monitor (mon), or all."""
        self._run("kill", part)

    def hang(self, part: str = "") -> None:
        """SIGSTOP: connections stand, and nothing answers."""
        self._run("hang", part)

    def resume(self, part: str = "") -> None:
        self._run("resume", part)

    def destroy(self) -> None:
        self._run("destroy")

    def _access(self, key: str) -> Access:
        """With a file of credentials, as AWS's tools write it."""
        file = self.folder.with_name(f"{self.folder.name}-{key}.credentials")
        file.touch(mode=0o600)
        secret = self._keys["S3_SECRET"]
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
        return Access(endpoint=f"http://{self.address}", credentials_file=str(file))

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [
                *(self.link.prefix if self.link else ()),
                str(SCRIPT),
                command,
                str(self.folder),
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._keys},
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self._told()}"

    def _told(self) -> str:
        """The last words of its parts."""
        logs = sorted(self.folder.glob("*.out"))
        return "".join(f"\n{log.name}: {log.read_text(errors='replace')[-500:]}" for log in logs)


def up(regions: Mapping[str, CephRegion]) -> None:
    """All at once: each waits for itself most of the time."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(CephRegion.up, regions.values()))


@contextmanager
def running(regions: Mapping[str, CephRegion]) -> Iterator[None]:
    """All of them up, and gone afterwards, also those that did not come up."""
    try:
        up(regions)
        yield
    finally:
        for each in regions.values():
            each.destroy()


def free_ports(host: str) -> int:
    """The first of as many free ports as a region takes, below those that the system picks."""
    starts = range(20_000, 32_000, PORTS)
    for first in Random().sample(starts, len(starts)):
        if all(_is_free(host, port) for port in range(first, first + PORTS)):
            return first
    raise AssertionError("no ports are free")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
