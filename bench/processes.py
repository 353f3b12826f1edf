"""CPU and memory of a program and everything it started; which core it may use.

CPU is what the kernel booked as user and system time of the process, its living descendants, and
those that ended and were waited for (`cutime`, `cstime`): a worker counts wherever it lives. Work
that the kernel does later for nobody in particular (writing dirty pages back) is on no side's bill.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TICK_US: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
WATCH_S: Final = 0.5
IDLE: Final = 0.05  # of a core


@dataclass(frozen=True)
class _Stat:
    pid: int
    parent: int
    cpu_us: int  # own and that of children waited for
    started: int  # ticks since boot: tells a process from a later one of the same number
    resident_bytes: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it ended
        return None
    # The name, in parentheses, may hold anything; fields are counted behind it (proc(5)).
    fields = text[text.rindex(")") + 2 :].split()
    ticks = sum(int(fields[index]) for index in (11, 12, 13, 14))
    resident = int(fields[21]) * _PAGE_BYTES
    return _Stat(pid, int(fields[1]), ticks * _TICK_US, int(fields[19]), resident)


def _tree(root: int) -> list[_Stat]:
    """The process and its living descendants."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    stats = [stat for pid in pids if (stat := _stat(pid))]
    children: dict[int, list[_Stat]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
    found = [stat for stat in stats if stat.pid == root]
    for stat in found:  # grows while it is walked
        found.extend(children.get(stat.pid, ()))
    return found


def cpu_us_of(pid: int) -> int:
    """CPU time of a process and its living descendants."""
    return sum(stat.cpu_us for stat in _tree(pid))


def machine_busy_us() -> int:
    """CPU time that all programs together have had since the machine came up."""
    user, nice, system, _idle, _wait, irq, soft, *_ = map(
        int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
    )
    return (user + nice + system + irq + soft) * _TICK_US


@dataclass(frozen=True)
class Cores:
    """Where the measured side runs, and where everything that loads it does."""

    side: int
    client: int

    @property
    def all(self) -> frozenset[int]:
        return frozenset((self.side, self.client))


def choose_cores() -> Cores:
    """The first and the last core that this process may use; one core alone is shared."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1])


@contextmanager
def pinned(cores: Set[int]) -> Iterator[None]:
    """Let what is started meanwhile run on these cores, and this process with it."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


@dataclass
class Side:
    """A running program, pinned to one core with all that it starts."""

    process: subprocess.Popen[bytes]
    log: Path
    resident_bytes_max: int = field(default=0)

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_us(self) -> int:
        """CPU time of the whole tree since its start."""
        tree = _tree(self.pid)
        self._see(tree)
        return sum(stat.cpu_us for stat in tree)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Follow the memory of the tree meanwhile; pages that two processes share count twice."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(WATCH_S):
                self._see(_tree(self.pid))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _see(self, tree: Sequence[_Stat]) -> None:
        now_bytes = sum(stat.resident_bytes for stat in tree)
        self.resident_bytes_max = max(self.resident_bytes_max, now_bytes)

    def wait_idle(self, timeout_s: float, quiet_s: float = 1.0) -> int:
        """Wait until the tree used less than IDLE of a core for `quiet_s`; its CPU time then.

        Still busy at the end of the time-out: what it used until then.
        """
        deadline = time.monotonic() + timeout_s
        before = self.cpu_us()
        while time.monotonic() < deadline:
            time.sleep(quiet_s)
            after = self.cpu_us()
            if after - before < IDLE * quiet_s * 1_000_000:
                return after
            before = after
        return before

    def pids(self) -> list[int]:
        """Of the whole tree."""
        return [stat.pid for stat in _tree(self.pid)]

    def kill(self) -> None:
        """End the whole tree at once, with SIGKILL."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, how: signal.Signals, timeout_s: float = 30) -> None:
        """End it; what does not end by itself is killed, and so is what it leaves behind."""
        tree = {stat.pid: stat.started for stat in _tree(self.pid)}
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid, started in tree.items():
            left = _stat(pid)
            if left is not None and left.started == started:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def start(
    command: Sequence[str],
    core: int | Set[int],
    log: Path,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Side:
    """Start a program on one core, or some.

    The pin is inherited from this process, which takes it for the moment: so there is no time in
    which the program could start a thread elsewhere.
    """
    with pinned({core} if isinstance(core, int) else core), log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            env=None if environment is None else dict(environment),
            start_new_session=True,  # an interrupt at the terminal reaches only the bench
        )
    return Side(process, log)


def find_program(name: str) -> str | None:
    """Where it is, also where only root's shell looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port() -> int:
    """One of loopback's that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for a message."""
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
