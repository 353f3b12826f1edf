"""`serve --workers`: several writers behind one port, killed one by one and all at once."""

import http.client
import json
import os
import re
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.server import Server, holdfast, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CONNECTIONS = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data", WORKERS="2")
    yield made
    made.close()


def test_whoever_is_acknowledged_is_found_by_the_next_search_on_any_connection(
    server: Server,
) -> None:
    server.start()
    nodes: Counter[str] = Counter()

    for number in range(3 * CONNECTIONS):
        answer = server.send(f"number.{number}")
        nodes[answer["receipt"].splitlines()[1]] += 1
        found = [server.get("/v1/events", id=answer["ids"][0]) for _ in range(3)]

        assert [[event["action"] for event in each["events"]] for each in found] == [
            [f"number.{number}"]
        ] * 3

    assert len(nodes) == 2, nodes
    status = server.get("/v1/status")
    assert [(each["worker"], each["state"]) for each in status["nodes"]] == [
        (0, "open"),
        (1, "open"),
    ]
    server.caught_up(max(event["received"] for event in server.events()))
    figures = _text(server, "/metrics")
    for worker in "01":
        assert f'holdfast_node_open{{worker="{worker}"}} 1.0' in figures
        assert f'holdfast_ingest_requests_total{{status="201",worker="{worker}"}}' in figures


def test_alerts_are_watched_over_silenced_and_kept_in_the_trail(tmp_path: Path) -> None:
    settings = tmp_path / "holdfast.toml"
    settings.write_text("[alerts.after_s]\nregion-away = 1\nquorum-margin = 3600\n")
    server = Server(tmp_path / "data", settings, WORKERS="2")
    try:
        server.start()
        (server.data / "regions" / "b").rename(tmp_path / "aside")
        at = ["--server", server.url]

        wait_until(lambda: len(server.get("/v1/alerts")["open"]) == 1)
        holdfast("alerts", "silence", "region-*", "--for", "1h", "--why", "new disk", *at)

        def kept() -> set[str]:
            found = server.get("/v1/events", action="holdfast.alert.*")["events"]
            return {event["action"] for event in found}

        wait_until(lambda: kept() == {"holdfast.alert.opened", "holdfast.alert.silenced"})
        listed = holdfast("alerts", "list", *at)
    finally:
        server.close()

    assert "WARNING: Region b does not answer" in listed
    assert "new disk" in listed


def test_a_worker_passes_questions_on_as_they_were_asked(server: Server) -> None:
    server.start()
    id = server.send("door.open")["ids"][0]

    refused = _ask(server, "GET", "/v1/events?misspelt=1")
    head = _ask(server, "HEAD", "/")
    misdirected = _ask(server, "GET", "/v1/status", Host="example.org")
    posted = _ask(server, "POST", "/v1/status", b"{}")
    with urllib.request.urlopen(f"{server.url}/v1/tail?id={id}", timeout=30) as listening:
        heard = [listening.readline() for _ in range(3)]
        code = server.stop()  # does not wait for those who listen

    assert (refused[0], b"misspelt" in refused[1]) == (400, True)
    assert head == (200, b"")
    assert misdirected[0] == 421
    assert posted[0] == 405
    assert heard[0].startswith(b"retry:") and heard[2].startswith(b"event: completeness")
    assert code == 0


def test_a_worker_that_is_killed_loses_no_event_and_not_the_port(server: Server) -> None:
    server.start()

    with _load(server) as load:
        wait_until(lambda: len(load.acknowledged) > 50)
        for number in (0, 1):
            epoch = server.get("/v1/status")["nodes"][number]["epoch"]
            os.kill(_process(server, f"writer {number}"), signal.SIGKILL)
            wait_until(lambda: _epoch(server, number) > epoch, server.log.read_text)  # noqa: B023
        seen = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > seen + 50)

    assert load.refused == 0
    _check_found_once(server, load.acknowledged)


def test_acknowledgements_wait_for_a_reading_process_that_is_killed(server: Server) -> None:
    server.start()

    with _load(server) as load:
        wait_until(lambda: len(load.acknowledged) > 50)
        for _ in range(2):
            os.kill(reading := _process(server, "reading"), signal.SIGKILL)
            wait_until(lambda: _process(server, "reading") != reading)
            id = server.send("while.away")["ids"][0]

            assert len(server.get("/v1/events", id=id)["events"]) == 1

    assert "does not answer" not in server.log.read_text()
    _check_found_once(server, load.acknowledged)


