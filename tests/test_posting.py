"""Bodies for servers of others."""

import asyncio
import socket

from holdfast.posting import post


def test_bodies_that_nobody_answers_keep_no_other_thread_waiting() -> None:
    async def story(url: str) -> int:
        sent = [asyncio.create_task(post(url, b"x")) for _ in range(64)]
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(5):
                return await asyncio.to_thread(int, "7")  # as a writer indexes what it sealed
        finally:
            for each in sent:
                each.cancel()
            await asyncio.gather(*sent, return_exceptions=True)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        assert asyncio.run(story(url)) == 7
