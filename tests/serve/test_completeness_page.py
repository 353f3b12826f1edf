"""The page of completeness: bars that never say too much, and what to do about each reason."""

from typing import Any, get_args

import msgspec
from msgspec import structs

from holdfast.model import Completeness, Gap, Holding, HoldingKind
from holdfast.read.lives import EpochLife, Life
from holdfast.serve.console.completeness import where_of
from holdfast.serve.ui import completeness
from holdfast.serve.ui.advice import HOLDING
from holdfast.serve.ui.completeness import CompletenessView, bounds_of
from holdfast.serve.ui.timeline import Stretch, Window, stretches, ticks_of
from holdfast.settings import RegionSettings, load
from tests.serve.test_html import Reader, read
from tests.serve.test_page import EVIL, NODE, NOW, frame, said

SECOND = 1_000_000
HOUR = 3_600 * SECOND
THROUGH = NOW - 10 * SECOND
SINCE = NOW - 41 * SECOND


def life(**changes: Any) -> Life:
    plain = Life(
        node=NODE,
        epochs=(EpochLife(1, NOW - HOUR),),
        promise_us=NOW - SECOND,
        size=7,
        held=7,
        events=3_042,
        pending=0,
        is_closed=False,
    )
    return msgspec.structs.replace(plain, **changes)


def held_back(kind: HoldingKind, node: str = NODE, reason: str = "it is so") -> Completeness:
    holding = Holding(node, kind, reason, SINCE)
    return msgspec.structs.replace(said("a", "b"), holding_back=(holding,))


def view(statement: Completeness | None = None, *lives: Life, **changes: Any) -> CompletenessView:
    plain = CompletenessView(
        frame=frame(said=statement or said("a", "b", "c")),
        lives=lives or (life(),),
        why="",
        window=Window("1h", NOW - 2 * HOUR, NOW),
        where="--data /srv/holdfast",
        clock_error_us=2 * SECOND,
        passed_us=NOW - SECOND,
        failed="",
    )
    return msgspec.structs.replace(plain, **changes)


def seen(page: CompletenessView) -> Reader:
    return read(completeness.render(page).decode())


def test_what_is_above_the_watermark_is_in_flight_whatever_was_promised() -> None:
    drawn = stretches(life(promise_us=NOW), said("a", "b"), NOW)

    assert drawn == (Stretch("held", NOW - HOUR, THROUGH), Stretch("fly", THROUGH, NOW))


def test_the_node_that_holds_it_back_is_not_known_above_it() -> None:
    other = life(node="0" * 32)

    assert stretches(life(), held_back("silent"), NOW)[-1].kind == "unk"
    assert stretches(other, held_back("silent"), NOW)[-1].kind == "fly"
    assert stretches(other, held_back("regions", node=""), NOW)[-1].kind == "unk"


def test_without_a_watermark_nothing_is_solid() -> None:
    drawn = stretches(life(), Completeness(None, (), (), ()), NOW)

    assert [each.kind for each in drawn] == ["unk"]


def test_where_no_epoch_was_open_nothing_can_be_missing() -> None:
    stopped = (EpochLife(1, NOW - HOUR, NOW - HOUR // 2, "drained"), EpochLife(2, NOW - HOUR // 3))
    gone = (EpochLife(1, NOW - HOUR, NOW - HOUR // 2, "lost"),)

    assert [each.kind for each in stretches(life(epochs=stopped), said("a"), NOW)] == [
        "held",
        "none",
        "held",
        "fly",
    ]
    closed = stretches(life(epochs=gone, is_closed=True), said("a"), NOW)
    assert closed[-1] == Stretch("none", NOW - HOUR // 2, NOW)


def test_an_epoch_whose_end_is_not_held_yet_is_drawn_until_now() -> None:
    ending = (EpochLife(1, NOW - HOUR, NOW - HOUR // 2, "lost"),)

    assert stretches(life(epochs=ending), said("a"), NOW)[-1] == Stretch("fly", THROUGH, NOW)


def test_the_smallest_bound_decides() -> None:
    slow = life(node="1" * 32, promise_us=NOW - 5 * SECOND)
    closed = life(node="2" * 32, promise_us=1, is_closed=True)

    found = bounds_of(view(None, life(), slow, closed))

    assert [each.us for each in found] == sorted(each.us for each in found)
    assert found[0].what.startswith("Node 11111111")
    assert len(found) == 3
    assert "decides now" in seen(view(None, life(), slow)).text


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    for kind in get_args(HoldingKind):
        page = seen(view(held_back(kind)))

        assert HOLDING[kind].title in page.text
        assert HOLDING[kind].lost in page.text
        assert "It is so." in page.text
        assert "41 s" in page.text
        assert "decides now" not in page.text


def test_a_command_names_the_server_s_place_and_the_node() -> None:
    page = seen(view(held_back("hole")))

    assert "holdfast reconcile --data /srv/holdfast" in page.text
    assert f"--node {NODE} " in page.text


def test_a_place_is_named_so_that_a_shell_reads_it() -> None:
    at_home = load(None, {}, {"data": "/srv/hold fast"})
    elsewhere = structs.replace(at_home, regions={"a": RegionSettings(url="s3://bucket")})

    assert where_of(at_home) == "--data '/srv/hold fast'"
    assert where_of(elsewhere) == "--data '/srv/hold fast' --config FILE"


def test_nothing_to_do_is_said_too() -> None:
    assert "there is nothing to do" in seen(view()).text


def test_a_server_that_does_not_look_any_more_says_so() -> None:
    page = seen(view(passed_us=NOW - 90 * SECOND, failed="OSError: no space left"))

    assert "last looked at all regions 1 min 30 s ago" in page.text
    assert "no space left" in page.text


def test_a_gap_is_drawn_and_told_with_its_cause() -> None:
    gap = Gap(NODE, 3, 5, NOW - HOUR // 2, NOW - HOUR // 2 + SECOND, "rack 4 burnt")

    page = seen(view(msgspec.structs.replace(said("a", "b"), gaps=(gap,))))

    assert [attributes for _, attributes in page.tags if attributes.get("class") == "gapx"]
    assert page.text.count("rack 4 burnt") == 2


def test_nodes_that_could_not_be_looked_up_are_not_none() -> None:
    page = seen(view(lives=None, why="no answer within 3 s"))

    assert "The nodes could not be looked up: no answer within 3 s." in page.text
    assert "No node has been seen" not in page.text


def test_a_thousand_nodes_are_a_page_of_the_usual_size() -> None:
    many = [life(node=f"{number:032x}") for number in range(1_000)]

    page = completeness.render(view(None, *many))

    assert len(page) < 100 * 1024
    assert "and 960 more nodes" in page.decode()


def test_nothing_that_regions_say_becomes_markup() -> None:
    gap = Gap(NODE, 3, 5, NOW - HOUR // 2, NOW, EVIL)
    statement = msgspec.structs.replace(held_back("hole", reason=EVIL), gaps=(gap,))

    page = seen(view(statement, failed=EVIL))

    assert not {"script", "img"} & {tag for tag, attributes in page.tags if "src" not in attributes}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_ticks_are_round_and_few() -> None:
    for minutes in (2, 60, 1_440, 43_200, 5_000_000):
        ticks = ticks_of(Window("", NOW - minutes * 60 * SECOND, NOW))

        assert 1 <= len(ticks) <= 6
        assert all(tick % (60 * SECOND) == 0 for tick in ticks)
