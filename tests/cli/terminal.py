"""A command of ours in a real pseudo-terminal, and what a person sees there."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyte

PATIENCE_SECONDS = 30.0


class Terminal:
    """A terminal of so many columns and lines, and the process in it. written: every byte."""

    def __init__(self, process: "subprocess.Popen[bytes]", side: int, screen: pyte.Screen) -> None:
        self.process = process
        self.written = b""
        self._side = side
        self._screen = screen
        self._stream = pyte.ByteStream(screen)

    @property
    def shown(self) -> str:
        """The screen as it stands."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def see(self, holds: Callable[[str], bool]) -> str:
        """Read on until the screen shows something; returns the screen."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds(self.shown):
            assert time.monotonic() < end and self._read(), f"not seen:\n{self.shown}"
        return self.shown

    def end(self) -> int:
        """Read all that is still written; returns the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE_SECONDS)

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def _read(self) -> bool:
        """Take what is written next; False where nothing will be."""
        if not select.select([self._side], [], [], PATIENCE_SECONDS)[0]:
            return False
        try:
            data = os.read(self._side, 65_536)
        except OSError:  # the other side is closed
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)


@contextmanager
def terminal(arguments: Sequence[str], columns: int = 80, lines: int = 40) -> Iterator[Terminal]:
    """`holdfast` with these arguments in a terminal of that size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    left_out = {"COLUMNS", "LINES", "NO_COLOR", "HOLDFAST_SERVER", "HOLDFAST_CONFIG"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    process = subprocess.Popen(
        # In a terminal Ctrl-C ends what runs; whoever was started in the background passes on that
        # it does not.
        ["env", "--default-signal=INT", sys.executable, "-m", "holdfast", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm-256color"},
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours, pyte.Screen(columns, lines))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
