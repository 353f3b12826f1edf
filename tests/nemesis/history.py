"""What clients sent and were told, and what readers were shown, while servers were broken."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from holdfast.proof import note
from holdfast.proof.note import Note
from holdfast.times import parse_time
from holdfast.write.batch import Acknowledgement
from tests.e2e.server import Server

ANSWER_SECONDS = 12.0
BETWEEN_REQUESTS_SECONDS = 0.08
BETWEEN_LOOKS_SECONDS = 1.5
BETWEEN_BEATS_SECONDS = 0.2
SENT_AGAIN = 0.4
TENANTS = ("", "acme", "bolt")


@dataclass(frozen=True)
class Life:
    """A process of a server: its name and which start of it."""

    name: str


@dataclass(eq=False)
class Request:
    """Events that were sent, perhaps more than once. outcomes: "acknowledged", "unknown" or
    "refused", a word for each time."""

    body: bytes
    ids: tuple[str, ...]
    outcomes: list[str] = field(default_factory=list)
    ack: Acknowledgement | None = None
    records: tuple[bytes, ...] = ()  # a client does not see the record that is made of its event

    @property
    def is_acknowledged(self) -> bool:
        return "acknowledged" in self.outcomes

    @property
    def is_refused(self) -> bool:
        return set(self.outcomes) <= {"refused"}


@dataclass(frozen=True, eq=False)
class Shown:
    """A statement, and the events that were found after it was made: (id, received)."""

    reader: str
    life: int
    through_us: int
    events: frozenset[tuple[str, str]]


class Repeated:
    """Something that a thread does again and again, from `start` to `end`."""

    def __init__(self, name: str, once: Callable[[], None], pause_seconds: float) -> None:
        self._once = once
        self._pause_seconds = pause_seconds
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> Self:
        self._thread.start()
        return self

    def end(self) -> None:
        """End, once what is being done is done."""
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.wait(self._pause_seconds):
            self._once()


class Client(Repeated):
    """Sends to one server, request after request, until it is told; see `sim.checker.Writer`.

    What is unknown is sent again, by and by, to the same server.
    """

    def __init__(self, server: Server, seed: int, problem: Callable[[str], None]) -> None:
        super().__init__(f"client of {server.data.name}", self._send_one, BETWEEN_REQUESTS_SECONDS)
        self.name = server.data.name
        self.nodes: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.acks: list[tuple[Life, Acknowledgement]] = []
        self.server = server
        self._draw = Random(f"{seed}-{self.name}")
        self._problem = problem

    @property
    def acknowledged_count(self) -> int:
        return len(self.acks)

    def send(self, again: Request | None = None) -> Request:
        """Send one request and note what became of it."""
        request = again or self._new()
        life = self.server.starts
        outcome, ack = self._post(request)
        request.outcomes.append(outcome)
        if again is None:
            self.requests.append(request)
        if ack is not None:
            request.ack = ack
            if life == self.server.starts:  # else nobody can say which process it was
                self.acks.append((Life(f"{self.name}.{life}"), ack))
        return request

    def _send_one(self) -> None:
        unknown = [r for r in self.requests[-200:] if not r.is_acknowledged and not r.is_refused]
        again = bool(unknown) and self._draw.random() < SENT_AGAIN
        self.send(self._draw.choice(unknown) if again else None)

    def _new(self) -> Request:
        number = len(self.requests)
        ids = tuple(f"{self.name}-{number}-{n}" for n in range(self._draw.choice([1, 1, 2, 5])))
        tenant = self._draw.choice(TENANTS)
        events = [{"id": id, "tenant": tenant, "action": f"act.{number % 7}"} for id in ids]
        return Request("\n".join(map(json.dumps, events)).encode(), ids)

    def _post(self, request: Request) -> tuple[str, Acknowledgement | None]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.server.port, timeout=ANSWER_SECONDS
        )
        try:
            connection.connect()
        except OSError:
            return "refused", None  # nothing was sent
        try:
            headers = {"Content-Type": "application/x-ndjson"}
            connection.request("POST", "/v1/events", request.body, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return "unknown", None
        finally:
            connection.close()
        if answer.status == 201:
            if tuple(said["ids"]) != request.ids:
                self._problem(f"{request.ids} were acknowledged as {said['ids']}")
            return "acknowledged", _acknowledgement(said)
        if answer.status not in (503, 504):
            self._problem(f"a good request was answered {answer.status}: {said}")
        return ("refused" if answer.status == 503 else "unknown"), None


def _acknowledgement(said: dict[str, Any]) -> Acknowledgement:
    receipt = said["receipt"].encode()
    signed: Note = note.parse(receipt)
    node = signed.signatures[0].name.rpartition("/")[2]
    return Acknowledgement(node, said["segment"], receipt, tuple(said["regions"]))


class Reader(Repeated):
    """Asks one server for its statement and then for everything, again and again."""

    def __init__(self, server: Server, problem: Callable[[str], None]) -> None:
        super().__init__(f"reader of {server.data.name}", self._try_to_look, BETWEEN_LOOKS_SECONDS)
        self.shown: list[Shown] = []
        self.server = server
        self._problem = problem

    def look(self) -> None:
        """One statement, and all that is found after it."""
        server, life = self.server, self.server.starts
        through = server.get("/v1/completeness")["complete_through"]
        events = frozenset((event["id"], event["received"]) for event in server.events())
        if through is None or life != server.starts:
            return
        shown = Shown(server.data.name, life, parse_time(through), events)
        last = self.shown[-1] if self.shown else None
        if last and last.life == life and shown.through_us < last.through_us:
            self._problem(f"I11: {shown.reader} went back to {through}")
        self.shown.append(shown)

    def _try_to_look(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            self.look()


class Listener(Repeated):
    """Keeps every heartbeat that it sees in the regions."""

    def __init__(self, look: Callable[[], Iterable[tuple[bytes, str]]]) -> None:
        super().__init__("listener", self._listen, BETWEEN_BEATS_SECONDS)
        self.beats: dict[bytes, str] = {}
        self._look = look

    def _listen(self) -> None:
        for beat, node in self._look():
            self.beats.setdefault(beat, node)
