"""The application: who may come in, and which way a request goes.

Front ── POST /v1/events ──> Ingest
  └───── everything else ──> api, console (Litestar), or where others answer: `relay`
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.response import Response

from holdfast import __version__
from holdfast.alerting import alarms_of, store_in
from holdfast.errors import HoldfastError
from holdfast.serve import api
from holdfast.serve.auth import FREE_PATHS, Gate
from holdfast.serve.console import routes
from holdfast.serve.console.tally import Tallies
from holdfast.serve.console.verifying import Verifier
from holdfast.serve.faces import Bounds, Faces, Writers
from holdfast.serve.ingest import PATH, Ingest
from holdfast.serve.problems import Header, Reply, from_error, problem
from holdfast.serve.respond import (
    Application,
    Message,
    Receive,
    Scope,
    Send,
    incident,
    respond,
)
from holdfast.serve.session import FREE_FILES, PATHS, Sessions
from holdfast.serve.status import own_writer, standing_of
from holdfast.settings import Settings
from holdfast.tracing import Traces, traces_of, work_of
from holdfast.watch.channels import Store
from holdfast.watch.history import History
from holdfast.watch.metrics import Exposition
from holdfast.watch.standing import IngestMetrics, Standing
from holdfast.wiring import System
from holdfast.write.admit import Limits
from holdfast.write.node import Node

_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS: Final[tuple[Header, ...]] = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
STREAMS: Final = (
    "/v1/tail",
    "/v1/certificate",
    "/v1/events/export",
    "/v1/export",
    "/v1/export/receipt",
    "/integrity/verify",
    "/report",
)
Work = Callable[[], Coroutine[Any, Any, None]]
_NOT_KEPT: Final[Header] = (b"cache-control", b"no-store")


class Front:
    """The ASGI application. `stop` ends what would otherwise never end."""

    def __init__(
        self,
        ingest: Ingest,
        gate: Gate,
        sessions: Sessions,
        rest: Application,
        bounds: Bounds,
        work: Sequence[Work] = (),
    ) -> None:
        """rest: answers all but POST /v1/events; `bounds` tells it when to stop. work:
        what goes on beside the answers."""
        self.ingest = ingest
        self._work = work
        self._sessions = sessions
        self.rest = rest
        self.bounds = bounds
        self._gate = gate

    async def watch(self) -> None:
        """Do what goes on beside the answers, until it is cancelled."""
        await asyncio.gather(*(each() for each in self._work))

    def stop(self) -> None:
        """The server goes down: let go of those who listen."""
        self.bounds.stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
        elif scope["path"] == PATH and scope["method"] == "POST":
            await self.ingest(scope, receive, send)
        elif scope["path"] in PATHS and scope["method"] == "POST" and self._gate.asks_token:
            await respond(_with_headers(send), await self._sessions.answer(scope, receive))
        else:
            refusal = self._refusal(scope)
            if refusal is not None:
                await respond(_with_headers(send), refusal)
            else:
                await self.rest(scope, receive, send)

    def _refusal(self, scope: Scope) -> Reply | None:
        if scope["path"] in FREE_PATHS | FREE_FILES or self._sessions.open(scope):
            return None
        principal = self._gate.admit(dict(scope["headers"]))
        if not isinstance(principal, Reply):
            return None
        return self._sessions.asks(scope) or principal


def create_app(
    system: System,
    token: bytes = b"",
    writers: Writers | None = None,
    store: Store | None = None,
) -> Front:
    """Make the application.

    Args:
        system: opened; not closed here.
        token: what requests must carry; b"": nothing, but then only from this machine.
        writers: how those stand that write, where other processes do.
        store: has one of them store an event of the trail's own.
    """
    gate, bounds = Gate(token), Bounds()
    traces = traces_of(system.settings, 0, system.host)
    ingest = ingest_of(system.settings, system.node, gate, traces)
    told = writers or (lambda: own_writer(system, ingest.metrics))

    def standing() -> Standing:
        return standing_of(system, told(), alarms.rooms)

    if store is None and system.node is not None:
        store = store_in(system.node)
    system.sweeper.outbox.tell = store
    system.retention.chronicle.tell = store
    alarms = alarms_of(system, standing, store)
    history = History(system.settings.data_path / "cache" / "history", system.host.offload)
    figures = Exposition(__version__, standing, alarms.report)
    rest = Answers(Faces(system, told, bounds, figures, alarms, bool(token), history))
    sessions = Sessions(token, system.host.now_us, is_https(system.settings))
    work = (alarms.watch_forever, lambda: history.keep_forever(standing), *work_of(traces))
    return Front(ingest, gate, sessions, rest, bounds, work)


def is_https(settings: Settings) -> bool:
    """Whether people reach this server by TLS: its own, or that of a proxy on this machine."""
    own = bool(settings.tls_certificate)
    return own or settings.alerts.console_url.startswith("https://")


def ingest_of(settings: Settings, node: Node | None, gate: Gate, traces: Traces | None) -> Ingest:
    """What takes events in, within the limits of the settings."""
    limits = Limits(
        event_bytes=settings.event_bytes_max,
        request_bytes=settings.request_bytes_max,
        request_events=settings.request_events_max,
    )
    return Ingest(node, gate, limits, IngestMetrics(), traces)


class Answers:
    """All that a reader can answer."""

    def __init__(self, faces: Faces) -> None:
        self.app = Litestar(
            [*api.HANDLERS, *routes.HANDLERS],
            state=State(
                {
                    "faces": faces,
                    "tallies": Tallies(faces.system.reader),
                    "verifier": Verifier(faces.system.settings, faces.system.regions.trail),
                }
            ),
            exception_handlers={Exception: _on_error},
            openapi_config=None,
            logging_config=None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.app(_routed(scope), receive, _with_headers(send))  # type: ignore[arg-type]


def _routed(scope: Scope) -> Scope:
    """As the routes want it: HEAD is a GET whose body the server leaves out (but a stream has no
    end to wait for), and parts of the path stay percent-encoded: an event's id may hold a slash."""
    is_head = scope["method"] == "HEAD" and scope["path"] not in STREAMS
    method = "GET" if is_head else scope["method"]
    return {**scope, "method": method, "path": scope["raw_path"].decode("latin-1")}


def _with_headers(send: Send) -> Send:
    """Add what every answer carries but that to events, which is JSON and read by programs."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append(_NOT_KEPT)
            message = {**message, "headers": [*headers, *_ALWAYS]}
        await send(message)

    return sending


def _on_error(request: api.Asked, error: Exception) -> Response[bytes]:
    """What a handler raised, or the framework in its stead."""
    match error:
        case HoldfastError():
            reply = from_error(error)
        case NotFoundException():
            reply = problem("not-found", "no such path")
        case MethodNotAllowedException():
            reply = _not_allowed(request.scope["path"], error.headers or {})
        case HTTPException() if error.status_code < 500:
            reply = problem("malformed", "the request cannot be read")
        case _:
            reply = incident(error)
    return api.response(reply)


def _not_allowed(path: str, headers: Mapping[str, str]) -> Reply:
    """The framework knows all methods but the one that never reaches it."""
    known = next((value for name, value in headers.items() if name.lower() == "allow"), "")
    methods = {*known.replace(" ", "").split(","), "HEAD", *(["POST"] if path == PATH else [])}
    allowed = ", ".join(sorted(methods - {""}))
    return problem("method-not-allowed", f"allowed: {allowed}", (b"allow", allowed.encode()))


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing starts or stops with the application: the system is opened before it is made."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
