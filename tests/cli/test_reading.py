import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from holdfast.cli.app import run
from holdfast.client import Client, Endpoint
from tests.client.scripted import Reply, Request, Server, problem, serving

Capture = pytest.CaptureFixture[str]

PLACE = b',"node":"0123456789abcdef0123456789abcdef","segment":3,"position":41'
RECORD = (
    b'{"id":"e-1","time":"2026-11-24T10:00:00Z","actor":{"id":"alice"},"action":"user.login",'
    b'"payload":{"n":1.0e5},"received":"2026-11-24T10:00:00.500000Z","principal":"loopback"}'
)
STATEMENT = (
    b'"complete_through":"2026-11-24T10:00:01.000000Z",'
    b'"basis":[{"region":"a","listed_from":"x","listed_to":"y"}],'
    b'"holding_back":[{"node":"","kind":"silent","reason":"region c is away","since":"z"}],'
    b'"gaps":[]'
)


def page(*records: bytes, following: str = "null", conflict: bytes = b"") -> bytes:
    elements = b",".join(record[:-1] + PLACE + conflict + b"}" for record in records)
    return b'{"events":[' + elements + b"]," + STATEMENT + b',"next":' + following.encode() + b"}"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLDFAST_SERVER", "HOLDFAST_CONFIG", "HOLDFAST_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def answering(body: bytes) -> Reply:
    return Reply(200, body)


def ask(server: Server, *arguments: str) -> int:
    return run([arguments[0], "--server", server.url, *arguments[1:]])


