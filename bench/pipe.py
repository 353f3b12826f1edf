"""One connection with many messages under way, each answered by itself, in order."""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.load import BrokenAnswerError, Loaded
from bench.processes import Side, tail

RECEIVE_BYTES: Final = 256 * 1024
SILENT_S_MAX: Final = 20


START_S: Final = 20
CHUNKS: Final = 8  # of what may be under way


def wait_for(side: Side, connect: Callable[[], "Pipe"], name: str) -> None:
    """Until a server that was started takes connections.

    Raises:
        RuntimeError: it ended, or takes none in time; with its last words.
    """
    deadline = time.monotonic() + START_S
    while True:
        try:
            connect().__exit__()
            return
        except OSError:
            if side.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{tail(side.log)}") from None
            time.sleep(0.05)


class Chunk(NamedTuple):
    """Messages that are sent together."""

    data: bytes
    messages: int


@dataclass(frozen=True)
class Talk:
    """How events are told.

    frame: makes a message of an event. answer: what every answer to a message has exactly once,
    where that was accepted; "" where there are no answers. under_way: messages, at most.
    """

    frame: Callable[[bytes], bytes]
    answer: bytes
    under_way: int


class Pipe:
    """Use as a context manager."""

    def __init__(self, port: int, talk: Talk) -> None:
        self._talk = talk
        self._tail = b""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SILENT_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, data: bytes, end: bytes) -> bytes:
        """Send, and take what comes until it ends so."""
        self._socket.sendall(data)
        received = b""
        while not received.endswith(end):
            received += self._take()
        return received

    def prepare(self, events: Sequence[bytes]) -> list[Chunk]:
        """Messages of them, to be sent next on this connection."""
        texts = [self._talk.frame(event) for event in events]
        size = max(1, self._talk.under_way // CHUNKS)
        cut = (texts[at : at + size] for at in range(0, len(texts), size))
        return [Chunk(b"".join(each), len(each)) for each in cut]

    def send(self, chunks: Iterable[Chunk]) -> Loaded:
        """Send them; until the last was answered, or else sent."""
        result, begin = Loaded(), time.perf_counter()
        if self._talk.answer:
            self._exchange(chunks, result)
        else:
            for chunk in chunks:
                self._socket.sendall(chunk.data)
                result.events += chunk.messages
        result.seconds = time.perf_counter() - begin
        return result

    def _exchange(self, chunks: Iterable[Chunk], result: Loaded) -> None:
        upcoming, unsent = iter(chunks), memoryview(b"")
        waiting: deque[tuple[Chunk, int, float]] = deque()
        sent = answered = 0
        self._socket.setblocking(False)
        chunk = next(upcoming, None)
        while chunk or unsent or answered < sent:
            if not unsent and chunk and sent + chunk.messages - answered <= self._talk.under_way:
                sent += chunk.messages
                waiting.append((chunk, sent, time.perf_counter()))
                unsent, chunk = memoryview(chunk.data), next(upcoming, None)
            unsent, data = self._turn(unsent)
            answered += self._answers(data)
            while waiting and waiting[0][1] <= answered:
                done, _, since = waiting.popleft()
                result.events += done.messages
                result.ack_ms.append((time.perf_counter() - since) * 1000)
        self._socket.settimeout(SILENT_S_MAX)

    def _turn(self, unsent: memoryview) -> tuple[memoryview, bytes]:
        """What is still to be sent after what could be, and what came meanwhile."""
        ways = select.select([self._socket], [self._socket] if unsent else [], [], SILENT_S_MAX)
        if not any(ways):
            raise BrokenAnswerError(f"no answer within {SILENT_S_MAX} s")
        if ways[1]:
            unsent = unsent[self._socket.send(unsent) :]
        return unsent, self._take() if ways[0] else b""

    def _take(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        # Said anew after every read: whoever answers in many small packets, and waits for each
        # to be confirmed (Nagle), would else wait 40 ms again and again.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not data:
            raise BrokenAnswerError("the server closed the connection")
        return data

    def _answers(self, data: bytes) -> int:
        seen = self._tail + data
        self._tail = seen[-(len(self._talk.answer) - 1) :]
        return seen.count(self._talk.answer)
