"""The page: its sentence, its rows, and hostile events that stay text."""

import json
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.errors import Problem
from holdfast.model import Basis, Completeness, Found, Gap, Holding, Page
from holdfast.serve.console.search import read as read_address
from holdfast.serve.ui import asked as address
from holdfast.serve.ui import search, start
from holdfast.serve.ui.asked import Asked
from holdfast.serve.ui.curve import Curve
from holdfast.serve.ui.facets import Tally
from holdfast.serve.ui.search import SearchView
from holdfast.serve.ui.start import StartView
from holdfast.serve.ui.words import Frame, RegionView, reasons, size, span, waterline
from tests.serve.test_html import Reader, read

NOW = 1_688_990_597_000_000  # 2023-07-10T12:03:17Z
NODE = "9b61c07e" + "0" * 20 + "f8a1"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'


def region(id: str, **changes: Any) -> RegionView:
    view = RegionView(id, f"file:///srv/{id}", True, "", NOW - 100_000, NOW - 100_000)
    return msgspec.structs.replace(view, **changes)


def said(*regions: str, age_us: int = 10_000_000) -> Completeness:
    basis = tuple(Basis(each, NOW - 400_000, NOW - 100_000) for each in regions)
    return Completeness(NOW - age_us, basis, (), ())


def found(**fields: Any) -> Found:
    record = {"id": "1", "action": "door.open", **fields, "received": "2023-07-10T12:03:00.000001Z"}
    return Found(Raw(json.dumps(record | {"principal": "token"}).encode()), NODE, 12, 34)


def frame(**changes: Any) -> Frame:
    plain = Frame(
        version="1.2.3",
        trail=NODE,
        trail_name="main",
        node=NODE,
        now_us=NOW,
        said=said("a", "b", "c"),
        needed=2,
        quorum=2,
        regions=(region("a"), region("b"), region("c")),
        is_empty=False,
    )
    return msgspec.structs.replace(plain, **changes)


def view(said: Completeness | None = None, **changes: Any) -> SearchView:
    of = frame() if said is None else frame(said=said)
    plain = SearchView(frame=of, asked=asked(), found=Page((found(),), ""), tally=Tally())
    return msgspec.structs.replace(plain, **changes)


def asked(text: str = "", **more: str) -> Asked:
    return address.read({"q": text, **more}.items(), NOW)


def seen(page: SearchView) -> Reader:
    return read(search.render(page).decode())


def started(*, asks_token: bool) -> Reader:
    empty = frame(is_empty=True)
    page = StartView(
        frame=empty,
        base_url="http://127.0.0.1:8420",
        asks_token=asks_token,
        curve=Curve(
            label="Age",
            from_us=NOW - 60_000_000,
            to_us=NOW,
            count=1,
            points={},
            written=str,
            floor=1.0,
        ),
    )
    return read(start.render(page).decode())


def sentence(statement: Completeness, *regions: RegionView, is_empty: bool = False) -> str:
    return read(waterline(statement, regions, is_empty, NOW).sentence).text


def test_the_sentence_says_how_far_and_on_what_it_rests() -> None:
    assert sentence(said("a", "b", "c"), region("a"), region("b"), region("c")) == (
        "Complete through 12:03:07 UTC, resting on regions a, b and c."
    )


def test_the_sentence_names_who_is_silent() -> None:
    silent = region("b", usable=False, ok_us=NOW - 51_000_000)

    assert sentence(said("a", "c"), region("a"), silent, region("c")) == (
        "Complete through 12:03:07 UTC, resting on regions a and c; b has not answered for 51 s."
    )


def test_a_region_that_answers_and_does_not_count_says_why() -> None:
    wrong = region("b", usable=False, why_not="its cookie is of another trail")

    assert sentence(said("a"), region("a"), wrong) == (
        "Complete through 12:03:07 UTC, resting on region a; "
        "b does not count: its cookie is of another trail."
    )


def test_each_page_says_whether_anything_is_known_to_be_lost() -> None:
    def told(**changes: Any) -> list[str]:
        of = msgspec.structs.replace(said("a", "b", "c"), **changes)
        return [read(line).text for line in reasons(of, 2, 3, NOW)][1:]

    gap = Gap(NODE, 3, 5, NOW - 9, NOW - 7, "a fire")
    hole = Holding(NODE, "hole", "segment 3 is in no region", NOW)
    silent = Holding(NODE, "silent", "it is down", NOW)

    assert told() == ["Nothing holds it back; no loss is known"]
    assert told(gaps=(gap,)) == ["Nothing holds it back", "1 known gap"]
    assert told(holding_back=(silent,))[0] == "No loss is known"
    assert told(holding_back=(silent, hole))[0] == "Something acknowledged may be lost"
    assert not any("loss" in each for each in told(complete_through_us=None))


def test_an_old_watermark_says_how_old_it_is() -> None:
    assert sentence(said("a", age_us=272_000_000), region("a")).startswith(
        "Complete through 11:58:45 UTC, 4 min 32 s ago, resting on"
    )


def test_a_watermark_of_another_day_has_its_date() -> None:
    assert "2023-07-09 12:03:17" in sentence(said("a", age_us=86_400_000_000), region("a"))


def test_not_known_is_never_none() -> None:
    unknown = Completeness(None, (), (Holding("", "regions", "1 of 2 regions listed", NOW),), ())
    silent = region("b", usable=False, ok_us=None)

    assert sentence(unknown, region("a"), silent) == (
        "How far this is complete is not known: 1 of 2 regions listed; no listing of b."
    )


