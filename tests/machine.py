"""What a machine may lack. A test that needs it is skipped aloud, with what would make it run.

These four skips are meant, and all there are (tests/tidy sees to that): a machine without root must
still run every test that it can. `make test` and `make test-s3` install the programs wherever they
are root on a Debian (dev/tools.sh), and nothing is skipped there. What a container forbids stays
forbidden; each skip says what is not shown then. Whatever is skipped is listed at the end.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str, *, is_whole: bool = True) -> str:
    """The path of a program that `make test` installs where it can. is_whole: what a test needs of
    it beside the program is there, too.

    Without it: strace, the order of system calls before an answer, and that the bench sees it;
    nats-server and rsyslogd, that the bench measures what these servers do; zstdcat, that stored
    files are read by a program of others; node, the second checker of proofs; Ceph's, a real S3
    gateway; chromium, that the console's pages are reached, read and not blocked in a browser;
    prometheus, that its rules fire and its dashboards find what they ask for (`make test-watch`
    alone).
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")  # where only root looks
    if found is None or not is_whole:
        pytest.skip(f"{name} is not installed, and `make test` installs it only as root on Debian")
    return found


def no_tracing() -> NoReturn:
    """strace is there, and the kernel or a container's rules let nobody trace a process.

    Not shown then: that fsync, link and the directory's fsync come before the answer.
    """
    pytest.skip("processes may not be traced here: give the container SYS_PTRACE")


def no_namespaces() -> NoReturn:
    """A network of its own needs root, the program ip, and a kernel that lets one be made.

    Not shown then: what servers do while the link to a region is cut (`make test-s3` alone).
    """
    pytest.skip("no network namespace can be made here: run as root, with NET_ADMIN, and iproute2")


def mount_small_disk(place: Path) -> None:
    """Mount a file system of 1 MiB, which is soon full; whoever asks for it unmounts it.

    Not shown where that is forbidden: what servers do on full disks.
    """
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here: run as root, with SYS_ADMIN in a container")
