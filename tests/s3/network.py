"""What lies between servers and a region: a link that can be cut, a wire that makes it worse."""

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

PIECE_BYTES = 64 * 1024


class Link:
    """A network namespace of its own, and the link that leads to it.

    address: of what runs in there. prefix: a command that runs another one in there.
    """

    def __init__(self, number: int) -> None:
        """number: 0 to 63, another one for each link of this process."""
        pid = os.getpid()
        self._name = f"hf{pid}n{number}"
        self._outside, self._inside = f"hf{pid}o{number}", f"hf{pid}i{number}"
        subnet = f"10.{pid >> 8 & 255}.{pid & 255}"
        self._host, self.address = (f"{subnet}.{number * 4 + n}" for n in (1, 2))
        self.prefix = ("ip", "netns", "exec", self._name)

    def make(self) -> bool:
        """Whether it could be made: that takes root and, in a container, NET_ADMIN."""
        try:
            _ip("netns", "add", self._name)
            peer = ("peer", "name", self._inside, "netns", self._name)
            _ip("link", "add", self._outside, "type", "veth", *peer)
            _ip("addr", "add", f"{self._host}/30", "dev", self._outside)
            self._within("addr", "add", f"{self.address}/30", "dev", self._inside)
            self._within("link", "set", "lo", "up")
            _ip("link", "set", self._outside, "up")
            self.mend()
        except (OSError, subprocess.CalledProcessError):
            self.remove()
            return False
        return True

    def cut(self) -> None:
        """At the far end: this machine goes on sending, and nothing comes back."""
        self._within("link", "set", self._inside, "down")

    def mend(self) -> None:
        self._within("link", "set", self._inside, "up")

    def remove(self) -> None:
        for rest in (("netns", "del", self._name), ("link", "del", self._outside)):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip(*rest)

    def _within(self, *arguments: str) -> None:
        _ip("-n", self._name, *arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Wire:
    """Passes on what two sides say to each other, in a thread of its own.

    delay_seconds: each piece is passed on so late. resets: the chance, a piece, that the connection
    is reset instead. silent: nothing is passed on any more, and nobody is told; a connection that
    lost something by that stays half-open for ever.
    """

    def __init__(self, target: str) -> None:
        """target: host:port."""
        self.delay_seconds = 0.0
        self.resets = 0.0
        self.silent = False
        self._host, _, self._port = target.rpartition(":")
        self._draw = Random(1)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0)
        )
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self._loop.run_forever, name=self.endpoint)
        self._thread.start()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed by the loop's next round

    async def _connected(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        ends = [to_near.transport]
        with contextlib.suppress(OSError):
            try:
                if not self.silent:
                    far, to_far = await asyncio.open_connection(self._host, int(self._port))
                    ends.append(to_far.transport)
                    await asyncio.gather(self._pass(near, to_far), self._pass(far, to_near))
                while await near.read(PIECE_BYTES):
                    pass
            finally:
                for end in ends:
                    end.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        lost = False
        while piece := await source.read(PIECE_BYTES):
            lost = lost or self.silent
            if lost:
                continue
            if self._draw.random() < self.resets:
                raise ConnectionResetError
            await asyncio.sleep(self.delay_seconds)
            sink.write(piece)
            await sink.drain()
        if not lost and sink.can_write_eof():
            sink.write_eof()


@contextmanager
def wired(target: str) -> Iterator[Wire]:
    wire = Wire(target)
    try:
        yield wire
    finally:
        wire.close()
