"""Events as they come: server-sent events over a real server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from holdfast.serve.faces import TAILS_MAX
from tests.serve.running import EVENT, Running, running

Message = dict[str, str]


@contextmanager
def listening(server: Running, asked: str = "", last: str = "") -> Iterator[Iterator[Message]]:
    """Listen, from the moment that the server says that it does."""
    headers = {"last-event-id": last} if last else {}
    with server.client() as client, client.stream("GET", f"/v1/tail{asked}", headers=headers) as s:
        assert s.status_code == 200
        assert s.headers["content-type"].startswith("text/event-stream")
        messages = read(s)
        first = next(messages)
        assert first["event"] == "completeness"
        yield messages


def read(stream: httpx.Response) -> Iterator[Message]:
    message: Message = {}
    for line in stream.iter_lines():
        if not line:
            if "data" in message:
                yield message
            message = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            message[name] = value


def event(messages: Iterator[Message]) -> tuple[dict[str, Any], str]:
    """The next event, and the id to go on from."""
    message = next(message for message in messages if "event" not in message)
    return json.loads(message["data"]), message["id"]


def test_what_is_acknowledged_is_heard(server: Running) -> None:
    with listening(server) as messages:
        ids = server.post([{**EVENT, "tenant": "heard"}, EVENT]).json()["ids"]

        heard = [event(messages)[0] for _ in ids]

    assert {each["id"] for each in heard} == set(ids)
    assert {"node", "segment", "position"} <= heard[0].keys()


def test_only_what_was_asked_for_is_heard(server: Running) -> None:
    with listening(server, "?actor=nobody-else") as messages:
        server.post(EVENT)
        wanted = server.post({**EVENT, "actor": {"id": "nobody-else"}}).json()["ids"]

        heard, _ = event(messages)

    assert [heard["id"]] == wanted


def test_a_listener_goes_on_where_it_was_cut_off(server: Running) -> None:
    with listening(server, "?tenant=cut") as messages:
        server.post({**EVENT, "tenant": "cut", "id": "cut-1"})
        _, last = event(messages)

    server.post({**EVENT, "tenant": "cut", "id": "cut-2"})
    with listening(server, "?tenant=cut", last) as messages:
        heard = []
        while "cut-2" not in heard:
            heard.append(event(messages)[0]["id"])

    assert heard[-1] == "cut-2"


def test_the_statement_is_heard_first(server: Running) -> None:
    with server.client() as client, client.stream("GET", "/v1/tail") as stream:
        first = next(read(stream))

    assert first["event"] == "completeness"
    assert "complete_through" in json.loads(first["data"])


def test_a_wrong_question_is_a_problem_and_no_stream(server: Running) -> None:
    assert server.get("/v1/tail?actr=1").status_code == 400
    assert server.get("/v1/tail?limit=1").status_code == 400
    with server.client() as client:
        lost = client.get("/v1/tail", headers={"last-event-id": "nonsense"})
    assert lost.status_code == 400


def test_a_stream_has_no_head_to_ask_for(server: Running) -> None:
    with server.client() as client:
        assert client.head("/v1/tail").status_code == 405


def test_who_leaves_is_not_counted_any_more(server: Running) -> None:
    with listening(server):
        assert server.server.front.bounds.tails == 1

    server.wait_until(lambda: server.server.front.bounds.tails == 0)


def test_too_many_listeners_are_asked_to_come_again(server: Running) -> None:
    server.server.front.bounds.tails += TAILS_MAX
    try:
        refused = server.get("/v1/tail")
    finally:
        server.server.front.bounds.tails -= TAILS_MAX

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "10"


def test_listeners_do_not_keep_a_server_from_stopping(tmp_path: Any) -> None:
    with running(tmp_path / "data") as other, listening(other) as messages:
        other.stop()

        assert list(messages) == []
