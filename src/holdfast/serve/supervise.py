"""`serve --workers K`: one port, K processes that write, one that reads, and this one, which starts
them and keeps them running.

    this process ── holds the data directory, the port's number, and the sockets between the others
      ├─ reading    founds the trail; reader, searches, keeper (`reading`)
      └─ writer 0, 1, ...   each a node of its own, `nodes/0`, ..., that listens at the port
                            (`writing`)

Each writer listens by itself (SO_REUSEPORT): the kernel spreads connections over those that do, and
one that dies takes no more of them, at once and without anybody's help. They begin to listen
together, or the first would get all connections, which may last. This process binds the port too,
so that nobody else gets it, but does not listen.

A process that dies is started again, at once and then after ever longer pauses; one that does not
answer for a minute is killed. A first start that fails ends all. This process does none of the
others' work, so that little can end it; when something does, they end themselves, and the data
directory is free once the last of them has gone: they all hold its lock.
"""

import asyncio
import logging
import multiprocessing
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from socket import AF_UNIX, create_server
from typing import Any, Final

from msgspec import Struct

from holdfast.errors import HoldfastError, Problem, RejectedError, UnavailableError
from holdfast.regions.lock import LOCK_FILE, locked
from holdfast.serve.process import (
    ASK,
    GO,
    HERE,
    STOP,
    Say,
    address_of,
    on_signal,
    prepare,
    readable,
)
from holdfast.settings import Settings

PAUSE_FIRST_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 60.0  # who lived that long is started again at once
ASK_SECONDS: Final = 5.0
SILENT_MAX: Final = 12  # unanswered; counted, since a machine that slept finds one time-out over
LAST_WORDS_SECONDS: Final = 1.0  # why it ended is read later, perhaps, than that it has
STOP_SECONDS: Final = 60.0  # to answer, drain and close an epoch; then it is killed
BACKLOG: Final = 1024
SOCKET_PATH_BYTES_MAX: Final = 107  # of AF_UNIX; macOS: 103

log: Final = logging.getLogger("holdfast.serve")


class Address(Struct, frozen=True):
    """Where to listen, as `getsockname` says it."""

    family: int
    name: tuple[str | int, ...]


class Orders(Struct, frozen=True):
    """What each process is told. asked, entered: the paths of the sockets in the reading process,
    at which questions and segments arrive."""

    settings: Settings
    host: str
    addresses: tuple[Address, ...]
    asked: Path
    entered: Path


class Up(Struct, frozen=True):
    """A process is at work. words: for a person; banner: which trail listens where."""

    words: tuple[str, ...] = ()
    banner: str = ""


class Held:
    """An open file that a process which is started with it holds as well."""

    def __init__(self, file: int) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., "Held"], tuple[Any, ...]]:
        return _hold, (reduction.DupFd(self.file),)


def _hold(passed: Any) -> Held:
    return Held(passed.detach())


def serve(settings: Settings, say: Say) -> None:
    """Serve until SIGTERM or SIGINT. Errors as `run.serve`."""
    host = address_of(settings, say)
    prepare("supervisor")
    with ExitStack() as held:
        lock = Held(held.enter_context(locked(settings.data_path / LOCK_FILE)))
        asked, entered = (held.enter_context(_listening(path)) for path in _paths(settings))
        try:
            asyncio.run(_Supervisor(say, lock).run(settings, host, asked, entered))
        except asyncio.CancelledError:
            say("stopped before it was up")


class _Supervisor:
    """Starts the others, keeps them running, stops them in order."""

    def __init__(self, say: Say, lock: Held) -> None:
        self._say = say
        self._lock = lock
        self._children: list[_Child] = []
        self._stop = asyncio.Event()

    async def run(self, settings: Settings, host: str, asked: Held, entered: Held) -> None:
        """Until a signal, or a first start that fails."""
        starting = asyncio.current_task()
        assert starting is not None, "a coroutine runs in a task"
        on_signal(starting.cancel)
        async with _reserved(host, settings.port) as addresses:
            orders = Orders(settings, host, addresses, *_paths(settings))
            try:
                up = await self._begin("reading", _read, orders, asked, entered)
                for line in up.words:
                    self._say(line)
                numbers = range(settings.workers)
                await _all(self._begin(f"writer {n}", _write, orders, n) for n in numbers)
                await _all(child.listen() for child in self._children[1:])
                self._say(up.banner)
                on_signal(self._stop.set)
                await self._stop.wait()
                self._say("stopping: what was taken in is being acknowledged")
            finally:
                on_signal(self._hurry)
                await self._end(self._children[1:])  # they enter to the last what they sealed
                await self._end(self._children[:1])

    async def _begin(self, name: str, target: Callable[..., None], *arguments: object) -> Up:
        """Start a process and keep it running; returns what it says once it is at work.

        Raises:
            HoldfastError: why it cannot be.
        """
        child = _Child(name, target, (self._lock, *arguments))
        self._children.append(child)
        return await child.begin()

    async def _end(self, children: Sequence["_Child"]) -> None:
        for child in children:
            child.stop()
        await asyncio.gather(*(child.ended() for child in children))

    def _hurry(self) -> None:
        """Asked again: whoever is stopping does not wait for clients."""
        for child in self._children:
            if child.is_stopping:
                child.stop()


