"""The last days of a server, kept small beside its cache: lag, ingest, the watermark's age, and
what surveys found, so that curves can be drawn without any database.

A sample is taken every few seconds and joined into its minute and its hour: of what grows the
highest, of what happens the sum. Of surveys that end within one sample the last counts. Lost with
the cache, and never evidence.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct, structs

from holdfast.keep.keeper import RegionDrift
from holdfast.ports import Offload
from holdfast.watch.ring import Ring
from holdfast.watch.standing import Standing

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
MINUTES: Final = 7 * 24 * 60
HOURS: Final = 31 * 24
MINUTE_BYTES: Final = 512
HOUR_BYTES: Final = 2048
SAMPLE_SECONDS: Final = 5.0
WHY_CHARS_MAX: Final = 80

log: Final = logging.getLogger("holdfast.watch")
Kept = TypeVar("Kept", bound=Struct)


class Lag(Struct, frozen=True, array_like=True):
    """A region in a minute, at its worst. seconds: age of the oldest segment that it lacked;
    counts: the statement rested on it in every sample."""

    seconds: float
    segments: int
    counts: bool


class Minute(Struct, frozen=True, array_like=True):
    """age_seconds: of the watermark, the highest; None: it was not known. events: acknowledged.
    lags: by region; none where nothing is written."""

    age_seconds: float | None = 0.0
    events: int = 0
    lags: dict[str, Lag] = {}


class Seen(Struct, frozen=True, array_like=True):
    """What was looked at in a region in an hour. surveys: by names and sizes, that reached it;
    missed: that did not, and `why` not, the last time. repaired: copies put into it; lacked: the
    most segments that it lacked. scrubbed: a share of its bytes was read. corrupt: copies found to
    be, at most at once."""

    surveys: int = 0
    missed: int = 0
    why: str = ""
    repaired: int = 0
    lacked: int = 0
    lacked_bytes: int = 0
    scrubbed: bool = False
    corrupt: int = 0


class Hour(Struct, frozen=True, array_like=True):
    """regions: by id. whole: surveys over everything. objects, size_bytes: that a scrub read.
    findings: the most at once. repaired_us: when last something was repaired."""

    regions: dict[str, Seen] = {}
    whole: int = 0
    objects: int = 0
    size_bytes: int = 0
    findings: int = 0
    repaired_us: int = 0


@dataclass(frozen=True, slots=True)
class Period(Generic[Kept]):
    """What a ring keeps. us: how long one is; of: what one is."""

    us: int
    of: type[Kept]


MINUTE: Final = Period(MINUTE_US, Minute)
HOUR: Final = Period(HOUR_US, Hour)


class History:
    """See the module."""

    def __init__(self, folder: Path, offload: Offload) -> None:
        """folder: made when it is needed; whatever lies in it may be deleted at any time."""
        self._minutes = Ring(folder / "minutes-1.ring", MINUTES, MINUTE_BYTES)
        self._hours = Ring(folder / "hours-1.ring", HOURS, HOUR_BYTES)
        self._offload = offload
        self._minute = (-1, Minute())
        self._hour = (-1, Hour())
        self._counted: dict[int, int] = {}  # events by worker, when last looked
        self._surveyed_us = self._scrubbed_us = 0
        self._complained = False

    async def keep_forever(self, standing: Callable[[], Standing]) -> None:
        """Take a sample again and again; not before the server has looked around once."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            try:
                await self.sample(standing())
                self._complained = False
            except Exception as error:
                # Whatever it is, nothing waits for it; a gap in a curve is told by the curve.
                if not self._complained:
                    log.warning("the history of this server is not kept: %s", error)
                self._complained = True

    async def sample(self, standing: Standing) -> None:
        """Join one look into its minute and its hour.

        Raises:
            OSError: they cannot be written.
        """
        number = standing.now_us // MINUTE_US
        if number != self._minute[0]:
            self._minute = (number, await self._one(self._minutes, number, MINUTE))
        hour = standing.now_us // HOUR_US
        if hour != self._hour[0]:
            self._hour = (hour, await self._one(self._hours, hour, HOUR))
        self._minute = (number, joined(self._minute[1], standing, self._arrived(standing)))
        self._hour = (hour, self._surveys(self._hour[1], standing))
        await self._offload(self._minutes.put, number, _fit(self._minute[1], self._minutes))
        await self._offload(self._hours.put, hour, _fit(self._hour[1], self._hours))

    async def minutes(self, start_us: int, end_us: int) -> Mapping[int, Minute]:
        """Those that were kept, by when they began."""
        return await self._offload(_read, self._minutes, start_us, end_us, MINUTE)

    async def hours(self, start_us: int, end_us: int) -> Mapping[int, Hour]:
        """Those that were kept, by when they began."""
        return await self._offload(_read, self._hours, start_us, end_us, HOUR)

    async def _one(self, ring: Ring, number: int, period: Period[Kept]) -> Kept:
        """What was kept of a period before this process began, or an empty one."""
        start_us = number * period.us
        none: Kept = period.of()
        end_us = start_us + period.us
        found: Mapping[int, Kept] = await self._offload(_read, ring, start_us, end_us, period)
        return found.get(start_us, none)

    def _arrived(self, standing: Standing) -> int:
        """Events acknowledged since the last sample. A worker that began anew counts from 0."""
        counts = {each.worker: each.ingest.events for each in standing.writers}
        last = self._counted
        self._counted = counts
        return sum(
            count - last[worker] if worker in last and count >= last[worker] else count
            for worker, count in counts.items()
        )

    def _surveys(self, hour: Hour, standing: Standing) -> Hour:
        """With the survey and the scrub that ended since the last sample, if any did."""
        survey, scrub = standing.reconciled, standing.scrubbed
        if survey is not None and survey.ended_us != self._surveyed_us:
            self._surveyed_us = survey.ended_us
            corrupt = [each.region for each in survey.findings if each.kind == "corrupt"]
            for drift in survey.regions:
                hour = _with(hour, drift, corrupt.count(drift.region))
            repaired = any(drift.repaired for drift in survey.regions)
            hour = structs.replace(
                hour,
                whole=hour.whole + survey.whole,
                findings=max(hour.findings, len(survey.findings)),
                repaired_us=survey.ended_us if repaired else hour.repaired_us,
            )
        if scrub is not None and scrub.ended_us != self._scrubbed_us:
            self._scrubbed_us = scrub.ended_us
            regions = dict(hour.regions)
            corrupt = [each.region for each in scrub.findings if each.kind == "corrupt"]
            for id in scrub.regions:
                seen = regions.get(id, Seen())
                most = max(seen.corrupt, corrupt.count(id))
                regions[id] = structs.replace(seen, scrubbed=True, corrupt=most)
            hour = structs.replace(
                hour,
                regions=regions,
                objects=hour.objects + scrub.objects,
                size_bytes=hour.size_bytes + scrub.size_bytes,
                findings=max(hour.findings, len(scrub.findings)),
            )
        return hour


