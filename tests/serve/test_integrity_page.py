"""The page of integrity: it says no more than was looked at, and what to do about the rest."""

from typing import Any, get_args

import msgspec

from holdfast.keep.keeper import Reconciliation, RegionDrift
from holdfast.keep.repair import Finding
from holdfast.keep.scrub import ScrubReport
from holdfast.read.fetch import CorruptCopy
from holdfast.serve.ui import integrity, verified
from holdfast.serve.ui.heat import heat
from holdfast.serve.ui.integrity import IntegrityView, Lacking, standing
from holdfast.serve.ui.verified import Verified
from holdfast.serve.ui.words import DAY_US
from holdfast.verify import findings as verification
from holdfast.verify.findings import RegionState, Report
from holdfast.watch.history import HOUR_US, Hour, Seen
from tests.serve.test_html import Reader, read
from tests.serve.test_page import EVIL, NODE, NOW, frame

THIS_HOUR = NOW // HOUR_US * HOUR_US


def drift(region: str, state: str = "ok", lacking: int = 0) -> RegionDrift:
    return RegionDrift(region, state, 10, lacking, 100, 0, lacking, 0)


def survey(*drifts: RegionDrift, **changes: Any) -> Reconciliation:
    plain = Reconciliation(
        started_us=NOW - 2_000_000,
        ended_us=NOW - 1_000_000,
        whole=False,
        identical=True,
        regions=drifts or tuple(map(drift, "abc")),
        findings=(),
    )
    return msgspec.structs.replace(plain, **changes)


def view(**changes: Any) -> IntegrityView:
    plain = IntegrityView(
        frame=frame(),
        hours={},
        survey=survey(),
        scrub=None,
        corrupt=(),
        look=Lacking("no answer within 3 s"),
        members=Lacking("no answer within 3 s"),
        witnesses=None,
        scrub_period_days=30,
        where="--data /srv/holdfast",
        url="http://127.0.0.1:8420",
    )
    return msgspec.structs.replace(plain, **changes)


def seen(page: IntegrityView) -> Reader:
    return read(integrity.render(page).decode())


def headline(**changes: Any) -> str:
    return read(standing(view(**changes))[0]).text


def small(**changes: Any) -> str:
    return read(standing(view(**changes))[1]).text


def report(*found: verification.Finding, **changes: Any) -> Report:
    plain = Report(
        trail=NODE,
        depth="bytes",
        verdict="good",
        started_us=NOW - 3_000_000,
        ended_us=NOW - 1_000_000,
        regions=tuple(RegionState(id, "store", "ok", 12, True) for id in "ab"),
        nodes=1,
        segments=5,
        events=3_041,
        pending=0,
        deep_segments=5,
        deep_events=0,
        resumed_segments=0,
        findings=found,
        left_out={},
    )
    return msgspec.structs.replace(plain, **changes)


def test_equal_regions_are_equal_by_names_and_sizes_and_no_more_is_said() -> None:
    assert headline() == "All regions hold the same, by names and sizes"
    assert "no share has been read" in small()
    assert "from where all were last seen equal" in small()


def test_before_the_first_survey_nothing_is_known() -> None:
    assert headline(survey=None) == "Nothing has been compared since this server started"


def test_a_region_that_could_not_be_looked_at_is_not_equal() -> None:
    away = survey(drift("a"), drift("b", "there is no directory"), identical=False)

    assert headline(survey=away).startswith("b could not be compared")


def test_a_region_that_lacks_copies_says_so() -> None:
    behind = survey(drift("a"), drift("b", lacking=12), identical=False)

    assert headline(survey=behind) == "b lacks copies, which are being put there"


def test_a_corrupt_copy_outweighs_all_else_wherever_it_was_found() -> None:
    finding = Finding("corrupt", "b", "ev/seg/x", "it does not hash")
    scrub = ScrubReport(NOW, NOW, 3, 100, (finding,), ("a", "b"))
    copy = CorruptCopy("b", "ev/seg/x", NOW)

    for changes in (
        {"scrub": scrub},
        {"survey": survey(findings=(finding,))},
        {"corrupt": (copy,)},
    ):
        assert headline(**changes) == "1 copy is not what was stored, and never served"
    assert headline(scrub=scrub, corrupt=(copy,)).startswith("1 copy")
    assert "and corrupt copies are known" in small(scrub=scrub)
    assert "move this one aside" in seen(view(scrub=scrub)).text