def test_an_empty_trail_is_known_to_be_empty() -> None:
    assert sentence(said("a", "b"), region("a"), region("b"), is_empty=True) == (
        "No events yet, and that is known: regions a and b were listed at 12:03:16 UTC "
        "and are empty."
    )


def test_an_empty_trail_shows_how_to_send_the_first_event() -> None:
    page = started(asks_token=False)

    assert "curl -sS http://127.0.0.1:8420/v1/events" in page.text
    assert "Bearer" not in page.text


def test_where_a_token_is_asked_for_the_command_has_one() -> None:
    page = started(asks_token=True)

    assert "authorization: Bearer" in page.text


def test_an_event_is_a_line_and_its_whole_record() -> None:
    event = found(
        time="2023-07-10T14:03:01.882+02:00",
        tenant="acme",
        actor={"id": "arn:alice", "name": "alice"},
        targets=[{"id": "web/checkout"}],
        outcome="denied",
        source={"ip": "10.0.0.1"},
    )

    text = seen(view(found=Page((event,), ""))).text

    for shown in ("12:03:01", ".882", "alice", "web/checkout", "denied", "10.0.0.1", "acme"):
        assert shown in text
    assert f"segment {12}, position {34}" in text


def test_nothing_in_an_event_becomes_markup() -> None:
    evil = found(
        id=EVIL,
        tenant=EVIL,
        actor={"type": EVIL, "id": EVIL, "name": EVIL},
        action=EVIL,
        targets=[{"id": EVIL, "name": EVIL}],
        outcome="success",
        reason=EVIL,
        source={"ip": EVIL, "user_agent": EVIL},
        payload={EVIL: EVIL},
    )
    harmless = {tag for tag, _ in seen(view()).tags}

    page = seen(view(found=Page((evil,), EVIL), asked=asked(EVIL, actor=EVIL, cursor=EVIL)))

    assert {tag for tag, _ in page.tags} <= harmless | {"div", "i", "li", "mark", "ul"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\u202e" not in page.text


def test_links_lead_nowhere_but_here() -> None:
    evil = found(id="//evil.example/", actor={"id": "javascript:alert(1)"})

    page = seen(view(found=Page((evil,), "//evil"), asked=asked("//evil")))

    links = [str(attributes["href"]) for _, attributes in page.tags if "href" in attributes]
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links)


def test_what_was_asked_is_in_the_form_again() -> None:
    page = seen(view(asked=asked('actor:alice outcome:denied a "word"')))

    inputs = {str(a.get("name")): a.get("value") for tag, a in page.tags if tag == "input"}
    assert inputs["kept"] == "actor:alice outcome:denied a word"
    assert inputs["q"] == ""
    assert "actor:alice×" in page.text


def test_what_cannot_be_read_is_marked_where_it_stands() -> None:
    wrong = asked("actor:alice actr:bob")

    page = search.render(view(asked=wrong, found=None, problems=wrong.problems)).decode()

    assert "<mark>actr:bob</mark>" in page
    assert "actr is not a field" in page
    assert 'value="actor:alice actr:bob"' in page


def test_older_events_are_a_link_with_the_same_filters() -> None:
    page = seen(view(asked=asked("actor:alice"), found=Page((found(),), "cursor=1")))

    links = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    assert "/?q=actor%3Aalice&cursor=cursor%3D1" in links


def test_a_refused_search_says_what_was_wrong() -> None:
    page = seen(view(found=None, problems=(Problem(0, "from", "is not RFC 3339"),)))

    assert "Nothing was searched." in page.text
    assert "from: is not RFC 3339" in page.text


def test_finding_nothing_is_certain_only_where_something_is_known() -> None:
    nothing = Page((), "")

    certain = seen(view(found=nothing, asked=asked("actor:x"))).text
    uncertain = seen(view(found=nothing, said=Completeness(None, (), (), ()))).text

    assert "that is certain" in certain
    assert "does not mean that there is nothing" in uncertain


def test_a_gap_is_named_with_its_cause() -> None:
    gap = Gap(NODE, 100, 116, NOW - 900_000_000, NOW - 850_000_000, "its disk was lost")

    page = seen(view(said=msgspec.structs.replace(said("a"), gaps=(gap,))))

    assert "1 known gap" in page.text
    assert "its disk was lost" in page.text


def test_a_record_of_a_later_version_is_shown_all_the_same() -> None:
    strange = Found(Raw(b'{"id":7,"action":{"new":"kind"}}'), NODE, 1, 2)

    assert '"new": "kind"' in seen(view(found=Page((strange,), ""))).text


def test_a_huge_record_does_not_make_a_huge_page() -> None:
    page = search.render(view(found=Page((found(payload="x" * 1_000_000),), "")))

    assert len(page) < 60_000


def test_figures_are_short() -> None:
    assert [span(us) for us in (0, 600_000, 41_000_000, 272_000_000, 11_100_000_000)] == [
        "0 s",
        "0.6 s",
        "41 s",
        "4 min 32 s",
        "3 h 5 min",
    ]
    assert [size(n) for n in (0, 999, 108_000, 9_400_000, 999_999)] == [
        "0 B",
        "999 B",
        "108 KB",
        "9.4 MB",
        "1 MB",
    ]


def test_an_address_with_more_than_it_can_mean_is_told_so_and_is_no_mistake_of_ours() -> None:
    found = read_address(b"&".join([b"actor=alice"] * 100), NOW)

    assert [str(each) for each in found.problems] == ["more than 32 parameters"]
    assert not found.typed.chips
