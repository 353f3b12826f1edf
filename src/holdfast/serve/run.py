"""The server's process: open everything, listen, stop in order.

    settings good, port free -> open the system -> listen ... signal -> answer what was asked ->
    drain the node, checkpoint, close its epoch

The port opens once the system can answer something; /readyz says when it can acknowledge. A second
signal does not wait for clients any more; the node is stopped in any case.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
import uvloop

from holdfast import __version__
from holdfast.beside import begin
from holdfast.errors import UnavailableError
from holdfast.serve.app import Front, create_app
from holdfast.serve.process import Say, address_of, on_signal, prepare, read_token
from holdfast.serve.protocol import Connection, with_ingest
from holdfast.settings import Settings
from holdfast.wiring import System, open_system

GRACE_SECONDS: Final = 15
BACKLOG: Final = 4096
SWEEP_TICKS: Final = 10  # of uvicorn's, a tenth of a second each


def serve(settings: Settings, say: Say) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: in force.
        say: tells a person; standard output is for that here.
    Raises:
        RejectedError: the settings, the keys or the regions do not fit together.
        UnavailableError: the port or the data directory is taken, or too few regions answer.
    """
    host = address_of(settings, say)
    prepare()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, host, read_token(settings), say))
        except asyncio.CancelledError:
            say("stopped before it was up")


class Server(uvicorn.Server):
    """Uvicorn, with connections that are swept, and a stop that does not wait for listeners.

    said: called once it listens, with the port.
    """

    def __init__(self, config: uvicorn.Config, front: Front, said: Callable[[int], None]) -> None:
        super().__init__(config)
        self.front = front
        self._said: Callable[[int], None] | None = said

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_serve`: uvicorn would raise them again before the node is stopped."""
        yield

    async def serve(self, sockets: list[Any] | None = None) -> None:
        """Serve, and watch over what is served meanwhile."""
        watching = begin(self.front.watch())
        try:
            await super().serve(sockets)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def stop(self) -> None:
        """Stop; called again: at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self.front.stop()

    async def on_tick(self, counter: int) -> bool:
        if self._said is not None:
            self._said(self.servers[0].sockets[0].getsockname()[1])
            self._said = None
        if counter % SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.sweep(now)
        return await super().on_tick(counter)


def server_of(system: System, host: str, token: bytes, said: Callable[[int], None]) -> Server:
    """A server over an opened system."""
    return server_before(create_app(system, token), system.settings, host, said)


def server_before(
    front: Front, settings: Settings, host: str, said: Callable[[int], None]
) -> Server:
    """A server before an application."""
    config = uvicorn.Config(
        front,
        host=host,
        port=settings.port,
        http=with_ingest(front.ingest),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    return Server(config, front, said)


async def _serve(settings: Settings, host: str, token: bytes, say: Say) -> None:
    starting = asyncio.current_task()
    assert starting is not None, "a coroutine runs in a task"
    on_signal(starting.cancel)
    async with open_system(settings, write=True) as system:
        for line in first_words(system) if system.is_new else key_words(system):
            say(line)
        server = server_of(system, host, token, lambda port: say(banner(system, host, port)))

        def stop() -> None:
            say("stopping: what was taken in is being acknowledged")
            server.stop()

        on_signal(stop)
        try:
            await server.serve()
        except SystemExit:  # uvicorn's way to say that it cannot listen; it has logged why
            raise UnavailableError(f"cannot listen on {host}:{settings.port}") from None


def banner(system: System, host: str, port: int) -> str:
    """Which trail listens where. Said at every start: a kill may swallow the founder's first words.

    The trail's name lies in the regions: while all are away it is not known.
    """
    scheme = "https" if system.settings.tls_certificate else "http"
    name = f"[{host}]" if ":" in host else host
    regions = system.regions
    ids = ", ".join(region.id for region in regions)
    trail = f"{regions.trail_name or 'unknown'} ({regions.trail or 'unknown'})"
    key = f"; its key: {system.settings.data_path / 'trail.key'}" if system.is_new else ""
    return (
        f"holdfast {__version__}: trail {trail} on {scheme}://{name}:{port}/ "
        f"(regions {ids}; {regions.quorum} must hold an event before it is acknowledged){key}"
    )


def first_words(system: System) -> tuple[str, ...]:
    """What the founder of a trail must know."""
    data = system.settings.data_path
    return (
        f"A new trail, {system.regions.trail_name}. Its id is all that an outsider must know to "
        "check anything; write it down where others can see it:",
        f"    {system.regions.trail}",
        "Back up, offline and secret:",
        f"    {data / 'trail.key'}    certifies every node; it lies nowhere else",
        "No backup is needed of the nodes' keys (a lost one is replaced by a new node), nor of the "
        "cache; the events lie in the regions.",
    )


def key_words(system: System) -> tuple[str, ...]:
    """That the trail's key is not here. Nobody would miss it before a node needs a certificate."""
    if system.has_trail_key:
        return ()
    path = system.settings.data_path / "trail.key"
    if system.is_admitted:
        return (f"this node was admitted with node.cert; the trail's key, {path}, is elsewhere",)
    return (
        f"WARNING: the trail's key is not here: {path} is missing. Events are taken in all the "
        "same, but no new node can be certified: put the key back from its backup",
    )
