"""Which path is which page, and what all of them need: the sheet, the script, the sign."""

from collections.abc import Mapping
from importlib import resources
from typing import Final
from urllib.parse import parse_qsl, urlencode

from litestar import Response, get

from holdfast.errors import HoldfastError, Problem, RejectedError
from holdfast.model import Page
from holdfast.serve import parameters
from holdfast.serve.api import Asked, faces_of
from holdfast.serve.console.frame import frame_of
from holdfast.serve.faces import Faces
from holdfast.serve.problems import from_error
from holdfast.serve.ui import regions, search, start
from holdfast.serve.ui.search import LIMIT, SearchView
from holdfast.serve.ui.start import StartView

_UI: Final = resources.files("holdfast.serve.ui")
_KEPT: Final = {"cache-control": "max-age=300"}


@get("/")
async def search_page(request: Asked) -> Response[bytes]:
    """Search, or the start of an empty trail; whatever goes wrong with a search is said in it."""
    faces = faces_of(request)
    frame = frame_of(faces)
    asked = _asked(request.scope["query_string"])
    if frame.is_empty and not asked:
        view = StartView(
            frame=frame, base_url=_base_url(request, faces), asks_token=faces.asks_token
        )
        return _html(start.render(view))
    found, problems, code = await _search(faces, asked)
    page = SearchView(frame=frame, asked=asked, found=found, problems=problems)
    return _html(search.render(page), code)


@get("/regions")
async def regions_page(request: Asked) -> Response[bytes]:
    return _html(regions.render(frame_of(faces_of(request))))


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
HANDLERS: Final = (search_page, regions_page, sheet, script, mark)


def _html(page: bytes, code: int = 200) -> Response[bytes]:
    return Response(page, media_type="text/html", status_code=code)


def _asked(query_string: bytes) -> dict[str, str]:
    """The parameters that hold anything: a form sends its empty fields too."""
    pairs = parse_qsl(query_string.decode("latin-1"), errors="replace", max_num_fields=None)
    known = {parameter.name for parameter in parameters.SEARCH}
    return {name: value for name, value in pairs if name in known and value.strip()}


async def _search(
    faces: Faces, asked: Mapping[str, str]
) -> tuple[Page | None, tuple[Problem, ...], int]:
    """What was found, or why nothing was; and the status to say it under."""
    try:
        values = parameters.parse(urlencode(asked).encode(), parameters.SEARCH)
        query = parameters.query_of({"limit": LIMIT, **values})
        return await faces.bounds.ask(faces.system.reader.search(query)), (), 200
    except HoldfastError as error:
        problems = (
            error.problems if isinstance(error, RejectedError) else (Problem(0, "", str(error)),)
        )
        return None, problems, from_error(error).status


def _base_url(request: Asked, faces: Faces) -> str:
    """How this server was called, for a command to copy; a worker may have passed the call on."""
    scheme = "https" if faces.system.settings.tls_certificate else "http"
    return f"{scheme}://{request.headers.get('host', 'localhost')}"
