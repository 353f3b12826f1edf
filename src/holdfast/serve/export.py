"""GET /v1/events/export: all events that match, however many, written while they are read.

A page of a search after the other becomes a piece of the file, so that a file of any size takes
the memory of a page. The statement that goes with it is in the answer's head, taken before.

GET /v1/export is of all records that were received in some time, in the order of the ledgers;
`prove.export` makes the file and its receipt.
"""

from collections.abc import AsyncGenerator, Sequence

from msgspec import structs

from holdfast.model import Found, Query
from holdfast.prove.export import NOTHING, Asked, Begin, Had
from holdfast.prove.stretches import Span
from holdfast.read.query import LIMIT_MAX, check
from holdfast.serve.faces import Bounds
from holdfast.serve.files import FILES, File
from holdfast.serve.parameters import Exporting
from holdfast.wiring import System


async def pieces(system: System, query: Query, kind: str, bounds: Bounds) -> AsyncGenerator[bytes]:
    """The file, a piece a page."""
    file, offload = FILES[kind](), system.host.offload
    query = structs.replace(query, limit=LIMIT_MAX)
    while True:
        page = await bounds.ask(system.reader.search(query))
        yield await offload(_piece, file, page.events)
        if not page.next:
            break
        query = structs.replace(query, cursor=page.next)
    yield await offload(file.end)


def _piece(file: File, events: Sequence[Found]) -> bytes:
    return file.add(file.form(events))


def asked_of(wanted: Exporting) -> tuple[Asked, Begin, Had]:
    """What parameters ask of an exporter. Raises RejectedError: what no event could match."""
    check(structs.replace(wanted.query, limit=LIMIT_MAX))
    asked = Asked(Span(wanted.from_us, wanted.to_us), wanted.query, wanted.kind)
    had = Had(wanted.had, bytes.fromhex(wanted.had_sha256)) if wanted.had else NOTHING
    return asked, FILES[wanted.kind], had
