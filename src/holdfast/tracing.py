"""The way of single requests, as OpenTelemetry's traces: from the first byte to the answer.

    POST /v1/events ──┬── batch            until its segment was sealed
                      ├── index            until searches saw it
                      ├── store (region a) until it was known to lie there
                      │     └── look       until no fence had been found there
                      └── store (region b) ...

A region that counted after the answer is not in it. Who sends `traceparent` decides whether its
requests are traced; of the others, the share that the settings name is.
"""

import asyncio
import importlib
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from holdfast import __version__
from holdfast.errors import Problem, RejectedError
from holdfast.ports import Host
from holdfast.settings import Settings, TraceSettings
from holdfast.write.batch import Acknowledgement, Taken, Way

EXPORT_SECONDS: Final = 5.0
_EXTRA: Final = "OpenTelemetry is not installed: install holdfast-audit[server,traces]"
_SDK: Final = "opentelemetry.sdk"
_PARENT: Final = "opentelemetry.trace.propagation.tracecontext"
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"

_log: Final = logging.getLogger("holdfast.traces")


def traces_of(settings: Settings, worker: int, host: Host) -> "Traces | None":
    """What tells of a process's requests; None where the settings name no collector.

    Raises:
        RejectedError: the library is not installed.
    """
    instance = f"{socket.gethostname()}:{settings.port}/{worker}"
    return Traces(settings.traces, instance, host) if settings.traces.url else None


def work_of(traces: "Traces | None") -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """What goes on beside the answers for it."""
    return (traces.live,) if traces else ()


class Traces:
    """Tells a collector of requests. What it cannot take is dropped: nothing waits for it."""

    def __init__(self, settings: TraceSettings, instance: str, host: Host) -> None:
        """instance: of this process, as the traces name it.

        Raises:
            RejectedError: the library is not installed.
        """
        try:
            sdk = importlib.import_module(f"{_SDK}.trace")
            export = importlib.import_module(f"{_SDK}.trace.export")
            resources = importlib.import_module(f"{_SDK}.resources")
            exporter = importlib.import_module(_EXPORTER)
            context = importlib.import_module(_PARENT)
            self._api = importlib.import_module("opentelemetry.trace")
        except ImportError:
            raise RejectedError("settings", Problem(0, "traces", _EXTRA)) from None
        about = {
            "service.name": "holdfast",
            "service.version": __version__,
            "service.instance.id": instance,
        }
        sender = exporter.OTLPSpanExporter(endpoint=settings.url, timeout=EXPORT_SECONDS)
        self._provider = sdk.TracerProvider(resource=resources.Resource.create(about))
        self._provider.add_span_processor(export.BatchSpanProcessor(sender))
        self._tracer = self._provider.get_tracer("holdfast", __version__)
        self._context = context.TraceContextTextMapPropagator()
        self._ratio = settings.ratio
        self._owed = 0.0
        self._host = host

    async def live(self) -> None:
        """Until cancelled; then send what is left, as far as that goes in some seconds."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._host.offload(self._provider.shutdown)

    def answered(self, taken: Taken, began: float, parent: bytes) -> None:
        """A request has its outcome.

        Args:
            began: when it began to arrive, in the event loop's time.
            parent: its header `traceparent`; b"" for none.
        """
        if not parent:
            self._owed += self._ratio
            if self._owed < 1:
                return
            self._owed -= 1
        try:
            self._tell(taken, began, parent)
        except Exception:
            _log.exception("a request could not be traced")

    def _tell(self, taken: Taken, began: float, parent: bytes) -> None:
        now, zero_ns = self._clock()
        outcome = taken.outcome.exception()
        carrier = {"traceparent": parent.decode("latin-1")} if parent else {}
        request = self._tracer.start_span(
            "POST /v1/events",
            self._context.extract(carrier),
            self._api.SpanKind.SERVER,
            {"http.request.method": "POST", "url.path": "/v1/events"},
            start_time=zero_ns(began),
        )
        request.set_attribute("holdfast.events", len(taken.ids))
        if outcome is not None:
            request.set_status(self._api.StatusCode.ERROR, str(outcome))
        else:
            said = taken.outcome.result()
            request.set_attributes({"http.response.status_code": 201, **_facts(said)})
            if said.way is not None:
                self._steps(request, taken, said.way, zero_ns)
        request.end(zero_ns(now))

    def _steps(self, request: Any, taken: Taken, way: Way, zero_ns: Callable[[float], int]) -> None:
        def step(name: str, start: float, end: float, within: Any, **facts: str) -> Any:
            span = self._tracer.start_span(
                name,
                self._api.set_span_in_context(within),
                attributes={f"holdfast.{key}": value for key, value in facts.items()},
                start_time=zero_ns(start),
            )
            span.end(zero_ns(end))
            return span

        step("batch", taken.taken_at, way.sealed_at, request)
        step("index", way.sealed_at, way.entered_at, request)
        for region, (stored_at, counted_at) in way.stored.items():
            stored = step("store", way.sealed_at, stored_at, request, region=region)
            step("look", stored_at, counted_at, stored, region=region)

    def _clock(self) -> tuple[float, Callable[[float], int]]:
        """Now, in the event loop's time, and what makes ns since 1970 of such times."""
        now, now_ns = asyncio.get_running_loop().time(), 1000 * self._host.now_us()
        return now, lambda at: now_ns + int((at - now) * 1e9)


def _facts(said: Acknowledgement) -> Mapping[str, Any]:
    return {
        "holdfast.node": said.node,
        "holdfast.segment": said.segment,
        "holdfast.regions": list(said.regions),
    }
