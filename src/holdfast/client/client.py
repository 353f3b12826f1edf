"""Send events until they are acknowledged, and ask a server's other questions."""

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from holdfast.client.errors import (
    ABOUT_EVENTS,
    ClientError,
    Fault,
    NotAcknowledgedError,
    RefusedError,
    UnreachableError,
)
from holdfast.client.retry import Outcome, Patience, outcome_of, plan_pause
from holdfast.client.transport import (
    SILENCE_SECONDS,
    Answer,
    BrokenError,
    ConnectError,
    Endpoint,
    Transport,
    blocks_of,
    lines_of,
)

NDJSON = "application/x-ndjson"
SPEAKS_JSON = {"Accept": "application/json"}

DIGITS_MAX: Final = 1_000


@dataclass(frozen=True)
class Acknowledged:
    """What the server promised.

    segment: name of the segment that holds the events. receipt: signed note. regions: that count.
    ids: of the events, in the order sent.
    """

    segment: str
    receipt: str
    regions: tuple[str, ...]
    ids: tuple[str, ...]


class Client:
    """A server as a sender and a reader sees it; may be shared by threads, and wants closing."""

    def __init__(self, endpoint: Endpoint, patience: Patience | None = None) -> None:
        self.url = endpoint.url
        self._patience = patience or Patience()
        self._transport = Transport(endpoint, self._patience.timeout_seconds)
        self._given_up = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def give_up(self) -> None:
        """Attempts that are under way are the last ones: another thread asks `send` to end."""
        self._given_up.set()

    def send(self, lines: Sequence[bytes]) -> Acknowledged:
        """Send events until they are acknowledged or the patience is over.

        Args:
            lines: An event a line, as JSON, without the line end. Each must carry an `id` (see
                `with_id`): without one, sending again would store a second event.
        Raises:
            RefusedError: nothing of it was stored, and nothing ever will be.
            UnreachableError: nothing of it was stored.
            NotAcknowledgedError: it may be stored; the same lines may be sent again.
        """
        body = b"\n".join(lines) + b"\n"
        attempts = 0
        began = 0.0
        may_be_stored = False
        while True:
            attempts += 1
            outcome, why, answer = self._attempt(body)
            if outcome is Outcome.STORED and answer is not None:
                return _acknowledged(answer, len(lines))
            if outcome is Outcome.REFUSED and answer is not None:
                error = refused(answer)
                # What is wrong with the events themselves was wrong with them before.
                if error.kind in ABOUT_EVENTS or not may_be_stored:
                    raise error
            may_be_stored = may_be_stored or outcome is Outcome.UNKNOWN
            now = time.monotonic()
            began = began or now
            asked = answer.retry_after_seconds if answer is not None else 0.0
            luck = random.random()  # noqa: S311 - spreads retries; nothing secret
            pause = plan_pause(self._patience, attempts, now - began, asked, luck)
            is_final = pause is None or outcome is Outcome.REFUSED
            if is_final or self._given_up.wait(pause):
                raised = NotAcknowledgedError if may_be_stored else UnreachableError
                raise raised(f"{self.url}: {why} (attempts made: {attempts})")

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Ask a question whose answer is a JSON object; `path` is already quoted. A whole number of
        more than 1,000 digits, as a sender may write it, is given as text.

        Raises:
            RefusedError: the server said no. UnreachableError: it did not answer.
        """
        return _object(self.get_bytes(path, parameters))

    def get_bytes(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        """The same, with the answer's body as it came."""
        answer = self.get_answer(path, parameters)
        if answer.status != 200:
            raise refused(answer)
        return answer.body

    def get_answer(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Ask a question and take any answer.

        Raises:
            UnreachableError: the server did not answer.
        """
        target = with_parameters(path, parameters)
        for last in (False, True):
            try:
                return self._transport.exchange("GET", target, None, SPEAKS_JSON)
            except ConnectError as error:
                raise UnreachableError(f"{self.url}: {error}") from error
            except BrokenError as error:
                # A kept connection may have been closed meanwhile: a fresh one gets one chance.
                if last:
                    raise UnreachableError(f"{self.url}: {error}") from error
        raise AssertionError("unreachable")

    def post(self, path: str, value: Mapping[str, Any]) -> bytes:
        """Send a JSON object that is no event, once; the answer's body as it came.

        Raises:
            RefusedError: the server said no. UnreachableError: whether it took it is not known.
        """
        headers = {"Content-Type": "application/json", **SPEAKS_JSON}
        try:
            answer = self._transport.exchange("POST", path, _dumps(value), headers)
        except (ConnectError, BrokenError) as error:
            raise UnreachableError(f"{self.url}: {error}") from error
        if answer.status not in (200, 201):
            raise refused(answer)
        return answer.body

    def stream(self, path: str, parameters: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The lines of an endless answer, as they come.

        Raises:
            RefusedError: the server said no. UnreachableError: it is gone.
        """
        target, kind = with_parameters(path, parameters), "text/event-stream"
        return self._streamed(self._transport.stream(target, kind, lines_of, SILENCE_SECONDS))

    def download(self, path: str, parameters: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The body of a long answer, in blocks as they come. Raises as `stream`."""
        target = with_parameters(path, parameters)
        return self._streamed(self._transport.stream(target, NDJSON, blocks_of))

    def _streamed(
        self, coming: AbstractContextManager[tuple[Answer, Iterator[bytes]]]
    ) -> Iterator[bytes]:
        try:
            with coming as (answer, parts):
                if answer.status != 200:
                    raise refused(answer)
                yield from parts
        except (ConnectError, BrokenError) as error:
            raise UnreachableError(f"{self.url}: {error}") from error

    def _attempt(self, body: bytes) -> tuple[Outcome, str, Answer | None]:
        headers = {"Content-Type": NDJSON, **SPEAKS_JSON}
        try:
            answer = self._transport.exchange("POST", "/v1/events", body, headers)
        except ConnectError as error:
            return Outcome.NOTHING, str(error), None
        except BrokenError as error:
            return Outcome.UNKNOWN, str(error), None
        outcome = outcome_of(answer.status)
        why = "" if outcome is Outcome.STORED else str(refused(answer))
        return outcome, why, answer


def with_id(event: Mapping[str, Any]) -> bytes:
    """An event as a line that may be sent again and again: with an `id`, made here if need be."""
    if event.get("id", "") != "":
        return _dumps(event)
    return _dumps({"id": new_id(), **{k: v for k, v in event.items() if k != "id"}})


def new_id() -> str:
    """A UUIDv7: ids that were made later sort later."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def with_parameters(path: str, parameters: Mapping[str, str] | None) -> str:
    """A path with its query."""
    query = urlencode(dict(parameters or {}), quote_via=quote)
    return f"{path}?{query}" if query else path


def refused(answer: Answer) -> RefusedError:
    """A problem document (RFC 9457), or whatever else came, as an error."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        text = answer.body[:200].decode("utf-8", "replace").strip()
        return RefusedError(answer.status, "", f"HTTP {answer.status} {text}".strip())
    kind = str(problem.get("type", "")).rpartition("/")[2]
    detail = str(problem.get("detail") or problem.get("title") or f"HTTP {answer.status}")
    listed = problem.get("errors")
    faults = tuple(
        Fault(int(each.get("line", 0)), str(each.get("field", "")), str(each.get("reason", "")))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    )
    return RefusedError(answer.status, kind, detail, faults)


def whole(token: str) -> int | str:
    """A whole number, or its text where Python refuses to make a number of so many digits."""
    return int(token) if len(token) <= DIGITS_MAX else token


def _acknowledged(answer: Answer, count: int) -> Acknowledged:
    """Read a 201.

    Raises:
        ClientError: it does not speak of as many events as were sent: not a Holdfast server.
    """
    said = _object(answer.body)
    ids = said.get("ids")
    if not isinstance(ids, list) or len(ids) != count:
        raise ClientError(f"sent {count} events, and the answer names other ones")
    regions = tuple(str(region) for region in said.get("regions", ()))
    return Acknowledged(
        str(said.get("segment", "")), str(said.get("receipt", "")), regions, tuple(map(str, ids))
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body, parse_int=whole)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ClientError("the answer is not a JSON object: is that a Holdfast server?")
    return said


def _dumps(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
