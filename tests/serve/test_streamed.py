"""Files that are made while they are sent: how they end, and how many are made at once."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack

import pytest

from holdfast.errors import CorruptError, UnavailableError
from holdfast.serve.faces import FILES_MAX, Bounds
from holdfast.serve.protocol import STALLED_SECONDS
from holdfast.serve.streamed import begun, bounded
from tests.serve.running import Running

ASKED = "/v1/events/export?action=stall"


def file(bounds: Bounds, *, breaks: bool = False) -> AsyncGenerator[bytes]:
    async def coming() -> AsyncGenerator[bytes]:
        yield b"first\n"
        yield b"second\n"
        if breaks:
            raise CorruptError("segment 7")

    return bounded(coming(), "exports", bounds)


async def heard(bounds: Bounds, coming: AsyncGenerator[bytes], stop_after: bytes = b"") -> bytes:
    found = b""
    async for piece in begun(await anext(coming), coming):
        found += piece
        assert bounds.files["exports"] == 1
        if piece == stop_after:
            bounds.stopping.set()
    return found


def test_a_file_holds_its_place_until_it_ends() -> None:
    bounds = Bounds()

    assert asyncio.run(heard(bounds, file(bounds))) == b"first\nsecond\n"
    assert bounds.files["exports"] == 0


@pytest.mark.parametrize(
    ("breaks", "stop_after", "error"),
    [(True, b"", CorruptError), (False, b"first\n", UnavailableError)],
)
def test_what_goes_wrong_on_the_way_cuts_it(
    breaks: bool, stop_after: bytes, error: type[Exception]
) -> None:
    bounds = Bounds()

    with pytest.raises(error):
        asyncio.run(heard(bounds, file(bounds, breaks=breaks), stop_after))

    assert bounds.files["exports"] == 0


def test_clients_that_read_nothing_hold_their_places_for_seconds_only(server: Running) -> None:
    events = [{"action": "stall", "reason": "y" * 7000} for _ in range(1000)]
    assert server.post(events).status_code == 201
    line = f"GET {ASKED} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    places = server.server.front.bounds.files

    with ExitStack() as stack:
        for _ in range(FILES_MAX):
            stream = stack.enter_context(server.connect())
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.sendall(line)
        connections = server.server.server_state.connections
        server.wait_until(
            lambda: sum(c.flow.write_paused for c in connections) == FILES_MAX  # type: ignore[union-attr]
        )
        refused = server.get(ASKED)
        server.sweep(STALLED_SECONDS + 1)
        server.wait_until(lambda: not places["exports"])
        answered = server.get(ASKED)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert len(answered.text.splitlines()) == 1000


def test_more_at_once_than_there_are_places_are_refused_though_none_has_begun() -> None:
    bounds = Bounds()

    async def story() -> list[bytes | BaseException]:
        files = [file(bounds) for _ in range(FILES_MAX + 1)]
        return await asyncio.gather(*(anext(each) for each in files), return_exceptions=True)

    outcomes = asyncio.run(story())

    assert outcomes[:FILES_MAX] == [b"first\n"] * FILES_MAX
    assert isinstance(outcomes[-1], UnavailableError)
