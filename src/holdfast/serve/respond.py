"""Sending a whole answer over ASGI, and what a mistake of ours looks like from outside."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from holdfast.serve.problems import Reply, problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_log: Final = logging.getLogger("holdfast.serve")


async def respond(send: Send, reply: Reply) -> None:
    """Send a whole answer."""
    length = b"%d" % len(reply.body)
    headers = [*reply.headers, (b"content-length", length)]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def incident(error: BaseException) -> Reply:
    """A mistake of ours: the whole story goes to the log, only its number to the client. It is the
    time since the machine began, so that no other process of it has had the same one."""
    number = int(asyncio.get_running_loop().time() * 1_000_000)
    _log.error("incident %d", number, exc_info=error)
    return problem("internal", "the server's log has the details", incident=number)
