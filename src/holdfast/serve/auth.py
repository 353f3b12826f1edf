"""Who may: one bearer token, or none and then only this machine.

Without a token the server listens on loopback alone. That keeps other machines out, not the web
pages that someone on this machine looks at: by rebinding a name of its own to 127.0.0.1, a page
would count as the same origin and could read the trail. Hence, without a token, a request must call
the server by a loopback name (`Host`). Writing from a foreign page is refused in any case, because
the content types that POST /v1/events takes are none that a page may send without asking first.
"""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from typing import Final

from holdfast.serve.problems import Reply, problem
from holdfast.settings import Settings

TOKEN_BYTES_MIN: Final = 16
FREE_PATHS: Final = frozenset({"/healthz", "/readyz"})
_CHALLENGES: Final = (
    (b"www-authenticate", b'Bearer realm="holdfast"'),
    (b"www-authenticate", b'Basic realm="holdfast: the password is the token", charset="UTF-8"'),
)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and nothing else."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback


class Gate:
    """Lets a request in under a principal's name, or says why not.

    Args:
        token: as read from `token_file`, without white space around it; b"": none is asked for.
    """

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._bearer = b"Bearer " + token
        self._hosts: dict[bytes, bool] = {}

    @property
    def asks_token(self) -> bool:
        return bool(self._token)

    def admit(self, headers: Mapping[bytes, bytes]) -> str | Reply:
        """The principal that submits, or the refusal. headers: names in lower case."""
        if not self._token:
            return "loopback" if self._is_called_by_loopback(headers) else _misdirected()
        sent = headers.get(b"authorization", b"")
        if hmac.compare_digest(sent, self._bearer) or self._is_token(sent):
            return "token"
        detail = "the token is not this server's" if sent else "this server asks for a token"
        return problem("unauthorized", detail, *_CHALLENGES)

    def _is_token(self, sent: bytes) -> bool:
        """Whether it holds the token in another spelling: the scheme in any case, or Basic."""
        scheme, _, value = sent.partition(b" ")
        match scheme.lower():
            case b"bearer":
                given = value.strip()
            case b"basic":
                try:
                    given = base64.b64decode(value.strip(), validate=True).partition(b":")[2]
                except binascii.Error:
                    return False
            case _:
                return False
        return hmac.compare_digest(given, self._token)

    def _is_called_by_loopback(self, headers: Mapping[bytes, bytes]) -> bool:
        host = headers.get(b"host", b"")
        known = self._hosts.get(host)
        if known is None:
            known = is_loopback(_without_port(host.decode("latin-1")))
            if len(self._hosts) < 64:  # what is called is one or two names; strangers stay bounded
                self._hosts[host] = known
        return known


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _misdirected() -> Reply:
    return problem("misdirected", "without a token, call this server as localhost or 127.0.0.1")


def token_from(data: bytes) -> bytes:
    """The token in a token file: its only line.

    Raises:
        ValueError: what is wrong with it, for a person.
    """
    token = data.strip()
    if len(token) < TOKEN_BYTES_MIN:
        raise ValueError(f"must hold a token of at least {TOKEN_BYTES_MIN} characters")
    if not all(0x21 <= byte <= 0x7E for byte in token):
        raise ValueError("must hold one line of printable ASCII, without spaces")
    return token


def bind_refusal(settings: Settings) -> str | None:
    """Why a server with these settings listens on this machine only; None: it may go further."""
    missing = [
        name
        for name, value in (
            ("token_file", settings.token_file),
            ("tls_certificate and tls_key", settings.tls_certificate),
        )
        if not value
    ]
    if is_loopback(settings.host) or not missing:
        return None
    return (
        f"listening on 127.0.0.1 instead of {settings.host}: without {' and '.join(missing)}, "
        "others could read the trail, or write to it, or see the token on its way"
    )
