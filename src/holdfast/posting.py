"""Send a body to somebody else's server: a witness, an Alertmanager. It speaks HTTP as the client
does."""

from collections.abc import Mapping

from holdfast.client.transport import BrokenError, ConnectError, Endpoint, Transport
from holdfast.regions.threads import Threads

POST_SECONDS = 10.0
_BYTES = {"Content-Type": "application/octet-stream"}


async def post(url: str, body: bytes, headers: Mapping[str, str] = _BYTES) -> tuple[int, bytes]:
    """Send a body to a URL, in a thread of its own: one that hangs keeps nothing else waiting.

    Raises:
        OSError: no answer came.
    """
    transport, thread = Transport(Endpoint(url), POST_SECONDS), Threads("post", 1)
    try:
        answer = await thread(transport.exchange, "POST", "", body, headers)
    except (ConnectError, BrokenError) as error:
        raise OSError(str(error)) from error
    finally:
        transport.close()
        thread.close()
    return answer.status, answer.body
