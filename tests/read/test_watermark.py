"""What one pass proves, by the rules one at a time."""

from collections.abc import Iterable

from msgspec import structs

from holdfast.model import Gap
from holdfast.read.watermark import (
    Born,
    End,
    Judgement,
    Ledger,
    Looked,
    Promise,
    Sighting,
    Trouble,
    View,
    judge,
)
from holdfast.regions.sets import RegionSet

START = 1_000
DELTA = 10
TOP = START - DELTA


def born(epoch: int = 1, started: int = 100, base: End | None = None) -> Born:
    return Born(epoch, started, base or End(), 2, ("a", "b", "c"))


def segments(
    start: int, end: int, epoch: int = 1, first: int | None = None, held: bool = True
) -> tuple[Sighting, ...]:
    """Segments of two events each; `first` of index i is 2 * i."""
    return tuple(
        Sighting(f"{i}-{epoch}", i, epoch, 2 * i if first is None else first, 2, held)
        for i in range(start, end)
    )


def at(size: int) -> End:
    return End(size, 2 * size)


def view(*ledgers: Ledger, failed: Iterable[str] = (), started: int | None = START) -> View:
    return View(
        started_us=started,
        now_us=START + 1,
        clock_error_us=DELTA,
        sets=(RegionSet(frozenset("abc"), 2),),
        regions=tuple(
            Looked(id, id, START, START + 1, "no answer" if id in failed else "") for id in "abc"
        ),
        ledgers=ledgers,
    )


def ledger(**facts: object) -> Ledger:
    return Ledger(node="n", **{"births": (born(),), **facts})  # type: ignore[arg-type]


def through(*ledgers: Ledger, previous: int | None = None, **how: object) -> int | None:
    before = Judgement(complete_through_us=previous)
    return judge(view(*ledgers, **how), before).complete_through_us  # type: ignore[arg-type]


def kinds(judgement: Judgement) -> list[str]:
    return [kind for (_, kind), _ in judgement.since]


def test_an_empty_trail_is_complete_through_the_start_of_the_pass_less_the_error() -> None:
    assert through() == TOP


def test_a_node_that_promised_nothing_is_known_through_its_birth() -> None:
    assert through(ledger()) == 100


def test_the_best_promise_within_the_run_counts() -> None:
    some = ledger(
        promises=(Promise(1, 300, 1), Promise(1, 500, 2), Promise(1, 400, 2)),
        segments=segments(0, 2),
    )

    assert through(some) == 500


def test_t_is_the_least_over_all_nodes_and_never_beyond_the_start() -> None:
    early = ledger(promises=(Promise(1, 200, 0),))
    late = Ledger(node="m", births=(born(),), promises=(Promise(1, 5_000, 0),))

    assert through(early, late) == 200
    assert through(late) == TOP


def test_one_region_too_few_freezes_t() -> None:
    some = ledger(promises=(Promise(1, 500, 0),))

    judgement = judge(view(some, failed="ab"), Judgement(complete_through_us=300))

    assert judgement.complete_through_us == 300
    assert judgement.basis[0].region == "c"
    assert "a: no answer" in judgement.holding_back[0].reason
    assert through(some, failed="ab") is None
    assert through(some, failed="a", previous=300) == 500


def test_no_clock_to_trust_freezes_t() -> None:
    assert through(ledger(promises=(Promise(1, 500, 0),)), started=None, previous=300) == 300


def test_a_promised_segment_that_is_nowhere_is_a_hole_and_freezes_t() -> None:
    holed = ledger(
        promises=(Promise(1, 400, 1), Promise(1, 500, 3)),
        segments=segments(0, 1) + segments(2, 3),
    )

    judgement = judge(view(holed), Judgement(complete_through_us=300))

    assert judgement.complete_through_us == 300
    assert kinds(judgement) == ["hole"]
    assert judgement.runs[0].alarm.startswith("segment 1 of 3")
    assert judgement.runs[0].pending == 1


def test_too_few_regions_are_no_reason_to_call_a_segment_missing() -> None:
    holed = ledger(promises=(Promise(1, 500, 3),), segments=segments(0, 1))

    assert kinds(judge(view(holed, failed="ab"), Judgement())) == ["regions", "settings"]


