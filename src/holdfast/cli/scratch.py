"""A trail to break: scratch regions, real servers on loopback, a sender. Nothing of it is left.

It is shaped as the operator's own: as many regions, the same quorum, the same limits and intervals.
It never opens the operator's regions and never reads a key of theirs.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.client import Client, ClientError, Endpoint, Patience, with_id
from holdfast.client.client import new_id
from holdfast.errors import UnavailableError
from holdfast.regions.trailkey import KEY_FILE
from holdfast.settings import ENVIRONMENT_PREFIX, Settings

READY_SECONDS: Final = 60.0
END_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05
BETWEEN_EVENTS_SECONDS: Final = 0.05
PAGE_EVENTS: Final = "1000"
LOG_LINES: Final = 5
# An operator may wait half a minute for a repair and ten for a lost node; a drill does not.
SHORTENED_MAX: Final[Mapping[str, int]] = {"reconcile_interval_s": 2, "lost_after_s": 5}
# Of all numbers, which are limits and intervals. What is text or a table names places and people.
NOT_COPIED: Final = frozenset({"port", "witness_quorum"})

Event = Mapping[str, Any]


class NotInTimeError(Exception):
    """Something that was waited for did not happen; what."""


def wait_until(what: str, holds: Callable[[], bool], seconds: float) -> float:
    """Look again and again; returns the seconds that it took.

    Raises:
        NotInTimeError: it does not hold within the time.
    """
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > seconds:
            raise NotInTimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - begun


class Server:
    """A server's process in a scratch directory."""

    def __init__(self, data: Path, config: Path) -> None:
        self.data = data
        self._port = _free_port()
        self._log = data.with_name(f"{data.name}.log")
        self._command = [sys.executable, "-m", "holdfast", "serve"]
        self._command += ["--data", str(data), "--config", str(config), "--port", str(self._port)]
        self._process: subprocess.Popen[bytes] | None = None
        self.client = Client(Endpoint(self.url), Patience(timeout_seconds=END_SECONDS))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and wait until events are accepted.

        Raises:
            UnavailableError: it ended instead, or is not ready in time; its last words.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, by our interpreter
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        with suppress(NotInTimeError):
            wait_until("the server is ready", self._is_up, READY_SECONDS)
        if not self._is_ready():
            words = " / ".join(self._log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])
            raise UnavailableError(f"the scratch server does not start: {words}")

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default without a goodbye; idempotent."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(END_SECONDS)

    def close(self) -> None:
        """End it, and the connections to it."""
        self.end()
        self.client.close()

    def events(self) -> Iterator[Event]:
        """Everything that a search finds, page by page."""
        cursor = ""
        while True:
            page = self.client.get("/v1/events", {"limit": PAGE_EVENTS, "cursor": cursor})
            yield from page["events"]
            cursor = page["next"] or ""
            if not cursor:
                return

    def _is_up(self) -> bool:
        assert self._process is not None, "it was started"
        return self._process.poll() is not None or self._is_ready()

    def _is_ready(self) -> bool:
        with suppress(ClientError):
            return self.client.get_answer("/readyz").status == 200
        return False


class Sender:
    """Sends event after event until it is told to end, each again until it is acknowledged.

    acknowledged: id -> the event as it was sent.
    """

    def __init__(self, server: Server, ack_timeout_seconds: float) -> None:
        self.acknowledged: dict[str, Event] = {}
        patience = Patience(
            seconds_max=10 * READY_SECONDS,
            pause_max_seconds=0.5,
            timeout_seconds=ack_timeout_seconds + 5,
        )
        self._client = Client(Endpoint(server.url), patience)
        self._times: list[tuple[float, float]] = []  # of each request: begun, acknowledged
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def wait_for_acknowledgement(self, since: float, seconds: float) -> float:
        """The seconds from `since` until an event was acknowledged that was sent after it.

        Args:
            since: By the monotonic clock.
            seconds: How long to wait from now.
        Raises:
            NotInTimeError: there is none within the time.
        """

        def is_there() -> bool:
            return bool(self._times) and self._times[-1][0] >= since

        wait_until("an event is acknowledged", is_there, seconds)
        return next(ended for sent, ended in self._times if sent >= since) - since

    def close(self) -> None:
        """End; idempotent."""
        self._ends.set()
        self._client.give_up()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._ends.wait(BETWEEN_EVENTS_SECONDS):
            event = {"id": new_id(), "action": "drill.event", "reason": f"{len(self._times)}"}
            begun = time.monotonic()
            with suppress(ClientError):  # never acknowledged: nothing is promised of it
                self._client.send([with_id(event)])
                self.acknowledged[event["id"]] = event
                self._times.append((begun, time.monotonic()))


