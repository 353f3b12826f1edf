"""The week that a server had before its picture is taken.

Kept by the code that keeps it, from how everything stood at a clock of its own: nobody waits a week
for a picture.
"""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from holdfast.keep.keeper import Reconciliation, RegionDrift
from holdfast.keep.repair import Finding
from holdfast.watch.history import HOUR_US, MINUTE_US, History
from holdfast.watch.standing import IngestMetrics, Standing
from tests.watch.standings import IDS, NODE, SCRUBBED, SURVEYED, WELL, backlog, writer

MINUTES: Final = 7 * 24 * 60
SECOND_US: Final = 1_000_000
AWAY: Final = range(61, 65)  # hours ago: b could not be reached
ROTTEN: Final = range(100, 102)  # hours ago: a copy in a was known to be corrupt
WHOLE_HOUR, SCRUB_HOUR = 2, 3  # of each day


def live(history: Path, now_us: int) -> None:
    """Keep a week's minutes and hours, up to the minute that runs. In a thread: Playwright's event
    loop has this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _live(History(history, _here), now_us)).result()


async def _here(function: Callable[..., Any], *arguments: object) -> Any:
    return function(*arguments)


async def _live(history: History, now_us: int) -> None:
    events = 0
    for minute in range(now_us // MINUTE_US - MINUTES, now_us // MINUTE_US):
        now = minute * MINUTE_US + 30 * SECOND_US
        by_day = math.cos(2 * math.pi * now / (24 * HOUR_US))
        events += int(900 - 600 * by_day + 200 * math.sin(minute * minute))
        await history.sample(_stood(now, (now_us - now) // HOUR_US, events))


def _stood(now_us: int, hours_ago: int, events: int) -> Standing:
    is_away = hours_ago in AWAY
    late_s = (AWAY.stop - hours_ago) * 3600 if is_away else now_us // MINUTE_US % 7
    lag = replace(backlog("b", segments=1), oldest_us=now_us - late_s * SECOND_US)
    node = replace(NODE, regions=(backlog("a"), lag, backlog("c")))
    basis = tuple(one for one in WELL.said.basis if not (is_away and one.region == "b"))
    scrub = replace(SCRUBBED, ended_us=now_us // HOUR_US, regions=IDS)
    return replace(
        WELL,
        now_us=now_us,
        writers=(replace(writer(), node=node, ingest=IngestMetrics(events=events)),),
        said=replace(WELL.said, complete_through_us=now_us - 2 * SECOND_US, basis=basis),
        reconciled=_survey(now_us // HOUR_US, hours_ago),
        scrubbed=scrub if now_us // HOUR_US % 24 == SCRUB_HOUR else None,
    )


def _survey(hour: int, hours_ago: int) -> Reconciliation:
    is_back = hours_ago == AWAY.start - 1
    drifts = [RegionDrift(id, "ok", 10, 0, 0, 0, 0, 0) for id in IDS]
    if hours_ago in AWAY:
        drifts[1] = RegionDrift("b", "no answer within 5 s", 0, 0, 0, 0, 0, 0)
    elif is_back:
        drifts[1] = RegionDrift("b", "ok", 10, 412, 61_800_000, 0, 0, 412)
    rotten = Finding("corrupt", "a", "ev/seg/x", "its bytes do not hash to its name")
    return replace(
        SURVEYED,
        ended_us=hour * HOUR_US,
        whole=is_back or hour % 24 == WHOLE_HOUR,
        regions=tuple(drifts),
        findings=(rotten,) if hours_ago in ROTTEN else (),
    )
