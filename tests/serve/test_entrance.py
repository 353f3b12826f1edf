"""What the processes of one server tell each other, and what happens when one of them is silent."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from holdfast.model import Contents, JsonObject
from holdfast.proof.names import SegmentName
from holdfast.regions.clock import ClockInterval
from holdfast.serve.entrance import Doorway, Entrance, Told
from holdfast.serve.relay import Relay
from holdfast.watch.standing import IngestMetrics, WriterReport
from tests.serve.running import Running, running

NAME = SegmentName(0, 1, 0, 1, 1, 1, bytes(32), bytes(32))
CONTENTS = Contents((("", 1),), ("a",), ("2026-01-01T00:00:00Z",), (99,), 1, 1)


async def until(holds: Callable[[], bool]) -> None:
    """Ask again and again, for at most 20 s."""
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to hold")


def test_a_reading_process_that_stays_away_is_waited_for_once(tmp_path: Path) -> None:
    async def story() -> float:
        doorway = Doorway(tmp_path / "nobody", patience_seconds=0.5)
        began = asyncio.get_running_loop().time()
        await doorway.enter("n", NAME, b"", CONTENTS)
        waited = asyncio.get_running_loop().time() - began
        async with asyncio.timeout(0.4):
            await doorway.enter("n", NAME, b"", CONTENTS)
        return waited

    assert asyncio.run(story()) >= 0.5


def test_what_a_writer_tells_is_known_until_it_goes(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        told = server.inside(lambda: _tell(server, tmp_path / "entered"))

    assert told == {
        "before": [("starting", "its process has not told yet")] * 2,
        "clocks": {"a": ClockInterval(-1, 1)},
        "open": [1],
        "during": ["starting", "open"],
        "stored": [{"id": "x", "action": "holdfast.alert.opened"}],
        "after": ("starting", "its process is away"),
    }


async def _tell(server: Running, path: Path) -> dict[str, object]:
    """Writer 1 of two tells, once over, what the server's own node says; then it goes."""
    node = server.system.node
    assert node is not None
    entrance, doorway = Entrance(2), Doorway(path)
    told: dict[str, object] = {}
    told["before"] = [(each.node.state, each.node.why) for each in entrance.reports()]
    report = WriterReport(1, node.report(), IngestMetrics(answers={201: 3}))
    with socket.create_server(str(path), family=socket.AF_UNIX) as at:
        async with entrance.listening(at.fileno(), server.system.reader):
            clocks = {"a": ClockInterval(-1, 1)}
            kept: list[JsonObject] = []

            async def store(event: JsonObject) -> None:
                kept.append(event)

            telling = asyncio.create_task(
                doorway.tell_forever(lambda: Told(report, clocks, node.birth()), store)
            )
            await entrance.ready()
            assert entrance.birth() == node.birth()
            told["clocks"] = entrance.clocks()
            told["open"] = list(entrance.open_nodes())
            told["during"] = [each.node.state for each in entrance.reports()]
            assert entrance.reports()[1].ingest == report.ingest
            async with asyncio.timeout(10):
                await entrance.store({"id": "x", "action": "holdfast.alert.opened"})
            told["stored"] = kept
            telling.cancel()
            doorway.close()
            await until(lambda: not entrance.open_nodes())
    gone = entrance.reports()[1].node
    told["after"] = (gone.state, gone.why)
    return told


@pytest.mark.parametrize("path", ["/v1/events", "/v1/tail", "/"])
def test_a_question_is_refused_for_now_while_nobody_reads(tmp_path: Path, path: str) -> None:
    async def ask() -> httpx.Response:
        relay = Relay(tmp_path / "nobody", asyncio.Event())
        transport = httpx.ASGITransport(app=relay)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    answer = asyncio.run(ask())

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "is away" in answer.json()["detail"]


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    async def half(_: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        outgoing.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        outgoing.close()

    async def ask() -> list[dict[str, object]]:
        async with await asyncio.start_unix_server(half, str(tmp_path / "half")):
            return await _messages(Relay(tmp_path / "half", asyncio.Event()))

    sent = asyncio.run(ask())

    assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"]


async def _messages(relay: Relay) -> list[dict[str, object]]:
    sent: list[dict[str, object]] = []
    forever = asyncio.Event()

    async def receive() -> dict[str, object]:
        await forever.wait()
        return {}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    with pytest.raises(ConnectionError):
        await relay(scope, receive, send)  # type: ignore[arg-type]
    return sent
