"""The HTTP face of a witness: one address to ask it at, one to look at what it saw."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.errors import CorruptError
from holdfast.ports import Offload
from holdfast.proof.note import VerifierKey
from holdfast.regions.signing import SigningKey
from holdfast.witness.request import (
    BODY_BYTES_MAX,
    SIZE_TYPE,
    RefusedError,
    check_growth,
    check_log,
    cosign,
    parse,
)
from holdfast.witness.state import State

log = logging.getLogger("holdfast.witness")

BODY_SECONDS = 10.0
AT_ONCE_MAX = 64
TEXT = "text/plain; charset=utf-8"

Scope = Mapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Mapping[str, Any]], Any]
Logs = Callable[[], Mapping[str, tuple[VerifierKey, ...]]]


class Witness:
    """An ASGI application.

    logs: the keys that are trusted, by origin; asked anew for each request, so that a log may be
    added while it runs. now_s: the clock, in seconds since 1970.
    """

    def __init__(
        self,
        state: State,
        key: SigningKey,
        logs: Logs,
        now_s: Callable[[], int],
        offload: Offload,
    ) -> None:
        self._state = state
        self._key = key
        self._logs = logs
        self._now_s = now_s
        self._offload = offload
        self._turn = asyncio.Lock()  # what is compared with the last one is kept before the next
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        kind = TEXT
        try:
            status, body = 200, await self._answer(scope["method"], scope["path"], receive)
        except RefusedError as refused:
            status, body = refused.status, refused.body.encode()
            kind = TEXT if refused.size is None else SIZE_TYPE
        except (OSError, CorruptError):
            log.exception("nothing is cosigned: the state cannot be read or written")
            status, body = 500, b"the state of this witness cannot be read or written\n"
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str, receive: Receive) -> bytes:
        if path == "/add-checkpoint":
            if method != "POST":
                raise RefusedError(405, "POST a checkpoint here\n")
            if self._under_way >= AT_ONCE_MAX:
                raise RefusedError(503, "too many ask at once\n")
            self._under_way += 1
            try:
                return await self.add(await _body(receive))
            finally:
                self._under_way -= 1
        name, _, rest = path.removeprefix("/").partition("/")
        if method in ("GET", "HEAD") and rest == "checkpoint" and _is_hash(name):
            found = await self._offload(self._state.read, name)
            if found is not None:
                return found
        raise RefusedError(404, "nothing is here\n")

    async def add(self, body: bytes) -> bytes:
        """Cosign a checkpoint; returns the signature line, once the state is durable.

        Raises:
            RefusedError: it is not cosigned. OSError, CorruptError: the state is not to be used.
        """
        request = parse(body)
        check_log(request, self._logs())
        checkpoint = request.checkpoint
        async with self._turn:
            last = await self._offload(self._state.last, checkpoint.origin)
            try:
                check_growth(request, last)
            except RefusedError as refused:
                if refused.status == 422:  # signed by the log, and not what was signed before
                    log.error("NOT COSIGNED: %s: %r", refused.body, request.note.decode())
                raise
            text = checkpoint.text
            line = cosign(text, self._key, self._now_s())
            await self._offload(self._state.keep, checkpoint.origin, request.note + line)
            return line


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise RefusedError(400, "the request is cut off\n")
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > BODY_BYTES_MAX:
                    raise RefusedError(413, f"more than {BODY_BYTES_MAX} bytes\n")
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise RefusedError(408, "the request takes too long\n") from None


def _is_hash(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")
