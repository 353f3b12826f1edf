"""GET /v1/tail: events as they come, as server-sent events.

A message with data is an event; `event: completeness` carries the statement, at the start and with
every heartbeat in which it changed: what lies at or below it is complete, above it more may come.
Comments keep the connection, and whoever is in between, awake.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from holdfast.errors import HoldfastError
from holdfast.model import Completeness, Found
from holdfast.serve.answers import completeness_answer, element, write
from holdfast.serve.faces import Bounds
from holdfast.serve.problems import from_error


class Listening(Protocol):
    """What `Reader.tail` gives. cursor: to go on from behind the event that came last."""

    @property
    def cursor(self) -> str: ...

    async def __anext__(self) -> Found: ...


HEARTBEAT_SECONDS: Final = 10.0
RETRY_MS: Final = 2_000


async def messages(
    found: Listening, statement: Callable[[], Completeness], bounds: Bounds
) -> AsyncIterator[bytes]:
    """Turn what is found into messages, until the server stops or the listener leaves."""
    loop = asyncio.get_running_loop()
    stop = loop.create_task(bounds.stopping.wait())
    coming = loop.create_task(found.__anext__())
    bounds.tails += 1
    said = b""
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        while not stop.done():
            now_said = write(completeness_answer(statement()))
            yield b": alive\n\n" if now_said == said else _named(b"completeness", now_said)
            said = now_said
            beat_at = loop.time() + HEARTBEAT_SECONDS
            while (left := beat_at - loop.time()) > 0 and not stop.done():
                await asyncio.wait(
                    (coming, stop), timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                if coming.done():
                    event = coming.result()
                    yield message(event, found.cursor)
                    coming = loop.create_task(found.__anext__())
    except HoldfastError as error:
        yield _named(b"problem", from_error(error).body)
    finally:
        bounds.tails -= 1
        stop.cancel()
        coming.cancel()
        await asyncio.gather(stop, coming, return_exceptions=True)


def message(found: Found, cursor: str) -> bytes:
    """One event. A record holds no line ends, so its data are one line."""
    return b"id: %b\ndata: %b\n\n" % (cursor.encode(), element(found))


def _named(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)
