"""The client: HTTP/1.1 over keep-alive connections, one thread, one epoll loop.

Bounded in everything: so many connections, so many events, so many seconds. An event counts when
its `201` has arrived whole. Two ways to load a server:

- *closed*: every connection sends its next request as soon as the last one was answered. That finds
  the peak, and its latencies say nothing but how long the queue was.
- *paced*: requests fall due at a fixed rate, whatever the server does; one that finds no connection
  free waits, and its latency counts from when it was due.
"""

import gzip
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from bench.events import Batch, Stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RECEIVE_BYTES: Final = 256 * 1024
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
REFUSALS_MAX: Final = 1_000
_HEAD: Final = (
    "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
)
_CODED: Final = "\r\nContent-Encoding: {}"
CODINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": lambda data: data,
    "gzip": partial(gzip.compress, compresslevel=1),
    "zstd": partial(zstd.compress, level=1),
}


class BrokenAnswerError(Exception):
    """The server said something that is no answer, or closed the connection."""


class Request(NamedTuple):
    """What is sent: how many events it carries, and which is the last of them."""

    data: bytes
    events: int
    tenant: str
    id: str


Requests = Iterator[Request]
Way = Callable[[Stream], Requests]


def batches(stream: Stream, coding: str = "") -> Requests:
    """A request of NDJSON for each batch of the stream. coding: gzip or zstd, or none."""
    for batch in stream:
        data = CODINGS[coding](batch.data)
        yield _request(
            data, f"application/x-ndjson{_CODED.format(coding) if coding else ''}", batch
        )


def arrays(stream: Stream) -> Requests:
    """A request of a JSON array for each batch of the stream."""
    for batch in stream:
        yield _request(b"[%b]" % b",".join(batch.lines), "application/json", batch)


def _request(data: bytes, kind: str, batch: Batch) -> Request:
    head = _HEAD.format(kind=kind, size=len(data))
    last = batch.tenants[-1].decode(), batch.ids[-1].decode()
    return Request(head.encode() + data, len(batch.ends), *last)


def singles(stream: Iterable[Batch]) -> Requests:
    """A request of JSON for each event."""
    for batch in stream:
        for line, tenant, id in zip(batch.lines, batch.tenants, batch.ids, strict=True):
            head = _HEAD.format(kind="application/json", size=len(line))
            yield Request(head.encode() + line, 1, tenant.decode(), id.decode())


@dataclass
class Loaded:
    """What came of it.

    events: acknowledged with 201. ack_ms: latency of each such request, due: since when, by
    `time.perf_counter`. statuses: of every answer. last: tenant and id of the event that was sent
    last.
    """

    events: int = 0
    seconds: float = 0.0
    ack_ms: list[float] = field(default_factory=list)
    due: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    last: tuple[str, str] = ("", "")

    @property
    def rate(self) -> float:
        """Acknowledged events a second."""
        return self.events / self.seconds if self.seconds else 0.0


@dataclass
class _Connection:
    socket: socket.socket
    unsent: bytes | memoryview = b""
    received: bytearray = field(default_factory=bytearray)
    since: float = 0.0
    events: int = 0
    is_waiting: bool = False  # for an answer
    is_full: bool = False  # the kernel took only a part


