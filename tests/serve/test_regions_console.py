"""The page of the regions: margin, ladder, curves that break where nothing was kept."""

from typing import Any

import msgspec

from holdfast.serve.ui import regions
from holdfast.serve.ui.curve import SECONDS, Curve, Point, figure, nice, points_of
from holdfast.serve.ui.ladder import Behind, Ladder, Witnessed, rungs
from holdfast.serve.ui.regions import RegionsView, quorum
from holdfast.watch.history import MINUTE_US, Minute
from tests.serve.test_html import Reader, read
from tests.serve.test_page import EVIL, NOW, frame, region

HOUR = (NOW - 60 * MINUTE_US, NOW)
SECOND = 1_000_000


def curve(points: dict[int, Point], **changes: Any) -> Curve:
    plain = Curve(
        label="Lag",
        from_us=HOUR[0],
        to_us=HOUR[1],
        count=60,
        points=points,
        written=lambda value: f"{value:g} s",
        floor=5.0,
    )
    return msgspec.structs.replace(plain, **changes)


def ladder(**changes: Any) -> Ladder:
    plain = Ladder(
        events=1_284,
        waiting_events=0,
        waiting_segments=0,
        quorum_lag_us=0,
        acknowledged_us=NOW - SECOND,
        behind=(),
        promise_us=NOW - SECOND,
        size=42,
        witnessed=None,
    )
    return msgspec.structs.replace(plain, **changes)


def view(**changes: Any) -> RegionsView:
    plain = RegionsView(
        frame=frame(),
        answering=3,
        members=3,
        ladder=ladder(),
        named="1h",
        lags={"a": curve({3: Point(1.0)})},
        curves=(curve({3: Point(2.0)}, label="Age"),),
    )
    return msgspec.structs.replace(plain, **changes)


def paths(markup: str, css: str) -> list[str]:
    return [str(a["d"]) for tag, a in read(markup).tags if tag == "path" and a["class"] == css]


def moods(told: Ladder) -> list[str]:
    return [rung.mood for rung in rungs(told, NOW)]


def test_the_headline_says_what_may_still_fail() -> None:
    assert [quorum(view(answering=count))[1] for count in (3, 2, 1, 0)] == [
        "Quorum holds; 1 more region may fail",
        "Quorum holds, without margin",
        "No quorum: nothing new is acknowledged until 1 more region answers",
        "No quorum: nothing new is acknowledged until 2 more regions answer",
    ]


def test_a_healthy_ladder_has_no_rung_behind() -> None:
    assert moods(ladder()) == ["held"] * 5 + ["none"]


def test_a_region_that_lacks_something_is_behind_by_name() -> None:
    late = ladder(behind=(Behind("b", 607, 9_400_000, 51 * SECOND),))

    rung = rungs(late, NOW)[3]

    assert (rung.mood, rung.through) == ("behind", "12:02:26.000")
    assert read(rung.said).text == "607 segments, 9.4 MB, wait for b"


def test_what_waits_for_a_quorum_too_long_is_behind() -> None:
    waiting = ladder(waiting_events=9, waiting_segments=2, quorum_lag_us=7 * SECOND)
    short = ladder(waiting_events=9, waiting_segments=2, quorum_lag_us=SECOND)

    assert moods(waiting)[2] == "behind"
    assert moods(short)[2] == "held"


def test_a_witness_that_lacks_for_long_is_behind_and_none_is_none() -> None:
    def witnessed(lacking_s: int) -> Ladder:
        return ladder(witnessed=Witnessed(2, 1, 40, lacking_s * SECOND))

    assert moods(witnessed(0))[5] == "held"
    assert moods(witnessed(3_600))[5] == "behind"
    assert "no witness is configured" in read(rungs(ladder(), NOW)[5].said).text


def test_before_anything_was_acknowledged_no_time_is_claimed() -> None:
    fresh = ladder(acknowledged_us=0, promise_us=0, size=0, events=None)

    assert [rung.through for rung in rungs(fresh, NOW)[1:5]] == ["none yet"] * 4


def test_a_curve_breaks_where_nothing_was_kept() -> None:
    drawn = figure(curve({0: Point(1.0), 1: Point(2.0), 5: Point(1.0), 6: Point(1.0)}))

    assert len(paths(drawn, "ln")) == 2
    assert "highest 2 s, scale to 5 s" in read(drawn).text


def test_what_is_not_known_is_hatched_and_no_zero() -> None:
    drawn = figure(curve({0: Point(1.0), 1: Point(None), 2: Point(None), 3: Point(1.0)}))

    hatched = [a for tag, a in read(drawn).tags if a.get("class") == "f-unk"]
    assert [(a["x"], a["width"]) for a in hatched] == [("5.0", "10.0")]
    assert len(paths(drawn, "ln")) == 2


def test_an_empty_history_says_so() -> None:
    assert "nothing kept of it yet" in read(figure(curve({}))).text


def test_a_week_is_drawn_by_the_worst_of_each_stretch() -> None:
    week = (NOW - 7 * 24 * 60 * MINUTE_US, NOW)
    minutes = {
        NOW // MINUTE_US * MINUTE_US - number * MINUTE_US: Minute(float(number == 30))
        for number in range(1, 200)
    }

    count, points = points_of(minutes, week, lambda minute: Point(minute.age_seconds))

    assert count <= 180
    assert 1 <= sum(point.value == 1.0 for point in points.values()) <= 2
    assert max(points) < count


def test_one_unknown_minute_makes_its_stretch_unknown() -> None:
    day = (NOW - 24 * 60 * MINUTE_US, NOW)
    last = NOW // MINUTE_US * MINUTE_US - 16 * MINUTE_US
    minutes = {last + step * MINUTE_US: Minute(None if step == 3 else 1.0) for step in range(8)}

    _, points = points_of(minutes, day, lambda minute: Point(minute.age_seconds))

    assert None in {point.value for point in points.values()}


def test_scales_are_round() -> None:
    assert [nice(value) for value in (0.3, 1, 3, 11, 700)] == [1, 1, 5, 20, 1000]
    assert [nice(value, SECONDS) for value in (3, 45, 700, 90_000)] == [5, 60, 1_200, 172_800]


def test_the_page_has_a_curve_a_region_and_links_to_more() -> None:
    page: Reader = read(regions.render(view()).decode())

    assert sum(1 for _, a in page.tags if a.get("class") == "curve") == 2
    assert "/regions?span=7d" in {a.get("href") for _, a in page.tags}


def test_nothing_that_a_region_says_becomes_markup() -> None:
    evil = region("a", url=EVIL, usable=False, why_not=EVIL, facts=((EVIL, EVIL),))

    page = read(regions.render(view(frame=frame(regions=(evil,)))).decode())

    assert not {"script", "img"} & {tag for tag, a in page.tags if "src" not in a}
    assert all(not name.startswith("on") for _, a in page.tags for name in a)