def test_json_output_is_the_answer_byte_for_byte(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    with serving(then=lambda _: answering(page(RECORD))) as server:
        code = ask(server, "search", "--json")

    assert code == 0
    assert capsysbinary.readouterr().out == page(RECORD) + b"\n"


def test_every_filter_reaches_the_server_under_its_own_name(capsys: Capture) -> None:
    filters = {
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-02T00:00:00+01:00",
        "tenant": "acme & co",
        "actor": "a",
        "action": "iam.*",
        "target": "t",
        "outcome": "denied",
        "ip": "::1",
        "id": "e-1",
        "q": "per cent %",
        "limit": "7",
        "cursor": "c",
    }
    options = [text for name, value in filters.items() for text in (f"--{name}", value)]
    with serving(then=lambda _: answering(page())) as server:
        ask(server, "search", *options)

    assert _parameters(server.requests[0]) == filters


def test_the_empty_tenant_is_a_filter_and_no_tenant_is_none(capsys: Capture) -> None:
    with serving(then=lambda _: answering(page())) as server:
        ask(server, "search", "--tenant", "")
        ask(server, "search")

    assert [_parameters(each) for each in server.requests] == [
        {"tenant": "", "limit": "100"},
        {"limit": "100"},
    ]


def test_ndjson_prints_the_stored_records_of_all_pages(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    last = page(RECORD, conflict=b',"conflict":true')
    with serving(
        lambda _: answering(page(RECORD, RECORD, following='"more"')),
        then=lambda _: answering(last),
    ) as server:
        code = ask(server, "search", "--ndjson", "--limit", "2500")

    printed = capsysbinary.readouterr()
    assert code == 0
    assert printed.out == (RECORD + b"\n") * 3
    assert b"complete through 2026-11-24T10:00:01.000000Z" in printed.err
    assert _parameters(server.requests[1]) == {"limit": "1000", "cursor": "more"}


def test_a_person_sees_the_event_and_on_what_the_answer_rests(capsys: Capture) -> None:
    with serving(then=lambda _: answering(page(RECORD, following='"abc"'))) as server:
        ask(server, "search")

    printed = capsys.readouterr()
    assert "alice" in printed.out and "user.login" in printed.out
    assert "resting on regions: a" in printed.err
    assert "held back: region c is away" in printed.err
    assert "--cursor abc" in printed.err


def test_an_event_cannot_speak_to_the_terminal(capsys: Capture) -> None:
    evil = RECORD.replace(b"alice", "\\u001b[2J\u202e\\u0007".encode())
    with serving(then=lambda _: answering(page(evil))) as server:
        ask(server, "search")
        ask(server, "show", "e-1")

    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\u202e" not in printed and "\x07" not in printed
    assert "\\x1b[2J\\u202e" in printed


def test_counting_asks_for_groups_and_prints_the_whole_number(capsys: Capture) -> None:
    answer = b'{"count":3,"groups":[{"action":"a","count":3}],"histogram":[],' + STATEMENT + b"}"
    with serving(then=lambda _: answering(answer)) as server:
        ask(server, "search", "--count", "--by", "action")

    assert capsys.readouterr().out.split() == ["3", "a", "3", "in", "all"]
    assert server.requests[0].path == "/v1/events/count?by=action"


def test_completeness_is_4_where_nothing_is_known_to_be_complete(capsys: Capture) -> None:
    unknown = STATEMENT.replace(b'"2026-11-24T10:00:01.000000Z"', b"null")
    with serving(
        lambda _: answering(b"{" + STATEMENT + b"}"), lambda _: answering(b"{" + unknown + b"}")
    ) as server:
        good = ask(server, "completeness", "--json")
        bad = ask(server, "completeness")

    assert (good, bad) == (0, 4)
    assert "complete through: unknown" in capsys.readouterr().out


def test_completeness_is_4_where_a_hole_is_not_explained(capsys: Capture) -> None:
    hole = STATEMENT.replace(b'"kind":"silent"', b'"kind":"hole"')
    with serving(lambda _: answering(b"{" + hole + b"}")) as server:
        code = ask(server, "completeness", "--json")

    assert code == 4
    assert capsys.readouterr().out


def test_an_id_is_quoted_and_one_that_is_not_there_is_2(capsys: Capture) -> None:
    with serving(then=lambda _: problem("not-found", 404)) as server:
        code = ask(server, "show", "a/b c", "--tenant", "t")

    assert code == 2
    assert server.requests[0].path == "/v1/events/a%2Fb%20c?tenant=t"


@pytest.mark.parametrize("id", ["count", "export", ".", ".."])
def test_an_id_that_a_path_would_misread_is_searched_for(
    id: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with serving(then=lambda _: answering(page(RECORD))) as server:
        code = ask(server, "show", id, "--tenant", "t", "--json")

    assert code == 0
    assert server.requests[0].path.startswith("/v1/events?")
    assert _parameters(server.requests[0]) == {"id": id, "limit": "1000", "tenant": "t"}
    assert capsysbinary.readouterr().out == page(RECORD).replace(b',"next":null', b"") + b"\n"


@pytest.mark.parametrize("place", [("--server", "http://127.0.0.1:1"), ("--data", "nowhere")])
def test_an_empty_id_is_2_and_asks_nobody(place: tuple[str, str], capsys: Capture) -> None:
    code = run(["show", "", *place])

    assert code == 2
    assert capsys.readouterr().err.startswith("holdfast: ID: is empty")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "unknown-parameter", 2),
        (401, "unauthorized", 2),
        (503, "unavailable", 3),
        (500, "internal", 3),
        (500, "corrupt", 1),
    ],
)
def test_what_the_server_answers_decides_the_exit_code(
    status: int, kind: str, code: int, capsys: Capture
) -> None:
    with serving(then=lambda _: problem(kind, status, (0, "q", "is odd"))) as server:
        assert ask(server, "search") == code

    assert capsys.readouterr().err == "holdfast: q: is odd\n"


def test_a_server_that_is_not_there_is_3_and_named(capsys: Capture) -> None:
    code = run(["status", "--server", "http://127.0.0.1:1"])

    assert code == 3
    assert capsys.readouterr().err == "holdfast: http://127.0.0.1:1: connection refused\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["sarch"],
        ["search", "--limit", "0"],
        ["search", "--limit", "1001", "--server", "http://127.0.0.1:1"],
        ["search", "--json", "--ndjson"],
        ["search", "--server", "http://127.0.0.1:1", "--data", "d"],
        ["search", "--server", "localhost"],
        ["search", "--server", "http://127.0.0.1:1", "--token-file", "/nowhere/at/all"],
        ["show"],
        ["search", "--frm", "x"],
    ],
)
def test_bad_usage_is_2_and_told_in_one_line(arguments: list[str], capsys: Capture) -> None:
    code = run(arguments)

    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.startswith("holdfast: ") and printed.err.count("\n") == 1


