"""A browser's way in: the token once, in a form, then a cookie that only reads.

The cookie holds when it ends and an HMAC of that under a key derived from the token: it shows
nothing of the token, every process behind the port knows it, and a new token ends it. It opens
what is read with GET; events are taken in with the token alone, so no foreign page can write with
it. Signing out takes it from the browser; a copy of it would hold until its end.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs

from holdfast.serve.attempts import Attempts
from holdfast.serve.problems import Header, Reply
from holdfast.serve.respond import Receive, Scope
from holdfast.serve.ui import signin

COOKIE: Final = "holdfast-session"
SESSION_SECONDS: Final = 12 * 3600
FORM_BYTES_MAX: Final = 16 * 1024
PATHS: Final = frozenset({"/signin", "/signout"})
FREE_FILES: Final = frozenset({"/holdfast.css", "/console.js", "/mark.svg"})
READING: Final = frozenset({"GET", "HEAD"})
_FORM: Final = b"application/x-www-form-urlencoded"
_HTML: Final[Header] = (b"content-type", b"text/html; charset=utf-8")


class Sessions:
    """Makes cookies and knows them again. token: b"" where none is asked for, and none made.
    is_https: people reach the server by TLS, also where it is another that speaks it."""

    def __init__(self, token: bytes, now_us: Callable[[], int], is_https: bool) -> None:
        self._token = token
        self._secure = "; Secure" if is_https else ""
        self._key = hmac.digest(token, b"holdfast console session/1", "sha256") if token else b""
        self._now_us = now_us
        self._attempts = Attempts()

    def open(self, scope: Scope) -> bool:
        """Whether this request only reads, and a session lets it."""
        return scope["method"] in READING and self.holds(dict(scope["headers"]))

    def holds(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request carries a cookie of ours that has not ended."""
        until, _, seal = cookie_in(headers).partition(".")
        if not self._key or not hmac.compare_digest(seal.encode(), self._seal(until).encode()):
            return False
        return int(until) * 1_000_000 > self._now_us()

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """What a form of the console gets: POST /signin or /signout."""
        if scope["path"] == "/signout":
            return _redirect("/", self._cookie("", 0))
        form = await _form(scope, receive)
        onward = _onward(form.get("next", "/"))
        # Nothing is awaited from here on, so no attempts at once slip through together.
        now, address = asyncio.get_running_loop().time(), (scope.get("client") or ("",))[0]
        if wait_seconds := self._attempts.wait_seconds(address, now):
            later = (b"retry-after", b"%d" % wait_seconds)
            return Reply(429, (_HTML, later), signin.render(onward, signin.TOO_OFTEN))
        if not hmac.compare_digest(form.get("token", "").strip().encode(), self._token):
            self._attempts.failed(address, now)
            return self.page(onward, signin.WRONG)
        until = str(self._now_us() // 1_000_000 + SESSION_SECONDS)
        return _redirect(onward, self._cookie(f"{until}.{self._seal(until)}", SESSION_SECONDS))

    def asks(self, scope: Scope) -> Reply | None:
        """The form, for a person who came without; None: a program asked, and is told its way."""
        wants = dict(scope["headers"]).get(b"accept", b"")
        if not self._key or scope["method"] not in READING or b"text/html" not in wants:
            return None
        query = "?" + scope["query_string"].decode("latin-1") if scope["query_string"] else ""
        return self.page(_onward(scope["raw_path"].decode("latin-1") + query))

    @staticmethod
    def page(onward: str, problem: str = "") -> Reply:
        challenge = (b"www-authenticate", b'Bearer realm="holdfast"')
        return Reply(401, (_HTML, challenge), signin.render(onward, problem))

    def _cookie(self, value: str, seconds: int) -> Header:
        kept = f"Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{self._secure}"
        return b"set-cookie", f"{COOKIE}={value}; {kept}".encode()

    def _seal(self, until: str) -> str:
        return hmac.digest(self._key, until.encode(), "sha256").hex()


def cookie_in(headers: Mapping[bytes, bytes]) -> str:
    """The session that a request carries; "" for none."""
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == COOKIE.encode():
            return value.decode("latin-1")
    return ""


def _redirect(onward: str, *headers: Header) -> Reply:
    return Reply(303, ((b"location", onward.encode("latin-1")), *headers), b"")


def _onward(path: str) -> str:
    """A path of ours, and nowhere else."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    printable = path.isascii() and path.isprintable()
    return path if is_ours and printable and len(path) <= FORM_BYTES_MAX // 2 else "/"


async def _form(scope: Scope, receive: Receive) -> dict[str, str]:
    """A form's fields; nothing of one that is no form, or too large."""
    data = b""
    while True:
        message = await receive()
        data += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(data) > FORM_BYTES_MAX:
            return {}
        if not message.get("more_body", False):
            break
    kind = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip()
    if kind != _FORM:
        return {}
    return {name: values[0] for name, values in parse_qs(data.decode("latin-1")).items()}
