"""Real server processes on loopback, each known by its pid alone."""

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

HOLDFAST = str(Path(sys.executable).parent / "holdfast")
CLOUDTRAIL = (
    Path(__file__).parents[1] / "data/events/cloudtrail/invictus_stratus_20230710.ndjson.gz"
)
PATIENCE_SECONDS = 60.0


class Server:
    """`holdfast serve` in a directory; its regions are those of the settings, or the default.

    starts: how often it was started.
    """

    def __init__(
        self, data: Path, config: Path | None = None, prefix: Sequence[str] = (), **settings: str
    ) -> None:
        """prefix: a command that becomes the server. settings: by their names in the environment,
        without the prefix."""
        self.data = data
        self.starts = 0
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.with_name(data.name + ".log")
        self._command = [*prefix, HOLDFAST, "serve", "--data", str(data), "--port", str(self.port)]
        self._command += ["--config", str(config)] if config else []
        self._environment = os.environ | {f"HOLDFAST_{k}": v for k, v in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, ready: bool = True) -> "Server":
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment
            )
        if ready:
            wait_until(self.is_ready, self.log.read_text)
        return self

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: it does nothing until it is resumed, and does not know."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM: drain, close the epoch, go. Returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_SECONDS)

    def wait(self) -> int:
        """Until it ends by itself; returns the exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """The JSON of a good answer."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def send(self, *actions: str) -> dict[str, Any]:
        """One request with an event an action; its acknowledgement."""
        body = "\n".join(json.dumps({"action": action}) for action in actions).encode()
        request = urllib.request.Request(
            f"{self.url}/v1/events", body, {"Content-Type": "application/x-ndjson"}
        )
        with urllib.request.urlopen(request, timeout=40) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def events(self, **parameters: str) -> Iterator[dict[str, Any]]:
        """Everything that a search finds, page by page."""
        cursor = ""
        while True:
            page = self.get("/v1/events", limit="1000", cursor=cursor, **parameters)
            yield from page["events"]
            cursor = page["next"] or ""
            if not cursor:
                return

    def caught_up(self, us_text: str) -> None:
        """Wait until the trail is complete through that time."""
        wait_until(
            lambda: (self.get("/v1/completeness")["complete_through"] or "") > us_text,
            lambda: json.dumps(self.get("/v1/completeness"), indent=1),
        )

    def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], tell: Callable[[], str] = str) -> None:
    """Ask again and again; the processes under test have a time of their own."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends, tell()
        time.sleep(0.05)


def holdfast(*arguments: str, ok: tuple[int, ...] = (0,)) -> str:
    """Run the command line; its standard output."""
    done = subprocess.run(
        [HOLDFAST, *arguments], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode in ok, f"exit {done.returncode}: {done.stderr}\n{done.stdout}"
    return done.stdout


def cloudtrail_records() -> Counter[str]:
    """The records of the real CloudTrail set, as parsed, and how often each occurs in it."""
    with gzip.open(CLOUDTRAIL) as file:
        return Counter(json.dumps(json.loads(line), sort_keys=True) for line in file)


def payloads(events: Iterable[dict[str, Any]]) -> Counter[str]:
    """The foreign records in what a search found, as parsed."""
    return Counter(json.dumps(event["payload"], sort_keys=True) for event in events)
