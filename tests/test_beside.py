import asyncio

import pytest

from holdfast.beside import at_work, repeat


def test_work_that_nobody_waits_for_tells_of_its_failure_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise ValueError("a mistake of ours")

    async def go_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def story() -> str:
        async with at_work([fail(), go_on()]):
            await asyncio.sleep(0.01)
            return caplog.text

    meanwhile = asyncio.run(story())

    assert "goes on no more: <coroutine object" in meanwhile and "fail" in meanwhile
    assert "a mistake of ours" in meanwhile
    assert ended == ["cancelled"]
    assert caplog.text == meanwhile  # to be cancelled is no failure


def test_a_job_that_is_wanted_is_done_before_its_time() -> None:
    async def story() -> int:
        done: list[int] = []
        wanted = asyncio.Event()

        async def job() -> None:
            done.append(1)

        wanted.set()
        async with at_work([repeat(job, 60.0, 60.0, "a job", wanted)]):
            await asyncio.sleep(0.01)
            wanted.set()
            await asyncio.sleep(0.01)
        return len(done)

    assert asyncio.run(story()) == 2
