"""A connection: what it may do to us, and the short way for POST /v1/events.

Uvicorn bounds neither the head of a request nor the time that it may take to arrive, nor a client
that does not read. All of that is bounded here, by a sweep once a second instead of timers, which
would be set and unset with every request. And uvicorn spends more on the ASGI scope, the task and
the messages of a request than all of ours does for an event: the one request that makes up the load
of this server therefore goes from the parser straight to `Ingest` and back. Everything else, a
pipelined request too, takes uvicorn's way.

This leans on the inside of uvicorn's `HttpToolsProtocol`: pyproject.toml holds it to one minor
version, and the tests run every path over a socket.
"""

import asyncio
import contextlib
import fcntl
import http
import logging
import sys
import termios
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from holdfast.errors import UnavailableError
from holdfast.serve.ingest import PATH, Ingest, Opened
from holdfast.serve.problems import Header, Reply, from_error, problem
from holdfast.write.batch import Acknowledgement, Taken

HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
MESSAGE_SECONDS: Final = 60.0  # head and body
IDLE_SECONDS: Final = 75.0
STALLED_SECONDS: Final = 15.0  # without a byte taken, of a client that does not read its answer
LINGER_SECONDS: Final = 5.0
CONNECTIONS_MAX: Final = 10_000
FOREVER: Final = float("inf")

_URL: Final = PATH.encode()
_LISTENING: Final = b"/v1/tail"
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}
_HEAD_TOO_LARGE: Final = problem("headers-too-large", f"more than {HEAD_BYTES_MAX:,} bytes")
_log: Final = logging.getLogger("holdfast.serve")


class _RefusedError(Exception):
    """Makes the parser drop the rest of what it holds."""


class _Nobody:
    """In place of the event that wakes uvicorn's task: on the short way nobody sleeps."""

    def set(self) -> None:
        pass


class _Call:
    """A request on the short way.

    The attributes up to `more_body` are what uvicorn asks of the request under way, whichever way
    that takes; while it is under way, whatever is pipelined behind it waits as usual.

    opened: or why it will be refused, once its body was passed over. data: the body's first part,
    which mostly is all of it; more: the parts behind it. headers: names in lower case.
    """

    # On the class, so that what never changes for most requests costs them nothing.
    response_complete = False
    disconnected = False
    message_event = _Nobody()
    body = b""
    more_body = True
    data = b""
    size_bytes = 0
    more: list[bytes] | None = None
    taken: Taken | None = None

    def __init__(
        self,
        opened: Opened | Reply,
        keep_alive: bool,
        began: float,
        headers: dict[bytes, bytes],
    ) -> None:
        self.opened = opened
        self.headers = headers
        self.keep_alive = keep_alive
        self.began = began

    def add(self, part: bytes) -> None:
        """More of the body."""
        if not self.size_bytes:
            self.data = part
        elif self.more is None:
            self.more = [part]
        else:
            self.more.append(part)
        self.size_bytes += len(part)

    def whole_body(self) -> bytes:
        """All of it; forgotten here then."""
        data = self.data if self.more is None else b"".join((self.data, *self.more))
        self.data, self.more = b"", None
        return data


