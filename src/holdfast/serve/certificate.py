"""GET /v1/certificate: a file as long as it takes, made while it is sent."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from holdfast.errors import UnavailableError
from holdfast.serve.faces import Bounds

MEDIA_TYPE: Final = "application/x-ndjson"

_log: Final = logging.getLogger("holdfast.serve")


async def pieces(
    first: bytes, coming: AsyncGenerator[bytes], bounds: Bounds
) -> AsyncIterator[bytes]:
    """The pieces of a certificate. What goes wrong now cuts the connection, not only the file: a
    client sees that it is not whole, and a checker would."""
    bounds.certificates += 1
    try:
        yield first
        async for piece in coming:
            if bounds.stopping.is_set():
                raise UnavailableError("the server is stopping")
            yield piece
    except Exception as error:
        _log.error("a certificate was cut off: %s", error)
        raise
    finally:
        bounds.certificates -= 1
        await coming.aclose()
