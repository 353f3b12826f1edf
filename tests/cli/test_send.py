import io
import json

import pytest

from holdfast.cli.app import run
from holdfast.cli.send import lines_of
from tests.client.scripted import problem, serving

Capture = pytest.CaptureFixture[str]


def standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_options_become_an_event(capsys: Capture) -> None:
    who = ["--action", "user.login", "--actor", "alice", "--id", "e-1"]
    what = ["--target", "app:crm", "--target", "plain", "--attribute", "a=b=c"]
    with serving() as server:
        code = run(["send", "--server", server.url, *who, *what])

    assert code == 0
    assert json.loads(server.requests[0].lines[0]) == {
        "id": "e-1",
        "action": "user.login",
        "actor": {"id": "alice"},
        "targets": [{"type": "app", "id": "crm"}, {"id": "plain"}],
        "attributes": {"a": "b=c"},
    }
    assert capsys.readouterr().out == "e-1 is durable in regions a, b\n"


def test_json_from_standard_input_goes_out_as_it_came_on_one_line_with_an_id(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    standard_input(monkeypatch, b'{\n  "action": "a",\n  "payload": {"n": 1.0e5}\n}\n')
    with serving() as server:
        code = run(["send", "--server", server.url, "--json"])

    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert list(answer) == ["segment", "receipt", "regions", "ids"]
    assert server.requests[0].lines[0].endswith(b'"action": "a",   "payload": {"n": 1.0e5} }')
    assert server.requests[0].ids == tuple(answer["ids"])


def test_an_array_and_lines_are_events_each() -> None:
    array = lines_of(b'[{"id":"1","action":"a"},\n {"id":"2","action":"b"}]')
    lines = lines_of(b'{"id":"1","action":"a"}\n\n{"id":"2","action":"b"}\n')

    assert array == lines == [b'{"id":"1","action":"a"}', b'{"id":"2","action":"b"}']


def test_what_is_no_json_is_left_for_the_server_to_name() -> None:
    assert lines_of(b'{"action":\n{}\nnull\n') == [b'{"action":', b"{}", b"null"]


def test_a_refusal_is_2_and_says_what_is_wrong(capsys: Capture) -> None:
    with serving(then=lambda _: problem("malformed", 400, (1, "actor", "is unknown"))) as server:
        code = run(["send", "--server", server.url, "--action", "a"])

    assert code == 2
    assert capsys.readouterr().err == "holdfast: actor: is unknown\n"


def test_a_server_that_is_away_is_3_once_the_patience_is_over(capsys: Capture) -> None:
    code = run(["send", "--server", "http://127.0.0.1:1", "--action", "a", "--retry-for", "0"])

    assert code == 3
    assert "http://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b" \n"])
def test_nothing_to_send_is_bad_usage(
    data: bytes, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    standard_input(monkeypatch, data)

    assert run(["send", "--server", "http://127.0.0.1:1"]) == 2
    assert "holds no event" in capsys.readouterr().err


def test_an_event_without_an_action_is_bad_usage_before_anything_is_sent(capsys: Capture) -> None:
    assert run(["send", "--server", "http://127.0.0.1:1", "--actor", "a"]) == 2
