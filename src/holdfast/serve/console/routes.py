"""Which path is which page, and what all of them need: the sheet, the script, the sign."""

from importlib import resources
from typing import Final

from litestar import Response, get
from litestar.response import Stream

from holdfast.serve import parameters
from holdfast.serve.api import Asked, faces_of, unquoted, values_of
from holdfast.serve.console import alerts as watching
from holdfast.serve.console import archive as keeping
from holdfast.serve.console import completeness as looking_far
from holdfast.serve.console import event as looking_at
from holdfast.serve.console import integrity as looking_closely
from holdfast.serve.console import regions as looking_around
from holdfast.serve.console import report as looking_back
from holdfast.serve.console import retention as letting_go
from holdfast.serve.console import search as looking
from holdfast.serve.console.frame import frame_of
from holdfast.serve.faces import Faces
from holdfast.serve.ui import (
    alerts,
    archive,
    completeness,
    integrity,
    regions,
    report,
    retention,
    search,
    start,
)
from holdfast.serve.ui.start import StartView
from holdfast.serve.ui.words import Frame

_UI: Final = resources.files("holdfast.serve.ui")
_KEPT: Final = {"cache-control": "max-age=300"}


@get("/")
async def search_page(request: Asked) -> Response[bytes]:
    """Search, or the start of an empty trail; whatever goes wrong with a search is said in it."""
    faces = faces_of(request)
    asked = looking.read(request.scope["query_string"], faces.system.host.now_us())
    frame = _frame(request)
    if asked.is_everything and frame.is_empty:
        view = StartView(
            frame=frame,
            base_url=_base_url(request, faces),
            asks_token=faces.asks_token,
            curve=await looking_around.age_so_far(faces, frame.now_us),
        )
        return _html(start.render(view))
    page, code = await looking.look(faces, request.app.state.tallies, frame, asked)
    return _html(search.render(page), code)


@get("/events/{event_id:str}")
async def event_page(request: Asked) -> Response[bytes]:
    """One event; whatever goes wrong is said as the API says it."""
    which = parameters.proving_of(values_of(request, parameters.PROOF))
    id = unquoted(request.path_params["event_id"])
    return _html(*await looking_at.page(faces_of(request), _frame(request), id, which))


@get("/regions")
async def regions_page(request: Asked) -> Response[bytes]:
    named = str(values_of(request, parameters.SPAN).get("span", ""))
    view = await looking_around.look(faces_of(request), _frame(request), named)
    return _html(regions.render(view))


@get("/completeness")
async def completeness_page(request: Asked) -> Response[bytes]:
    named = str(values_of(request, parameters.SPAN).get("span", ""))
    view = await looking_far.look(faces_of(request), _frame(request), named)
    return _html(completeness.render(view))


@get("/integrity")
async def integrity_page(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    last = request.app.state.verifier.last
    view = await looking_closely.look(faces, _frame(request), _base_url(request, faces), last)
    return _html(integrity.render(view))


@get("/integrity/verify")
async def verify_page(request: Asked) -> Stream:
    """A page that grows or, for a script that asks for them, messages."""
    question = looking_closely.question_of(values_of(request, parameters.VERIFYING))
    wants_messages = "text/event-stream" in request.headers.get("accept", "")
    coming = looking_closely.as_messages if wants_messages else looking_closely.as_page
    kind = "text/event-stream" if wants_messages else "text/html; charset=utf-8"
    return Stream(coming(_frame(request), request.app.state.verifier, question), media_type=kind)


@get("/archive")
async def archive_page(request: Asked) -> Response[bytes]:
    values_of(request, parameters.NONE)
    return _html(archive.render(await keeping.look(faces_of(request), _frame(request))))


@get("/retention")
async def retention_page(request: Asked) -> Response[bytes]:
    values_of(request, parameters.NONE)
    return _html(retention.render(await letting_go.look(faces_of(request), _frame(request))))


@get("/alerts")
async def alerts_page(request: Asked) -> Response[bytes]:
    values_of(request, parameters.NONE)
    return _html(alerts.render(watching.look(faces_of(request), _frame(request))))


@get("/report")
async def report_page(request: Asked) -> Response[bytes] | Stream:
    """The report; without a period, the page that asks for one."""
    faces, frame = faces_of(request), _frame(request)
    question = looking_closely.question_of(values_of(request, parameters.VERIFYING))
    if question.from_us is None and question.to_us is None:
        return _html(report.ask(frame, looking_back.presets(frame.now_us)))
    asked = await faces.bounds.ask(looking_back.asked_of(faces.system, question))
    coming = looking_back.as_page(faces, frame, request.app.state.verifier, asked)
    return Stream(coming, media_type="text/html; charset=utf-8")


@get("/holdfast.css")
async def sheet() -> Response[bytes]:
    return Response(_SHEET, media_type="text/css", headers=_KEPT)


@get("/console.js")
async def script() -> Response[bytes]:
    return Response(_SCRIPT, media_type="text/javascript", headers=_KEPT)


@get("/mark.svg")
async def mark() -> Response[bytes]:
    return Response(_MARK, media_type="image/svg+xml", headers=_KEPT)


_SHEET: Final = _UI.joinpath("holdfast.css").read_bytes()
_SCRIPT: Final = _UI.joinpath("console.js").read_bytes()
_MARK: Final = _UI.joinpath("mark.svg").read_bytes()
HANDLERS: Final = (
    search_page,
    event_page,
    regions_page,
    completeness_page,
    integrity_page,
    verify_page,
    report_page,
    archive_page,
    retention_page,
    alerts_page,
    sheet,
    script,
    mark,
)


def _frame(request: Asked) -> Frame:
    """Taken before a page's questions are asked, so that its statement covers their answers."""
    return frame_of(faces_of(request), dict(request.scope["headers"]))


def _html(page: bytes, code: int = 200) -> Response[bytes]:
    return Response(page, media_type="text/html", status_code=code)


def _base_url(request: Asked, faces: Faces) -> str:
    """How this server was called, for a command to copy; a worker may have passed the call on."""
    scheme = "https" if faces.system.settings.tls_certificate else "http"
    return f"{scheme}://{request.headers.get('host', 'localhost')}"
