"""Admission against an oracle: JSON spelled in every way that its grammar allows.

The oracle is the standard library's parser with a hook that sees every pair. It shares nothing with
the code under test, whose quick way compares lengths and never sees a key.
"""

import json
from collections.abc import Sequence
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.json import format as compacted

from holdfast.errors import RejectedError
from holdfast.write.admit import Admitted, Limits, admit
from holdfast.write.law import Lawful, judge

JSON = "application/json"
NDJSON = "application/x-ndjson"


class Pairs(list[tuple[str, object]]):
    """A JSON object."""


class Token(str):
    """A number, true, false or null, as it is spelled."""


# Few different keys and characters, so that accidents are common.
texts = st.text(alphabet='ab:"\\/{}[,é\u2028😀\x1f\n $', max_size=6)
keys = st.sampled_from(["a", "b", "c", "", 'a"', "a\\", ":", '":', "é", "payload", "$en", "id"])
tokens = st.sampled_from(
    (
        *("0", "-0", "1", "1.0", "1e5", "1E+2", "-0.0", "1e400", "0.1000", "9" * 4301),
        *("123456789012345678901234567890", "true", "false", "null"),
    )
).map(Token)
values = st.recursive(
    texts | tokens,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(keys, inner), max_size=4).map(Pairs)
    ),
    max_leaves=12,
)
objects = st.lists(st.tuples(keys, values), max_size=4).map(Pairs)


def pairs_of(*names: str) -> st.SearchStrategy[Pairs]:
    return st.lists(st.tuples(st.sampled_from(names), texts), max_size=3).map(Pairs)


fields = st.one_of(
    st.tuples(st.sampled_from(["id", "action"]), texts.filter(bool)),
    st.tuples(st.sampled_from(["tenant", "reason", "severity"]), texts),
    st.tuples(st.just("outcome"), st.sampled_from(["success", "denied"])),
    st.tuples(st.just("time"), st.just("2026-11-24T10:00:00.5+01:00")),
    st.tuples(st.just("targets"), st.lists(pairs_of("type", "id", "name"), max_size=2)),
    st.tuples(st.just("source"), pairs_of("user_agent", "host", "service")),
    st.tuples(st.just("trace"), pairs_of("request_id", "trace_id", "session_id")),
    st.tuples(st.just("actor"), st.one_of(pairs_of("type", "id", "name", "x"))),
    st.tuples(st.just("attributes"), objects),
    st.tuples(st.just("payload"), values),
)


@st.composite
def events(draw: st.DrawFn) -> Pairs:
    """Events that are good, but for keys that may appear twice anywhere."""
    pairs = [("action", "a"), *draw(st.lists(fields, max_size=5))]
    if any(name == "payload" for name, _ in pairs):
        pairs.append(("payload_type", "t"))
    if draw(st.booleans()):
        chosen = dict(pairs)  # most examples should repeat no field, to look further inside
        pairs = list(chosen.items())
    return Pairs(draw(st.permutations(pairs)))


def spell(value: object, random: Random, plain: bool) -> str:
    """Write JSON; not `plain`: with any spelling of characters, and spaces."""
    space = "" if plain or random.random() < 0.7 else random.choice([" ", "\t", "\r", "  "])
    if isinstance(value, Token):
        return f"{space}{value}{space}"
    if isinstance(value, str):
        return f'{space}"{"".join(spell_character(c, random, plain) for c in value)}"{space}'
    if isinstance(value, Pairs):
        inside = ",".join(
            f"{spell(key, random, plain)}:{spell(part, random, plain)}" for key, part in value
        )
        return f"{space}{{{inside}{space}}}"
    assert isinstance(value, list)
    return f"{space}[{space}{','.join(spell(part, random, plain) for part in value)}]{space}"


def spell_character(character: str, random: Random, plain: bool) -> str:
    if plain or random.random() < 0.7:
        return json.dumps(character, ensure_ascii=False)[1:-1]
    if character == "/":
        return "\\/"
    return json.dumps(character)[1:-1] if ord(character) > 0xFFFF else f"\\u{ord(character):04X}"


def repeats_a_key(text: str) -> bool:
    """The oracle."""
    root = json.loads(text, object_pairs_hook=Pairs, parse_int=str, parse_float=str)
    return _repeats(root, root)


def _repeats(value: object, root: Pairs) -> bool:
    if isinstance(value, Pairs):
        names = [key for key, _ in value]
        inside = [part for key, part in value if not (value is root and key == "payload")]
        return len(set(names)) < len(names) or any(_repeats(part, root) for part in inside)
    return isinstance(value, list) and any(_repeats(part, root) for part in value)


