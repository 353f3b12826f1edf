"""A small HTTP server that plays a part: what it is sent is kept, what it answers is written."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """An answer; a status of 0 resets the connection instead."""

    status: int
    body: object = None
    headers: Mapping[str, str] = {}


class Request(NamedTuple):
    """What arrived. headers: as sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    lines: tuple[bytes, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(json.loads(line)["id"] for line in self.lines)


Part = Callable[[Request], Reply]


def stored(request: Request) -> Reply:
    """The good answer."""
    ids = list(request.ids)
    return Reply(201, {"segment": "s", "receipt": "r", "regions": ["a", "b"], "ids": ids})


def problem(kind: str, status: int, *errors: tuple[int, str, str]) -> Reply:
    """A problem document; errors: (line, field, reason)."""
    listed = [dict(zip(("line", "field", "reason"), error, strict=True)) for error in errors]
    body = {"type": f"/problems/{kind}", "status": status, "detail": kind, "errors": listed}
    return Reply(status, body)


class Server(NamedTuple):
    """url, and everything that arrived, in order."""

    url: str
    requests: list[Request]


@contextmanager
def serving(
    *script: Part, then: Part = stored, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Serve: each request gets the script's next part, and after its end `then`."""
    requests: list[Request] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            lines = tuple(line for line in body.split(b"\n") if line)
            request = Request(self.command, self.path, dict(self.headers), lines)
            with lock:
                requests.append(request)
                part = script[len(requests) - 1] if len(requests) <= len(script) else then
            self.play(part(request))

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the library's names

        def play(self, reply: Reply) -> None:
            if reply.status == 0:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            scheme = "http" if tls is None else "https"
            yield Server(f"{scheme}://127.0.0.1:{server.server_address[1]}", requests)
        finally:
            server.shutdown()
            thread.join()
