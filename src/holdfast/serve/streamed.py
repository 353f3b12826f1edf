"""A file as long as it takes, made while it is sent: an export, a certificate.

Its first piece is awaited before the answer begins, so that what cannot be made is told as a
problem. What goes wrong later cuts the connection: a client sees that the file is not whole.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from holdfast.errors import UnavailableError
from holdfast.serve.faces import Bounds

_log: Final = logging.getLogger("holdfast.serve")


async def bounded(
    coming: AsyncGenerator[bytes], kind: str, bounds: Bounds
) -> AsyncGenerator[bytes]:
    """The same pieces, made in one of the few places that `kind` of file has.

    Raises:
        UnavailableError: none is free, or the server is stopping.
    """
    async with aclosing(coming):
        with bounds.place(kind):
            async for piece in coming:
                yield piece
                if bounds.stopping.is_set():
                    raise UnavailableError("the server is stopping")


async def begun(first: bytes, coming: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """All of a file, whose first piece is here."""
    async with aclosing(coming):
        try:
            yield first
            async for piece in coming:
                yield piece
        except Exception as error:
            _log.error("a file was cut off: %s", error)
            raise
