"""NATS JetStream with file storage, spoken to in its own protocol of text lines.

A server in a temporary directory, on loopback, with the defaults of its package: a stream of one
copy in files, which are synced every two minutes; or, where the installed version can (from 2.10
on), after every message. What favours it: messages are made before the clock starts, and it keeps
no index but of the message's number.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.pipe import Pipe, Talk, wait_for
from bench.processes import Side, find_program, free_port, start

PROGRAM: Final = "nats-server"
STREAM: Final = "AUDIT"
SUBJECT: Final = "audit"
INBOX: Final = "acks"
SYNCED: Final = "jetstream { sync_interval: always }\n"
CONFIG: Final = {"name": STREAM, "subjects": [SUBJECT], "storage": "file", "num_replicas": 1}


def version() -> str:
    """ "" where it is not installed."""
    program = find_program(PROGRAM)
    if program is None:
        return ""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[-1].removeprefix("v")


def can_sync_always(directory: Path) -> bool:
    """Whether the installed version knows the setting; directory: for its configuration."""
    program = find_program(PROGRAM)
    assert program is not None
    config = directory / "try.conf"
    config.write_text(SYNCED)
    told = subprocess.run([program, "-t", "-c", str(config)], capture_output=True, check=False)
    return told.returncode == 0


def _frame(event: bytes) -> bytes:
    return b"PUB %b %b %d\r\n%b\r\n" % (SUBJECT.encode(), INBOX.encode(), len(event), event)


TALK: Final = Talk(_frame, b'{"stream":"AUDIT"', under_way=1_024)


class Nats:
    """A running server. Use `running`."""

    def __init__(self, side: Side, port: int, store: Path) -> None:
        self.side = side
        self._port = port
        self._store = store

    def connect(self) -> Pipe:
        """A connection on which every stored message is answered."""
        pipe = Pipe(self._port, TALK)
        pipe.ask(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n', b"PONG\r\n")
        pipe.ask(b"SUB %b 1\r\nPING\r\n" % INBOX.encode(), b"PONG\r\n")
        return pipe

    def make_stream(self) -> None:
        self._api(f"STREAM.CREATE.{STREAM}", json.dumps(CONFIG).encode())

    def count(self) -> int:
        """Messages in the stream."""
        return int(self._api(f"STREAM.INFO.{STREAM}", b"")["state"]["messages"])

    def stored_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._store.rglob("*") if path.is_file())

    def _api(self, call: str, body: bytes) -> dict[str, dict[str, int]]:
        with self.connect() as pipe:
            head = f"PUB $JS.API.{call} {INBOX} {len(body)}\r\n".encode()
            answer = pipe.ask(head + body + b"\r\n", b"}\r\n")
        found: dict[str, dict[str, int]] = json.loads(answer[answer.index(b"{") :])
        if "error" in found:
            raise RuntimeError(f"NATS refused {call}: {found['error']}")
        return found


@contextmanager
def running(directory: Path, core: int, synced: bool = False) -> Iterator[Nats]:
    """Start it on a directory, with a stream that is made if it is new; stop it in the end.

    synced: after every message.
    """
    port, store = free_port(), directory / "store"
    is_new = not store.exists()
    program = find_program(PROGRAM)
    assert program is not None
    command = [program, "--addr", "127.0.0.1", "--port", str(port), "-js", "-sd", str(store)]
    if synced:
        config = directory / "config"
        config.write_text(SYNCED)
        command += ["-c", str(config)]
    side = start(command, core, directory / "log")
    server = Nats(side, port, store)
    try:
        wait_for(side, server.connect, "NATS")
        if is_new:
            server.make_stream()
        yield server
    finally:
        side.stop(signal.SIGTERM)