def test_a_segment_that_is_not_read_yet_holds_t_at_what_is_held() -> None:
    reading = ledger(
        promises=(Promise(1, 400, 1), Promise(1, 500, 2)),
        segments=segments(0, 1) + segments(1, 2, held=False),
    )

    judgement = judge(view(reading), Judgement())

    assert judgement.complete_through_us == 400
    assert kinds(judgement) == ["fetch"]


def test_what_is_being_read_holds_nothing_back_while_a_late_promise_counts() -> None:
    reading = ledger(
        promises=(Promise(1, 5_000, 1),),
        segments=segments(0, 1) + segments(1, 2, held=False),
    )

    judgement = judge(view(reading), Judgement())

    assert judgement.complete_through_us == TOP
    assert judgement.holding_back == ()


def test_what_was_not_listed_yet_is_not_missing() -> None:
    partial = ledger(promises=(Promise(1, 500, 9),), segments=segments(0, 1), partial=True)

    assert kinds(judge(view(partial), Judgement())) == ["fetch"]


def test_promises_of_an_earlier_epoch_bind_nothing() -> None:
    two = ledger(
        births=(born(), born(2, 200, at(1))),
        promises=(Promise(1, 900, 1),),
        segments=segments(0, 1),
    )

    assert through(two) == 200


def test_the_next_birth_tells_the_close_and_makes_what_lies_beyond_it_orphans() -> None:
    two = ledger(births=(born(), born(2, 200, at(1))), segments=segments(0, 3))

    judgement = judge(view(two), Judgement())

    assert [orphan.name for orphan in judgement.orphans] == ["1-1", "2-1"]
    assert judgement.runs[0].held == at(1)
    assert judgement.complete_through_us == 200


def test_a_closed_note_tells_the_close_and_ends_the_bound_once_all_is_held() -> None:
    closed = ledger(closes=((1, at(2)),), segments=segments(0, 3))

    judgement = judge(view(closed), Judgement())

    assert [orphan.name for orphan in judgement.orphans] == ["2-1"]
    assert judgement.runs[0].infinite
    assert judgement.complete_through_us == TOP


def test_a_closed_epoch_that_is_not_whole_freezes_t() -> None:
    closed = ledger(closes=((1, at(2)),), segments=segments(0, 1))

    assert through(closed, previous=50) == 50


def test_an_epoch_may_end_where_it_began() -> None:
    empty = ledger(
        births=(born(), born(2, 200, at(1)), born(3, 300, at(1))),
        segments=segments(0, 1) + segments(1, 2, epoch=3),
        promises=(Promise(3, 600, 2),),
    )

    assert through(empty) == 600


def test_a_segment_before_its_epochs_base_is_an_orphan() -> None:
    stray = ledger(
        births=(born(), born(2, 200, at(2))), segments=segments(0, 2) + segments(1, 2, epoch=2)
    )

    assert [orphan.name for orphan in judge(view(stray), Judgement()).orphans] == ["1-2"]


def test_segments_that_do_not_tile_are_a_conflict() -> None:
    gapped = ledger(
        segments=segments(0, 1) + segments(1, 2, first=5), promises=(Promise(1, 500, 1),)
    )

    judgement = judge(view(gapped), Judgement(complete_through_us=50))

    assert judgement.complete_through_us == 50
    assert kinds(judgement) == ["conflict"]
    assert judgement.runs[0].alarm


def test_two_names_for_one_index_are_a_conflict() -> None:
    other = structs.replace(segments(0, 1)[0], name="other")
    forked = ledger(segments=(*segments(0, 1), other), promises=(Promise(1, 500, 0),))

    assert kinds(judge(view(forked), Judgement())) == ["conflict"]
    assert through(forked, previous=50) == 50


def test_two_different_closes_of_one_epoch_are_a_conflict_and_no_orphans_follow() -> None:
    split = ledger(
        births=(born(), born(2, 200, at(1))), closes=((1, at(2)),), segments=segments(0, 2)
    )

    judgement = judge(view(split), Judgement())

    assert kinds(judgement) == ["conflict"]
    assert judgement.orphans == ()


