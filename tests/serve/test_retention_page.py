"""The page of retention: rules, what goes next, holds, floors; all of it text."""

from typing import Any

import msgspec

from holdfast.archive.rules import Rule
from holdfast.regions.retained import Floor, Hold, Release
from holdfast.regions.retaining import Retaining
from holdfast.retention.expire import RetentionReport
from holdfast.retention.plan import Expiring
from holdfast.serve.ui import retention
from holdfast.serve.ui.integrity import Lacking
from holdfast.serve.ui.retention import NEXT_MAX, RetentionView, standing
from holdfast.serve.ui.words import DAY_US
from tests.serve.test_html import Reader, read
from tests.serve.test_page import EVIL, NODE, NOW, frame

BRIEF = Rule("brief", tenants=("acme",), min=7, max=30)
REST = Rule("default", min=365)
HOLD = Hold("a" * 32, "acme", "", NOW - DAY_US, None, "case 114", "ann", NODE, NOW, b"")
OVER = Hold("b" * 32, "bolt", "u1", None, NOW, "case 9", "ann", NODE, NOW - 9, b"")
RELEASE = Release("b" * 32, "settled", "bob", NODE, NOW, b"")
FLOOR = Floor(
    *("2023-05-01", "brief", BRIEF.text, 7, 30, 41, NOW - 9, NOW - 1, NODE, NOW, b"", "c" * 64),
    parts=(("d" * 64, 1000, 41),),
)
GONE = Expiring("2023-05-01", "brief", BRIEF.text, 41, 0, NOW - DAY_US, True)
WAITING = Expiring(
    "2023-07-01", "brief", BRIEF.text, 12, 3_400, NOW + DAY_US, False, ("too young",)
)


def seen(**changes: Any) -> Retaining:
    floors = {"a": {("2023-05-01", "brief"): FLOOR}}
    plain = Retaining(floors, {HOLD.hold: HOLD, OVER.hold: OVER}, {RELEASE.hold: RELEASE}, {})
    return msgspec.structs.replace(plain, **changes)


def run(*expiring: Expiring, **changes: Any) -> RetentionReport:
    return msgspec.structs.replace(RetentionReport(NOW - 9, NOW - 1, NOW, expiring), **changes)


def view(**changes: Any) -> RetentionView:
    plain = RetentionView(
        frame=frame(),
        rules=(BRIEF, REST),
        last=run(GONE, WAITING),
        seen=seen(),
        where="--data /srv",
    )
    return msgspec.structs.replace(plain, **changes)


def page(**changes: Any) -> Reader:
    return read(retention.render(view(**changes)).decode())


def test_it_says_what_rules_do_and_what_is_held() -> None:
    text = page().text

    assert standing(view()) == ("held", "1 rule expires old events; 1 hold in force")
    assert "tenants acme" in text and "all others" in text and "for ever" in text
    assert "2023-07-01" in text and "too young" in text
    assert "case 114" in text and "over since" in text
    assert "everywhere" in text and "41" in text


def test_without_a_rule_that_ends_all_of_it_is_kept() -> None:
    told = view(rules=(), seen=seen(floors={}, holds={}, releases={}), last=run())

    assert standing(told) == (
        "none",
        "No rule expires anything: everything is kept; 0 holds in force",
    )
    assert "Nothing so far." in read(retention.render(told).decode()).text


def test_what_could_not_be_looked_up_is_not_none() -> None:
    lacking = Lacking("too few regions answer")

    assert standing(view(seen=lacking))[0] == "unk"
    assert "Not known: too few regions answer." in page(seen=lacking).text
    assert "None was ever placed" not in page(seen=lacking).text


def test_what_stays_somewhere_or_stops_a_run_is_said() -> None:
    left = msgspec.structs.replace(GONE, left=(("c", "it refuses"),))

    assert standing(view(last=run(left)))[0] == "behind"
    assert "not in c: it refuses" in page(last=run(left)).text
    assert standing(view(last=run(trouble="no room")))[0] == "behind"
    assert "b could not be looked at: away" in page(last=run(away=(("b", "away"),))).text


def test_nothing_is_said_to_be_deleted_where_nobody_looked() -> None:
    held = msgspec.structs.replace(GONE, why=("held by somebody",))

    assert "everywhere" in page(last=run(GONE)).text
    for last in (None, run(WAITING), run(GONE, away=(("b", "away"),))):
        assert "everywhere" not in page(last=last).text
    assert "not looked at yet" in page(last=None).text
    assert "not in b: away" in page(last=run(GONE, away=(("b", "away"),))).text
    assert "not yet: held by somebody" in page(last=run(held)).text
    assert standing(view(last=run(held)))[0] == "behind"


def test_a_hold_that_cannot_be_read_is_said() -> None:
    for holds in ({HOLD.hold: HOLD}, {}):
        found = seen(unread=frozenset({"f" * 32}), holds=holds)

        assert standing(view(seen=found))[0] == "behind"
        assert f"No copy of the hold {'f' * 32} verifies" in page(seen=found).text
        assert "None was ever placed" not in page(seen=found).text


def test_texts_of_holds_and_rules_stay_text_and_long_lists_are_cut() -> None:
    evil = Hold("e" * 32, EVIL, EVIL, None, None, EVIL, EVIL, NODE, NOW, b"")
    many = [msgspec.structs.replace(WAITING, unit=f"2023-06-{n:02d}") for n in range(1, 31)]
    found = page(
        rules=(Rule("brief", tenants=(EVIL,), min=1, max=2),),
        seen=seen(holds={evil.hold: evil}),
        last=run(WAITING, *many),
    )

    assert "img" not in {tag for tag, _ in found.tags}
    assert [a.get("src") for tag, a in found.tags if tag == "script"] == ["/console.js"]
    assert f"and {len(many) + 1 - NEXT_MAX} more" in found.text
