"""Watching over the other processes, of which one hangs."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from holdfast.serve import supervise
from holdfast.serve.process import Line, run_child
from holdfast.serve.supervise import Up, _Child


def _hang_once(pipe: Connection, marker: Path) -> None:
    async def work(line: Line) -> None:
        line.say(Up((str(os.getpid()),)))
        await asyncio.sleep(1.0)  # alive and idle for longer than it may be silent
        if _is_first(marker):
            time.sleep(60)  # noqa: ASYNC251 (the event loop hangs)
        line.stop = (done := asyncio.Event()).set
        await done.wait()

    run_child("hanging", pipe, work)


def _hang_at_its_second_start(pipe: Connection, marker: Path) -> None:
    async def work(line: Line) -> None:
        if _is_first(marker.with_name("begun")):
            line.say(Up((str(os.getpid()),)))
            return
        if _is_first(marker):
            time.sleep(60)  # noqa: ASYNC251 (the event loop hangs)
        line.say(Up())
        line.stop = (done := asyncio.Event()).set
        await done.wait()

    run_child("hanging", pipe, work)


def _is_first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@pytest.mark.parametrize(
    ("work", "silent_max", "lives"), [(_hang_once, 4, 2), (_hang_at_its_second_start, 15, 3)]
)
def test_a_process_that_hangs_is_killed_and_started_again(
    work: Callable[..., None],
    silent_max: int,
    lives: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(supervise, "ASK_SECONDS", 0.2)
    monkeypatch.setattr(supervise, "SILENT_MAX", silent_max)

    async def story() -> Up:
        child = _Child("hanging", work, (tmp_path / "hung",))
        first = await child.begin()
        async with asyncio.timeout(30):
            while "at work again" not in caplog.text:  # noqa: ASYNC110 (it is told by the log)
                await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        child.stop()
        await child.ended()
        return first

    with caplog.at_level(logging.INFO, "holdfast.serve"):
        first = asyncio.run(story())

    assert not Path(f"/proc/{first.words[0]}").exists()
    seconds = silent_max * 0.2
    assert caplog.text.count(f"hanging has not answered for {seconds:g} s; it is killed") == 1
    assert caplog.text.count("is started again") == lives - 1