def test_what_is_lost_is_told_apart_from_what_is_corrupt() -> None:
    lost = survey(findings=(Finding("lost", "", "ev/seg/y", "segments 3 to 4"),), identical=False)

    assert headline(survey=lost) == "1 range of segments in no region"


def test_what_could_not_be_looked_up_is_not_none() -> None:
    page = seen(view()).text

    assert "They could not be looked up: no answer within 3 s." in page
    assert "The nodes could not be looked up" in page


def classes(hours: dict[int, Hour]) -> set[str]:
    tags = read(heat("a", hours, NOW)).tags
    return {str(attributes["class"]) for tag, attributes in tags if tag == "path"}


def test_an_hour_without_a_look_is_never_one_that_was_looked_at() -> None:
    assert classes({}) == {"no"}
    assert classes({THIS_HOUR: Hour({"b": Seen(surveys=3)})}) == {"no"}
    assert classes({THIS_HOUR: Hour({"a": Seen()})}) == {"no"}


def test_a_cell_shows_how_deep_was_looked() -> None:
    assert "c1" in classes({THIS_HOUR: Hour({"a": Seen(surveys=3)})})
    assert "c2" in classes({THIS_HOUR: Hour({"a": Seen(surveys=3)}, whole=1)})
    assert "c3" in classes({THIS_HOUR: Hour({"a": Seen(surveys=3, scrubbed=True)})})
    assert classes({THIS_HOUR: Hour({"a": Seen(missed=3)})}) == {"no", "u"}
    half = classes({THIS_HOUR: Hour({"a": Seen(surveys=3, missed=1, corrupt=1)})})
    assert half == {"no", "bg", "c1", "u", "fx"}


def test_hours_to_come_are_not_drawn() -> None:
    days = read(heat("a", {}, NOW)).tags
    (path,) = [attributes["d"] for tag, attributes in days if tag == "path"]

    assert str(path).count("M") == 6 * 24 + NOW % DAY_US // HOUR_US + 1


def test_repairs_are_told_with_what_was_wrong() -> None:
    hour = Hour({"b": Seen(surveys=9, repaired=12, lacked=7, lacked_bytes=9_400_000)})

    page = seen(view(hours={THIS_HOUR: hour})).text

    assert "b lacked up to 7 segments, 9.4 MB" in page
    assert "12 objects copied there" in page


def test_every_finding_of_a_verification_has_words() -> None:
    kinds = get_args(verification.FindingKind)
    assert set(verified.MEANS) == set(verified.DO) == set(kinds)

    for kind in kinds:
        finding = verification.Finding(
            kind=kind, region="b", node=NODE, start=2, end=3, reason=EVIL
        )
        page = read(verified.fragment(Verified(report(finding)), NOW))

        assert verified.DO[kind] in page.text
        assert not {"script", "img"} & {tag for tag, _ in page.tags}


def test_a_verdict_says_on_what_it_rests_and_how_deep_it_went() -> None:
    text = read(verified.fragment(Verified(report()), NOW)).text

    assert "What is there is what was written" in text
    assert "It rests on regions a and b." in text
    assert "every byte against the hash in its name" in text
    assert "a good copy of 5 segments was read" in text
    assert "No finding." in text


def test_what_was_not_checked_is_no_good_verdict() -> None:
    states = (RegionState("a", "", "there is no directory", 0, False),)
    page = read(verified.fragment(Verified(report(verdict="unchecked", regions=states)), NOW))

    assert "It could not be checked" in page.text
    assert "there is no directory" in page.text
    assert not [a for _, a in page.tags if str(a.get("class")).startswith("wl is-held")]


def test_the_last_verification_stays_on_the_page() -> None:
    finding = verification.Finding(kind="corrupt", region="b", reason="it does not hash")

    page = seen(view(verified=Verified(report(finding, verdict="refuted"), NOW, NOW + 1))).text

    assert "The last verification" in page
    assert "Refuted" in page
    assert "it does not hash" in page
    assert "Bytes only of what was received from 2023-07-10T12:03:17" in page
