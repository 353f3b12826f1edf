"""Who may come in, and by which name the server must be called."""

import base64

import pytest

from holdfast.serve.auth import Gate, is_loopback
from holdfast.serve.problems import Reply

TOKEN = b"a-token-of-some-length"


def refusal(gate: Gate, **headers: bytes) -> Reply:
    reply = gate.admit({name.encode(): value for name, value in headers.items()})
    assert isinstance(reply, Reply)
    return reply


def test_the_right_bearer_token_is_let_in_under_one_name() -> None:
    gate = Gate(TOKEN)

    principals = {
        gate.admit({b"authorization": scheme + TOKEN})
        for scheme in (b"Bearer ", b"bearer ", b"BEARER  ")
    }

    assert principals == {"token"}


def test_a_browser_sends_the_token_as_a_password_under_any_name() -> None:
    basic = base64.b64encode(b"anyone:" + TOKEN)

    assert Gate(TOKEN).admit({b"authorization": b"Basic " + basic}) == "token"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer " + TOKEN[:-1],
        b"Bearer " + TOKEN + b"x",
        TOKEN,
        b"Basic " + TOKEN,
        b"Basic " + base64.b64encode(TOKEN + b":"),
        b"Basic \xff",
        b"Digest " + TOKEN,
    ],
)
def test_anything_else_is_a_401_that_says_how(sent: bytes) -> None:
    reply = refusal(Gate(TOKEN), authorization=sent)

    assert reply.status == 401
    assert [value[:6] for name, value in reply.headers if name == b"www-authenticate"] == [
        b"Bearer",
        b"Basic ",
    ]


def test_with_a_token_any_host_name_will_do() -> None:
    headers = {b"authorization": b"Bearer " + TOKEN, b"host": b"audit.example.org"}

    assert Gate(TOKEN).admit(headers) == "token"


@pytest.mark.parametrize(
    "host", [b"127.0.0.1:8420", b"localhost", b"LOCALHOST:1", b"[::1]:8420", b"a.localhost:80"]
)
def test_without_a_token_the_server_answers_to_loopback_names(host: bytes) -> None:
    assert Gate(b"").admit({b"host": host}) == "loopback"


@pytest.mark.parametrize(
    "host",
    [b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example", b"10.0.0.1", b""],
)
def test_without_a_token_a_rebound_name_is_refused(host: bytes) -> None:
    assert refusal(Gate(b""), host=host).status == 421


def test_an_ipv6_address_without_brackets_is_not_mistaken() -> None:
    assert is_loopback("::1")
    assert not is_loopback("::2")
