"""The last days of a server: joined, kept in a file of fixed size, read back, soon forgotten."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from holdfast.keep.keeper import RegionDrift
from holdfast.keep.repair import Finding
from holdfast.watch.history import HOUR_US, MINUTE_US, MINUTES, History, Lag
from holdfast.watch.ring import Ring
from holdfast.watch.standing import Standing
from tests.watch.standings import NOW_US, SCRUBBED, SECOND_US, SURVEYED, WELL, backlog, writer

Result = TypeVar("Result")
START_US = (NOW_US // HOUR_US + 1) * HOUR_US


async def here(function: Callable[..., Result], *arguments: object) -> Result:
    return function(*arguments)


def history(folder: Path) -> History:
    return History(folder, here)


def run(story: Awaitable[Result]) -> Result:
    async def told() -> Result:
        return await story

    return asyncio.run(told())


def at(seconds: int, standing: Standing = WELL) -> Standing:
    """The same, so much later; as far behind as it was."""
    now_us = START_US + seconds * SECOND_US
    said = replace(standing.said, complete_through_us=now_us - 2 * SECOND_US)
    return replace(standing, now_us=now_us, said=said)


def sampled(kept: History, *standings: Standing) -> History:
    for each in standings:
        run(kept.sample(each))
    return kept


def test_a_slot_gives_back_what_was_put_into_it(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "a" / "ring", slots=3, slot_bytes=64)

    for number in range(7):
        ring.put(number, b"%d" % number)

    assert list(ring.read(0, 7)) == [(4, b"4"), (5, b"5"), (6, b"6")]
    assert list(ring.read(6, 9)) == [(6, b"6")]
    assert ring.path.stat().st_size <= 3 * 64


def test_a_slot_that_was_cut_short_or_changed_is_empty(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", slots=2, slot_bytes=64)
    ring.put(0, b"zero")
    ring.put(1, b"one")

    data = bytearray(ring.path.read_bytes())
    data[16] ^= 1
    ring.path.write_bytes(data)

    assert list(ring.read(0, 2)) == [(1, b"one")]
    ring.path.write_bytes(data[:70])
    assert list(ring.read(0, 2)) == []


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert list(Ring(tmp_path / "none", 2, 64).read(0, 2)) == []


def test_a_minute_keeps_the_worst_of_its_samples(tmp_path: Path) -> None:
    late = replace(WELL, writers=(writer(backlog("a"), backlog("b", 7, 30), backlog("c")),))
    behind = replace(at(5, late), now_us=START_US + 5 * SECOND_US)
    away = replace(at(10), said=replace(at(10).said, basis=WELL.said.basis[:1]))

    kept = sampled(history(tmp_path), at(0), behind, away)
    (minute,) = run(kept.minutes(START_US, START_US + MINUTE_US)).values()

    assert minute.lags["b"].segments == 7
    assert minute.lags["b"].seconds > 1
    assert not minute.lags["b"].counts
    assert minute.lags["a"] == Lag(0.0, 0, True)
    assert minute.age_seconds == 2.0


def test_a_watermark_that_was_not_known_once_has_no_age_in_that_minute(tmp_path: Path) -> None:
    unknown = replace(at(5), said=replace(at(5).said, complete_through_us=None))

    kept = sampled(history(tmp_path), at(0), unknown, at(10), at(60))
    first, second = run(kept.minutes(START_US, START_US + 2 * MINUTE_US)).values()

    assert (first.age_seconds, second.age_seconds) == (None, 2.0)


def test_events_are_counted_once_also_when_a_worker_begins_anew(tmp_path: Path) -> None:
    def counted(seconds: int, events: int) -> Standing:
        working = writer()
        working.ingest.acknowledged(events, 0)
        return at(seconds, replace(WELL, writers=(working,)))

    kept = sampled(history(tmp_path), counted(0, 10), counted(5, 25), counted(10, 3))
    (minute,) = run(kept.minutes(START_US, START_US + MINUTE_US)).values()

    assert minute.events == 10 + 15 + 3


def test_a_restart_goes_on_with_its_minute_and_its_hour(tmp_path: Path) -> None:
    sampled(history(tmp_path), at(0))

    kept = sampled(history(tmp_path), at(20, replace(WELL, reconciled=None, scrubbed=None)))

    (hour,) = run(kept.hours(START_US, START_US + HOUR_US)).values()
    assert hour.regions["a"].surveys == 1
    assert len(run(kept.minutes(START_US, START_US + HOUR_US))) == 1


def test_a_survey_is_counted_once_with_what_it_found(tmp_path: Path) -> None:
    drifts = (
        RegionDrift("a", "ok", 10, 0, 0, 0, 0, 0),
        RegionDrift("b", "there is no directory", 0, 0, 0, 0, 0, 0),
        RegionDrift("c", "ok", 8, 2, 100, 0, 0, 2),
    )
    findings = (Finding("corrupt", "a", "ev/seg/x", "it is"),)
    survey = replace(SURVEYED, regions=drifts, findings=findings, whole=True)
    standing = replace(WELL, reconciled=survey, scrubbed=None)

    kept = sampled(history(tmp_path), at(0, standing), at(5, standing))
    (hour,) = run(kept.hours(START_US, START_US + HOUR_US)).values()

    assert (hour.whole, hour.findings, hour.repaired_us) == (1, 1, survey.ended_us)
    assert (hour.regions["a"].surveys, hour.regions["a"].corrupt) == (1, 1)
    assert (hour.regions["b"].missed, hour.regions["b"].why) == (1, "there is no directory")
    assert (hour.regions["c"].repaired, hour.regions["c"].lacked) == (2, 2)


def test_a_scrub_marks_the_regions_that_it_read(tmp_path: Path) -> None:
    standing = replace(WELL, scrubbed=replace(SCRUBBED, regions=("a", "b")))

    kept = sampled(history(tmp_path), at(0, standing))
    (hour,) = run(kept.hours(START_US, START_US + HOUR_US)).values()

    assert [id for id, seen in sorted(hour.regions.items()) if seen.scrubbed] == ["a", "b"]
    assert (hour.objects, hour.size_bytes) == (1, 100)


def test_what_was_deleted_meanwhile_begins_anew(tmp_path: Path) -> None:
    kept = sampled(history(tmp_path / "cache"), at(0))
    shutil.rmtree(tmp_path / "cache")

    sampled(kept, at(60))

    assert list(run(kept.minutes(START_US, START_US + HOUR_US))) == [START_US + MINUTE_US]


def test_a_week_is_forgotten(tmp_path: Path) -> None:
    kept = sampled(history(tmp_path), at(0), at(MINUTES * 60))

    assert START_US not in run(kept.minutes(START_US, START_US + MINUTE_US))
