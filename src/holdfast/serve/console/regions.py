"""The regions page's questions: how far everything has come, and how that was in the last days."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import structs

from holdfast.keep.witnesses import WitnessesReport, lag_seconds
from holdfast.regions import units
from holdfast.serve.faces import Faces
from holdfast.serve.status import standing_of
from holdfast.serve.ui.curve import SECONDS, SPANS_US, Curve, Point, points_of
from holdfast.serve.ui.ladder import Behind, Ladder, Witnessed
from holdfast.serve.ui.regions import RegionsView
from holdfast.serve.ui.words import Frame, RegionView, clock, counted, size, span
from holdfast.watch.history import HOUR_US, MINUTE_US, Minute
from holdfast.watch.standing import Standing

YOUNG_US: Final = 10 * MINUTE_US
NO_COUNT: Final = "bar below: the statement did not rest on it"


async def look(faces: Faces, frame: Frame, named: str) -> RegionsView:
    """The page. named: how far back the curves go."""
    standing = standing_of(faces.system, faces.writers())
    minutes = await faces.history.minutes(frame.now_us - SPANS_US.get(named, HOUR_US), frame.now_us)
    window = _window(named, minutes, frame.now_us)
    members = [each for each in standing.regions if each.id not in standing.leaving]
    facts = _surveyed(standing, frame.now_us)
    regions = tuple(
        structs.replace(each, facts=(*each.facts, *facts(each.id))) for each in frame.regions
    )
    return RegionsView(
        frame=structs.replace(frame, regions=regions),
        answering=sum(each.state == "ok" for each in members),
        members=len(members),
        ladder=_ladder(standing, minutes) if standing.writers else None,
        named=named if named in SPANS_US else "1h",
        lags=_lags(regions, minutes, window) if standing.writers else {},
        curves=_curves(minutes, window, is_writing=bool(standing.writers)),
    )


def _window(named: str, minutes: Mapping[int, Minute], now_us: int) -> tuple[int, int]:
    """From so long ago until now; if nothing is said, an hour, or all of a young history."""
    if named in SPANS_US:
        return now_us - SPANS_US[named], now_us
    first_us = min(min(minutes, default=now_us), now_us - YOUNG_US)
    return max(first_us, now_us - HOUR_US), now_us


def _surveyed(standing: Standing, now_us: int) -> Callable[[str], tuple[tuple[str, str], ...]]:
    """What was last seen of a region: survey, scrub, archive, restore."""
    survey, scrub = standing.reconciled, standing.scrubbed
    suspects = dict(standing.reader.suspects)

    def facts(id: str) -> tuple[tuple[str, str], ...]:
        found = []
        for drift in survey.regions if survey else ():
            if drift.region == id and survey is not None:
                lacks = f"{drift.lacking:,} objects lacking" if drift.lacking else "nothing lacking"
                how = lacks if drift.state == "ok" else "could not be looked at"
                found.append(("survey", f"names {clock(survey.ended_us, now_us)}, {how}"))
        if scrub is not None and id in scrub.regions:
            bad = sum(each.region == id for each in scrub.findings)
            told = f"a share of the bytes {clock(scrub.ended_us, now_us)}, {bad} findings"
            found.append(("scrub", told))
        if standing.shelves is not None and (shelf := standing.shelves.of.get(id)) is not None:
            days = counted(len({units.day_of(unit) for unit in shelf.whole}), "day")
            found.append(("archive", f"{days}, {size(shelf.size_bytes)}"))
        if good_us := standing.restored.good_us(id):
            found.append(("restored", f"a piece of a day {clock(good_us, now_us)}"))
        if id in suspects:
            found.append(("suspect", suspects[id]))
        return tuple(found)

    return facts


# -- the ladder ----------------------------------------------------------------------------------


def _ladder(standing: Standing, minutes: Mapping[int, Minute]) -> Ladder:
    nodes = [each.node for each in standing.writers]
    minute = minutes.get((standing.now_us // MINUTE_US - 1) * MINUTE_US)
    promises = [node.promise_us for node in nodes if node.state == "open"]
    reports = [each.witnesses for each in standing.writers if each.witnesses is not None]
    return Ladder(
        events=minute.events if minute else None,
        waiting_events=sum(node.waiting_events for node in nodes),
        waiting_segments=sum(node.waiting_segments for node in nodes),
        quorum_lag_us=_quorum_lag(standing),
        acknowledged_us=max(node.last_acknowledged_us for node in nodes),
        behind=_behind(standing),
        promise_us=min(promises, default=0),
        size=sum(node.size for node in nodes),
        witnessed=_witnessed(reports[0], standing.now_us) if reports else None,
    )


def _quorum_lag(standing: Standing) -> int:
    """How long a segment has waited that too few regions are known to hold, at most."""
    lags = [
        sorted(
            standing.now_us - each.oldest_us if each.segments else 0
            for each in writer.node.regions
            if each.region not in standing.leaving
        )
        for writer in standing.writers
    ]
    return max((one[standing.quorum - 1] for one in lags if len(one) >= standing.quorum), default=0)


def _behind(standing: Standing) -> tuple[Behind, ...]:
    backlogs = [
        each for writer in standing.writers for each in writer.node.regions if each.segments
    ]
    return tuple(
        Behind(
            id,
            sum(each.segments for each in backlogs if each.region == id),
            sum(each.size_bytes for each in backlogs if each.region == id),
            standing.now_us - min(each.oldest_us for each in backlogs if each.region == id),
        )
        for id in sorted({each.region for each in backlogs})
    )


def _witnessed(report: WitnessesReport, now_us: int) -> Witnessed:
    lacking_us = int(lag_seconds(report, now_us) * 1e6)
    size = max((each.size for each in report.witnesses), default=0)
    return Witnessed(report.quorum, report.cosigned, size, lacking_us)


# -- curves --------------------------------------------------------------------------------------


def _lags(
    regions: tuple[RegionView, ...], minutes: Mapping[int, Minute], window: tuple[int, int]
) -> dict[str, Curve]:
    return {each.id: _lag_of(each.id, minutes, window) for each in regions}


def _lag_of(id: str, minutes: Mapping[int, Minute], window: tuple[int, int]) -> Curve:
    def point(minute: Minute) -> Point | None:
        lag = minute.lags.get(id)
        return Point(lag.seconds, not lag.counts) if lag else None

    count, points = points_of(minutes, window, point)
    away = any(each.is_marked for each in points.values())
    return Curve(
        label="Lag",
        from_us=window[0],
        to_us=window[1],
        count=count,
        points=points,
        written=_seconds,
        steps=SECONDS,
        floor=5.0,
        marks=NO_COUNT if away else "",
    )


async def age_so_far(faces: Faces, now_us: int) -> Curve:
    """The age of the watermark, of the last hour or since the server began."""
    minutes = await faces.history.minutes(now_us - HOUR_US, now_us)
    return _age(minutes, _window("", minutes, now_us))


def _age(minutes: Mapping[int, Minute], window: tuple[int, int]) -> Curve:
    count, ages = points_of(minutes, window, lambda minute: Point(minute.age_seconds))
    unknown = any(each.value is None for each in ages.values())
    return Curve(
        label="Age of the watermark",
        from_us=window[0],
        to_us=window[1],
        count=count,
        points=ages,
        written=_seconds,
        steps=SECONDS,
        floor=10.0,
        marks="hatched: not known" if unknown else "",
    )


def _curves(
    minutes: Mapping[int, Minute], window: tuple[int, int], *, is_writing: bool
) -> tuple[Curve, ...]:
    age = _age(minutes, window)
    if not is_writing:
        return (age,)
    _, events = points_of(minutes, window, lambda minute: Point(float(minute.events)))
    ingest = structs.replace(
        age,
        label="Events acknowledged a minute",
        points=events,
        written=lambda value: f"{value:,.0f}",
        steps=(),
        marks="",
    )
    return age, ingest


def _seconds(value: float) -> str:
    return span(int(value * 1e6))
