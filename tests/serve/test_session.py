"""Signing in: the token once, then a cookie that reads, ends, and never writes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from holdfast.serve.attempts import EACH_MAX
from holdfast.serve.respond import Message, Receive
from holdfast.serve.session import COOKIE, FORM_BYTES_MAX, SESSION_SECONDS, Sessions
from tests.serve.running import EVENT, Running, running

TOKEN = b"a-token-of-24-characters"
NOW = 1_688_990_597_000_000
HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("guarded") / "data", token=TOKEN) as server:
        yield server


def sign_in(client: httpx.Client, token: str, onward: str = "/regions") -> httpx.Response:
    return client.post("/signin", data={"token": token, "next": onward})


def test_a_person_without_a_token_is_asked_for_it(guarded: Running) -> None:
    answer = httpx.get(guarded.url + "/regions?x=1", headers=HTML)

    assert answer.status_code == 401
    assert 'value="/regions?x=1"' in answer.text
    assert guarded.system.regions.trail not in answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_program_is_told_as_before(guarded: Running) -> None:
    answer = httpx.get(guarded.url + "/v1/events")

    assert answer.json()["type"] == "/problems/unauthorized"
    assert "Basic" in answer.headers["www-authenticate"]


def test_the_token_opens_the_console_and_signing_out_closes_it(guarded: Running) -> None:
    with httpx.Client(base_url=guarded.url, headers=HTML) as client:
        answer = sign_in(client, TOKEN.decode())
        assert (answer.status_code, answer.headers["location"]) == (303, "/regions")
        told = answer.headers["set-cookie"]
        assert "HttpOnly" in told and "SameSite=Strict" in told and TOKEN.decode() not in told

        page = client.get("/regions")
        assert page.status_code == 200 and "Sign out" in page.text
        assert client.get("/v1/events").status_code == 200

        client.post("/signout")
        assert client.get("/regions").status_code == 401


def test_a_session_never_writes(guarded: Running) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        sign_in(client, TOKEN.decode())

        assert client.post("/v1/events", json=EVENT).status_code == 401


def test_a_wrong_token_is_told_and_opens_nothing(guarded: Running) -> None:
    with httpx.Client(base_url=guarded.url, headers=HTML) as client:
        answer = sign_in(client, "wrong")

        assert answer.status_code == 401 and "not this server" in answer.text
        assert not client.cookies


@pytest.mark.parametrize(
    "onward", ["//evil.example/", "https://evil.example", "/\\evil", "/a\r\nb"]
)
def test_it_leads_nowhere_but_here(guarded: Running, onward: str) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        assert sign_in(client, TOKEN.decode(), onward).headers["location"] == "/"


def cookie_of(sessions: Sessions, until: int) -> dict[bytes, bytes]:
    value = f"{COOKIE}={until}.{sessions._seal(str(until))}"
    return {b"cookie": value.encode()}


def test_a_session_ends_and_cannot_be_drawn_out() -> None:
    sessions = Sessions(TOKEN, lambda: NOW, is_https=False)
    until = NOW // 1_000_000 + SESSION_SECONDS
    good = cookie_of(sessions, until)
    longer = {b"cookie": good[b"cookie"].replace(str(until).encode(), str(until + 9).encode())}

    assert sessions.holds(good)
    assert not sessions.holds(longer)
    assert not sessions.holds(cookie_of(sessions, NOW // 1_000_000))
    assert not Sessions(b"another-token-of-24-chars", lambda: NOW, False).holds(good)


@pytest.mark.parametrize("value", ["", ".", "1.2", "x.y", "9" * 400 + ".a", "\xff", ";;=", '"'])
def test_whatever_a_cookie_holds_only_ours_opens(value: str) -> None:
    sessions = Sessions(TOKEN, lambda: NOW, is_https=False)

    assert not sessions.holds({b"cookie": f"{COOKIE}={value}".encode("latin-1")})
    assert not Sessions(b"", lambda: NOW, False).holds(
        {b"cookie": f"{COOKIE}={value}".encode("latin-1")}
    )


@pytest.mark.parametrize(("method", "opens"), [("GET", True), ("HEAD", True), ("POST", False)])
def test_a_session_opens_only_what_is_read(method: str, opens: bool) -> None:
    sessions = Sessions(TOKEN, lambda: NOW, is_https=False)
    headers = cookie_of(sessions, NOW // 1_000_000 + 1)

    assert sessions.open({"method": method, "headers": [*headers.items()]}) is opens


@pytest.mark.parametrize("is_https", [True, False])
def test_a_session_is_sent_by_tls_alone_where_people_come_by_that(is_https: bool) -> None:
    sessions = Sessions(TOKEN, lambda: NOW, is_https)
    form = b"next=/&token=" + TOKEN

    reply = asyncio.run(sessions.answer(SIGNING_IN, arriving(form)))

    (cookie,) = [value for name, value in reply.headers if name == b"set-cookie"]
    assert (b"; Secure" in cookie) is is_https
    assert b"HttpOnly; SameSite=Strict" in cookie


def test_a_form_that_is_too_large_is_read_no_further() -> None:
    read: list[int] = []

    async def endless() -> dict[str, object]:
        read.append(1024)
        return {"type": "http.request", "body": b"x" * 1024, "more_body": True}

    reply = asyncio.run(Sessions(TOKEN, lambda: NOW, False).answer(SIGNING_IN, endless))

    assert reply.status == 401
    assert sum(read) <= FORM_BYTES_MAX + 1024


SIGNING_IN = {
    "path": "/signin",
    "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
}


def arriving(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    return receive


def test_too_many_wrong_tokens_and_the_right_one_has_to_wait(tmp_path: Path) -> None:
    with (
        running(tmp_path / "data", token=TOKEN) as server,
        httpx.Client(base_url=server.url, headers=HTML) as client,
    ):
        wrong = [sign_in(client, f"guess-{number}").status_code for number in range(EACH_MAX)]
        answer = sign_in(client, TOKEN.decode())
        program = client.get("/v1/events", headers={"authorization": f"Bearer {TOKEN.decode()}"})

    assert wrong == [401] * EACH_MAX and program.status_code == 200
    assert answer.status_code == 429 and "Too many wrong tokens" in answer.text
    assert 50 <= int(answer.headers["retry-after"]) <= 60