def test_it_stops_in_order_and_leaves_nothing_open(server: Server) -> None:
    server.start()
    with _load(server) as load:
        wait_until(lambda: len(load.acknowledged) > 50)
        pids = [_process(server, name) for name in ("reading", "writer 0", "writer 1")]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)  # as service managers do, to all at once
        code = server.stop()

    assert code == 0
    assert "Traceback" not in server.log.read_text()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    told = json.loads(holdfast("completeness", "--data", str(server.data), "--json"))
    assert told["holding_back"] == []
    found = {e["id"] for e in _straight(server)}
    assert set(load.acknowledged) <= found


def test_after_a_kill_of_all_fewer_workers_close_what_the_others_left(tmp_path: Path) -> None:
    several = Server(tmp_path / "data", WORKERS="3").start()
    ids = [several.send("before")["ids"][0] for _ in range(10)]
    pids = [_process(several, name) for name in ("reading", "writer 0", "writer 2")]
    several.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    one = Server(tmp_path / "data", WORKERS="1").start()

    one.send("after")
    one.caught_up(max(event["received"] for event in one.events()))

    assert {event["id"] for event in one.events(action="before")} == set(ids)
    assert len(one.get("/v1/status")["nodes"]) == 1
    assert one.stop() == 0
    again = Server(tmp_path / "data", WORKERS="2").start()
    nodes = {again.send("again")["receipt"].splitlines()[1] for _ in range(24)}
    assert len(nodes) == 2
    assert again.stop() == 0


def test_a_first_start_that_cannot_be_ends_with_the_reason(tmp_path: Path) -> None:
    first = Server(tmp_path / "data", WORKERS="2").start()
    second = Server(tmp_path / "data", WORKERS="2")
    second.log = tmp_path / "second.log"
    third = Server(tmp_path / "other", WORKERS="2")
    third._command[third._command.index("--port") + 1] = str(first.port)
    (tmp_path / "deep" / ("d" * 100)).mkdir(parents=True)
    fourth = Server(tmp_path / "deep" / ("d" * 100), WORKERS="2")

    codes = [each.start(ready=False).wait() for each in (second, third, fourth)]
    first.close()

    assert codes == [3, 3, 2]
    assert "another process serves from" in second.log.read_text()
    assert "cannot listen on" in third.log.read_text()
    assert "a socket's path has at most" in fourth.log.read_text()


class _Load:
    """Clients that send one event at a time, each over a connection of its own.

    acknowledged: ids. refused: connections that nobody took.
    """

    def __init__(self, server: Server) -> None:
        self.acknowledged: list[str] = []
        self.refused = 0
        self.over = threading.Event()
        self._server = server

    def send(self) -> None:
        while not self.over.is_set():
            try:
                self.acknowledged += self._server.send("under.load")["ids"]
            except OSError as error:  # cut off, or asked to send again; these do not
                refused = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
                self.refused += refused and not self.over.is_set()
            except http.client.HTTPException:
                pass


@contextmanager
def _load(server: Server) -> Iterator[_Load]:
    load = _Load(server)
    threads = [threading.Thread(target=load.send) for _ in range(4)]
    for each in threads:
        each.start()
    try:
        yield load
    finally:
        load.over.set()
        for each in threads:
            each.join()


def _check_found_once(server: Server, acknowledged: list[str]) -> None:
    found = Counter(event["id"] for event in server.events())
    assert [id for id in acknowledged if found[id] != 1] == []
    server.caught_up(max(event["received"] for event in server.events()))


def _straight(server: Server) -> list[dict[str, str]]:
    said = holdfast("search", "--data", str(server.data), "--limit", "1000000", "--ndjson")
    return [json.loads(line) for line in said.splitlines()]


def _process(server: Server, name: str) -> int:
    """The last process of that name, as the log tells it."""
    return int(re.findall(rf"\b{name} is process (\d+)", server.log.read_text())[-1])


def _epoch(server: Server, worker: int) -> int:
    """Its epoch while it is open, else 0."""
    with suppress(OSError):
        node = server.get("/v1/status")["nodes"][worker]
        return int(node["epoch"]) if node["state"] == "open" else 0
    return 0


def _text(server: Server, path: str) -> str:
    with urllib.request.urlopen(server.url + path, timeout=30) as answer:
        return str(answer.read().decode())


def _ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
