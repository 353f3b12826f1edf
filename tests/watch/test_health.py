"""Whether a process is of use, and what is wrong, judged from what its parts report."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from holdfast.archive.archivist import ArchiveReport
from holdfast.archive.sweep import SweepReport, Swept
from holdfast.keep.keeper import RegionDrift
from holdfast.keep.repair import Finding
from holdfast.keep.witnesses import WitnessesReport, WitnessReport
from holdfast.model import Holding
from holdfast.read.fetch import CorruptCopy
from holdfast.read.follow import Stray
from holdfast.restore.choice import Tried
from holdfast.restore.restorer import RestoreReport
from holdfast.retention.expire import RetentionReport
from holdfast.retention.plan import Expiring
from holdfast.watch.health import Diagnosis, Norms, Trouble, diagnose, reasons_not_ready
from holdfast.watch.kinds import KINDS
from holdfast.watch.standing import Room, Standing
from tests.watch.standings import (
    NODE,
    NODE_ID,
    NOW_US,
    READER,
    SAID,
    SCRUBBED,
    SECOND_US,
    SURVEYED,
    WELL,
    backlog,
    region,
    writer,
)

REGIONS = WELL.regions
NORMS = Norms()


def test_an_open_node_with_its_quorum_is_ready() -> None:
    assert reasons_not_ready((NODE,), READER, REGIONS, 2) == ()


def test_one_region_less_is_what_the_quorum_is_for() -> None:
    regions = (region("a"), region("b", "open", "gone"), region("c"))

    assert reasons_not_ready((NODE,), READER, regions, 2) == ()


def test_fewer_regions_than_the_quorum_are_named_with_their_errors() -> None:
    regions = (region("a"), region("b", "open", "disk full"), region("c", "open"))

    (reason,) = reasons_not_ready((NODE,), READER, regions, 2)

    assert reason == (
        "1 of the 2 regions needed can be reached: not b (disk full), c (no answer yet)"
    )


def test_a_node_that_is_not_open_says_why() -> None:
    starting = msgspec.structs.replace(NODE, state="starting", why="closing epoch 3")

    (reason,) = reasons_not_ready((starting,), READER, REGIONS, 2)

    assert "closing epoch 3" in reason


def test_who_only_reads_is_ready_after_the_first_pass() -> None:
    before = msgspec.structs.replace(READER, passes=0, failed="no region answers")

    assert reasons_not_ready((), READER, (), 2) == ()
    assert "no region answers" in reasons_not_ready((), before, (), 2)[0]


def but(**changes: Any) -> Standing:
    return structs.replace(WELL, **changes)


def held_back(kind: str) -> Standing:
    holding = Holding(NODE_ID, kind, "the reason", 1)  # type: ignore[arg-type]
    return but(said=structs.replace(SAID, holding_back=(holding,)))


def surveyed(*findings: Finding) -> Standing:
    return but(reconciled=structs.replace(SURVEYED, findings=findings))


def lacking(region: str) -> Standing:
    drift = RegionDrift(region, "ok", 10, 3, 300, NOW_US, 3, 0)
    return but(reconciled=structs.replace(SURVEYED, regions=(drift,)))


def witnessed() -> Standing:
    late = WitnessesReport(2, 7, 1, NOW_US - SECOND_US, (WitnessReport("w", "", 0, 0, "no"),))
    return but(writers=(structs.replace(WELL.writers[0], witnesses=late),))


def archived(**changes: Any) -> Standing:
    plain = ArchiveReport(NOW_US - 9, NOW_US - 3, 31, (), "tomorrow", "")
    return but(archives=True, archived=structs.replace(plain, **changes))


def restored(tried: Tried, waits_s: int) -> Standing:
    oldest_us = dict.fromkeys("abc", NOW_US - SECOND_US) | {"b": NOW_US - waits_s * SECOND_US}
    places = {"b": {"2026-03-01": tried}}
    report = RestoreReport(1, places=places, oldest_us=oldest_us, allowed_us=100 * SECOND_US)
    return but(restored=report)


def read(**changes: Any) -> Standing:
    return but(reader=structs.replace(READER, **changes))


LATE_US = NORMS.overdue_us + SECOND_US


def due(late_us: int, holds: tuple[str, ...] = ()) -> Expiring:
    """A class that should have gone so long ago."""
    return Expiring("2026-03-01", "brief", "", 1, 2, NOW_US - late_us, False, holds=holds)


LET_GO = Expiring("2026-03-01", "brief", "", 1, 2, 0, True, left=(("c", "it refuses"),))
OLD = structs.replace(SAID, complete_through_us=NOW_US - 61 * SECOND_US)
KEY = f"ev/seg/{NODE_ID}/0000000/x"
CASES: dict[str, tuple[Standing, set[str]]] = {
    "old watermark": (but(said=OLD), {"no-progress"}),
    "no watermark": (but(said=structs.replace(SAID, complete_through_us=None)), {"no-progress"}),
    "node starts": (but(writers=(writer(state="starting"),)), {"not-accepting:worker 0"}),
    "one region away": (
        but(regions=(region("a"), region("b", "open", "no"), region("c"))),
        {"region-away:b", "quorum-margin"},
    ),
    "two away": (
        but(regions=(region("a"), region("b", "open"), region("c", "unverified", ago=None))),
        {"region-away:b", "region-away:c", "quorum-lost"},
    ),
    "wrong store": (
        but(regions=(region("a", "unverified", "no cookie"), region("b"), region("c"))),
        {"region-unfit:a", "quorum-margin"},
    ),
    "what it showed is gone": (read(suspects=(("b", "3 gone"),)), {"region-suspect:b"}),
    "late region": (but(writers=(writer(backlog("b", 3, 61)),)), {"lag:b"}),
    "survey left some": (lacking("c"), {"lag:c"}),
    "hole": (held_back("hole"), {f"open-gap:{NODE_ID}"}),
    "no good copy": (held_back("unreadable"), {f"open-gap:{NODE_ID}"}),
    "lost": (surveyed(Finding("lost", "", KEY, "gone")), {f"open-gap:{NODE_ID}"}),
    "conflict": (held_back("conflict"), {f"divergence:{NODE_ID}"}),
    "differs": (surveyed(Finding("differs", "b", KEY, "other")), {"divergence:b"}),
    "corrupt in survey": (surveyed(Finding("corrupt", "b", KEY, "bad")), {"corruption:b"}),
    "corrupt in scrub": (
        but(scrubbed=structs.replace(SCRUBBED, findings=(Finding("corrupt", "c", KEY, "bad"),))),
        {"corruption:c"},
    ),
    "corrupt when read": (read(corrupt=(CorruptCopy("a", KEY, 1),)), {"corruption:a"}),
    "stray": (read(strays=(Stray("a", "ev/x", "no key of ours"),)), {"tampering:a"}),
    "hidden": (surveyed(Finding("hidden", "c", KEY, "a marker")), {"tampering:c"}),
    "clock of a region": (but(writers=(writer(backlog("b", 0, 0, -2_100_000)),)), {"clock:b"}),
    "clocks": (held_back("clock"), {"clock:the regions"}),
    "witness": (witnessed(), {"witness-behind"}),
    "old survey": (
        but(reconciled=structs.replace(SURVEYED, ended_us=NOW_US - 1801 * SECOND_US)),
        {"checks-late:survey"},
    ),
    "old scrub": (
        but(scrubbed=structs.replace(SCRUBBED, ended_us=NOW_US - 49 * 3600 * SECOND_US)),
        {"checks-late:scrub"},
    ),
    "late for the archive": (archived(due_us=NOW_US - 86401 * SECOND_US), {"archive-behind"}),
    "no run of the archivist": (archived(ended_us=NOW_US - 10801 * SECOND_US), {"archive-behind"}),
    "archiving stops": (archived(trouble="segment 3 is not held"), {"archive-stopped"}),
    "segments stay": (
        but(swept=SweepReport(1, NOW_US, (Swept("2026-03-01", "b", 9, 90, 3, "locked"),), ())),
        {"sweep-left:b"},
    ),
    "what was let go stays": (
        but(expired=RetentionReport(1, NOW_US, None, (LET_GO,))),
        {"retention-left:c"},
    ),
    "a class is late": (
        but(expired=RetentionReport(1, NOW_US, None, (due(LATE_US),))),
        {"retention-overdue:brief"},
    ),
    "a class is a little late": (
        but(expired=RetentionReport(1, NOW_US, None, (due(LATE_US - SECOND_US),))),
        set(),
    ),
    "a class is held": (
        but(expired=RetentionReport(1, NOW_US, None, (due(LATE_US, holds=("7",)),))),
        set(),
    ),
    "a hold cannot be read": (
        but(expired=RetentionReport(1, NOW_US, None, (), unread=("7" * 32,))),
        {"hold-unread:" + "7" * 32},
    ),
    "letting go stops": (
        but(expired=RetentionReport(1, NOW_US, None, (), trouble="no room")),
        {"retention-left:any region"},
    ),
    "a restore failed": (restored(Tried(5, 4, why="rotten"), 1), {"restore-failed:b"}),
    "a restore is overdue": (restored(Tried(5, 4), 101), {"restore-overdue:b"}),
    "full disk": (but(rooms=(Room("data", 4, 100),)), {"disk-full:data"}),
}


def keys(found: Diagnosis) -> set[str]:
    return {each.key for each in found.troubles}


def test_where_all_is_well_nothing_is_wrong_and_nothing_unknown() -> None:
    assert diagnose(WELL, NORMS) == Diagnosis(())


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_and_nothing_else(case: str) -> None:
    standing, expected = CASES[case]

    assert keys(diagnose(standing, NORMS)) == expected


def test_every_kind_of_alert_can_be_found() -> None:
    told = {each.partition(":")[0] for _, expected in CASES.values() for each in expected}

    assert told | {"unknown-node", "undelivered"} == set(KINDS)


@pytest.mark.parametrize("kind", ["silent", "regions", "fetch", "close", "birth", "settings"])
def test_what_goes_away_by_waiting_is_told_by_the_age_of_the_watermark_alone(kind: str) -> None:
    assert diagnose(held_back(kind), NORMS) == Diagnosis(())


def test_a_standstill_names_what_holds_it_back() -> None:
    holding = Holding(NODE_ID, "silent", "it promised nothing since noon", 1)
    said = structs.replace(OLD, holding_back=(holding,))

    (trouble,) = diagnose(but(said=said), NORMS).troubles

    assert "it promised nothing since noon" in trouble.summary


def test_a_node_that_is_new_and_what_was_found_elsewhere_are_told() -> None:
    found = diagnose(WELL, NORMS, (NODE_ID,), (Trouble("undelivered", "mail", "refused"),))

    assert keys(found) == {f"unknown-node:{NODE_ID}", "undelivered:mail"}


def test_many_findings_of_one_region_are_one_trouble() -> None:
    found = diagnose(surveyed(*(Finding("corrupt", "b", f"{i}", "bad") for i in range(9))), NORMS)

    (trouble,) = found.troubles
    assert trouble.summary == "0: bad (and 8 more)"


def test_a_region_that_does_not_answer_is_not_also_behind() -> None:
    away = (region("a"), region("b", "open", "no"), region("c"))

    found = diagnose(but(regions=away, writers=(writer(backlog("b", 3, 61)),)), NORMS)

    assert keys(found) == {"region-away:b", "quorum-margin"}


def test_what_no_pass_and_no_survey_has_looked_at_is_unknown_and_not_well() -> None:
    found = diagnose(but(reconciled=None, scrubbed=None), NORMS)
    before = diagnose(read(passes=0), NORMS)

    assert found.unknown >= {"corruption", "open-gap", "lag"}
    assert before.unknown >= {"region-suspect", "divergence"}
    assert diagnose(but(writers=(), reconciled=None, scrubbed=None), NORMS).unknown == frozenset()


def test_what_no_run_and_no_restore_has_shown_yet_is_unknown_where_there_is_to_be_one() -> None:
    before = but(archives=True, restored=RestoreReport(every_us=1))

    assert diagnose(before, NORMS).unknown == {
        *("archive-behind", "archive-stopped", "restore-failed", "restore-overdue")
    }


def test_where_nothing_is_written_the_quorum_is_nobodys_trouble() -> None:
    away = tuple(region(id, "open", "no") for id in "abc")

    found = diagnose(but(writers=(), regions=away), NORMS)

    assert keys(found) == {"region-away:a", "region-away:b", "region-away:c"}
