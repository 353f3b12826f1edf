"""What is said of an "ok" rests on calls that were seen and events that were counted."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest

from bench import durability, rsyslog, tracing
from bench.durability import Meaning
from bench.events import make_pool
from bench.plan import QUICK, Ground
from bench.processes import Side, choose_cores
from tests.machine import program

PLAN = replace(QUICK, ok_requests=2, ok_kills=1, ok_events=100)
SYNCING = """
import os, sys
folder = sys.argv[1]
plain = os.open(f"{folder}/plain", os.O_WRONLY | os.O_CREAT)
synced = os.open(f"{folder}/synced", os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
for _ in sys.stdin:
    os.write(plain, b"x")
    os.write(synced, b"x")
    os.fdatasync(plain)
    print("ok", flush=True)
"""


@pytest.fixture
def syncing(tmp_path: Path) -> Iterator[Side]:
    """A program that, for each line, writes two files, one of them synced, and syncs the other."""
    process = subprocess.Popen(
        [sys.executable, "-c", SYNCING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        _ask(process)
        yield Side(process, tmp_path / "log")
    finally:
        process.kill()
        process.communicate()


def _ask(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin and process.stdout
    process.stdin.write(b"go\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ok\n"


@pytest.mark.slow
def test_writes_and_syncs_are_seen_each_in_its_request(tmp_path: Path, syncing: Side) -> None:
    program("strace")
    moments = []

    traces = tmp_path / "traces"
    traces.mkdir()
    with tracing.traced(syncing, tmp_path, traces) as trace:
        for _ in range(2):
            begin = time.time()
            _ask(syncing.process)
            moments.append((begin, time.time()))

    for each in moments:
        assert [(c.name, Path(c.path).name) for c in trace.within(*each)] == [
            (tracing.WRITE, "plain"),
            (tracing.SYNCED_WRITE, "synced"),
            ("fdatasync", "plain"),
        ]


def test_a_call_counts_when_it_came_back_and_only_if_it_did() -> None:
    lines = (
        "100.5 fsync(7</data/file>) = 0 <0.250000>",
        "101.0 fdatasync(8</data/file>) = -1 EIO (Input/output error) <0.000100>",
        '101.5 write(9<socket:[77]>, ""..., 12) = 12 <0.000010>',
        "102.0 fsync(7</data/file>",
    )

    found = list(tracing.calls(lines, "/data/", set()))

    assert found == [tracing.Call(100.75, "fsync", "/data/file")]


@pytest.mark.parametrize(
    ("meaning", "words"),
    [
        (Meaning(({"write": 1, "fsync": 1}, {"synced write": 2}), (9,), (0,)), "on disk"),
        (Meaning(({"write": 1, "fsync": 1}, {"write": 1}), (9,), (0,)), "in the kernel's memory"),
        (Meaning(({"write": 1}, {}), (9,), (0,)), "in the server's memory"),
        (Meaning(({"write": 1, "fsync": 1},), (9, 9), (0, 1)), "in the server's memory"),
    ],
)
def test_an_ok_means_the_least_that_was_seen(meaning: Meaning, words: str) -> None:
    assert meaning.words == words


@pytest.mark.slow
def test_ours_syncs_before_its_ok_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    program("strace")

    found = durability._look_at(_ground(tmp_path), partial(durability._ours, _ground(tmp_path)))

    assert min(found.synced) >= durability.SYNCS_MIN
    assert found.told == (100,) and found.gone == (0,)


@pytest.mark.slow
def test_whoever_answers_after_a_sync_is_told_from_who_does_not(tmp_path: Path) -> None:
    program("strace")
    program("rsyslogd", is_whole=bool(rsyslog.version()))  # RELP has a package of its own
    ground = _ground(tmp_path)
    ways = [
        partial(durability._messages, ground, partial(rsyslog.running, way))
        for way in (rsyslog.RELP, rsyslog.RELP_SYNCED)
    ]

    in_memory, on_disk = (durability._look_at(ground, way) for way in ways)

    assert not any(in_memory.synced)
    assert all(on_disk.synced) and on_disk.gone == (0,) and on_disk.words == "on disk"


def _ground(folder: Path) -> Ground:
    return Ground(PLAN, choose_cores(), folder, None, make_pool(1), Random(1))
