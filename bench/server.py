"""Our server as a process of its own, with the embedded default: three directory regions, W = 2.

Nothing is turned off for the occasion: every fsync, every check and every background task runs.
"""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from bench.processes import Side, free_port, start, tail

READY_S: Final = 60
FOUND_S: Final = 30
ANSWER_S: Final = 60
REGION: Final = "a"


class Server:
    """A running server. Use `running`."""

    def __init__(self, side: Side, port: int, data: Path) -> None:
        self.side = side
        self.port = port
        self._data = data
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)

    def get(self, path: str, **parameters: str) -> tuple[int, bytes]:
        """Status and body, over one connection that is kept while the server keeps it."""
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        for _ in range(2):
            try:
                self._connection.request("GET", target)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()  # it was idle for too long; the next request opens another
        raise RuntimeError(f"GET {path}: the server hung up twice")

    def ask(self, path: str, **parameters: str) -> Any:
        """The JSON of an answer that must be 200."""
        status, body = self.get(path, **parameters)
        if status != 200:
            raise RuntimeError(f"GET {path} answered {status}: {body[:500]!r}")
        return json.loads(body)

    def count(self) -> int:
        """How many events a search finds."""
        return int(self.ask("/v1/events/count")["count"])

    def wait_found(self, tenant: str, id: str) -> float:
        """Wait until a search finds the event; how long that took, in s."""
        begin = time.monotonic()
        while time.monotonic() < begin + FOUND_S:
            status, body = self.get(f"/v1/events/{quote(id)}", tenant=tenant)
            if status == 200 and json.loads(body)["events"]:
                return time.monotonic() - begin
            time.sleep(0.02)
        raise RuntimeError(f"an acknowledged event was not found within {FOUND_S} s: {id}")

    def evidence_bytes(self) -> int:
        """Bytes of all evidence objects in one region."""
        kept = (self._data / "regions" / REGION / "ev").rglob("*")
        return sum(path.stat().st_size for path in kept if path.is_file())

    def segments(self) -> int:
        """Segments in one region."""
        kept = (self._data / "regions" / REGION / "ev" / "seg").rglob("*.ndjson.zst")
        return sum(1 for _ in kept)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def running(
    data: Path,
    core: int | Set[int],
    settings: Mapping[str, int] | None = None,
    config: Path | None = None,
    source: Path | None = None,
) -> Iterator[Server]:
    """Start a server on a data directory, founding a trail there if it is new; stop it at the end.

    Args:
        settings: By the names that the settings file has, for what is not to be the default.
        config: A settings file, which names other regions than the default.
        source: The checkout whose server it is; the installed one, if there is none.
    """
    port = free_port()
    program = Path(sys.executable).with_name("holdfast")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    for key, value in (settings or {}).items():
        environment[f"HOLDFAST_{key.upper()}"] = str(value)
    if source is not None:
        environment["PYTHONPATH"] = str(source / "src")
    command = [str(program), "serve", "--data", str(data), "--port", str(port)]
    side = start(
        [*command, "--config", str(config)] if config else command,
        core,
        data.with_name(data.name + ".log"),
        environment=environment,
    )
    server = Server(side, port, data)
    try:
        _wait(server)
        yield server
    finally:
        server.close()
        side.stop(signal.SIGTERM)


def _wait(server: Server) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            if server.get("/readyz")[0] == 200:
                return
        except OSError:
            server.close()
        if server.side.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not become ready:\n{tail(server.side.log)}")
        time.sleep(0.05)
