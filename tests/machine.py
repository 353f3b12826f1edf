"""What a machine may lack. A test that needs it is skipped aloud, with what would make it run.

These four skips are meant, and all there are: a machine without root must still run every test
that it can. `make test` installs the programs wherever it is root on a Debian (dev/tools.sh), and
nothing is skipped there; but a container may forbid tracing or mounting, and then it stays so.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """The path of a program that `make test` installs where it can."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed, and `make test` installs it only as root on Debian")
    return found


def no_tracing() -> NoReturn:
    """strace is there, and the kernel or a container's rules let nobody trace a process."""
    pytest.skip("processes may not be traced here: give the container SYS_PTRACE")


def no_namespaces() -> NoReturn:
    """A network of its own needs root, the program ip, and a kernel that lets one be made."""
    pytest.skip("no network namespace can be made here: run as root, with NET_ADMIN, and iproute2")


def mount_small_disk(place: Path) -> None:
    """Mount a file system of 1 MiB, which is soon full; whoever asks for it unmounts it."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here: run as root, with SYS_ADMIN in a container")