class Scratch:
    """The directories, and the servers and senders in them; `scratch` makes and removes it."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self.settings = settings
        self.place = place
        self.config = place / "holdfast.toml"
        self.shortened = {
            key: most for key, most in SHORTENED_MAX.items() if getattr(settings, key) > most
        }
        self._servers: list[Server] = []
        self._senders: list[Sender] = []
        self.config.write_text(_toml(settings, self.shortened, self.regions), "utf-8")

    @property
    def regions(self) -> dict[str, Path]:
        """The folder of each region: its store, and the one for control objects if it has one."""
        staying = [id for id, region in self.settings.regions.items() if not region.leaving]
        return {id: self.place / "regions" / id for id in staying}

    @property
    def acknowledged(self) -> dict[str, Event]:
        """Every event that was acknowledged so far."""
        return {id: event for s in self._senders for id, event in tuple(s.acknowledged.items())}

    def serve(self, name: str) -> Server:
        """Start a node in a directory of its own, with the scratch trail's key."""
        data = self.place / name
        data.mkdir()
        if self._servers:
            shutil.copy(self._servers[0].data / KEY_FILE, data / KEY_FILE)
        server = Server(data, self.config)
        self._servers.append(server)
        server.start()
        return server

    def send_to(self, server: Server) -> Sender:
        """Begin to send to a server."""
        self._senders.append(Sender(server, float(self.settings.ack_timeout_s)))
        return self._senders[-1]

    def ask(self, *arguments: str) -> bytes:
        """Run a command of ours on the scratch regions; its standard output.

        Raises:
            UnavailableError: it failed.
        """
        command = [sys.executable, "-m", "holdfast", *arguments, "--config", str(self.config)]
        done = subprocess.run(  # noqa: S603 - our own command, by our interpreter
            [*command, "--data", str(self.place / "reader")],
            capture_output=True,
            check=False,
            timeout=10 * END_SECONDS,
            env=environment(),
        )
        if done.returncode:
            raise UnavailableError(f"{arguments[0]}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout

    def close(self) -> None:
        """End everything that was started."""
        for sender in self._senders:
            sender.close()
        for server in self._servers:
            server.close()


@contextmanager
def scratch(settings: Settings) -> Iterator[Scratch]:
    """A scratch trail in a temporary directory; SIGTERM too ends and removes it."""
    place = Path(tempfile.mkdtemp(prefix="holdfast-drill-"))
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        made = Scratch(settings, place)
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def environment() -> dict[str, str]:
    """What processes are given: nothing that would change a scratch server's settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_PREFIX)}


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _toml(settings: Settings, shortened: Mapping[str, int], regions: Mapping[str, Path]) -> str:
    told = msgspec.to_builtins(settings).items()
    kept = {key: value for key, value in told if isinstance(value, int) and key not in NOT_COPIED}
    lines = [f"{key} = {value}" for key, value in {**kept, **shortened}.items()]
    for id, folder in regions.items():
        lines += [f"[regions.{id}]", f'url = "{(folder / "evidence").as_uri()}"']
        if settings.regions[id].control_url:
            lines.append(f'control_url = "{(folder / "control").as_uri()}"')
    return "\n".join([*lines, ""])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def changed(acknowledged: Mapping[str, Event], found: Sequence[Event]) -> list[str]:
    """What is wrong with what was found: an event lost, doubled, or not as it was sent. Pure."""
    by_id: dict[str, list[Event]] = {}
    for event in found:
        by_id.setdefault(str(event["id"]), []).append(event)
    wrong = []
    for id, sent in acknowledged.items():
        held = by_id.get(id, [])
        if len(held) != 1:
            wrong.append(f"event {id} was acknowledged and is found {len(held)} times")
        elif any(held[0].get(name) != value for name, value in sent.items()):
            wrong.append(f"event {id} is not found as it was sent")
    return wrong
