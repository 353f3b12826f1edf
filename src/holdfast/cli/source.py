"""Where a reading command gets its answers: from a server, or straight from the regions.

Both give the very same JSON; a person's view is made from it afterwards.
"""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from holdfast.cli.options import Target, Where
from holdfast.client import Client, Endpoint, Patience, UnreachableError
from holdfast.client.client import whole
from holdfast.errors import Problem, RejectedError
from holdfast.read.query import LIMIT_MAX
from holdfast.settings import DATA_DEFAULT

Parameters = Mapping[str, str]
QUESTION_TIMEOUT_SECONDS = 120.0
REGIONS_NAMED_BY = ("HOLDFAST_CONFIG", "HOLDFAST_DATA")
# In a path these would read as another place: an endpoint of its own, or the folder above.
IDS_NOT_FOR_A_PATH = ("count", "export", ".", "..")


class Source(Protocol):
    """What can be asked. Answers are JSON objects, as docs/API.md has them, encoded."""

    def search(self, parameters: Parameters) -> bytes: ...

    def count(self, parameters: Parameters) -> bytes: ...

    def show(self, id: str, parameters: Parameters) -> bytes:
        """Every event under an id, which is not empty."""

    def proof(self, id: str, parameters: Parameters) -> bytes:
        """The file that proves an event, as `holdfast.proof` checks it."""

    def certificate(self, parameters: Parameters) -> Iterator[bytes]:
        """The file that proves that some events are all, in pieces as they are made."""

    def hand_to(self, executor: Executor, at_once: int) -> None:
        """Have an export or a certificate made there, so many pieces at a time.

        Raises RejectedError: a server has its own.
        """

    def export(self, parameters: Parameters) -> Iterator[bytes]:
        """A file of all records that were received in some time, in pieces as they are made."""

    def receipt(self, parameters: Parameters) -> bytes:
        """The receipt of that file, once it was made."""

    def completeness(self) -> bytes: ...

    def status(self) -> bytes: ...

    def follow(self) -> None:
        """From now on, answer by what the regions show then, not by the first look at them."""

    def checkpoints(self) -> bytes: ...

    def consistency(self, parameters: Parameters) -> bytes: ...

    def holds(self) -> bytes: ...

    def hold(self, wanted: Mapping[str, Any]) -> bytes:
        """Place a hold; how it stands."""

    def release(self, id: str, wanted: Mapping[str, Any]) -> bytes:
        """End a hold; how it stands."""

    def retention(self) -> bytes:
        """What rules would let go now."""

    def expire(self, wanted: Mapping[str, Any]) -> bytes:
        """Let go what rules say; what became of it."""

    def tail(self, parameters: Parameters) -> Iterator[bytes]:
        """Events as they become known, each as a search shows it; ends never by itself."""


@contextmanager
def open_source(
    where: Where, *, events: bool = True, timeout_seconds: float = QUESTION_TIMEOUT_SECONDS
) -> Iterator[Source]:
    """The source that the options, or else the environment, name. events: they are asked for.
    timeout_seconds: how long a server may be silent.

    Raises:
        RejectedError: they name two, or none that exists.
    """
    if where.server and (where.data or where.config):
        raise rejected("--server", "goes with neither --data nor --config: name one place")
    server = where.server
    if not server and not where.data and not where.config:
        server = os.environ.get("HOLDFAST_SERVER", "")
    if server:
        endpoint = endpoint_of(server, where.token_file, where.ca_file)
        with Client(endpoint, Patience(timeout_seconds=timeout_seconds)) as client:
            yield ServerSource(client)
        return
    elsewhere = (where.data, where.config, *map(os.environ.get, REGIONS_NAMED_BY))
    if not any(elsewhere) and not DATA_DEFAULT.exists():
        why = f"is missing, and there are no regions in ./{DATA_DEFAULT}: name a server (or set "
        raise rejected("--server", why + "HOLDFAST_SERVER), or the regions (--data, --config)")
    from holdfast.cli.straight import open_regions

    with open_regions(where.data, where.config, events=events) as source:
        yield source


@contextmanager
def open_client(target: Target) -> Iterator[Client]:
    """A client of the server that events are to go to.

    Raises:
        RejectedError: no server is named, or not by a URL.
    """
    server = target.server or os.environ.get("HOLDFAST_SERVER", "")
    if not server:
        raise rejected("--server", "is missing, and HOLDFAST_SERVER names none")
    if target.retry_for < 0:
        raise rejected("--retry-for", "is a number of seconds, 0 or more")
    endpoint = endpoint_of(server, target.token_file, target.ca_file)
    with Client(endpoint, Patience(seconds_max=target.retry_for)) as client:
        yield client


