"""Who holds a connection to a witness and asks nothing does not keep others out."""

import asyncio
import contextlib
import time
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from holdfast.witness import connection
from holdfast.witness.connection import Connection


async def _unasked(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request arrived")


def test_a_head_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTION_SECONDS", 0.2)
    config, state = uvicorn.Config(_unasked, log_config=None), ServerState()
    config.load()

    async def story() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\n")
            began = time.monotonic()
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            return time.monotonic() - began, len(state.connections)

    seconds, left = asyncio.run(story())

    assert seconds < 2 and left == 0
