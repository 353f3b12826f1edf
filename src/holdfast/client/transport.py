"""HTTP exchanges over kept connections."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_BYTES_MAX = 256 * 1024 * 1024
EVENT_LINE_BYTES_MAX = 4 * 1024 * 1024
SILENCE_SECONDS = 45.0  # a stream without events says every 10 that it is alive
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
BLOCK_BYTES = 256 * 1024
USER_AGENT = "holdfast-client/1"


class ConnectError(Exception):
    """No connection came about: the request cannot have arrived."""


class BrokenError(Exception):
    """The exchange broke after the request went out, wholly or in part."""


@dataclass(frozen=True)
class Endpoint:
    """A server.

    url: http://host:port or https://host:port, and a path before ours where a proxy adds one.
    token: the bearer token; "": none. ca_file: certificates to trust instead of the system's.
    """

    url: str
    token: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"a server's URL is http://HOST:PORT or https://HOST:PORT: {self.url!r}"
            )
        try:
            _ = parts.port
        except ValueError:
            raise ValueError(f"a server's URL has a port of 0 to 65535: {self.url!r}") from None
        if parts.username is not None:  # nothing would send it
            raise ValueError("a server's URL holds no password: give a token")
        if parts.query or parts.fragment:
            raise ValueError(f"a server's URL has no query: {self.url!r}")


@dataclass(frozen=True)
class Answer:
    """What came back. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_seconds(self) -> float:
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() and len(text) < 6 else 0.0


class Transport:
    """Exchanges with one endpoint; may be shared by threads.

    timeout_seconds: for each wait on the socket.
    """

    def __init__(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._parts = urlsplit(endpoint.url)
        self._context: ssl.SSLContext | None = None
        if self._parts.scheme == "https":
            self._context = ssl.create_default_context(cafile=endpoint.ca_file or None)
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._is_closed = False

    def exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a request and read the whole answer.

        Raises:
            ConnectError: the request did not go out.
            BrokenError: it went out, at least in part; what became of it is not known.
        """
        connection = self._take() or self._connect(self._timeout_seconds)
        try:
            is_sent = False
            # Refused before the whole body was read: the answer is there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, self._path(path), body, self._headers(headers))
                is_sent = True
            response = connection.getresponse()
            content = response.read(ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise BrokenError(_reason(error)) from error
        except BaseException:
            connection.close()  # half an exchange must never be taken for the next one's answer
            raise
        answer_headers = {name.lower(): value for name, value in response.getheaders()}
        is_usable = is_sent and response.isclosed() and not response.will_close
        self._give_back(connection, is_usable)
        return Answer(response.status, answer_headers, content)

    @contextlib.contextmanager
    def stream(
        self,
        path: str,
        accept: str,
        read: Callable[[http.client.HTTPResponse], Iterator[bytes]],
        silence_seconds: float | None = None,
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """GET something long: its head, and its parts as they come, on its own connection.

        read: takes them off the response; `lines_of` or `blocks_of`. silence_seconds: how long
        nothing may come; None: as long as the other machine is there.

        The body of the answer is there only when its status is not 200.

        Raises:
            ConnectError: no connection. BrokenError: it broke.
        """
        connection = self._connect(silence_seconds)
        try:
            connection.request("GET", self._path(path), None, self._headers({"Accept": accept}))
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            body = b"" if response.status == 200 else response.read(ANSWER_BYTES_MAX)
            yield Answer(response.status, headers, body), read(response)
        except (OSError, http.client.HTTPException) as error:
            raise BrokenError(_reason(error)) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Drop the kept connections. An exchange that is under way ends by itself."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: http.client.HTTPConnection, is_usable: bool) -> None:
        with self._lock:
            if is_usable and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, timeout_seconds: float | None) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._context is not None:
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._timeout_seconds, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise ConnectError(_reason(error)) from error
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A machine that is gone is found out within a minute, also where its answer takes long.
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):  # not every system has them
                connection.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        connection.sock.settimeout(timeout_seconds)
        return connection

    def _path(self, path: str) -> str:
        return self._parts.path.rstrip("/") + path

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {"User-Agent": USER_AGENT, **headers}
        if self._endpoint.token:
            sent["Authorization"] = f"Bearer {self._endpoint.token}"
        return sent


def lines_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The lines of a body as they come, without their ends, bounded each."""
    while line := response.readline(EVENT_LINE_BYTES_MAX + 1):
        if len(line) > EVENT_LINE_BYTES_MAX:
            raise http.client.LineTooLong("a line of the stream")
        yield line.rstrip(b"\r\n")


def blocks_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """A body as it comes, in blocks of some size."""
    while block := response.read(BLOCK_BYTES):
        yield block
    if response.length:  # which the library passes over
        raise http.client.IncompleteRead(b"", response.length)


def _reason(error: Exception) -> str:
    """What went wrong, for a person; never empty."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