def test_a_close_below_what_was_final_is_a_conflict() -> None:
    late = ledger(settled=at(3), settled_epoch=1, closes=((1, at(2)),))

    assert kinds(judge(view(late), Judgement())) == ["conflict"]


def test_a_close_that_counts_other_events_is_a_conflict() -> None:
    wrong = ledger(closes=((1, End(2, 5)),), segments=segments(0, 2))

    assert kinds(judge(view(wrong), Judgement())) == ["conflict"]


def test_a_birth_that_could_not_be_verified_freezes_t() -> None:
    unknown = ledger(promises=(Promise(1, 500, 0),), unverified=((2, "no good copy"),))

    judgement = judge(view(unknown), Judgement(complete_through_us=50))

    assert judgement.complete_through_us == 50
    assert kinds(judgement) == ["birth"]


def test_an_unverified_birth_of_an_epoch_that_is_over_matters_to_nobody() -> None:
    over = ledger(births=(born(2, 200),), unverified=((1, "no good copy"),))

    assert through(over) == 200


def test_an_open_epoch_needs_enough_of_its_own_stores() -> None:
    elsewhere = Born(1, 100, End(), 2, ("x", "y", "a"))

    judgement = judge(view(ledger(births=(elsewhere,))), Judgement())

    assert judgement.complete_through_us is None
    assert kinds(judgement) == ["settings"]


def test_t_never_goes_back() -> None:
    assert through(ledger(), previous=800) == 800


def test_a_silent_node_is_named_since_its_last_promise() -> None:
    judgement = judge(view(ledger(promises=(Promise(1, 500, 0),))), Judgement())

    (holding,) = judgement.holding_back
    assert (holding.node, holding.since_us) == ("n", 500)


def test_a_reason_keeps_the_time_since_when_it_holds() -> None:
    holed = ledger(promises=(Promise(1, 500, 1),))
    first = judge(view(holed), Judgement())

    later = judge(structs.replace(view(holed), now_us=9_000), first)

    assert later.holding_back == first.holding_back
    assert first.holding_back[0].since_us == START + 1


def test_what_is_promised_or_closed_and_held_is_settled() -> None:
    some = ledger(promises=(Promise(1, 500, 2), Promise(1, 600, 9)), segments=segments(0, 4))
    reading = ledger(promises=(Promise(1, 500, 2),), segments=segments(0, 3, held=False))

    assert judge(view(some), Judgement()).runs[0].settled == at(4)
    assert judge(view(reading), Judgement()).runs[0].settled == End()


def test_a_promise_of_an_epoch_whose_birth_is_unknown_settles_nothing() -> None:
    unborn = ledger(promises=(Promise(2, 500, 2),), segments=segments(0, 2))

    assert judge(view(unborn), Judgement()).runs[0].settled == End()


def test_where_an_earlier_epoch_ended_must_be_known() -> None:
    skipped = ledger(
        births=(born(), born(3, 300, at(1))),
        promises=(Promise(3, 500, 2),),
        segments=segments(0, 3),
    )

    judgement = judge(view(skipped), Judgement())

    assert judgement.complete_through_us is None
    assert kinds(judgement) == ["close"]
    assert judgement.runs[0].settled == End()


def test_what_nobody_promised_is_not_settled() -> None:
    open_end = ledger(promises=(Promise(1, 500, 2),), segments=segments(0, 4))

    assert judge(view(open_end), Judgement()).runs[0].settled == at(2)


def test_a_ledger_goes_on_from_what_is_settled() -> None:
    on = ledger(
        settled=at(5), settled_epoch=1, segments=segments(5, 7), promises=(Promise(1, 700, 7),)
    )

    assert through(on) == 700


def unread(trouble: Trouble | None, **facts: object) -> Judgement:
    (segment,) = segments(1, 2, held=False)
    some = ledger(
        promises=(Promise(1, 400, 1), Promise(1, 500, 3)),
        segments=(*segments(0, 1), structs.replace(segment, trouble=trouble), *segments(2, 3)),
        **facts,
    )
    return judge(view(some), Judgement())