class Connection(HttpToolsProtocol):
    """One client's connection. `sweep` is to be called about once a second."""

    ingest: Ingest  # set, like _heads, on the subclass that `with_ingest` makes
    _heads: "_Heads"

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._since = self.loop.time()
        self._patience = HEAD_SECONDS
        self._stalled_since = FOREVER
        self._untaken_bytes = 0
        self._is_deaf = False
        self._is_in_head = False
        self._read_bytes = 0  # at once, by the last read
        self._first_bytes = 0  # by the read in which the head began
        self._head_bytes = 0  # by those after it
        self._arriving: _Call | None = None  # its body is on its way
        self._call: _Call | None = None  # not answered yet

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            self._refuse(from_error(UnavailableError("too many connections")))

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_body()
        if self._call is not None:
            self._call.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._read_bytes = len(data)
        if self._is_in_head:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # no other protocol is spoken here; uvicorn's way answers the request itself
        except httptools.HttpParserError as error:
            if not self._is_deaf:
                self._refuse(problem("malformed", f"not HTTP/1.1: {error}"))
            return
        if self._is_in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(_HEAD_TOO_LARGE)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's hangs up
        """A client that has said all (`nc -N`) may still read: it gets its answers, then the end.
        But one that listens, and would be told for ever, has left.

        Returns:
            Whether the connection stays until then. TLS knows no such half of a connection.
        """
        cycle = self.cycle
        if self._is_answered or cycle.more_body:
            return False
        if self.url.startswith(_LISTENING) and cycle.response_started:
            return False
        cycle.keep_alive = False
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_since = self.loop.time()
        self._untaken_bytes = untaken_bytes(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_since = FOREVER

    # What the parser calls

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._is_in_head = True
        self._first_bytes, self._head_bytes = self._read_bytes, 0
        self._since = self.loop.time()
        self._patience = HEAD_SECONDS

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._patience = MESSAGE_SECONDS
        if self._first_bytes + self._head_bytes > HEAD_BYTES_MAX:  # of which some may be a body's
            fields = sum(len(name) + len(value) for name, value in self.headers)
            if len(self.url) + fields > HEAD_BYTES_MAX:
                self._refuse_in_parser(_HEAD_TOO_LARGE)
        if (
            self.url == _URL
            and self.parser.get_method() == b"POST"
            and self._is_answered
            and not self.parser.should_upgrade()
        ):
            self._open()
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url, self.headers, self.scope["headers"] = url, headers, headers
        self.expect_100_continue = _expects(dict(headers))
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        call = self._arriving
        if call is None:
            super().on_body(body)
        elif isinstance(call.opened, Reply):  # passed over, so that the client hears the answer
            call.size_bytes += len(body)
            if call.size_bytes > self.ingest.limit_bytes:
                self._arriving = None
                self._refuse_in_parser(call.opened)
        else:
            refusal = self.ingest.arrived(len(body), call.size_bytes)
            call.add(body)
            if refusal is not None:
                self._drop_body()
                self._refuse_in_parser(refusal)

    def on_message_complete(self) -> None:
        call, self._arriving = self._arriving, None
        if call is None:
            self._wait(IDLE_SECONDS if self.cycle.response_complete else FOREVER)
            super().on_message_complete()
            return
        self._patience = FOREVER
        call.more_body = False
        if isinstance(call.opened, Reply):
            self._answer(call.opened)
            return
        taken = self.ingest.begin(call.opened, call.whole_body())
        self.ingest.left(call.size_bytes)
        if isinstance(taken, Reply):
            self._answer(taken)
        else:
            call.taken = taken
            taken.outcome.add_done_callback(self._on_outcome)

    @property
    def _is_answered(self) -> bool:
        """No request is under way, on either way."""
        return bool(getattr(self.cycle, "response_complete", True))

    # The short way

    def _open(self) -> None:
        headers = dict(self.headers)
        opened = self.ingest.open(headers)
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        call = _Call(opened, keep_alive, self.loop.time(), headers)
        self._call = self._arriving = call
        self.cycle = call  # type: ignore[assignment]  # as far as uvicorn looks, it is one
        is_refused = isinstance(opened, Reply)
        if b"expect" in headers and _expects(headers):
            if not is_refused:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif not is_refused or int(headers.get(b"content-length", b"0")) <= self.ingest.limit_bytes:
            return
        if isinstance(opened, Reply):
            self._arriving = None
            self._refuse_in_parser(opened)

    def _on_outcome(self, outcome: "asyncio.Future[Acknowledgement]") -> None:
        call = self._call
        assert call is not None, "one call at a time"
        assert call.taken is not None, "its outcome is here"
        parent = call.headers.get(b"traceparent", b"")
        self._answer(self.ingest.finish(call.taken, call.began, parent))

    def _answer(self, reply: Reply) -> None:
        """Answer the call under way."""
        call, self._call = self._call, None
        assert call is not None, "there is a call to answer"
        self.ingest.metrics.answered(reply.status, self.loop.time() - call.began, call.headers)
        call.response_complete = True
        if call.disconnected or self.transport.is_closing():
            return
        self._write(reply, call.keep_alive)
        if not call.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _drop_body(self) -> None:
        """Forget the body that was arriving."""
        call, self._arriving = self._arriving, None
        if call is not None:
            self.ingest.metrics.gone += 1
            if not isinstance(call.opened, Reply):
                self.ingest.left(call.size_bytes)

    # Either way

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._wait(IDLE_SECONDS)

    def _wait(self, seconds: float) -> None:
        """From now on the client has so long for its next step."""
        self._since = self.loop.time()
        self._patience = seconds

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        if self._stalled_since < FOREVER:
            before, self._untaken_bytes = self._untaken_bytes, untaken_bytes(self.transport)
            if self._untaken_bytes < before:
                self._stalled_since = now
        if now - self._stalled_since > STALLED_SECONDS:
            self.cycle.disconnected = True  # or a piece that is made now meets a closed transport
            self.transport.abort()
        elif now - self._since <= self._patience:
            return
        elif self._is_deaf or self.transport.is_closing():
            self.transport.abort()
        elif self._patience == IDLE_SECONDS:
            self.transport.close()
        else:
            self._drop_body()
            self._refuse(problem("timeout", "the request did not arrive in time"))

    def _refuse_in_parser(self, reply: Reply) -> None:
        """Refuse from within one of the parser's calls, and keep it from making any more."""
        self._refuse(reply)
        raise _RefusedError

    def _refuse(self, reply: Reply) -> None:
        """Answer at once, though more of the request may be on its way, and hang up.

        Closing a socket that holds unread bytes would reset the connection, and the client might
        never see why: so listen on for a while without hearing.
        """
        self._is_deaf = True
        call = self._call
        if not self._is_answered and (call is None or call.taken is not None):
            # An earlier request's answer is on its way: that one is given, and then the end.
            self.cycle.keep_alive = False
            self._patience = FOREVER
            return
        if call is not None:
            self._call = None
            call.response_complete = True
            self.ingest.metrics.answered(reply.status, self.loop.time() - call.began, call.headers)
        self._write(reply, keep_alive=False)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait(LINGER_SECONDS)

    def _write(self, reply: Reply, keep_alive: bool) -> None:
        status, headers, body = reply
        defaults = self.server_state.default_headers  # a new list every second, with the date
        heads = self._heads
        if heads.defaults is not defaults:
            heads.defaults = defaults
            heads.known.clear()
        head = heads.known.get((status, headers))
        if head is None:
            lines = [b"%b: %b\r\n" % pair for pair in (*defaults, *headers)]
            head = heads.known[status, headers] = b"".join((_STATUS_LINES[status], *lines))
        end = b"\r\n\r\n" if keep_alive else b"\r\nconnection: close\r\n\r\n"
        self.transport.write(b"%bcontent-length: %d%b%b" % (head, len(body), end, body))


class _Heads:
    """Heads of answers, as they are within one second. known: by status and headers."""

    def __init__(self) -> None:
        self.defaults: list[tuple[bytes, bytes]] = []
        self.known: dict[tuple[int, tuple[Header, ...]], bytes] = {}


def with_ingest(ingest: Ingest) -> type[Connection]:
    """The class that uvicorn makes connections of."""
    return type("Connection", (Connection,), {"ingest": ingest, "_heads": _Heads()})


def untaken_bytes(transport: asyncio.Transport) -> int:
    """What was sent and not taken: here, and in the kernel, whose megabytes a slow client reads
    for longer than a stalled one is waited for."""
    queued = bytearray(4)
    with contextlib.suppress(OSError):  # only Linux tells that of a socket
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)


def _expects(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"expect", b"").lower() == b"100-continue"