class _Child:
    """One of the processes, in whichever life."""

    def __init__(self, name: str, target: Callable[..., None], arguments: Sequence[object]) -> None:
        self.is_stopping = False
        self._name = name
        self._target = target
        self._arguments = arguments
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._said: asyncio.Queue[object] = asyncio.Queue()
        self._silent = 0
        self._life: asyncio.Task[None] | None = None
        self._halt = asyncio.Event()

    async def begin(self) -> Up:
        """The first life. Raises HoldfastError: it ended before it was at work."""
        begun = self._start()
        up = await self._heard()
        self._life = asyncio.create_task(self._live(begun))
        return up

    async def listen(self) -> Up:
        """Let it open the port. Raises HoldfastError: it ended before it did."""
        self._tell(GO)
        return await self._heard()

    def stop(self) -> None:
        """Let it end in order; called again, it does not wait for clients."""
        self.is_stopping = True
        self._halt.set()
        self._tell(STOP)

    async def ended(self) -> None:
        """Wait until it has, and kill it if it does not."""
        if self._process is None:
            return
        life = self._life or asyncio.create_task(readable(self._process.sentinel))
        await asyncio.wait((life,), timeout=STOP_SECONDS)
        if not life.done():
            log.error("%s does not stop; it is killed", self._name)
            self._process.kill()
            await life
        self._process.join()

    async def _live(self, begun: float) -> None:
        """One life after the other."""
        pause, back = PAUSE_FIRST_SECONDS, asyncio.create_task(asyncio.sleep(0))
        while True:
            assert self._process is not None, "it was started"
            await self._gone(self._process)
            await asyncio.wait((back,), timeout=LAST_WORDS_SECONDS)
            back.cancel()
            if self.is_stopping:
                return
            self._process.join()
            if asyncio.get_running_loop().time() - begun > STEADY_SECONDS:
                pause = PAUSE_FIRST_SECONDS
            code = self._process.exitcode
            log.error("%s ended (%s); it is started again in %g s", self._name, code, pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._halt.wait()
            pause = min(pause * 2, PAUSE_MAX_SECONDS)
            if self.is_stopping:
                return
            begun = self._start()
            back = asyncio.create_task(self._come_back())  # it may hang before it is at work, too

    async def _come_back(self) -> None:
        """Let it open the port once it can, or tell why it cannot."""
        try:
            await self._heard()
            self._tell(GO)
            log.info("%s is at work again", self._name)
        except HoldfastError as error:
            log.error("%s: %s", self._name, error)

    async def _gone(self, process: SpawnProcess) -> None:
        """Wait for its end, and bring it about where it answers no more."""
        gone = asyncio.create_task(readable(process.sentinel))
        silent = asyncio.create_task(self._silence())
        await asyncio.wait((gone, silent), return_when=asyncio.FIRST_COMPLETED)
        if not gone.done():
            seconds = SILENT_MAX * ASK_SECONDS
            log.error("%s has not answered for %g s; it is killed", self._name, seconds)
            process.kill()
        silent.cancel()
        await gone

    async def _silence(self) -> None:
        while self._silent < SILENT_MAX:
            self._silent += 1
            self._tell(ASK)
            await asyncio.sleep(ASK_SECONDS)

    def _start(self) -> float:
        loop = asyncio.get_running_loop()
        if self._pipe is not None:
            loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._said, self._silent = asyncio.Queue(), 0
        loop.add_reader(self._pipe.fileno(), self._hear, self._pipe)
        self._process = spawn.Process(
            target=self._target, args=(theirs, *self._arguments), name=self._name
        )
        self._process.start()
        theirs.close()
        log.info("%s is process %d", self._name, self._process.pid)
        return loop.time()

    def _hear(self, pipe: Connection) -> None:
        try:
            said = pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            said = UnavailableError(f"{self._name} ended before it was at work")
        if said == HERE:
            self._silent = 0
        else:
            self._said.put_nowait(said)

    def _tell(self, order: str) -> None:
        if self._pipe is not None:
            with suppress(OSError):  # it has ended, which is seen elsewhere
                self._pipe.send(order)

    async def _heard(self) -> Up:
        said = await self._said.get()
        if isinstance(said, HoldfastError):
            raise said
        assert isinstance(said, Up), "nothing else is sent"
        return said


def _paths(settings: Settings) -> tuple[Path, Path]:
    return settings.data_path / "run" / "asked", settings.data_path / "run" / "entered"


def _read(pipe: Connection, lock: Held, orders: Orders, asked: Held, entered: Held) -> None:
    from holdfast.serve import reading

    reading.begin(pipe, orders, asked.file, entered.file)


def _write(pipe: Connection, lock: Held, orders: Orders, number: int) -> None:
    from holdfast.serve import writing

    writing.begin(pipe, orders, number)


@asynccontextmanager
async def _reserved(host: str, port: int) -> AsyncIterator[tuple[Address, ...]]:
    """Bind the port, and do not listen: connections go to those alone that do."""
    try:
        server = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, host, port, reuse_port=True, start_serving=False
        )
    except OSError as error:
        raise UnavailableError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    async with server:
        yield tuple(Address(int(each.family), each.getsockname()) for each in server.sockets)


@contextmanager
def _listening(path: Path) -> Iterator[Held]:
    """A socket below the data directory, for this user alone.

    The processes at its end may come and go: what is asked meanwhile waits in it.
    """
    name = os.fsencode(path)
    if len(name) > SOCKET_PATH_BYTES_MAX:
        reason = f"{path}: a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes"
        raise RejectedError("settings", Problem(0, "data", reason))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    with create_server(str(path), family=AF_UNIX, backlog=BACKLOG) as made:
        try:
            yield Held(made.fileno())
        finally:
            path.unlink(missing_ok=True)


async def _all(starts: Iterable[Awaitable[Up]]) -> None:
    """Wait for all of them; the first that fails is told, once none is under way any more."""
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
