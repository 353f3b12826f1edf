"""In a writer: whatever is not an event goes to the process that reads, and its answer comes back.

HTTP/1.1 over a socket below the data directory, a connection a request: a question costs
milliseconds, and a connection that is shared would have to be mended. Whoever asks is judged here
and once more there, by the same headers.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httptools

from holdfast.errors import UnavailableError
from holdfast.serve.problems import from_error
from holdfast.serve.respond import Message, Receive, Scope, Send, respond

HEAD_SECONDS: Final = 75.0  # a question has 60, and a process that starts again a few
PIECE_SECONDS: Final = 75.0  # a stream without events says every 10 that it is alive
READ_BYTES: Final = 64 * 1024
BODY_BYTES_MAX: Final = 64 * 1024
STREAM: Final = "/v1/tail"
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"expect"}
)


class Relay:
    """The ASGI application of all but POST /v1/events. stopping: a stream is not waited for."""

    def __init__(self, path: Path, stopping: asyncio.Event) -> None:
        self._path = path
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back."""
        body = await _body(receive) if scope["method"] == "POST" else b""
        answer = _Answer(is_head=scope["method"] == "HEAD")
        try:
            incoming, outgoing = await asyncio.open_unix_connection(str(self._path))
        except OSError as error:
            await respond(send, from_error(_away(error)))
            return
        leaving = asyncio.ensure_future(self._end(scope, receive))
        try:
            outgoing.write(_head(scope, body))
            async for message in _messages(incoming, answer, leaving):
                await send(message)
        except (OSError, httptools.HttpParserError, TimeoutError) as error:
            if answer.status:
                raise  # the client must see that its answer was cut off
            await respond(send, from_error(_away(error)))
        finally:
            leaving.cancel()
            outgoing.close()

    async def _end(self, scope: Scope, receive: Receive) -> None:
        """Until the client has left or, of a stream, until this process stops."""
        waits = [asyncio.ensure_future(_left(receive))]
        if scope["path"] == STREAM:
            waits.append(asyncio.ensure_future(self._stopping.wait()))  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


class _Answer:
    """What the parser has seen of an answer. status: 0 until its head is here."""

    def __init__(self, *, is_head: bool) -> None:
        self.status = 0
        self.is_whole = False
        self.messages: list[Message] = []
        self.parser = httptools.HttpResponseParser(self)
        self._is_head = is_head
        self._headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in _HOP_BY_HOP and name.lower() != b"date":
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        start = {"type": "http.response.start", "status": self.status, "headers": self._headers}
        self.messages.append(start)
        if self._is_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        self.messages.append({"type": "http.response.body", "body": body, "more_body": True})

    def on_message_complete(self) -> None:
        if not self.is_whole:
            self.is_whole = True
            self.messages.append({"type": "http.response.body", "body": b""})


async def _messages(
    incoming: asyncio.StreamReader, answer: _Answer, leaving: asyncio.Future[None]
) -> AsyncIterator[Message]:
    """The answer as it comes, until it is whole or nobody wants more of it.

    Raises:
        OSError: it ended early. TimeoutError: nothing came. HttpParserError: it is no answer.
    """
    while not answer.is_whole:
        reading = asyncio.ensure_future(incoming.read(READ_BYTES))
        try:
            patience = PIECE_SECONDS if answer.status else HEAD_SECONDS
            await asyncio.wait(
                (reading, leaving), timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            if not reading.done():
                if leaving.done():
                    if answer.status:
                        yield {"type": "http.response.body", "body": b""}
                    return
                raise TimeoutError("nothing came")
            data = reading.result()
        finally:
            reading.cancel()
        if not data:
            raise ConnectionError("the answer ended early")
        answer.parser.feed_data(data)
        ready, answer.messages = answer.messages, []
        for message in ready:
            yield message


async def _body(receive: Receive) -> bytes:
    """Of a request that has one: all are small. Of one that is not, as much as shows that."""
    data = b""
    while len(data) <= BODY_BYTES_MAX:
        message = await receive()
        data += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return data[: BODY_BYTES_MAX + 1]


def _head(scope: Scope, body: bytes) -> bytes:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [scope["method"].encode() + b" " + scope["raw_path"] + query + b" HTTP/1.1"]
    lines += [
        name + b": " + value
        for name, value in scope["headers"]
        if name not in _HOP_BY_HOP and name != b"content-length"
    ]
    lines += [b"content-length: %d" % len(body)] if body else []
    return b"\r\n".join([*lines, b"connection: close", b"", body])


async def _left(receive: Receive) -> None:
    """Until the client has; what more it sends is passed over meanwhile."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _away(error: Exception) -> UnavailableError:
    return UnavailableError(f"the process that answers questions is away: {error}")
