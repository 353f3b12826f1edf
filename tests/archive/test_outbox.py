"""What was deleted is an event of the trail, whoever did it and whoever lives on to store it."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from holdfast.archive.outbox import Outbox, Spool
from holdfast.errors import UnavailableError
from holdfast.model import JsonObject
from holdfast.regions.disk import PosixDisk

log = logging.getLogger("holdfast.archive")
EVENT: JsonObject = {"action": "holdfast.archive.swept", "attributes": {"regions": ["a"]}}


class Trail:
    """Stores events, each id once; or, for so many times, cannot."""

    def __init__(self, failures: int = 0) -> None:
        self.events: dict[str, JsonObject] = {}
        self.tellings = 0
        self._failures = failures

    async def tell(self, event: JsonObject) -> None:
        self.tellings += 1
        if self.tellings <= self._failures:
            raise UnavailableError("too few regions")
        self.events.setdefault(str(event["id"]), event)


def outbox(folder: Path, trail: Trail | None = None) -> Outbox:
    """One of another process."""
    one = Outbox("what was swept", log)
    one.spool = Spool(folder / "outbox", PosixDisk())
    one.tell = trail.tell if trail else None
    return one


def test_what_a_command_did_is_stored_by_the_next_server(tmp_path: Path) -> None:
    trail = Trail(failures=1)

    async def story() -> None:
        outbox(tmp_path).done(EVENT, 1_000_000)
        outbox(tmp_path).done(EVENT, 2_000_000)
        server = outbox(tmp_path, trail)
        await server.flush()
        assert not trail.events
        await server.flush()
        await server.flush()

    asyncio.run(story())

    times = [event.pop("time") for event in trail.events.values()]
    assert times == ["1970-01-01T00:00:01.000000Z", "1970-01-01T00:00:02.000000Z"]
    assert all(event == {**EVENT, "id": id} for id, event in trail.events.items())
    assert trail.tellings == 3 and not list((tmp_path / "outbox").iterdir())


def test_one_that_dies_once_it_is_stored_tells_the_same_event_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = Trail()

    def die(*_: Any) -> None:
        raise OSError("killed")

    async def story() -> None:
        server = outbox(tmp_path, trail)
        server.done(EVENT, 1_000_000)
        with monkeypatch.context() as dying:
            dying.setattr(Spool, "drop", die)
            await server.flush()
        await outbox(tmp_path, trail).flush()

    asyncio.run(story())

    assert (trail.tellings, len(trail.events)) == (2, 1)


def test_where_no_file_can_be_written_it_is_told_all_the_same(tmp_path: Path) -> None:
    trail = Trail()
    (tmp_path / "outbox").write_text("in the way")

    async def story() -> None:
        server = outbox(tmp_path, trail)
        server.done(EVENT, 1_000_000)
        await server.flush()

    asyncio.run(story())

    assert len(trail.events) == 1


def test_a_file_that_is_no_event_is_in_nobodys_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail = Trail()

    async def story() -> None:
        server = outbox(tmp_path, trail)
        server.done(EVENT, 1_000_000)
        (tmp_path / "outbox" / "a.json").write_text('{"id": "a", "act')
        await server.flush()

    asyncio.run(story())

    assert len(trail.events) == 1
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["a.json"]
    assert "a.json stays" in caplog.text
