"""The completeness page's questions: how each node's ledger went."""

import asyncio
from shlex import quote
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.read.lives import Life
from holdfast.serve.faces import Faces
from holdfast.serve.ui.completeness import CompletenessView
from holdfast.serve.ui.timeline import MINUTE_US, Window
from holdfast.serve.ui.words import DAY_US, Frame
from holdfast.settings import Settings

LIVES_SECONDS: Final = 3.0
SPANS_US: Final = {"1h": 60 * MINUTE_US, "24h": DAY_US, "30d": 30 * DAY_US}
AHEAD: Final = 1 / 60  # of the window, right of now, so that its end is seen


async def look(faces: Faces, frame: Frame, named: str) -> CompletenessView:
    """The page. named: the window asked for."""
    lives, why = await _lives(faces)
    report, settings = faces.system.reader.report(), faces.system.settings
    return CompletenessView(
        frame=frame,
        lives=lives,
        why=why,
        window=_window(named, lives or (), frame.now_us),
        where=where_of(settings),
        clock_error_us=settings.clock_error_ms * 1000,
        passed_us=report.passed_us,
        failed=report.failed,
    )


def where_of(settings: Settings) -> str:
    """The options that name this server's place to a command. Which file its settings came from is
    not known here, only whether the regions lie where they would without any."""
    data = settings.data_path.absolute()
    at_home = all(
        region.url.startswith((data / "regions").as_uri() + "/")
        for region in settings.regions.values()
    )
    return f"--data {quote(str(data))}" + ("" if at_home else " --config FILE")


async def _lives(faces: Faces) -> tuple[tuple[Life, ...] | None, str]:
    try:
        async with asyncio.timeout(LIVES_SECONDS):
            return await faces.bounds.ask(faces.system.reader.lives()), ""
    except TimeoutError:
        return None, f"no answer within {LIVES_SECONDS:g} s"
    except HoldfastError as error:
        return None, str(error)


def _window(named: str, lives: tuple[Life, ...], now_us: int) -> Window:
    """From so long ago until now; all of a trail that is young, if nothing is said."""
    first_us = min((life.epochs[0].started_us for life in lives if life.epochs), default=now_us)
    first_us = min(first_us, now_us - MINUTE_US)
    if named == "all":
        from_us = first_us
    elif named in SPANS_US:
        from_us = now_us - SPANS_US[named]
    else:
        named, from_us = "1h", max(first_us, now_us - SPANS_US["1h"])
    return Window(named, from_us, now_us + int((now_us - from_us) * AHEAD))