def admitted(body: bytes, content_type: str = JSON) -> Admitted | None:
    try:
        return admit(body, content_type)
    except RejectedError:
        return None


@settings(max_examples=600, deadline=None)
@given(events(), st.randoms(use_true_random=False), st.booleans())
def test_an_event_is_admitted_unless_the_oracle_sees_a_key_twice(
    event: Pairs, random: Random, plain: bool
) -> None:
    text = spell(event, random, plain)

    found = admitted(text.encode())

    assert (found is None) == repeats_a_key(text)
    if found is not None:
        assert parsed(found.lines[0]) == parsed(text.encode())


def parsed(line: bytes) -> dict[str, object]:
    """As parsed, but for numbers, which must be spelled as they were."""
    value = json.loads(
        line, object_pairs_hook=_keep_twins, parse_int=Token, parse_float=Token, strict=True
    )
    assert isinstance(value, dict)
    return value


def _keep_twins(pairs: list[tuple[str, object]]) -> object:
    keys = [key for key, _ in pairs]
    return dict(pairs) if len(set(keys)) == len(keys) else Pairs(pairs)


@settings(max_examples=100, deadline=None)
@given(st.lists(events(), min_size=1, max_size=150), st.randoms(use_true_random=False))
def test_lines_are_judged_together_as_each_would_be_alone(
    several: list[Pairs], random: Random
) -> None:
    lines = [spell(event, random, random.random() < 0.9) for event in several]

    refused = set()
    try:
        found = admit("\n".join(lines).encode(), NDJSON)
        assert list(found.lines) == [admit(line.encode(), JSON).lines[0] for line in lines]
    except RejectedError as error:
        refused = {problem.line for problem in error.problems}

    expected = [n for n, line in enumerate(lines, 1) if admitted(line.encode()) is None]
    assert refused == set(expected[:100])


@settings(max_examples=300, deadline=None)
@given(events(), st.randoms(use_true_random=False), st.booleans())
def test_the_quick_way_and_the_judge_say_the_same(
    event: Pairs, random: Random, plain: bool
) -> None:
    line = mutated(spell(event, random, plain).encode(), random)

    found = admitted(line)
    verdict = judge(line, Limits(), own=False)

    assert (found is not None) == isinstance(verdict, Lawful)
    if found is not None and isinstance(verdict, Lawful):
        assert found.lines[0] == verdict.line
        assert compacted(found.lines[0], indent=-1) == found.lines[0]


def mutated(line: bytes, random: Random) -> bytes:
    """A byte or two changed, dropped or doubled, in most cases."""
    data = bytearray(line)
    for _ in range(random.randrange(3)):
        at = random.randrange(len(data))
        choice = random.randrange(3)
        if choice == 0:
            data[at] = random.choice(b'"{}[]:,\\ \x00\xff\xc3019e-tn')
        elif choice == 1 and len(data) > 1:
            del data[at]
        else:
            data.insert(at, data[random.randrange(len(data))])
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([JSON, NDJSON, "x/y", ""]))
@example(b"\xef\xbb\xbf", JSON)
@example(b"\x00" * 10, NDJSON)
def test_arbitrary_bytes_raise_nothing_but_rejected(body: bytes, content_type: str) -> None:
    admitted(body, content_type)


def accepted_times(candidates: Sequence[str]) -> list[bool]:
    return [
        admitted(json.dumps({"action": "a", "time": text}).encode()) is not None
        for text in candidates
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(
        st.sampled_from(["2026-11-24", "0000-01-01", "9999-12-31", "2023-02-29", "2024-02-29"]),
        st.sampled_from(["T", "t", " ", "", "_"]),
        st.sampled_from(["10:00:00", "23:59:60", "24:00:00", "10:00", "00:00:61", "1:00:00"]),
        st.sampled_from(["", ".", ".5", ".123456789", ",5", ".9999999", ".5 "]),
        st.sampled_from(["Z", "z", "", "+00:00", "-00:00", "+24:00", "+0200", "-23:59", "ZZ"]),
    ).map("".join)
)
def test_a_time_is_admitted_exactly_when_it_can_be_read(text: str) -> None:
    verdict = judge(json.dumps({"action": "a", "time": text}).encode(), Limits(), own=False)

    assert accepted_times([text]) == [isinstance(verdict, Lawful)]
