"""Traces of requests, at a collector that takes what OpenTelemetry's own exporter sends."""

import gzip
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.server import Server, free_port

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """spans: of all that was posted, as sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.resources.append(_facts(each.resource))
                    collector.spans += [span for scope in each.scope_spans for span in scope.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1/traces"

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def _facts(traced: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in traced.attributes
    }


def _config(folder: Path, url: str, ratio: float) -> Path:
    config = folder / "holdfast.toml"
    config.write_text(f'[traces]\nurl = "{url}"\nratio = {ratio}\n')
    return config


def _send(server: Server, **headers: str) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/events",
        b'{"action":"door.open"}',
        {"Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=40) as answer:
        assert answer.status == 201


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_is_told_with_its_way_through_each_region(
    tmp_path: Path, collector: Collector, workers: str
) -> None:
    config = _config(tmp_path, collector.url, 0.0)
    server = Server(tmp_path / "data", config, WORKERS=workers).start()
    try:
        _send(server)  # not in the sample
        _send(server, traceparent=f"00-{TRACE}-{SPAN}-01")
        # Whoever decided that it is not traced is heeded as well.
        _send(server, traceparent=f"00-{TRACE}-{SPAN}-00")
    finally:
        code = server.stop()

    assert code == 0
    (request,) = collector.named("POST /v1/events")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
    facts = _facts(request)
    assert facts["http.response.status_code"] == 201
    assert facts["holdfast.events"] == 1
    assert all(resource["service.name"] == "holdfast" for resource in collector.resources)

    (batch,), (index,) = collector.named("batch"), collector.named("index")
    stored = {_facts(span)["holdfast.region"]: span for span in collector.named("store")}
    looked = {_facts(span)["holdfast.region"]: span for span in collector.named("look")}
    assert len(stored) >= 2
    assert stored.keys() == looked.keys() <= {"a", "b", "c"}
    assert len(collector.spans) == 3 + 2 * len(stored)
    assert request.start_time_unix_nano <= batch.start_time_unix_nano
    for region, store in stored.items():
        look = looked[region]
        assert look.parent_span_id == store.span_id
        times = [
            *(batch.start_time_unix_nano, batch.end_time_unix_nano, store.end_time_unix_nano),
            *(look.start_time_unix_nano, look.end_time_unix_nano, request.end_time_unix_nano),
        ]
        assert times == sorted(times)
        assert store.parent_span_id == batch.parent_span_id == index.parent_span_id
        assert store.parent_span_id == request.span_id


def test_a_collector_that_is_away_holds_up_nothing(tmp_path: Path) -> None:
    config = _config(tmp_path, f"http://127.0.0.1:{free_port()}/v1/traces", 1.0)
    server = Server(tmp_path / "data", config).start()
    try:
        for _ in range(20):
            _send(server)
    finally:
        code = server.stop()

    assert code == 0
