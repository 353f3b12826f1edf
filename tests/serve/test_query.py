"""What is typed into the box: understood, written again, refused in its place."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.serve.ui import asked
from holdfast.serve.ui.query import FIELDS, Chip, Typed, parse, write

NOW = 1_688_990_597_000_000  # 2023-07-10T12:03:17Z
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def test_filters_and_words_are_told_apart() -> None:
    typed = parse("actor:alice action:iam.* free outcome:denied words")

    assert typed.chips == (
        Chip("actor", "alice"),
        Chip("action", "iam.*"),
        Chip("outcome", "denied"),
    )
    assert typed.words == "free words"
    assert typed.mistakes == ()


def test_a_whole_word_is_a_filter_as_the_api_takes_it() -> None:
    found = asked.read([("q", 'word:TCK-42 word-free word:"twice"')], NOW)
    read = asked.read([("q", "word:TCK-42 free")], NOW)

    assert [problem.reason for problem in found.problems] == ["word is given twice"]
    assert (read.query(25).word, read.query(25).q) == ("TCK-42", "free")
    assert read.parameters() == {"word": "TCK-42", "q": "free"}
    assert asked.read([("word", "TCK-42")], NOW).typed == parse("word:TCK-42")


def test_quotes_hold_spaces_colons_and_nothing() -> None:
    typed = parse('actor:"Jan de \\"V\\"" tenant:"" "error: 5"')

    assert typed.chips == (Chip("actor", 'Jan de "V"'), Chip("tenant", ""))
    assert typed.words == "error: 5"


@pytest.mark.parametrize(
    ("text", "marked", "reason"),
    [
        ("a actr:bob", "actr:bob", "actr is not a field"),
        ("actor:", "actor:", "actor has no value"),
        ("actor: bob", "actor:", "actor has no value"),
        ("actor:a actor:b", "actor:b", "actor is given twice"),
        ("outcome:bad", "outcome:bad", "outcome is one of"),
        ('x "open', '"open', "the quote is never closed"),
        ('actor:"op en', '"op en', "the quote is never closed"),
    ],
)
def test_what_cannot_be_read_is_named_where_it_stands(text: str, marked: str, reason: str) -> None:
    (mistake,) = parse(text).mistakes

    assert text[mistake.start : mistake.end] == marked
    assert mistake.reason.startswith(reason)


@given(st.text())
def test_every_text_is_read(text: str) -> None:
    for mistake in parse(text).mistakes:
        assert 0 <= mistake.start < mistake.end <= len(text)


@given(st.dictionaries(st.sampled_from(FIELDS).filter(lambda f: f != "outcome"), words), words)
def test_what_is_written_is_read_as_the_same(filters: dict[str, str], text: str) -> None:
    typed = Typed(tuple(Chip(*pair) for pair in filters.items()), text)

    assert parse(write(typed)) == typed


def test_what_is_typed_beside_filters_takes_the_place_of_its_like() -> None:
    found = asked.read([("kept", "actor:alice ip:10.0.0.1 old"), ("q", "actor:bob")], NOW)

    assert write(found.typed) == "ip:10.0.0.1 actor:bob old"


def test_times_without_a_zone_are_utc() -> None:
    found = asked.read([("from", "2023-07-10"), ("to", "2023-07-10 12:00")], NOW)

    assert (found.from_us, found.to_us) == (1_688_947_200_000_000, 1_688_990_400_000_000)
    assert found.problems == ()


def test_a_preset_ends_with_the_second_that_runs() -> None:
    found = asked.read([("last", "5m")], NOW)

    assert (found.from_us, found.to_us) == (NOW - 299_000_000, NOW + 1_000_000)


@pytest.mark.parametrize(
    "pair", [("actr", "bob"), ("last", "3y"), ("from", "yesterday"), ("q", "actor:")]
)
def test_an_address_that_cannot_be_read_has_problems(pair: tuple[str, str]) -> None:
    assert asked.read([pair], NOW).problems


def test_every_state_is_a_link_that_is_read_as_the_same() -> None:
    found = asked.read([("q", 'actor:"a b" x'), ("from", "2023-07-10"), ("cursor", "c")], NOW)
    query = found.href().partition("?")[2]

    assert asked.read(parse_qsl(query), NOW) == found
