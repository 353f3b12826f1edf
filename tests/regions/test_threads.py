"""The threads on which blocking calls run."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from holdfast.regions.threads import Threads


def test_results_and_errors_come_back() -> None:
    async def story() -> None:
        threads = Threads("x", 2)

        assert await threads(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads(divmod, 7, 0)
        threads.close()

    asyncio.run(story())


def test_calls_run_side_by_side_up_to_the_limit() -> None:
    async def story() -> None:
        threads = Threads("x", 3)
        together = threading.Barrier(3, timeout=10)

        await asyncio.gather(*(threads(together.wait) for _ in range(6)))

        named = [thread for thread in threading.enumerate() if thread.name.startswith("x-")]
        assert len(named) == 3
        threads.close()
        for thread in named:
            thread.join(10)

    asyncio.run(story())


def test_an_idle_thread_is_used_again_and_keeps_no_bytes_alive() -> None:
    class Load:
        pass

    async def story() -> None:
        threads = Threads("y", 8)
        load = Load()
        gone = weakref.ref(load)

        names = {await threads(lambda _: threading.current_thread().name, load) for _ in range(5)}
        await threads(int)
        del load
        gc.collect()

        assert len(names) <= 2 and gone() is None
        threads.close()

    asyncio.run(story())


def test_a_call_that_was_given_up_before_it_began_never_runs() -> None:
    async def story() -> None:
        threads = Threads("x", 1)
        go, ran = threading.Event(), list[str]()
        first = asyncio.ensure_future(threads(go.wait, 10))
        second = asyncio.ensure_future(threads(ran.append, "second"))

        second.cancel()
        await asyncio.sleep(0)  # the thread is told in the loop's next turn
        go.set()
        await first
        await threads(int)

        assert ran == []
        threads.close()

    asyncio.run(story())


def test_a_call_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = """
import asyncio, threading
from holdfast.regions.threads import Threads

async def main():
    asyncio.ensure_future(Threads("hung", 1)(threading.Event().wait))
    await asyncio.sleep(0.01)

asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert (ran.returncode, ran.stderr) == (0, "")
