"""Connections, over sockets: the short way, everything beside it, and clients that misbehave."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.serve.protocol import (
    HEAD_BYTES_MAX,
    HEAD_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    MESSAGE_SECONDS,
    STALLED_SECONDS,
    untaken_bytes,
)
from tests.serve.running import EVENT, Running

BODY = json.dumps(EVENT).encode()


def request(
    body: bytes = BODY,
    *headers: str,
    line: str = "POST /v1/events HTTP/1.1",
    kind: str = "application/json",
    length: int | None = None,
) -> bytes:
    head = [
        line,
        "host: localhost",
        f"content-type: {kind}",
        f"content-length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Answer:
    """One answer, read off a connection."""

    def __init__(self, stream: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            if not byte:
                raise EOFError(head)
            head += byte
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        self.body = b""
        left = int(self.headers.get("content-length", "0"))
        while len(self.body) < left:
            self.body += stream.recv(left - len(self.body))

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found


def is_closed(stream: socket.socket) -> bool:
    """Whether the server has nothing more to say."""
    try:
        return stream.recv(1) == b""
    except ConnectionResetError:
        return True


@contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    with server.connect() as stream:
        yield stream


def test_a_connection_is_used_again(server: Running) -> None:
    with connected(server) as stream:
        statuses = []
        for _ in range(3):
            stream.sendall(request())
            statuses.append(Answer(stream).status)

    assert statuses == [201, 201, 201]


def test_the_answer_has_a_date_and_a_length(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request())
        answer = Answer(stream)

    assert {"date", "content-type", "content-length"} <= answer.headers.keys()


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    get = request(b"", line="GET /healthz HTTP/1.1")

    with connected(server) as stream:
        stream.sendall(request() + get + request() + request(b"[]") + get)
        answers = [Answer(stream) for _ in range(5)]

    assert [answer.status for answer in answers] == [201, 200, 201, 400, 200]


def test_a_request_may_arrive_a_byte_at_a_time(server: Running) -> None:
    with connected(server) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request():
            stream.sendall(bytes([byte]))
        assert Answer(stream).status == 201


def test_a_body_may_come_in_chunks(server: Running) -> None:
    head = request(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:9], BODY[9:]))

    with connected(server) as stream:
        stream.sendall(head + chunks + b"0\r\n\r\n")
        first = Answer(stream)
        stream.sendall(request())
        second = Answer(stream)

    assert (first.status, second.status) == (201, 201)


def test_whoever_waits_to_be_asked_is_asked(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request(b"", "expect: 100-continue", length=len(BODY)))
        asked = Answer(stream)
        stream.sendall(BODY)
        answered = Answer(stream)

    assert (asked.status, answered.status) == (100, 201)


def test_whoever_waits_to_be_asked_is_spared_a_body_that_would_be_refused(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request(b"", "expect: 100-continue", length=50_000_000))
        answer = Answer(stream)

        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        assert is_closed(stream)


def test_an_old_client_is_hung_up_on(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request(line="POST /v1/events HTTP/1.0"))
        answer = Answer(stream)

        assert answer.status == 201
        assert answer.headers["connection"] == "close"
        assert is_closed(stream)


def test_a_client_may_ask_to_be_hung_up_on(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request(BODY, "connection: close"))

        assert Answer(stream).status == 201
        assert is_closed(stream)


def test_a_refused_request_does_not_cost_the_connection(server: Running) -> None:
    with connected(server) as stream:
        statuses = []
        for sent in (request(kind="text/plain"), request(b"{"), request()):
            stream.sendall(sent)
            statuses.append(Answer(stream).status)

    assert statuses == [415, 400, 201]


def test_a_body_that_is_declared_too_large_is_refused_unheard(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request(b"x" * 1000, length=9_000_000))
        answer = Answer(stream)

        assert answer.status == 413
        assert is_closed(stream)


def test_a_body_that_grows_too_large_is_refused_on_the_way(server: Running) -> None:
    head = request(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    chunk = b"%x\r\n%b\r\n" % (1_000_000, b" " * 1_000_000)

    with connected(server) as stream:
        stream.sendall(head)
        for _ in range(9):
            stream.sendall(chunk)
        answer = Answer(stream)

    assert answer.status == 413


def test_a_refused_body_is_not_listened_to_for_ever(server: Running) -> None:
    head = request(b"", "transfer-encoding: chunked", kind="text/plain")
    chunk = b"%x\r\n%b\r\n" % (1_000_000, b" " * 1_000_000)

    with connected(server) as stream:
        stream.sendall(head.replace(b"content-length: 0\r\n", b""))
        for _ in range(9):
            stream.sendall(chunk)
        assert Answer(stream).status == 415


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS spoken to a plain port
        b"NONSENSE\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_is_told_so(server: Running, sent: bytes) -> None:
    with connected(server) as stream:
        stream.sendall(sent)
        answer = Answer(stream)

        assert answer.status == 400
        assert answer.json["type"] == "/problems/malformed"
        assert is_closed(stream)


def test_a_head_without_end_is_cut_short(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ")
        with pytest.raises((ConnectionError, EOFError)):
            for _ in range(100 * HEAD_BYTES_MAX // 1000):
                stream.sendall(b"y" * 1000)
            Answer(stream)
            raise EOFError


def test_a_head_that_is_too_large_is_refused_though_it_comes_at_once(server: Running) -> None:
    large, larger = (f"x: {'y' * size}" for size in (HEAD_BYTES_MAX - 1000, 180_000))

    with connected(server) as fits, connected(server) as refused:
        fits.sendall(request(BODY, large))
        refused.sendall(request(BODY, larger))

        assert Answer(fits).status == 201
        assert Answer(refused).json["type"] == "/problems/headers-too-large"
        assert is_closed(refused)


@pytest.mark.parametrize(
    "sent",
    [
        request(),
        request(b"", line="GET /v1/events?limit=1 HTTP/1.1"),
        request() + request(b"", line="GET /v1/events/export?x=1 HTTP/1.1") + request(),
    ],
)
def test_who_has_said_all_is_answered_and_hung_up_on(server: Running, sent: bytes) -> None:
    with connected(server) as stream:
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)
        answers = [Answer(stream) for _ in range(sent.count(b"HTTP/1.1"))]

        assert all(answer.status in (200, 201, 400) for answer in answers)
        assert answers[-1].headers["connection"] == "close"
        assert is_closed(stream)


@pytest.mark.parametrize("sent", [b"", request()[:20], request()[:-1]])
def test_who_leaves_before_a_request_is_whole_is_hung_up_on(server: Running, sent: bytes) -> None:
    with connected(server) as stream:
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)

        assert is_closed(stream)


def test_what_is_wrong_does_not_take_the_answer_of_the_request_before_it(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(request() + b"NONSENSE\r\n\r\n")

        assert Answer(stream).status == 201
        assert is_closed(stream)


def test_a_slow_head_and_a_slow_body_are_told_that_time_is_up(server: Running) -> None:
    with connected(server) as head, connected(server) as body:
        head.sendall(b"POST /v1/events HTTP/1.1\r\nhost: ")
        body.sendall(request()[:-3])
        server.wait_until(lambda: len(server.server.server_state.connections) >= 2)

        server.sweep(HEAD_SECONDS + 1)
        first = Answer(head)
        server.sweep(MESSAGE_SECONDS + 1)
        second = Answer(body)

    assert (first.status, second.status) == (408, 408)
    assert first.json["type"] == "/problems/timeout"


def test_a_silent_connection_is_ended(server: Running) -> None:
    with connected(server) as fresh, connected(server) as used:
        used.sendall(request())
        Answer(used)

        server.sweep(HEAD_SECONDS + 1)
        assert Answer(fresh).status == 408
        server.sweep(IDLE_SECONDS + 1)
        assert is_closed(used)


def test_who_was_refused_is_not_lingered_for_without_end(server: Running) -> None:
    with connected(server) as stream:
        stream.sendall(b"NONSENSE\r\n\r\n")
        Answer(stream)

        server.sweep(LINGER_SECONDS + 1)

        server.wait_until(lambda: not server.server.server_state.connections)


def test_a_client_that_does_not_read_is_dropped(server: Running) -> None:
    events = [{"action": "x", "tenant": "large", "reason": "y" * 7000} for _ in range(1000)]
    assert server.post(events).status_code == 201

    with connected(server) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line = "GET /v1/events?tenant=large&limit=1000 HTTP/1.1"
        stream.sendall(request(b"", line=line) * 3)
        stalled = server.server.server_state.connections
        server.wait_until(lambda: any(c.flow.write_paused for c in stalled))  # type: ignore[union-attr]

        server.sweep(STALLED_SECONDS + 1)

        server.wait_until(lambda: not server.server.server_state.connections)


def test_a_client_that_reads_slowly_is_not_dropped(server: Running) -> None:
    events = [{"action": "x", "tenant": "slow", "reason": "y" * 7000} for _ in range(1000)]
    assert server.post(events).status_code == 201

    with connected(server) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.sendall(request(b"", line="GET /v1/events?tenant=slow&limit=1000 HTTP/1.1"))
        connections = server.server.server_state.connections
        server.wait_until(lambda: any(c.flow.write_paused for c in connections))  # type: ignore[union-attr]
        served = next(c for c in connections if c.flow.write_paused)  # type: ignore[union-attr]

        async def read_and_swept() -> None:
            now = asyncio.get_running_loop().time()
            served.sweep(now)  # type: ignore[union-attr]
            unread = untaken_bytes(served.transport)
            while untaken_bytes(served.transport) == unread:
                assert stream.recv(4096)
            served.sweep(now + STALLED_SECONDS + 1)  # type: ignore[union-attr]

        server.inside(read_and_swept)

        assert served in server.server.server_state.connections


def test_one_connection_too_many_is_told_so(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.serve.protocol.CONNECTIONS_MAX", 0)

    with connected(server) as stream:
        answer = Answer(stream)

        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert is_closed(stream)


def test_nothing_is_stored_of_a_body_whose_sender_left(server: Running) -> None:
    before = server.get("/v1/status").json()["node"]["events"]

    with connected(server) as stream:
        stream.sendall(request()[:-1])
    server.wait_until(lambda: not server.server.server_state.connections)

    status = server.get("/v1/status").json()["node"]
    assert status["events"] + status["waiting"]["events"] == before
    assert server.server.config.http.ingest.arriving_bytes == 0  # type: ignore[union-attr]


def test_what_was_taken_in_is_stored_though_its_sender_left(server: Running) -> None:
    body = json.dumps({**EVENT, "id": "left-behind"}).encode()

    with connected(server) as stream:
        stream.sendall(request(body))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server.wait_until(lambda: bool(server.get("/v1/events/left-behind").json()["events"]))


def test_an_upgrade_is_not_made(server: Running) -> None:
    upgrade = ("connection: upgrade", "upgrade: h2c")

    with connected(server) as stream:
        stream.sendall(request(b"", *upgrade, line="GET /healthz HTTP/1.1"))

        assert Answer(stream).status == 200
