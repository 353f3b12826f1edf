"""A real server in a thread: real node, reader and regions, over directories of the test."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import uvloop

from holdfast.serve.run import Server, server_of
from holdfast.settings import Settings, load
from holdfast.wiring import System, open_system

Answer = TypeVar("Answer")
EVENT = {"action": "door.open", "actor": {"id": "alice"}, "outcome": "success"}


class Running:
    """What a test can do with it. url: where it listens; data: its directory."""

    def __init__(self, settings: Settings, token: bytes) -> None:
        self.settings = settings
        self.data = settings.data_path
        self.token = token
        self.port = 0
        self.system: System
        self.server: Server
        self.failure: BaseException | None = None
        self._up = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="server")

    @property
    def url(self) -> str:
        scheme = "https" if self.settings.tls_certificate else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(30), "the server did not come up"
        if self.failure is not None:
            raise self.failure
        self.wait_until(lambda: self.get("/readyz").status_code == 200)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.server.stop)
            self._thread.join(40)
        assert not self._thread.is_alive(), "the server did not stop"

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token.decode()}"} if self.token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, verify=False)

    def get(self, path: str) -> httpx.Response:
        with self.client() as client:
            return client.get(path)

    def post(self, body: object, **headers: str) -> httpx.Response:
        """Post an object as JSON, or bytes as they are."""
        with self.client() as client:
            if isinstance(body, bytes):
                return client.post("/v1/events", content=body, headers=headers)
            return client.post("/v1/events", json=body, headers=headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def inside(self, story: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run something on the server's own event loop."""

        async def told() -> Answer:
            return await story()

        return asyncio.run_coroutine_threadsafe(told(), self._loop).result(30)

    def sweep(self, seconds: float) -> None:
        """Let so much time pass for the connections, in an instant."""

        async def later() -> None:
            now = asyncio.get_running_loop().time() + seconds
            for connection in tuple(self.server.server_state.connections):
                connection.sweep(now)  # type: ignore[union-attr]

        self.inside(later)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Ask again and again, for at most 20 s; the server does its work meanwhile."""
        patience = threading.Event()
        for _ in range(400):
            if holds():
                return
            patience.wait(0.05)
        raise AssertionError("it never came to hold")

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self.failure = error
        finally:
            self._up.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with open_system(self.settings, write=True) as system:
            self.system = system
            self.server = server_of(system, "127.0.0.1", self.token, self._listening)
            await self.server.serve()

    def _listening(self, port: int) -> None:
        self.port = port
        self._up.set()


@contextmanager
def running(data: Path, token: bytes = b"", **settings: object) -> Iterator[Running]:
    """A server on a free port, stopped in order afterwards."""
    server = Running(load(None, {}, {"data": str(data), "port": 0, **settings}), token)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    if server.failure is not None:
        raise server.failure
