"""What is refused before anything is read, and cursors."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from holdfast.errors import RejectedError
from holdfast.model import Query
from holdfast.read.query import Spot, check, check_groups, cursor_after, spellings

SPOTS = st.builds(
    Spot,
    st.integers(-(1 << 62), 1 << 62),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.integers(0, 1 << 44),
)


@given(SPOTS)
def test_a_cursor_leads_back_to_the_spot_it_was_made_of(spot: Spot) -> None:
    query = Query(tenant="acme")

    cursor = cursor_after(check(query), spot)

    assert check(structs.replace(query, cursor=cursor)).before == spot


def test_a_cursor_may_go_on_with_another_limit() -> None:
    cursor = cursor_after(check(Query(q="x", limit=10)), Spot(1, "ab", 2))

    assert check(Query(q="x", limit=500, cursor=cursor)).before == Spot(1, "ab", 2)


def test_a_cursor_of_another_search_is_refused() -> None:
    cursor = cursor_after(check(Query(tenant="acme")), Spot(1, "ab", 2))

    with pytest.raises(RejectedError, match="another search") as caught:
        check(Query(tenant="bolt", cursor=cursor))

    assert caught.value.kind == "bad-cursor"


@given(st.text(min_size=1) | st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode()))
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    with pytest.raises(RejectedError) as caught:
        check(Query(cursor=text or "x"))

    assert caught.value.problems[0].field == "cursor"


def test_a_cursor_beyond_what_the_engine_can_count_is_refused() -> None:
    made = cursor_after(check(Query()), Spot(1, "ab", 2))
    version, digest, _ = msgspec.msgpack.decode(base64.urlsafe_b64decode(made + "=="))

    for spot in ((1 << 63, "ab", 2), (1, "ab", -5), (1, "ab", 1 << 63)):
        data = msgspec.msgpack.encode((version, digest, spot))
        with pytest.raises(RejectedError, match="not one of ours"):
            check(Query(cursor=base64.urlsafe_b64encode(data).decode()))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (Query(limit=0), "limit"),
        (Query(limit=1001), "limit"),
        (Query(from_us=5, to_us=5), "from"),
        (Query(from_us=1 << 70), "from"),
        (Query(outcome="sucess"), "outcome"),
        (Query(q="x" * 1025), "q"),
        (Query(tenant="\ud800"), "tenant"),
    ],
)
def test_what_no_event_could_match_is_refused_by_name(query: Query, field: str) -> None:
    with pytest.raises(RejectedError) as caught:
        check(query)

    assert [problem.field for problem in caught.value.problems] == [field]


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(RejectedError) as caught:
        check(Query(limit=0, outcome="no", q="\udfff"))

    assert {problem.field for problem in caught.value.problems} == {"limit", "outcome", "q"}


def test_an_action_that_ends_with_a_star_is_a_beginning() -> None:
    whole, beginning, every = (check(Query(action=action)) for action in ("iam.x", "iam.*", "*"))

    assert (whole.action, whole.prefix) == ("iam.x", False)
    assert (beginning.action, beginning.prefix) == ("iam.", True)
    assert every.action == ""


def test_the_newest_time_that_can_match_follows_from_the_end_and_from_the_cursor() -> None:
    query = Query(to_us=100)
    cursor = cursor_after(check(query), Spot(40, "ab", 2))

    assert check(query).newest_us == 99
    assert check(structs.replace(query, cursor=cursor)).newest_us == 40


@pytest.mark.parametrize(
    ("by", "bucket_us"), [(("reason",), None), (("actor", "actor"), None), ((), 0), ((), -1)]
)
def test_counting_by_what_is_no_group_is_refused(
    by: tuple[str, ...], bucket_us: int | None
) -> None:
    with pytest.raises(RejectedError):
        check_groups(by, bucket_us)


def test_a_text_is_also_looked_for_as_json_would_spell_it() -> None:
    assert spellings("") == ()
    assert spellings("plain") == ("plain",)
    assert spellings('a"\n') == ('a"\n', 'a\\"\\n')
    assert spellings("é") == ("é", "\\u00e9", "\\u00c9")
    assert spellings("a/b") == ("a/b", r"a\/b")
    assert spellings("<b>") == ("<b>", r"\u003cb\u003e")
    assert spellings("it's & c") == ("it's & c", r"it's \u0026 c", r"it\u0027s \u0026 c")
