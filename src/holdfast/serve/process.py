"""What every process of a server does before its work, and what is refused before any starts."""

import asyncio
import contextlib
import ctypes
import logging
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvloop

from holdfast.errors import HoldfastError, Problem, RejectedError, UnavailableError
from holdfast.read.compute import begin_work
from holdfast.serve.auth import bind_refusal, token_from
from holdfast.settings import Settings

GO: Final = "go"
STOP: Final = "stop"
ASK: Final = "ask"
HERE: Final = "here"
LOOPBACK: Final = "127.0.0.1"
M_TRIM_THRESHOLD: Final = -1  # as <malloc.h> has them
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
SWITCH_SECONDS: Final = 0.0005  # a search crosses four threads; each waited 5 ms for its turn

Say = Callable[[str], None]


def address_of(settings: Settings, say: Say) -> str:
    """The address to listen on, once nothing speaks against it.

    Raises:
        RejectedError: the token or the certificate cannot be used.
        UnavailableError: the port is taken.
    """
    read_token(settings)
    _check_tls(settings)
    refusal = bind_refusal(settings)
    host = LOOPBACK if refusal else settings.host
    _check_port(host, settings.port)
    if refusal:
        say(refusal)
    return host


def prepare(name: str = "") -> None:
    """Set this process up. name: in its log's lines, where there are several."""
    told = "%(asctime)s %(levelname)s %(name)s " + (f"[{name}] " if name else "") + "%(message)s"
    logging.basicConfig(level=logging.INFO, format=told)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _allow_many_files()
    _keep_buffers()
    sys.setswitchinterval(SWITCH_SECONDS)


class Line:
    """A child's line to the process that supervises it, which asks whether its event loop turns.

    go: set once it may open the port. stop: what to do when it is told to stop.
    """

    def __init__(self, pipe: Connection, stop: Callable[[], object]) -> None:
        self.go = asyncio.Event()
        self.stop = stop
        self._pipe = pipe
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._hear)

    def say(self, what: object) -> None:
        with contextlib.suppress(OSError):  # as in `_hear`
            self._pipe.send(what)

    def _hear(self) -> None:
        try:
            said = self._pipe.recv()
        except (EOFError, OSError):  # it is gone, and so will this process be
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            return
        if said == ASK:
            self.say(HERE)
        elif said == STOP:
            self.stop()
        else:
            self.go.set()


def run_child(
    name: str, pipe: Connection, work: Callable[[Line], Coroutine[Any, Any, None]]
) -> None:
    """Run a process that a supervisor started: it ends when that one does, and says why it cannot
    begin.

    Signals mean nothing to it: Ctrl-C at a terminal, and SIGTERM as service managers send it, reach
    all processes at once, but they are to stop one after the other.
    """

    async def story() -> None:
        this = asyncio.current_task()
        assert this is not None, "a coroutine runs in a task"
        on_signal(lambda: None)
        await work(Line(pipe, this.cancel))

    begin_work(0)
    prepare(name)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(story())
        except asyncio.CancelledError:
            pass  # stopped before it was up
        except HoldfastError as error:
            pipe.send(error)
            sys.exit(1)


async def readable(file: int) -> None:
    """Wait until there is something to read, or its other end is gone."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(file, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(file)


def on_signal(react: Callable[[], object]) -> None:
    """What SIGTERM and SIGINT do from now on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, react)


def read_token(settings: Settings) -> bytes:
    """What requests must carry; b"": nothing."""
    if not settings.token_file:
        return b""
    try:
        return token_from(Path(settings.token_file).read_bytes())
    except OSError as error:
        reason = f"{settings.token_file} cannot be read: {error.strerror}"
    except ValueError as error:
        reason = f"{settings.token_file} {error}"
    raise RejectedError("settings", Problem(0, "token_file", reason))


def _check_tls(settings: Settings) -> None:
    if not settings.tls_certificate:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:  # ssl.SSLError too
        reason = f"{settings.tls_certificate} and {settings.tls_key} cannot be used: {error}"
        raise RejectedError("settings", Problem(0, "tls_certificate", reason)) from None


def _check_port(host: str, port: int) -> None:
    """Fail before a trail is founded or an epoch begun, if the port is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise UnavailableError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _allow_many_files() -> None:
    """A connection each: the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _keep_buffers() -> None:
    """Let glibc keep what segments are made in, instead of mapping it anew for each of them.

    Fresh pages cost more than compressing into them: 1.4 of 6.3 µs an event, sealing 5,000. And
    let all threads share it, which otherwise keep 50 MB for themselves. Without glibc nothing
    happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024)
        libc.mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024)
        libc.mallopt(M_ARENA_MAX, 2)
