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

pytestmark = pytest.mark.slow

EVENTS = [b'{"action":"user.login","number":%d}' % number for number in range(1_000)]
Running = Callable[[Path, int], AbstractContextManager[Any]]
NATS = pytest.param(
    nats.running, id="nats", marks=pytest.mark.skipif(not nats.version(), reason="no nats-server")
)
ANSWERED = [
    pytest.param(
        partial(rsyslog.running, way),
        id=f"rsyslog, synced {way.is_synced}",
        marks=pytest.mark.skipif(not rsyslog.version(), reason="no rsyslog with RELP"),
    )
    for way in (rsyslog.RELP, rsyslog.RELP_SYNCED)
]


@pytest.mark.parametrize("running", [NATS, *ANSWERED])
def test_every_message_is_answered_and_kept_over_a_start(tmp_path: Path, running: Running) -> None:
    core = choose_cores().side

    with running(tmp_path, core) as server, server.connect() as pipe:
        first = pipe.send(pipe.prepare(EVENTS[:1]))
        rest = pipe.send(pipe.prepare(EVENTS[1:]))
    with running(tmp_path, core) as server:
        kept, stored_bytes = server.count(), server.stored_bytes()

    assert first.events + rest.events == kept == len(EVENTS)
    assert stored_bytes >= sum(map(len, EVENTS))


@pytest.mark.skipif(not nats.version(), reason="no nats-server")
def test_who_does_not_answer_is_told_as_such(tmp_path: Path) -> None:
    with nats.running(tmp_path, choose_cores().side) as server, server.connect() as pipe:
        chunks = pipe.prepare(EVENTS)
        server.side.process.kill()

        with pytest.raises((BrokenAnswerError, ConnectionError)):
            pipe.send(chunks)
