"""POST /v1/events: what happens to a request, without any HTTP machinery.

    open (its head) -> [ its body arrives, bounded ] -> begin (admit, take in) -> finish (answer)

Two ways lead here: `protocol`, which is taken for nearly every request and costs about half of what
ASGI does, and the ASGI endpoint below, for whatever the short way leaves aside. What holds for
every answer: 201 only after W regions hold the events; a 4xx or 503 only when nothing was stored;
504 with the ids when nobody can say. Whoever sent a request may leave at any time: what was taken
in stays in its batch.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from holdfast.errors import HoldfastError, Problem, RejectedError, UnavailableError
from holdfast.serve import body
from holdfast.serve.auth import Gate
from holdfast.serve.problems import Header, Reply, from_error
from holdfast.serve.respond import Receive, Scope, Send, incident, respond
from holdfast.tracing import Traces
from holdfast.watch.standing import IngestMetrics
from holdfast.write.admit import Limits, admit, media_type
from holdfast.write.batch import Taken
from holdfast.write.node import Node

PATH: Final = "/v1/events"
ARRIVING_BYTES_MAX: Final = 256 * 1024 * 1024
OPENED_MAX: Final = 256  # kinds of heads that are remembered; senders use one or two

_JSON: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"),)
_encode = msgspec.json.Encoder().encode


class Opened(NamedTuple):
    """The head of a request that may go on. kind: JSON or NDJSON; coding: of the body."""

    principal: str
    kind: str
    coding: str


class Ingest:
    """Takes requests in. Its methods answer with a `Reply` instead of raising.

    Args:
        node: None where this process does not write: every request gets 503.
        limits: of an event and of a request, as the settings have them.
    """

    def __init__(
        self,
        node: Node | None,
        gate: Gate,
        limits: Limits,
        metrics: IngestMetrics,
        traces: Traces | None = None,
    ) -> None:
        self.metrics = metrics
        self.limit_bytes = limits.request_bytes
        self._node = node
        self._gate = gate
        self._limits = limits
        self._traces = traces
        self.arriving_bytes = 0
        self._opened: dict[tuple[str, tuple[bytes, bytes]], Opened] = {}
        self._receipt = b""
        self._shared = b""

    def open(self, headers: Mapping[bytes, bytes]) -> Opened | Reply:
        """Judge a request by its head. headers: names in lower case."""
        principal = self._gate.admit(headers)
        if not isinstance(principal, str):
            return principal
        try:
            if self._node is None:
                raise UnavailableError("this process only reads", retry_after_seconds=60)
            if int(headers.get(b"content-length", b"0")) > self.limit_bytes:
                raise body.too_large(self.limit_bytes)
            kinds = headers.get(b"content-type", b""), headers.get(b"content-encoding", b"")
            opened = self._opened.get((principal, kinds))
            if opened is None:
                kind = media_type(kinds[0].decode("latin-1"))
                opened = Opened(principal, kind, body.encoding(kinds[1]))
                if len(self._opened) < OPENED_MAX:
                    self._opened[principal, kinds] = opened
            return opened
        except HoldfastError as error:
            return from_error(error)
        except Exception as error:
            return incident(error)

    def arrived(self, part_bytes: int, so_far_bytes: int) -> Reply | None:
        """More of a body is here; refused beyond the request's limit, or that of all together.

        Whoever calls this calls `left` with the sum, once the body is no longer held.
        """
        self.arriving_bytes += part_bytes
        if so_far_bytes + part_bytes > self.limit_bytes:
            return from_error(body.too_large(self.limit_bytes))
        if self.arriving_bytes > ARRIVING_BYTES_MAX:
            return from_error(UnavailableError("too many large requests arrive at once"))
        return None

    def left(self, size_bytes: int) -> None:
        """A body of that size is no longer held."""
        self.arriving_bytes -= size_bytes

    def begin(self, opened: Opened, data: bytes) -> Taken | Reply:
        """Admit the body and take its events in."""
        try:
            if opened.coding != "identity":
                data = body.decode(data, opened.coding, self.limit_bytes)
            admitted = admit(data, opened.kind, self._limits)
            assert self._node is not None, "open() lets nothing through without a node"
            return self._node.take(admitted, opened.principal)
        except HoldfastError as error:
            return from_error(error)
        except Exception as error:
            return incident(error)

    def finish(self, taken: Taken, began: float, parent: bytes = b"") -> Reply:
        """The answer, once the outcome is there. began, parent: as in `Traces.answered`."""
        if self._traces is not None:
            self._traces.answered(taken, began, parent)
        try:
            acknowledged = taken.outcome.result()
        except HoldfastError as error:
            return from_error(error)
        except (Exception, asyncio.CancelledError) as error:
            return incident(error)
        self.metrics.acknowledged(len(taken.ids), taken.size_bytes)
        # All requests of a segment share its receipt, so that part is written once a segment.
        if acknowledged.receipt is not self._receipt:
            shared = {
                "segment": acknowledged.segment,
                "receipt": acknowledged.receipt.decode(),
                "regions": acknowledged.regions,
            }
            self._shared = _encode(shared)[:-1] + b',"ids":'
            self._receipt = acknowledged.receipt
        return Reply(201, _JSON, self._shared + _encode(taken.ids) + b"}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI endpoint."""
        began = asyncio.get_running_loop().time()
        reply = await self._answer(scope, receive, began)
        if reply is not None:
            seconds = asyncio.get_running_loop().time() - began
            self.metrics.answered(reply.status, seconds, dict(scope["headers"]))
            await respond(send, reply)

    async def _answer(self, scope: Scope, receive: Receive, began: float) -> Reply | None:
        if scope["query_string"]:
            reason = "POST /v1/events takes no parameters"
            return from_error(RejectedError("unknown-parameter", Problem(0, "", reason)))
        headers = dict(scope["headers"])
        opened = self.open(headers)
        if isinstance(opened, Reply):
            return opened
        data = await self._read(receive)
        if not isinstance(data, bytes):
            return data
        taken = self.begin(opened, data)
        if isinstance(taken, Reply):
            return taken
        await asyncio.wait((taken.outcome,))  # does not cancel it when this is cancelled
        return self.finish(taken, began, headers.get(b"traceparent", b""))

    async def _read(self, receive: Receive) -> bytes | Reply | None:
        """The body; None: the client left first."""
        parts: list[bytes] = []
        size_bytes = 0
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    self.metrics.gone += 1
                    return None
                part: bytes = message.get("body", b"")
                refused = self.arrived(len(part), size_bytes)
                size_bytes += len(part)
                if refused is not None:
                    return refused
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
        finally:
            self.left(size_bytes)
