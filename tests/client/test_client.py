import json
import socket
import threading

import pytest

from holdfast.client import (
    Client,
    Endpoint,
    NotAcknowledgedError,
    Patience,
    RefusedError,
    UnreachableError,
    with_id,
)
from holdfast.client.client import new_id
from holdfast.client.retry import Outcome, outcome_of, plan_pause
from tests.client.scripted import Part, Reply, problem, serving, stored

QUICK = Patience(seconds_max=5, pause_first_seconds=0.001, pause_max_seconds=0.002)
HASTY = Patience(seconds_max=0.01, pause_first_seconds=0.001, pause_max_seconds=0.002)
LINES = (b'{"id":"1","action":"a"}', b'{"id":"2","action":"a"}')


def test_what_the_server_acknowledged_comes_back() -> None:
    with serving() as server:
        with Client(Endpoint(server.url)) as client:
            acknowledged = client.send(LINES)

    assert acknowledged.ids == ("1", "2")
    assert acknowledged.regions == ("a", "b")
    assert server.requests[0].lines == LINES


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_answered_by_sending_the_same_ids_again(status: int) -> None:
    with serving(lambda _: problem("trouble", status), lambda _: Reply(0)) as server:
        with Client(Endpoint(server.url), QUICK) as client:
            client.send(LINES)

    assert [request.ids for request in server.requests] == [("1", "2")] * 3


def test_a_refusal_is_final_and_names_lines_fields_and_reasons() -> None:
    with serving(lambda _: problem("malformed", 400, (2, "actor.id", "is a number"))) as server:
        with pytest.raises(RefusedError) as caught:
            with Client(Endpoint(server.url), QUICK) as client:
                client.send(LINES)

    assert len(server.requests) == 1
    assert (caught.value.status, caught.value.kind) == (400, "malformed")
    assert str(caught.value.faults[0]) == "actor.id: is a number"
    assert caught.value.faults[0].line == 2


def test_when_nothing_was_stored_the_last_error_says_so() -> None:
    with serving(then=lambda _: problem("unavailable", 503)) as server:
        with pytest.raises(UnreachableError, match=server.url):
            with Client(Endpoint(server.url), HASTY) as client:
                client.send(LINES)


def test_one_unknown_outcome_keeps_the_last_error_from_saying_that_nothing_was_stored() -> None:
    unknown = problem("outcome-unknown", 504)
    with serving(lambda _: unknown, then=lambda _: problem("unavailable", 503)) as server:
        with pytest.raises(NotAcknowledgedError):
            with Client(Endpoint(server.url), HASTY) as client:
                client.send(LINES)


def telling(reply: Reply) -> Part:
    return lambda _: reply


def test_a_refusal_after_an_unknown_outcome_does_not_say_that_nothing_was_stored() -> None:
    unknown = problem("outcome-unknown", 504)
    refused = problem("unauthorized", 401), problem("malformed", 400)
    raised = []
    for refusal in refused:
        with serving(lambda _: unknown, then=telling(refusal)) as server:
            with pytest.raises((NotAcknowledgedError, RefusedError)) as caught:
                with Client(Endpoint(server.url), QUICK) as client:
                    client.send(LINES)
        raised.append(caught.type)
        assert len(server.requests) == 2

    assert raised == [NotAcknowledgedError, RefusedError]  # malformed they were before, too


def test_nobody_there_is_unreachable_and_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with pytest.raises(UnreachableError, match=url):
        with Client(Endpoint(url), HASTY) as client:
            client.send(LINES)


def test_an_acknowledgement_of_another_number_of_events_counts_for_nothing() -> None:
    with serving(lambda _: Reply(201, {"ids": ["1"]})) as server:
        with pytest.raises(Exception, match="sent 2 events"):
            with Client(Endpoint(server.url), QUICK) as client:
                client.send(LINES)


def test_the_token_is_sent_and_nothing_else_of_ours() -> None:
    with serving() as server:
        with Client(Endpoint(server.url, token="secret")) as client:
            client.send(LINES)

    assert server.requests[0].headers["Authorization"] == "Bearer secret"


def test_a_question_on_a_connection_that_was_closed_meanwhile_is_asked_again() -> None:
    with serving(lambda _: Reply(0), then=lambda _: Reply(200, {"count": 1})) as server:
        with Client(Endpoint(server.url)) as client:
            answer = client.get("/v1/events", {"actor": "a b&c"})

    assert answer == {"count": 1}
    assert server.requests[1].path == "/v1/events?actor=a%20b%26c"


def test_a_stream_yields_lines_as_they_come() -> None:
    with serving(lambda _: Reply(200, b"id: 1\ndata: {}\n\n")) as server:
        with Client(Endpoint(server.url)) as client:
            lines = list(client.stream("/v1/tail"))

    assert lines == [b"id: 1", b"data: {}", b""]


def test_an_answer_that_is_no_problem_document_is_shown_as_it_is() -> None:
    with serving(lambda _: Reply(404, b"nginx")) as server:
        with pytest.raises(RefusedError, match="HTTP 404 nginx"):
            with Client(Endpoint(server.url)) as client:
                client.get("/v1/status")


def test_an_event_gets_an_id_before_it_is_first_sent_and_keeps_one_that_it_has() -> None:
    made = json.loads(with_id({"action": "a"}))
    kept = with_id({"id": "mine", "action": "ä"})

    assert made["id"][14] == "7" and len(made["id"]) == 36
    assert kept == '{"id":"mine","action":"ä"}'.encode()
    assert new_id() != new_id()


@pytest.mark.parametrize(
    "url", ["localhost:8420", "ftp://a", "http://", "http://a:99999", "http://a/?b=c"]
)
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="a server's URL"):
        Endpoint(url)


def test_only_201_is_an_acknowledgement() -> None:
    good = [status for status in range(100, 600) if outcome_of(status) is Outcome.STORED]

    assert good == [201]


def test_pauses_double_up_to_their_limit_honour_retry_after_and_end() -> None:
    patience = Patience(seconds_max=60, pause_first_seconds=1, pause_max_seconds=4)

    pauses = [plan_pause(patience, attempts, 0, 0, luck=1) for attempts in (1, 2, 3, 4, 99)]

    assert pauses == [1, 2, 4, 4, 4]
    assert plan_pause(patience, 1, 0, asked_seconds=7, luck=0) == 7
    assert plan_pause(patience, 1, 57, 0, luck=1) == 1
    assert plan_pause(patience, 9, 57, 0, luck=1) is None


def test_a_server_that_answers_well_is_not_asked_twice() -> None:
    with serving(stored) as server:
        with Client(Endpoint(server.url)) as client:
            client.send(LINES)

    assert len(server.requests) == 1


def test_a_stream_that_says_nothing_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.client.client.SILENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak_once() -> None:
            there, _ = listening.accept()
            there.recv(65536)
            there.sendall(b"HTTP/1.1 200 OK\r\n\r\nretry: 2000\n")
            over.wait(10)
            there.close()

        over = threading.Event()
        speaker = threading.Thread(target=speak_once)
        speaker.start()
        heard: list[bytes] = []
        with Client(Endpoint(f"http://127.0.0.1:{listening.getsockname()[1]}")) as client:
            with pytest.raises(UnreachableError, match="timed out"):
                heard.extend(client.stream("/v1/tail"))
            heard.append(b"ended")
        over.set()
        speaker.join()

    assert heard[-1] == b"ended"


def test_a_password_in_an_address_is_refused_since_it_would_not_be_sent() -> None:
    with pytest.raises(ValueError, match="holds no password: give a token"):
        Endpoint("https://alice:secret@audit.example")
