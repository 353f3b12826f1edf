"""A process that writes: one node, its own place at the port, and the way to who reads."""

import asyncio
import contextlib
from multiprocessing.connection import Connection
from socket import create_server
from typing import Final

from holdfast import beside
from holdfast.alerting import store_in
from holdfast.regions.clock import ClockInterval
from holdfast.serve.app import Front, ingest_of, is_https
from holdfast.serve.auth import Gate
from holdfast.serve.entrance import Doorway, Told
from holdfast.serve.faces import Bounds
from holdfast.serve.process import Line, read_token, run_child
from holdfast.serve.relay import Relay
from holdfast.serve.run import BACKLOG, server_before
from holdfast.serve.session import Sessions
from holdfast.serve.status import calls_of
from holdfast.serve.supervise import Orders, Up
from holdfast.tracing import traces_of, work_of
from holdfast.watch.standing import IngestMetrics, WriterReport
from holdfast.wiring import Writer, open_writer

READY_SECONDS: Final = 5.0


def begin(pipe: Connection, orders: Orders, number: int) -> None:
    """Do this process's work, until it is told to stop."""
    run_child(f"writer {number}", pipe, lambda line: _write(orders, number, line))


async def _write(orders: Orders, number: int, line: Line) -> None:
    """Open the port once the node accepts events, so that until then others get them; or after a
    while all the same: there may be nobody else, and questions can be answered."""
    settings = orders.settings
    doorway = Doorway(orders.entered)
    async with open_writer(settings, number, doorway.enter) as writer:
        token = read_token(settings)
        gate, bounds = Gate(token), Bounds()
        traces = traces_of(settings, number, writer.host)
        ingest = ingest_of(settings, writer.node, gate, traces)
        telling = beside.begin(
            doorway.tell_forever(
                lambda: _told(number, writer, ingest.metrics), store_in(writer.node)
            )
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await writer.node.ready()
        line.say(Up())
        await line.go.wait()
        sessions = Sessions(token, writer.host.now_us, is_https(settings))
        relay = Relay(orders.asked, bounds.stopping)
        front = Front(ingest, gate, sessions, relay, bounds, work_of(traces))
        server = server_before(front, settings, orders.host, lambda _: line.say(Up()))
        line.stop = server.stop
        await server.serve(
            [
                create_server(each.name, family=each.family, backlog=BACKLOG, reuse_port=True)
                for each in orders.addresses
            ]
        )
        telling.cancel()
    doorway.close()


def _told(number: int, writer: Writer, metrics: IngestMetrics) -> Told:
    witnesses = writer.witnesses.report() if writer.witnesses else None
    report = WriterReport(
        number, writer.node.report(), metrics, calls_of(writer.regions), witnesses
    )
    measured = writer.node.clocks().items()
    clocks = {id: each for id, each in measured if isinstance(each, ClockInterval)}
    return Told(report, clocks, writer.node.birth())
