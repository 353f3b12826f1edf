"""The application by itself, over ASGI: tokens, and what is said when something breaks."""

import dataclasses
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from holdfast.errors import CorruptError, UnavailableError
from holdfast.model import Completeness, Query
from holdfast.serve.app import Front, create_app
from holdfast.serve.auth import FREE_PATHS
from holdfast.serve.faces import QUESTIONS_MAX
from holdfast.serve.ingest import ARRIVING_BYTES_MAX, PATH
from holdfast.serve.session import FREE_FILES
from tests.serve.running import EVENT, Running

TOKEN = b"a-token-of-some-length"
RIGHT = {"authorization": f"Bearer {TOKEN.decode()}"}
Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def asked(server: Running, front: Front, ask: Ask) -> httpx.Response:
    """Ask an application of its own on the server's event loop, over the server's system."""

    async def story() -> httpx.Response:
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await ask(client)

    return server.inside(story)


def getting(path: str) -> Ask:
    return lambda client: client.get(path)


class BrokenReader:
    """A reader that says what it is told to."""

    def __init__(self, server: Running, error: Exception) -> None:
        self.completeness = server.system.reader.completeness
        self.report = server.system.reader.report
        self.nodes = server.system.reader.nodes
        self._error = error

    async def search(self, query: Query) -> None:
        raise self._error


class WitnessedReader:
    """A reader that says in which order it was asked."""

    def __init__(self, server: Running) -> None:
        self.calls: list[str] = []
        self._reader = server.system.reader
        self.report = self._reader.report
        self.nodes = self._reader.nodes

    def completeness(self) -> Completeness:
        self.calls.append("completeness")
        return self._reader.completeness()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        question: Callable[..., Awaitable[object]] = getattr(self._reader, name)

        async def asked(*arguments: object) -> object:
            self.calls.append("question")
            return await question(*arguments)

        return asked


def broken(server: Running, error: Exception) -> Front:
    reader: Any = BrokenReader(server, error)
    return create_app(dataclasses.replace(server.system, reader=reader))


def test_with_a_token_everything_asks_for_it_but_the_probes_and_the_form(server: Running) -> None:
    front = create_app(server.system, TOKEN)
    paths = ["/", "/v1/events", "/v1/events/x/proof", "/v1/tail", "/v1/status", "/metrics"]
    paths += ["/schema", "/regions", "/v1/events/export"]

    refused = {asked(server, front, getting(path)).status_code for path in paths}
    free = {
        asked(server, front, getting(path)).status_code for path in FREE_PATHS | FREE_FILES
    }  # and what the form to sign in is made of, which tells nothing of the trail

    assert refused == {401}
    assert free == {200}


def test_events_submitted_with_the_token_say_so(server: Running) -> None:
    front = create_app(server.system, TOKEN)
    event = {**EVENT, "id": "with-token"}

    refused = asked(server, front, lambda c: c.post(PATH, json=event))
    taken = asked(server, front, lambda c: c.post(PATH, json=event, headers=RIGHT))
    found = asked(server, front, lambda c: c.get("/v1/events/with-token", headers=RIGHT))

    assert refused.status_code == 401
    assert "Bearer" in refused.headers["www-authenticate"]
    assert taken.status_code == 201
    assert found.json()["events"][0]["principal"] == "token"


def test_the_endpoint_takes_what_the_short_way_takes(server: Running) -> None:
    front = create_app(server.system)
    body = gzip.compress(json.dumps({**EVENT, "actor": {"id": "over-asgi"}}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    taken = asked(server, front, lambda c: c.post(PATH, content=parts(), headers=headers))
    found = asked(server, front, lambda c: c.get("/v1/events?actor=over-asgi"))

    assert taken.status_code == 201
    assert [event["id"] for event in found.json()["events"]] == taken.json()["ids"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b" " * 9_000_000, {"content-type": "application/json"}, 413),
    ],
)
def test_the_endpoint_refuses_what_the_short_way_refuses(
    server: Running, body: bytes, headers: dict[str, str], status: int
) -> None:
    front = create_app(server.system)

    refused = asked(server, front, lambda c: c.post(PATH, content=body, headers=headers))

    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"


def test_bodies_that_arrive_together_are_bounded_together(server: Running) -> None:
    ingest = create_app(server.system).ingest

    first = ingest.arrived(ARRIVING_BYTES_MAX, -ARRIVING_BYTES_MAX)
    second = ingest.arrived(1, 0)
    ingest.left(ARRIVING_BYTES_MAX + 1)
    third = ingest.arrived(1, 0)

    assert first is None
    assert second is not None and second.status == 503
    assert third is None


def test_where_nothing_is_written_events_are_sent_elsewhere(server: Running) -> None:
    front = create_app(dataclasses.replace(server.system, node=None))

    refused = asked(server, front, lambda c: c.post(PATH, json=EVENT))
    ready = asked(server, front, lambda c: c.get("/readyz"))

    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    assert ready.status_code == 200


def test_a_mistake_of_ours_is_told_without_its_inside(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    front = broken(server, KeyError("/var/lib/secret"))

    answer = asked(server, front, lambda c: c.get("/v1/events"))

    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal"
    assert "secret" not in answer.text
    assert f"incident {answer.json()['incident']}" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"), [(CorruptError("ev/seg/x"), 500), (UnavailableError("busy"), 503)]
)
def test_what_a_reader_says_is_translated(server: Running, error: Exception, status: int) -> None:
    answer = asked(server, broken(server, error), lambda c: c.get("/v1/events"))

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/v1/events", "/v1/events/count", "/v1/events/x", "/"], ids=lambda path: path
)
def test_a_statement_is_taken_before_its_question_is_asked(server: Running, path: str) -> None:
    reader: Any = WitnessedReader(server)
    front = create_app(dataclasses.replace(server.system, reader=reader))

    answer = asked(server, front, getting(path))

    assert answer.status_code == 200
    assert reader.calls[-1] == "question"
    assert "completeness" in reader.calls


def test_the_page_tells_people_too(server: Running) -> None:
    page = asked(server, broken(server, UnavailableError("too busy")), lambda c: c.get("/"))

    assert page.status_code == 503
    assert "too busy" in page.text


def test_questions_beyond_the_bound_are_asked_to_come_again(server: Running) -> None:
    async def story() -> httpx.Response:
        front = create_app(server.system)
        front.bounds.questions = QUESTIONS_MAX
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/v1/events")

    answer = server.inside(story)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_an_application_has_no_life_of_its_own(server: Running) -> None:
    async def story() -> list[str]:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        said: list[str] = []

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: Any) -> None:
            said.append(message["type"])

        await create_app(server.system)({"type": "lifespan"}, receive, send)
        return said

    assert server.inside(story) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
