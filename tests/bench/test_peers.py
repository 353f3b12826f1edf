"""Others' servers take what the bench sends them, and say how much they have: else it would
measure nothing, and nobody would see."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import nats, rsyslog
from bench.load import BrokenAnswerError
from bench.processes import choose_cores
from tests.machine import program

pytestmark = pytest.mark.slow

EVENTS = [b'{"action":"user.login","number":%d}' % number for number in range(1_000)]
Running = Callable[[Path, int], AbstractContextManager[Any]]
VERSIONS = {"nats-server": nats.version, "rsyslogd": rsyslog.version}
WAYS = [
    pytest.param("nats-server", nats.running, id="nats"),
    *(
        pytest.param("rsyslogd", partial(rsyslog.running, way), id=f"rsyslog {way.is_synced}")
        for way in (rsyslog.RELP, rsyslog.RELP_SYNCED)
    ),
]


@pytest.mark.parametrize(("name", "running"), WAYS)
def test_every_message_is_answered_and_kept_over_a_start(
    tmp_path: Path, name: str, running: Running
) -> None:
    program(name, is_whole=bool(VERSIONS[name]()))
    core = choose_cores().side

    with running(tmp_path, core) as server, server.connect() as pipe:
        first = pipe.send(pipe.prepare(EVENTS[:1]))
        rest = pipe.send(pipe.prepare(EVENTS[1:]))
    with running(tmp_path, core) as server:
        kept, stored_bytes = server.count(), server.stored_bytes()

    assert first.events + rest.events == kept == len(EVENTS)
    assert stored_bytes >= sum(map(len, EVENTS))


def test_who_does_not_answer_is_told_as_such(tmp_path: Path) -> None:
    program("nats-server")
    with nats.running(tmp_path, choose_cores().side) as server, server.connect() as pipe:
        chunks = pipe.prepare(EVENTS)
        server.side.process.kill()

        with pytest.raises((BrokenAnswerError, ConnectionError)):
            pipe.send(chunks)
