"""The process that reads, where others write: reader, searches, keeper, and what writers tell."""

from multiprocessing.connection import Connection
from socket import AF_UNIX, SOCK_STREAM, fromfd

from msgspec import structs

from holdfast.serve.app import create_app
from holdfast.serve.entrance import Entrance
from holdfast.serve.process import Line, read_token, run_child
from holdfast.serve.run import banner, first_words, key_words, server_before
from holdfast.serve.supervise import Orders, Up
from holdfast.wiring import open_system


def begin(pipe: Connection, orders: Orders, asked: int, entered: int) -> None:
    """Do this process's work, until it is told to stop.

    Args:
        asked: the socket at which the writers pass questions on.
        entered: at which they enter segments.
    """
    run_child("reading", pipe, lambda line: _read(orders, asked, entered, line))


async def _read(orders: Orders, asked: int, entered: int, line: Line) -> None:
    settings = orders.settings
    entrance = Entrance(settings.workers)
    async with open_system(settings, write=True, elsewhere=entrance) as system:
        words = first_words(system) if system.is_new else key_words(system)
        port = int(orders.addresses[0].name[1])
        server = server_before(
            create_app(system, read_token(settings), entrance.reports, entrance.store),
            structs.replace(settings, tls_certificate="", tls_key=""),  # the writers speak it
            orders.host,
            lambda _: line.say(Up(words, banner(system, orders.host, port))),
        )
        line.stop = server.stop
        async with entrance.listening(entered, system.reader):
            await server.serve([fromfd(asked, AF_UNIX, SOCK_STREAM)])
