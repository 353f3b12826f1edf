"""What a server asks the kernel to write and to bring to disk, as strace sees it.

A call counts with the moment in which it came back, by the clock that the client reads too. Counted
are writes to the server's own files, and the calls that sync; writes to files that were opened so
that each write is synced (O_SYNC, O_DSYNC) are both.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.processes import Side, find_program

SYNCS: Final = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")
WRITES: Final = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
WRITE: Final = "write"
SYNCED_WRITE: Final = "synced write"
START_S: Final = 20
_LINE: Final = re.compile(r"([\d.]+) (\w+)\((?:\d+<([^>]*)>)?.* = \d+ <([\d.]+)>")


@dataclass(frozen=True)
class Call:
    """ended: seconds since 1970. path: of the file or directory, as far as there is one."""

    ended: float
    name: str
    path: str


@dataclass
class Trace:
    """What was seen; complete once the tracing is over."""

    calls: list[Call] = field(default_factory=list)

    def within(self, begin: float, end: float) -> list[Call]:
        """What came back in that time."""
        return [call for call in self.calls if begin <= call.ended <= end]


def is_there() -> bool:
    """Whether strace is installed."""
    return find_program("strace") is not None


@contextmanager
def traced(side: Side, data: Path, folder: Path) -> Iterator[Trace]:
    """Follow all processes and threads of a server meanwhile.

    Args:
        data: Where its own files lie.
        folder: For strace's.
    Raises:
        RuntimeError: strace may not, or not in time.
    """
    program = find_program("strace")
    assert program is not None
    trace = Trace()
    pids = side.pids()
    command = [program, "-ff", "-qq", "-y", "-ttt", "-T", "-s", "0", "-o", str(folder / "trace")]
    command += ["-e", f"trace={','.join((*SYNCS, *WRITES))}"]
    for pid in pids:
        command += ["-p", str(pid)]
    with (folder / "said").open("wb") as said:
        strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said)
    try:
        _wait_attached(strace, pids, folder / "said")
        synced = _opened_synced(pids)
        yield trace
        synced |= _opened_synced(side.pids())
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(START_S)
    # A file for each thread, so that no call is told in two pieces.
    for file in folder.glob("trace.*"):
        lines = file.read_text("utf-8", "replace").splitlines()
        trace.calls += calls(lines, f"{data}/", synced)


def calls(lines: Iterable[str], data: str, synced: set[str]) -> Iterator[Call]:
    """The calls on files below `data`. synced: paths where every write is a sync, too. Pure."""
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue  # it failed, or was cut short by the end
        began, name, path, took = match.groups(default="")
        if name in WRITES:
            if not path.startswith(data):
                continue  # a socket, a pipe
            name = SYNCED_WRITE if path in synced else WRITE
        yield Call(float(began) + float(took), name, path)


def _wait_attached(strace: "subprocess.Popen[bytes]", pids: Iterable[int], said: Path) -> None:
    deadline = time.monotonic() + START_S
    waiting = set(pids)
    while waiting:
        if strace.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"strace did not attach: {said.read_text()[-500:]}")
        waiting = {pid for pid in waiting if not _is_traced(pid, strace.pid)}
        time.sleep(0.02)


def _is_traced(pid: int, tracer: int) -> bool:
    """All threads of a process; one that is gone needs no more tracing."""
    try:
        statuses = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/status")]
    except OSError:
        return not Path(f"/proc/{pid}").exists()
    return all(f"\nTracerPid:\t{tracer}\n" in status for status in statuses)


def _opened_synced(pids: Iterable[int]) -> set[str]:
    """The files in which every write is synced."""
    found: set[str] = set()
    for pid in pids:
        for info in Path(f"/proc/{pid}/fdinfo").glob("*"):
            with suppress(OSError):  # closed since
                flags = int(re.findall(r"flags:\s*(\d+)", info.read_text())[0], 8)
                if flags & os.O_DSYNC:  # O_SYNC has its bit, too
                    found.add(str(Path(f"/proc/{pid}/fd/{info.name}").readlink()))
    return found
