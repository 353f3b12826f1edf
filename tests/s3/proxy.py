"""A proxy before a real S3 gateway that breaks one promise at a time.

It signs each request anew, since what it changes is signed for.
"""

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import httpx
import uvicorn
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.s3.ceph import CephRegion

SHIFT = timedelta(hours=1)
SLOW_SECONDS = 1.5
# Of a request: what is signed for, or is the connection's own. Of an answer: the latter.
OWN = {"authorization", "host", "connection", "content-length", "transfer-encoding", "keep-alive"}
SIGNED = OWN | {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}

Message = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


class Proxy:
    """An ASGI application. broken: what it does wrong now, of

    "conditions" (a put-if-absent is a plain put), "names" (every put-if-absent is refused), "puts"
    (what is put is thrown away, and was "stored"), "reads" (what was read once is read for ever),
    "listings" (nothing new is listed), "clock" (an hour ahead), "speed".
    """

    def __init__(self, ceph: CephRegion) -> None:
        self.broken: set[str] = set()
        self._upstream = ceph.access.endpoint
        file = ConfigParser()
        file.read(ceph.access.credentials_file)
        key, secret = file["default"].values()
        self._signer = S3SigV4Auth(Credentials(key, secret), "s3", "us-east-1")
        # None is kept open: whoever stops this closes nothing.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(trust_env=False, limits=limits)
        self._put: set[str] = set()
        self._read: dict[str, Answer] = {}

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        target = scope["raw_path"].decode() + "?" + scope["query_string"].decode()
        status, told, content = await self._answer(scope["method"], target, headers, body)
        told = {**told, "content-length": str(len(content))}
        pairs = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        path, _, query = target.partition("?")
        is_create = method == "PUT" and "if-none-match" in headers
        if "speed" in self.broken:
            await asyncio.sleep(SLOW_SECONDS)
        if "names" in self.broken and is_create:
            return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        if "puts" in self.broken and method == "PUT":
            return 200, {"etag": '"0"'}, b""
        if "conditions" in self.broken:
            headers = {name: value for name, value in headers.items() if name != "if-none-match"}
        if method == "PUT":
            self._put.add(unquote(path).partition("/")[2].partition("/")[2])
        if "reads" in self.broken and method == "GET" and not query and path in self._read:
            return self._read[path]
        answer = self._bent(await self._forward(method, target, headers, body))
        if method == "GET" and not query:
            self._read.setdefault(path, answer)
        return answer

    async def _forward(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        kept = {name: value for name, value in headers.items() if name not in SIGNED}
        request = AWSRequest(method, self._upstream + target.rstrip("?"), kept, body)
        self._signer.add_auth(request)
        answer = await self._client.request(
            method, request.url, headers=dict(request.headers.items()), content=body
        )
        told = {name: value for name, value in answer.headers.items() if name not in OWN}
        return answer.status_code, told, answer.content

    def _bent(self, answer: Answer) -> Answer:
        status, told, content = answer
        if "clock" in self.broken and "last-modified" in told:
            moment = parsedate_to_datetime(told["last-modified"]) + SHIFT
            told = {**told, "last-modified": format_datetime(moment, usegmt=True)}
        if "listings" in self.broken:
            for key in self._put:
                entry = rf"<Contents><Key>{re.escape(key)}</Key>.*?</Contents>".encode()
                content = re.sub(entry, b"", content, flags=re.DOTALL)
        return status, told, content


@contextmanager
def served(proxy: Proxy) -> Iterator[str]:
    """The proxy in a thread of its own; its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(proxy, log_level="warning", lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