def test_a_tail_prints_events_as_they_come(capsys: Capture) -> None:
    said = b"event: completeness\ndata: {}\n\n"
    body = said + b"id: 1\ndata: " + RECORD + b"\n\n: alive\n\ndata: " + RECORD + b"\n\n"
    with serving(then=lambda _: answering(body)) as server:
        code = ask(server, "tail", "--ndjson", "--actor", "alice")

    printed = capsys.readouterr()
    assert [json.loads(line)["id"] for line in printed.out.splitlines()] == ["e-1", "e-1"]
    assert code == 3
    assert "the server ended the stream" in printed.err


def test_a_tail_that_the_server_ends_says_why(capsys: Capture) -> None:
    body = b'event: problem\ndata: {"detail":"the listener is too slow"}\n\n'
    with serving(then=lambda _: answering(body)) as server:
        code = ask(server, "tail")

    assert code == 3
    assert "the listener is too slow" in capsys.readouterr().err


def test_the_environment_names_the_server_and_options_overrule_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with serving(then=lambda _: answering(page())) as server:
        monkeypatch.setenv("HOLDFAST_SERVER", server.url)
        monkeypatch.setenv("HOLDFAST_TOKEN", "secret")
        by_environment = run(["search"])
        by_option = run(["search", "--server", "http://127.0.0.1:1"])

    assert (by_environment, by_option) == (0, 3)
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


def test_a_mistake_of_ours_is_3_and_never_looks_like_a_refuted_trail(capsys: Capture) -> None:
    with serving(then=lambda _: answering(b'{"events":[]}')) as server:
        code = ask(server, "completeness")

    assert code == 3
    assert "a mistake of Holdfast itself" in capsys.readouterr().err


def test_where_the_server_is_not_installed_nothing_looks_refuted() -> None:
    told = "import sys; sys.modules['typer'] = None; from holdfast.cli.main import main; main()"

    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert done.stderr.endswith("install holdfast-audit[server].\n")


def test_a_number_of_thousands_of_digits_in_an_event_hides_no_answer(capsys: Capture) -> None:
    record = RECORD.replace(b"1.0e5", b"7" * 5000)
    with serving(then=lambda _: answering(page(record))) as server:
        codes = [ask(server, "search"), ask(server, "show", "e-1")]
        with Client(Endpoint(server.url)) as client:
            found = client.get("/v1/events")

    assert codes == [0, 0]
    assert "7" * 5000 in capsys.readouterr().out
    assert found["events"][0]["payload"] == {"n": "7" * 5000}


@pytest.mark.parametrize("verb", [["search", "--q"], ["send", "--action"]])
def test_an_argument_that_is_no_utf8_is_refused_by_name(verb: list[str], capsys: Capture) -> None:
    with serving(then=lambda _: answering(page(RECORD))) as server:
        code = ask(server, *verb, "caf\udce9")

    printed = capsys.readouterr().err
    assert code == 2 and "is not UTF-8" in printed and "Traceback" not in printed


def _parameters(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["search", "--actr", "x"], "holdfast search"),
        (["alerts", "silence", "lag:b"], "holdfast alerts silence"),
        (["frobnicate"], "holdfast"),
    ],
)
def test_who_is_mistaken_in_a_verb_is_led_to_the_help_of_that_verb(
    capsys: pytest.CaptureFixture[str], arguments: list[str], asked: str
) -> None:
    assert run(arguments) == 2

    assert capsys.readouterr().err.endswith(f"(see `{asked} --help`)\n")


def test_with_nothing_named_and_nothing_here_it_is_said_what_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOLDFAST_SERVER", "HOLDFAST_CONFIG", "HOLDFAST_DATA"):
        monkeypatch.delenv(name, raising=False)

    codes = [run(["search"]), run(["send", "--action", "x"])]

    searched, sent = capsys.readouterr().err.splitlines()
    assert codes == [2, 2]
    assert "there are no regions in ./holdfast-data: name a server" in searched
    assert sent == "holdfast: --server: is missing, and HOLDFAST_SERVER names none"