class Client:
    """Connections to one server. Use as a context manager."""

    def __init__(self, port: int, connections: int) -> None:
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        for _ in range(connections):
            connected = socket.create_connection(("127.0.0.1", port), timeout=10)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setblocking(False)
            connection = _Connection(connected)
            self._connections[connected.fileno()] = connection
            self._poll.register(connected.fileno(), select.EPOLLIN)
            self._idle.append(connection)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()

    def closed(self, requests: Requests, events: int, seconds_max: float) -> Loaded:
        """Send until so many events were sent and answered, or the time is over.

        Raises:
            BrokenAnswerError: also when REFUSALS_MAX requests were refused.
        """
        result, sent = Loaded(), 0
        begin = time.perf_counter()
        while True:
            has_time = time.perf_counter() - begin < seconds_max
            while self._idle and sent < events and has_time:
                request = next(requests)
                sent += request.events
                result.last = (request.tenant, request.id)
                self._send(self._idle.popleft(), request, time.perf_counter())
            if len(self._idle) == len(self._connections):
                break
            self._turn(1.0, result)
            if time.perf_counter() - begin > seconds_max + 60:
                raise BrokenAnswerError("no answer within 60 s of the end")
        result.seconds = time.perf_counter() - begin
        return result

    def paced(self, requests: Requests, rate: float, seconds: float) -> Loaded:
        """Send `rate` events a second, for so long; then take the answers that are still due.

        Raises:
            BrokenAnswerError: as for `closed`.
        """
        result = Loaded()
        begin = due = time.perf_counter()
        upcoming = next(requests)
        while True:
            now = time.perf_counter()
            while self._idle and due <= now and due < begin + seconds:
                self._send(self._idle.popleft(), upcoming, due)
                result.last = (upcoming.tenant, upcoming.id)
                due += upcoming.events / rate
                upcoming = next(requests)
            is_over = due >= begin + seconds
            if is_over and len(self._idle) == len(self._connections):
                break
            wait = 1.0 if is_over or not self._idle else max(0.0, due - time.perf_counter())
            self._turn(wait, result)
            if now > begin + seconds + 60:
                raise BrokenAnswerError("no answer within 60 s of the end")
        result.seconds = time.perf_counter() - begin
        return result

    def one(self, request: Request) -> Loaded:
        """Send one request and take its answer."""
        return self.closed(iter((request,)), request.events, 10)

    def _turn(self, timeout_s: float, result: Loaded) -> None:
        for number, ready in self._poll.poll(timeout_s):
            connection = self._connections[number]
            if ready & select.EPOLLOUT:
                self._push(connection)
            if ready & ~select.EPOLLOUT:
                self._take(connection, result)

    def _send(self, connection: _Connection, request: Request, since: float) -> None:
        connection.since = since
        connection.events = request.events
        connection.is_waiting = True
        connection.unsent = memoryview(request.data)
        self._push(connection)

    def _push(self, connection: _Connection) -> None:
        try:
            count = connection.socket.send(connection.unsent)
        except BlockingIOError:
            count = 0
        connection.unsent = connection.unsent[count:]
        if bool(connection.unsent) != connection.is_full:
            connection.is_full = not connection.is_full
            mask = select.EPOLLIN | (select.EPOLLOUT if connection.is_full else 0)
            self._poll.modify(connection.socket.fileno(), mask)

    def _take(self, connection: _Connection, result: Loaded) -> None:
        data = connection.socket.recv(RECEIVE_BYTES)
        if not data or not connection.is_waiting:
            raise BrokenAnswerError("the server closed a connection or spoke unasked")
        connection.received += data
        status = _status_of_whole(connection.received)
        if status == 0:
            return
        connection.received.clear()
        connection.is_waiting = False
        self._idle.append(connection)
        result.statuses[status] += 1
        if status == 201:
            result.events += connection.events
            result.ack_ms.append((time.perf_counter() - connection.since) * 1000)
            result.due.append(connection.since)
        elif result.statuses.total() - result.statuses[201] > REFUSALS_MAX:
            raise BrokenAnswerError(f"too many refusals: {dict(result.statuses)}")


def _status_of_whole(received: bytearray) -> int:
    """The status of an answer that has arrived whole, else 0."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        if len(received) > ANSWER_BYTES_MAX:
            raise BrokenAnswerError("endless head")
        return 0
    head = bytes(received[:head_end]).lower()
    at = head.find(b"\r\ncontent-length:")
    if not head.startswith(b"http/1.1 ") or at < 0:
        raise BrokenAnswerError(f"not an answer with a Content-Length: {head[:200]!r}")
    size = int(head[at + 17 :].split(b"\r\n", 1)[0])
    if len(received) < head_end + 4 + size:
        return 0
    if len(received) > head_end + 4 + size:
        raise BrokenAnswerError("more bytes than the answer's length")
    return int(head[9:12])