def joined(minute: Minute, standing: Standing, events: int) -> Minute:
    """A minute with one more sample in it. Pure."""
    through = standing.said.complete_through_us
    age = None if through is None else max(0, standing.now_us - through) / 1e6
    worst = None if age is None or minute.age_seconds is None else max(age, minute.age_seconds)
    usable = {basis.region for basis in standing.said.basis}
    lags = {}
    for region in standing.regions:
        backlogs = [
            each
            for writer in standing.writers
            for each in writer.node.regions
            if each.region == region.id and each.segments
        ]
        oldest_us = min((each.oldest_us for each in backlogs), default=standing.now_us)
        was = minute.lags.get(region.id, Lag(0.0, 0, True))
        lags[region.id] = Lag(
            max(was.seconds, round((standing.now_us - oldest_us) / 1e6, 1)),
            max(was.segments, sum(each.segments for each in backlogs)),
            was.counts and region.id in usable,
        )
    return Minute(worst, minute.events + events, lags)


def _with(hour: Hour, drift: RegionDrift, corrupt: int) -> Hour:
    seen = hour.regions.get(drift.region, Seen())
    if drift.state == "ok":
        seen = structs.replace(
            seen,
            surveys=seen.surveys + 1,
            repaired=seen.repaired + drift.repaired,
            lacked=max(seen.lacked, drift.lag_segments),
            lacked_bytes=max(seen.lacked_bytes, drift.lag_bytes),
            corrupt=max(seen.corrupt, corrupt),
        )
    else:
        why = drift.state[:WHY_CHARS_MAX]
        seen = structs.replace(seen, missed=seen.missed + 1, why=why)
    return structs.replace(hour, regions={**hour.regions, drift.region: seen})


def _fit(kept: Minute | Hour, ring: Ring) -> bytes:
    """The bytes of a slot; with so many regions that they have no room in it, without them."""
    data = msgspec.msgpack.encode(kept)
    if len(data) <= ring.data_bytes_max:
        return data
    bare = (
        structs.replace(kept, lags={})
        if isinstance(kept, Minute)
        else structs.replace(kept, regions={})
    )
    return msgspec.msgpack.encode(bare)


def _read(ring: Ring, start_us: int, end_us: int, period: Period[Kept]) -> dict[int, Kept]:
    read = ring.read(start_us // period.us, -(-end_us // period.us))
    found = {number * period.us: _decoded(data, period.of) for number, data in read}
    return {us: each for us, each in found.items() if each is not None}


def _decoded(data: bytes, of: type[Kept]) -> Kept | None:
    """None: another version of this program wrote it."""
    try:
        return msgspec.msgpack.decode(data, type=of)
    except msgspec.MsgspecError:
        return None
