import asyncio

import pytest

from holdfast.beside import at_work


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
