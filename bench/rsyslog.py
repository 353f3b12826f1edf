"""rsyslog that writes what it receives into one file, by TCP or RELP.

A server in a temporary directory, on loopback. Four ways to run it: TCP, which has no answer; RELP,
whose answer means what the queue behind it makes of it, with the default queue in memory; RELP with
a file that is synced behind a queue that goes to disk when memory is short (disk-assisted); and
RELP with a direct queue and a file that is synced, so that an answer is given after a sync. What
favours it: it neither parses nor indexes the events, and writes them as they are, into one copy.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from bench.pipe import Pipe, Talk, wait_for
from bench.processes import Side, find_program, free_port, start

PROGRAM: Final = "rsyslogd"
UNDER_WAY: Final = 128  # librelp's own window
ANSWER: Final = b" rsp 6 200 OK\n"
FRAME: Final = b"<110>1 - app - - - - "  # RFC 5424; what follows is written
OFFER: Final = b"relp_version=0\nrelp_software=bench\ncommands=syslog"


@dataclass(frozen=True)
class Way:
    """How it is run."""

    input: str  # the module
    queue: str = ""  # as the package has it
    is_synced: bool = False

    @property
    def is_answered(self) -> bool:
        return self.input == "imrelp"


TCP: Final = Way("imtcp")
RELP: Final = Way("imrelp")
RELP_ASSISTED: Final = Way(
    "imrelp",
    'queue.type="LinkedList" queue.filename="waiting" queue.saveOnShutdown="on"'
    ' queue.syncQueueFiles="on"',
    is_synced=True,
)
RELP_SYNCED: Final = Way("imrelp", 'queue.type="Direct"', is_synced=True)


def version() -> str:
    """ "" where it is not installed, or without RELP."""
    program = find_program(PROGRAM)
    modules = list(Path("/usr/lib").glob("**/rsyslog/imrelp.so"))
    if program is None or not modules:
        return ""
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    return told.split()[1]


def _talk(way: Way) -> Talk:
    numbers = count(2)  # 1 is the offer's

    def tcp(event: bytes) -> bytes:
        return b"%d %b%b" % (len(FRAME) + len(event), FRAME, event)

    def relp(event: bytes) -> bytes:
        return b"%d syslog %d %b%b\n" % (next(numbers), len(FRAME) + len(event), FRAME, event)

    return Talk(relp, ANSWER, UNDER_WAY) if way.is_answered else Talk(tcp, b"", UNDER_WAY)


class Rsyslog:
    """A running server. Use `running`."""

    def __init__(self, side: Side, way: Way, port: int, file: Path) -> None:
        self.side = side
        self.way = way
        self._port = port
        self._file = file

    def connect(self) -> Pipe:
        pipe = Pipe(self._port, _talk(self.way))
        if self.way.is_answered:
            pipe.ask(b"1 open %d %b\n" % (len(OFFER), OFFER), b"syslog\n")
        return pipe

    def count(self) -> int:
        """Whole events in the file."""
        return self._file.read_bytes().count(b"\n") if self._file.exists() else 0

    def stored_bytes(self) -> int:
        return self._file.stat().st_size if self._file.exists() else 0


@contextmanager
def running(way: Way, directory: Path, core: int) -> Iterator[Rsyslog]:
    """Start it on a directory; stop it in the end."""
    port, file, config = free_port(), directory / "events", directory / "config"
    config.write_text(_config(way, port, file))
    program = find_program(PROGRAM)
    assert program is not None
    command = [program, "-n", "-f", str(config), "-i", str(directory / "pid")]
    side = start(command, core, directory / "log")
    server = Rsyslog(side, way, port, file)
    try:
        wait_for(side, server.connect, "rsyslog")
        yield server
    finally:
        side.stop(signal.SIGTERM)


def _config(way: Way, port: int, file: Path) -> str:
    synced = ' sync="on" flushOnTXEnd="on"' if way.is_synced else ""
    queue = f"main_queue({way.queue})\n" if way.queue else ""
    return (
        f'global(workDirectory="{file.parent}")\n'
        f'module(load="{way.input}")\n{queue}'
        'template(name="line" type="string" string="%msg%\\n")\n'
        f'input(type="{way.input}" port="{port}" address="127.0.0.1")\n'
        f'action(type="omfile" file="{file}" template="line"{synced})\n'
    )