def endpoint_of(server: str, token_file: Path | None, ca_file: Path | None) -> Endpoint:
    """The server's address and what it wants to see.

    Raises:
        RejectedError: the URL is none, or a file cannot be read.
    """
    token = os.environ.get("HOLDFAST_TOKEN", "")
    try:
        if token_file is not None:
            token = token_file.read_text("utf-8").strip()
        if ca_file is not None:
            ca_file.read_bytes()
        return Endpoint(server, token, str(ca_file or ""))
    except (OSError, UnicodeDecodeError) as error:
        raise rejected("--token-file or --ca-file", f"cannot be read: {error}") from None
    except ValueError as error:
        raise rejected("--server", str(error)) from None


class ServerSource:
    """A server's answers, passed on as they came."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def search(self, parameters: Parameters) -> bytes:
        return self._client.get_bytes("/v1/events", parameters)

    def count(self, parameters: Parameters) -> bytes:
        return self._client.get_bytes("/v1/events/count", parameters)

    def show(self, id: str, parameters: Parameters) -> bytes:
        assert id, "no id would be every id"
        if id not in IDS_NOT_FOR_A_PATH:
            return self._client.get_bytes(f"/v1/events/{quote(id, safe='')}", parameters)
        page = self.search({"id": id, "limit": str(LIMIT_MAX), **parameters})
        answer = msgspec.json.decode(page, type=dict[str, msgspec.Raw])  # records stay as they are
        answer.pop("next", None)
        return msgspec.json.encode(answer)

    def proof(self, id: str, parameters: Parameters) -> bytes:
        return self._client.get_bytes(f"/v1/events/{quote(id, safe='')}/proof", parameters)

    def certificate(self, parameters: Parameters) -> Iterator[bytes]:
        return self._client.download("/v1/certificate", parameters)

    def hand_to(self, executor: Executor, at_once: int) -> None:
        raise rejected("--executor, --jobs", "go with --data or --config: a server has its own")

    def export(self, parameters: Parameters) -> Iterator[bytes]:
        return self._client.download("/v1/export", parameters)

    def receipt(self, parameters: Parameters) -> bytes:
        return b"".join(self._client.download("/v1/export/receipt", parameters))

    def completeness(self) -> bytes:
        return self._client.get_bytes("/v1/completeness")

    def status(self) -> bytes:
        return self._client.get_bytes("/v1/status")

    def follow(self) -> None:
        """A server does so by itself."""

    def checkpoints(self) -> bytes:
        return self._client.get_bytes("/v1/checkpoints")

    def consistency(self, parameters: Parameters) -> bytes:
        return self._client.get_bytes("/v1/consistency", parameters)

    def holds(self) -> bytes:
        return self._client.get_bytes("/v1/holds")

    def hold(self, wanted: Mapping[str, Any]) -> bytes:
        return self._client.post("/v1/holds", wanted)

    def release(self, id: str, wanted: Mapping[str, Any]) -> bytes:
        return self._client.post(f"/v1/holds/{id}/release", wanted)

    def retention(self) -> bytes:
        return self._client.get_bytes("/v1/retention")

    def expire(self, wanted: Mapping[str, Any]) -> bytes:
        return self._client.post("/v1/retention/run", wanted)

    def tail(self, parameters: Parameters) -> Iterator[bytes]:
        kind = b""
        for line in self._client.stream("/v1/tail", parameters):
            name, _, value = line.partition(b":")
            if name == b"event":
                kind = value.strip()
            elif name == b"data" and not kind:  # messages of other kinds are not events
                yield value.strip()
            elif name == b"data" and kind == b"problem":
                raise UnreachableError(f"{self._client.url}: {decode(value)['detail']}")
            elif not line:
                kind = b""
        raise UnreachableError(f"{self._client.url}: the server ended the stream")


def decode(answer: bytes) -> dict[str, Any]:
    """An answer as Python sees it, for a person's view of it."""
    decoded: dict[str, Any] = json.loads(answer, parse_int=whole)
    return decoded


def rejected(where: str, reason: str) -> RejectedError:
    """A mistake in how the command was called."""
    return RejectedError("usage", Problem(0, where, reason))
