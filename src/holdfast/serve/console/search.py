"""The search page's questions: the newest events at once, the counts for as long as they may."""

from urllib.parse import parse_qsl

from msgspec import structs

from holdfast.errors import HoldfastError, Problem, RejectedError
from holdfast.model import Page
from holdfast.serve.console.tally import TALLY_SECONDS, Tallies
from holdfast.serve.faces import Faces
from holdfast.serve.parameters import PAIRS_MAX
from holdfast.serve.problems import from_error
from holdfast.serve.ui import asked as address
from holdfast.serve.ui.asked import Asked
from holdfast.serve.ui.facets import Tally
from holdfast.serve.ui.search import LIMIT, SearchView
from holdfast.serve.ui.words import Frame

COUNT_SECONDS = 0.06  # beside a search of some 20 ms: a page in 100 ms


def read(query_string: bytes, now_us: int) -> Asked:
    """What the address asks for. It is no longer than a request's head may be."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="replace")
    if len(pairs) <= PAIRS_MAX:
        return address.read(pairs, now_us)
    many = Problem(0, "", f"more than {PAIRS_MAX} parameters")
    return structs.replace(address.read((), now_us), problems=(many,))


async def look(
    faces: Faces, tallies: Tallies, frame: Frame, asked: Asked
) -> tuple[SearchView, int]:
    """The page, and the status to show it under; whatever goes wrong is said in it."""
    try:
        found, tally = await _ask(faces, tallies, asked)
    except HoldfastError as error:
        refused = isinstance(error, RejectedError)
        problems = error.problems if refused else (Problem(0, "", str(error)),)  # type: ignore[attr-defined]
        view = SearchView(frame=frame, asked=asked, found=None, tally=Tally(), problems=problems)
        return view, from_error(error).status
    return SearchView(frame=frame, asked=asked, found=found, tally=tally), 200


async def _ask(faces: Faces, tallies: Tallies, asked: Asked) -> tuple[Page, Tally]:
    if asked.problems:
        raise RejectedError("bad-parameter", *asked.problems)
    query = asked.query(LIMIT)
    page = await faces.bounds.ask(faces.system.reader.search(query))
    seconds = TALLY_SECONDS if asked.waits else COUNT_SECONDS
    return page, await tallies.of(query, seconds)