def test_a_segment_without_a_good_copy_holds_t_and_alarms() -> None:
    judgement = unread(Trouble("nobody has it", lasting=True))

    assert kinds(judgement) == ["unreadable"]
    assert judgement.complete_through_us == 400
    assert judgement.holding_back[0].reason == "segment 1 cannot be read: nobody has it"
    assert judgement.runs[0].alarm == judgement.holding_back[0].reason


def test_a_segment_that_a_silent_region_may_have_is_said_and_alarms_nobody() -> None:
    judgement = unread(Trouble("c did not answer", lasting=False))

    assert kinds(judgement) == ["fetch"]
    assert "c did not answer" in judgement.holding_back[0].reason
    assert judgement.runs[0].alarm == ""


def test_a_closed_ledger_without_a_good_copy_is_not_called_silent() -> None:
    judgement = unread(Trouble("nobody has it", lasting=True), closes=((1, at(3)),))

    assert kinds(judgement) == ["unreadable"]
    assert judgement.complete_through_us == 400


def lost(start: int, end: int) -> tuple[Gap, ...]:
    return (Gap("n", start, end, 200, 300, "a fire"),)


def test_a_declared_gap_fills_the_run_and_is_named() -> None:
    some = ledger(
        gaps=lost(1, 3),
        promises=(Promise(1, 500, 4),),
        segments=(*segments(0, 1), *segments(3, 4, first=9)),
    )

    found = judge(view(some), Judgement())

    assert found.complete_through_us == 500
    assert found.gaps == found.statement().gaps == lost(1, 3)
    assert found.runs[0].held == End(4, 11)


def test_what_lies_beside_a_gap_is_a_hole_as_ever() -> None:
    some = ledger(
        gaps=lost(1, 3), promises=(Promise(1, 500, 5),), segments=(*segments(0, 1), *segments(4, 5))
    )

    assert "hole" in kinds(judge(view(some), Judgement()))


def test_behind_a_gap_each_lost_segment_has_had_an_event() -> None:
    some = ledger(gaps=lost(1, 3), segments=(*segments(0, 1), *segments(3, 4, first=3)))

    assert "conflict" in kinds(judge(view(some), Judgement()))


def test_one_segment_behind_a_gap_positions_are_exact_again() -> None:
    some = ledger(
        gaps=lost(1, 2),
        segments=(*segments(0, 1), *segments(2, 3, first=9), *segments(3, 4, first=12)),
    )

    assert "conflict" in kinds(judge(view(some), Judgement()))


def test_a_segment_of_a_gap_that_is_held_is_in_the_run_and_not_in_the_gap() -> None:
    some = ledger(gaps=lost(1, 3), found=(1,), segments=(*segments(0, 2), *segments(3, 4, first=9)))

    found = judge(view(some), Judgement())

    assert [(gap.start, gap.end) for gap in found.gaps] == [(2, 3)]
    assert found.runs[0].held == End(4, 11)


def test_a_gap_at_the_end_of_an_epoch_ends_where_the_epoch_was_closed() -> None:
    some = ledger(gaps=lost(1, 3), closes=((1, End(3, 20)),), segments=segments(0, 1))

    (run,) = judge(view(some), Judgement()).runs

    assert run.infinite and run.settled == End(3, 20) and run.settled_epoch == 1


def test_a_run_that_was_settled_behind_a_gap_goes_on_at_any_later_position() -> None:
    some = ledger(
        gaps=lost(1, 3),
        settled=End(3, 4),
        settled_epoch=1,
        promises=(Promise(1, 500, 4),),
        segments=segments(3, 4, first=9),
    )

    assert through(some) == 500


def test_behind_a_held_segment_of_a_gap_positions_are_exact() -> None:
    some = ledger(gaps=lost(1, 2), segments=(*segments(0, 2), *segments(2, 3, first=9)))

    assert "conflict" in kinds(judge(view(some), Judgement()))


def test_a_segment_of_a_gap_that_cannot_be_read_holds_nothing_back_and_alarms_nobody() -> None:
    for lasting in (True, False):
        judgement = unread(Trouble("nobody has it", lasting=lasting), gaps=lost(1, 2))

        assert kinds(judgement) == ["silent"]
        assert judgement.complete_through_us == 500
        assert judgement.runs[0].alarm == ""
