"""What a person asks: the page at /, its sheet and its sign."""

from collections.abc import Mapping
from importlib import resources
from typing import Final
from urllib.parse import parse_qsl, urlencode

from litestar import Response, get

from holdfast import __version__
from holdfast.errors import HoldfastError, Problem, RejectedError
from holdfast.model import Page
from holdfast.serve import parameters
from holdfast.serve.api import Asked, faces_of
from holdfast.serve.faces import Faces
from holdfast.serve.problems import from_error
from holdfast.serve.status import RegionShape, StatusAnswer, status_answer
from holdfast.serve.ui.page import LIMIT, PageView, render
from holdfast.serve.ui.words import RegionView
from holdfast.times import parse_time

_UI: Final = resources.files("holdfast.serve.ui")
_KEPT: Final = {"cache-control": "max-age=300"}


@get("/")
async def page(request: Asked) -> Response[bytes]:
    """The page; whatever goes wrong with a search is said in it."""
    faces = faces_of(request)
    status = status_answer(faces.system, faces.writers())
    said = faces.system.reader.completeness()
    asked = _asked(request.scope["query_string"])
    found, problems, code = await _search(faces, asked)
    view = PageView(
        version=__version__,
        trail=status.trail.id,
        trail_name=status.trail.name,
        node=status.node.node if status.node else "",
        now_us=faces.system.host.now_us(),
        said=said,
        needed=status.trail.needed,
        quorum=status.trail.quorum,
        regions=tuple(_region(each, status) for each in status.regions),
        asked=asked,
        found=found,
        problems=problems,
        is_empty=_is_empty(status),
        base_url=_base_url(request, faces),
        asks_token=faces.asks_token,
    )
    return Response(render(view), media_type="text/html", status_code=code)


@get("/holdfast.css")
async def sheet() -> Response[bytes]:
    return Response(_SHEET, media_type="text/css", headers=_KEPT)


@get("/mark.svg")
async def mark() -> Response[bytes]:
    return Response(_MARK, media_type="image/svg+xml", headers=_KEPT)


_SHEET: Final = _UI.joinpath("holdfast.css").read_bytes()
_MARK: Final = _UI.joinpath("mark.svg").read_bytes()
HANDLERS: Final = (page, sheet, mark)


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


def _is_empty(status: StatusAnswer) -> bool:
    """Nothing was ever stored, as far as is known."""
    here = status.node.events + status.node.waiting.events if status.node else 0
    return status.complete_through is not None and not here and not status.reader.events


def _region(region: RegionShape, status: StatusAnswer) -> RegionView:
    listed = [basis.listed_to for basis in status.basis if basis.region == region.region]
    lag = region.lag
    offset = region.clock_offset_seconds
    clock = () if offset is None else (("clock", f"{offset:+.3f} s from ours"),)
    return RegionView(
        id=region.region,
        url=region.url,
        usable=region.usable,
        why_not="" if region.usable and region.state == "ok" else region.why,
        listed_us=parse_time(listed[0]) if listed else None,
        ok_us=parse_time(region.answered) if region.answered else None,
        facts=(("breaker", _breaker(region)), *clock),
        lag_segments=lag.segments if lag else None,
        lag_bytes=lag.bytes if lag else None,
        lag_us=int(lag.seconds * 1e6) if lag else None,
    )


def _breaker(region: RegionShape) -> str:
    if region.reading == region.writing:
        return region.reading
    return f"reading {region.reading}, writing {region.writing}"


def _base_url(request: Asked, faces: Faces) -> str:
    """How this server was called, for a command to copy; a worker may have passed the call on."""
    scheme = "https" if faces.system.settings.tls_certificate else "http"
    return f"{scheme}://{request.headers.get('host', 'localhost')}"
