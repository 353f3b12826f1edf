"""The audit report: it claims no more than was looked at for it."""

from typing import Any

import msgspec
import pytest

from holdfast.errors import RejectedError
from holdfast.keep.roster import Member
from holdfast.model import Completeness, Gap
from holdfast.proof.statements import Certificate
from holdfast.serve.console.report import Asked, narrowed, period_of, presets
from holdfast.serve.ui import report
from holdfast.serve.ui.integrity import Lacking
from holdfast.serve.ui.report import Figures, Period, ReportView, Values, finding
from holdfast.times import format_us
from holdfast.verify.findings import Finding, Report
from holdfast.verify.run import Question
from tests.serve.test_html import Reader, read
from tests.serve.test_integrity_page import report as verification
from tests.serve.test_page import EVIL, NODE, NOW, frame, said

HOUR = 3_600_000_000
PERIOD = Period(NOW - 3 * HOUR, NOW - HOUR)
FIGURES = Figures(2_900, (Values("outcome", (("success", 2_600), ("", 300)), 0),))


def view(**changes: Any) -> ReportView:
    plain = ReportView(
        version="1.2.3",
        trail=NODE,
        trail_name="main",
        by="node x",
        made_us=NOW,
        period=PERIOD,
        received=PERIOD,
        depth="bytes",
        said=said("a", "b", "c"),
        figures=FIGURES,
        report=verification(),
        look=Lacking("no answer within 20 s"),
        members=Lacking("no answer within 20 s"),
        where="--data /srv/holdfast",
    )
    return msgspec.structs.replace(plain, **changes)


def told(**changes: Any) -> str:
    return "".join(finding(view(**changes))[1:])


def mood(**changes: Any) -> str:
    return finding(view(**changes))[0]


def seen(page: ReportView) -> Reader:
    return read(report.alone(page, "body{}").decode())


def found(kind: Any, verdict: Any) -> Report:
    finding = Finding(kind=kind, region="b", node=NODE, start=1, end=2, reason="it is so")
    return verification(finding, verdict=verdict)


def test_a_good_period_is_complete_and_says_how_deep_it_was_read() -> None:
    assert told().startswith("Complete. What is there is what was written, by its names, roots and")
    assert "every byte of what holds the period" in told()
    assert "no byte was read" in told(depth="names")
    assert mood() == "held"


def test_a_period_that_is_not_over_is_not_complete() -> None:
    late = Period(NOW - HOUR, NOW + HOUR)

    assert told(period=late).startswith("Complete through 2023-07-10 12:03:07 UTC, which is before")
    assert mood(period=late) == "behind"
    ahead = Period(NOW + HOUR, NOW + 2 * HOUR)
    assert told(period=ahead).startswith("Nothing of this period is known to be complete")


def test_without_a_statement_nothing_is_claimed() -> None:
    unknown = Completeness(None, (), (), ())

    assert mood(said=unknown) == "unk"
    assert told(said=unknown).startswith("How far this is complete is not known.")


def test_a_gap_since_the_period_began_may_hold_its_events_and_an_older_one_cannot() -> None:
    def with_gap(at_us: int) -> Completeness:
        gap = Gap(NODE, 3, 5, at_us, at_us + 1, "rack 4 burnt")
        return msgspec.structs.replace(said("a", "b"), gaps=(gap,))

    later, older = with_gap(NOW - HOUR // 2), with_gap(PERIOD.from_us - HOUR)

    assert told(said=later).startswith("Complete but for 1 declared gap of 2 segments.")
    assert "rack 4 burnt" in seen(view(said=later)).text
    assert told(said=older).startswith("Complete. ")


def test_a_trail_that_began_later_does_not_vouch_for_what_was_before() -> None:
    def since(certified_us: int) -> dict[str, Member]:
        certificate = Certificate(b"", NODE, b"", certified_us)
        return {NODE: Member(NODE, b"", 1, certificate, False, None, b"")}

    assert told(members=since(PERIOD.to_us)).startswith(
        "The trail began later, 2023-07-10 11:03:17"
    )
    assert mood(members=since(PERIOD.to_us)) == "behind"
    assert "Only since the trail began" in seen(view(members=since(PERIOD.to_us))).text
    within = told(members=since(PERIOD.from_us + 1))
    assert within.startswith("Complete since the trail began, 2023-07-10 09:03:17 UTC.")
    assert told(members=since(PERIOD.from_us)).startswith("Complete. ")


def test_what_was_refuted_comes_first() -> None:
    refuted = found("corrupt", "refuted")

    assert mood(report=refuted) == "down"
    assert told(report=refuted).startswith("Refuted: something was changed")
    assert "1 finding, below" in seen(view(report=refuted)).text


def test_what_could_not_be_verified_is_no_verdict() -> None:
    lacking = Lacking("it was not done within 45 s")

    assert mood(report=lacking) == "unk"
    assert "It could not be verified: it was not done within 45 s." in told(report=lacking)
    assert "Not verified" in seen(view(report=lacking)).text
    assert mood(report=found("unreadable", "unchecked")) == "unk"


def test_an_answer_rests_on_the_segments_that_were_read() -> None:
    text = seen(view()).text

    assert "the names of 5 segments in a and b; the bytes of 5, received" in text
    assert "the bytes of" not in seen(view(received=None)).text


def test_commands_check_the_segments_of_the_period_and_name_the_trail() -> None:
    later = Period(NOW, NOW + 1)

    text = seen(view(received=later)).text

    asked = f"--from {format_us(NOW).replace('.000000Z', 'Z')} --to {format_us(NOW + 1)}"
    assert f"holdfast verify --data /srv/holdfast --trail {NODE} {asked} --depth events" in text
    assert "--depth" not in seen(view(received=None)).text


def test_the_file_asks_for_nothing() -> None:
    tags = seen(view()).tags

    links = [a[name] for _, a in tags for name in ("href", "src") if name in a]
    assert all(str(link).startswith("#") for link in links)
    assert not [tag for tag, _ in tags if tag in ("script", "link")]


def test_the_page_leads_back_and_prints() -> None:
    page = read(report.render(frame(), view()).decode())

    assert "Back to Integrity" in page.text
    assert [a for tag, a in page.tags if tag == "button" and "data-print" in a]


def test_nothing_in_the_trail_becomes_markup() -> None:
    gap = Gap(NODE, 3, 5, NOW - HOUR, NOW, EVIL)
    evil = view(
        trail_name=EVIL,
        said=msgspec.structs.replace(said("a"), gaps=(gap,)),
        figures=Figures(1, (Values("actor", ((EVIL, 1),), 3), Values("action", (), -1))),
        report=verification(Finding(kind="foreign", region=EVIL, key=EVIL, reason=EVIL)),
    )

    page = seen(evil)

    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert "More different ones than are counted." in page.text


def test_a_period_has_both_ends_in_order() -> None:
    for question in (Question(), Question(from_us=1), Question(from_us=2, to_us=2)):
        with pytest.raises(RejectedError):
            period_of(question)
    assert period_of(Question(from_us=1, to_us=2)) == Period(1, 2)


def test_only_what_holds_the_period_is_read() -> None:
    asked = Asked(PERIOD, Period(7, 9), "events")

    assert narrowed(asked) == Question("events", from_us=7, to_us=9)
    assert narrowed(asked._replace(received=None)) == Question("names")


def test_the_last_month_is_a_whole_one() -> None:
    addresses = dict(presets(NOW))

    assert addresses["The last month, 2023-06-01 to 2023-07-01"] == (
        "/report?from=2023-06-01&to=2023-07-01"
    )
