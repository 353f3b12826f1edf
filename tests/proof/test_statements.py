import dataclasses
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    SignatureError,
    ledger,
    names,
    note,
    statements,
)
from holdfast.proof.export import Export, Ledger, LetGo, Listed, Missing
from holdfast.proof.floors import Floor, ProvableFloor, Tree
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.statements import (
    Birth,
    Certificate,
    Closed,
    Gap,
    Heartbeat,
    RegionState,
    Statement,
)
from holdfast.regions import kinds, signing
from holdfast.regions.kinds import (
    Archive,
    Cookie,
    Fence,
    Receipt,
    Retired,
    Trailer,
    Vote,
    Whole,
)
from holdfast.regions.layout import FloorKey, HoldKey
from holdfast.regions.retained import Hold, Release, verify_retained
from holdfast.regions.signing import SigningKey
from tests.proof import naive, samples
from tests.proof.samples import CLOSER, CLOSER_KEY, NODE, NODE_KEY, ORIGIN, TRAIL, TRAIL_KEY

SAMPLES = samples.samples()

numbers = st.integers(0, note.NUMBER_MAX)
hashes = st.binary(min_size=32, max_size=32)
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
regions = st.from_regex(r"[0-9a-z][0-9a-z._-]{0,20}", fullmatch=True)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
small_bytes = st.binary(min_size=1, max_size=40)
ends = st.integers(0, 7).map(samples.fixed_end)
stores = st.dictionaries(regions, ids, min_size=1, max_size=5).map(
    lambda found: tuple(
        sorted({store: (region, store) for region, store in found.items()}.values())
    )
)
states = st.dictionaries(
    regions, st.tuples(st.from_regex("[a-z][a-z-]{0,9}", fullmatch=True), numbers, numbers)
).map(lambda found: tuple(RegionState(region, *found[region]) for region in sorted(found)))
tags = st.dictionaries(hashes.map(bytes.hex), st.integers(1, 99), min_size=1, max_size=5).map(
    lambda found: tuple(sorted(found.items()))
)
births = st.builds(
    lambda found, **rest: Birth(regions=found, quorum=len(found) // 2 + 1, **rest),
    stores,
    trail_key=hashes,
    node_key=hashes,
    certificate=small_bytes,
    epoch=st.integers(2, 2**24 - 1),
    instance=ids,
    started_us=numbers,
    base=ends,
)
gaps = st.builds(
    lambda start, lost, before, events, after, lasted, **rest: Gap(
        start=start,
        end=start + lost,
        first=start + before,
        next=start + before + lost + events,
        after_us=after,
        until_us=after + lasted,
        **rest,
    ),
    *(st.integers(0, 2**30), st.integers(1, 2**30), st.integers(0, 99), st.integers(0, 99)),
    *(st.integers(0, 2**60), st.integers(1, 99)),
    trail_key=hashes,
    regions=stores,
    gone=st.sampled_from([(), ("zz-gone-for-good-and-ever-now",)]),
    by=strings,
    cause=strings,
    declared_us=numbers,
)
classes = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
archives = st.builds(
    lambda nodes, segments, start, lost, sha, of, **rest: Archive(
        parts=((of, sha.hex(), 77, (2 if lost else 3) * segments * len(nodes)),),
        ledgers=tuple(
            (node, start, start + segments, start, start + 3 * segments) for node in sorted(nodes)
        ),
        gaps=tuple((node, start, start + 1) for node in sorted(nodes) if lost and segments > 1),
        **rest,
    ),
    *(st.sets(ids, min_size=1, max_size=3), st.integers(2, 99), st.integers(0, 2**30)),
    *(st.booleans(), hashes, classes),
    unit=st.sampled_from(["2026-11-29", "2028-02-29", "2026-11-29t00", "9999-12-31t23"]),
    generation=st.integers(1, 2**16 - 1),
    region=regions,
    store=ids,
    by=ids,
    archived_us=numbers,
    certificate=small_bytes,
    evidence=hashes.map(bytes.hex),
)
floors = st.builds(
    lambda least, more, parts, **rest: Floor(
        min=least,
        max=least + more,
        parts=tuple((sha256.hex(), 77, 3) for sha256 in sorted(parts)),
        **rest,
    ),
    *(st.integers(0, 9999), st.integers(1, 9999), st.sets(hashes, min_size=1, max_size=3)),
    unit=st.sampled_from(["2026-11-29", "2028-02-29", "2026-11-29t00", "9999-12-31t23"]),
    retention=classes,
    rule=strings,
    rows=st.integers(1, 2**30),
    earliest_us=st.integers(0, 5),
    latest_us=st.integers(5, 9),
    by=ids,
    floored_us=numbers,
    certificate=small_bytes,
    remains=hashes.map(bytes.hex),
)
provable_floors = st.builds(
    lambda floor, size, root: ProvableFloor(**vars(floor), gone=Tree(min(size, floor.rows), root)),
    *(floors, st.integers(1, 2**30), hashes),
)
holds = st.builds(
    lambda start, lasted, **rest: Hold(
        from_us=start, to_us=None if lasted is None else (start or 0) + lasted, **rest
    ),
    *(st.none() | st.integers(0, 2**50), st.none() | st.integers(1, 2**50)),
    hold=ids,
    tenant=strings,
    actor=strings,
    reason=strings,
    author=strings,
    by=ids,
    placed_us=numbers,
    certificate=small_bytes,
)
places = st.tuples(ids, st.integers(0, 99), st.integers(1, 99))
exports = st.builds(
    lambda start, lasted, after, asked, ledgers, lost, gone, listed, **rest: Export(
        from_us=start,
        to_us=start + lasted,
        complete_through_us=start + lasted + after,
        filter=tuple(sorted(asked.items())),
        complete="stated" if gone or set(asked) - {"tenant"} else "provable",
        ledger=tuple(
            sorted(Ledger(n, s, s + c, s + c + more, r) for (n, s, c), more, r in ledgers)
        ),
        gap=tuple(sorted(Missing(node, at, at + count) for node, at, count in lost)),
        let_go=tuple(sorted(LetGo(*each) for each in gone)),
        region=tuple(Listed(each, *listed[each]) for each in sorted(listed)),
        **rest,
    ),
    *(st.integers(0, 2**50), st.integers(1, 2**50), st.integers(0, 99)),
    st.dictionaries(st.sampled_from(["tenant", "actor", "q"]), strings, max_size=3),
    st.sets(st.tuples(places, st.integers(0, 99), hashes), max_size=3),
    st.sets(places, max_size=3),
    st.sets(st.tuples(st.integers(1, 99), strings), max_size=2),
    st.dictionaries(regions, st.tuples(numbers, numbers), max_size=3),
    kind=st.sampled_from(["ndjson", "csv", "parquet"]),
    sha256=hashes,
    bytes=numbers,
    events=numbers,
    root=hashes,
    by=ids,
    exported_us=numbers,
    certificate=small_bytes,
)
of_any_kind: st.SearchStrategy[Statement] = st.one_of(
    births,
    exports,
    st.builds(Cookie, hashes, strings, regions, ids, hashes, ids | st.just("")),
    st.builds(lambda key, us: Certificate(bytes(32), names.node_id(key), key, us), hashes, numbers),
    st.builds(Fence, numbers, ids, numbers, small_bytes),
    st.builds(Vote, numbers, ends),
    st.builds(Closed, numbers, ends, ids, strings, numbers, small_bytes),
    st.builds(Whole, ids, ids, numbers, small_bytes, stores).filter(
        lambda whole: whole.store not in dict(whole.regions).values()
    ),
    st.builds(Heartbeat, *[numbers] * 5, checkpoint=st.binary(max_size=40), regions=states),
    gaps,
    archives,
    floors,
    provable_floors,
    holds,
    st.builds(Release, ids, strings, strings, ids, numbers, small_bytes),
    st.builds(Retired, hashes, numbers, ends, strings, strings, numbers),
    st.builds(Receipt, st.sampled_from(samples.fixed_names(7)).map(lambda n: n.text), stores),
    st.builds(
        Trailer,
        st.sampled_from(samples.fixed_names(7)).map(lambda n: n.unhashed),
        hashes,
        hashes,
        tags,
    ),
)


def resigned(kind: str, change: Callable[[str], str]) -> bytes:
    """A sample with another text, signed all the same by whom it should be."""
    sample = SAMPLES[kind]
    return signing.sign(change(signing.text(sample.statement, sample.origin)), sample.key)


@given(of_any_kind)
def test_a_statement_is_read_as_it_was_written(statement: Statement) -> None:
    text = signing.text(statement, ORIGIN)

    assert statements.parse_text(text, type(statement)) == statement
    read = naive.statement(text)
    assert not isinstance(read, str) and read[:2] == (statement.KIND, ORIGIN)


@given(of_any_kind, st.data())
def test_a_changed_text_is_another_statement_or_none_for_both_readers(
    statement: Statement, data: st.DataObject
) -> None:
    text = signing.text(statement, ORIGIN)
    at = data.draw(st.integers(0, len(text) - 1))
    piece = data.draw(st.sampled_from(["", " ", "\n", "0", "=", "f", '"', "\u0085", "\\u0008"]))
    changed = text[:at] + piece + text[at + data.draw(st.integers(0, 2)) :]

    try:
        found = statements.parse_text(changed, type(statement))
    except ProofError:
        assert isinstance(naive.statement(changed), str)
        return

    assert (found == statement) is (changed.split("\n")[2:] == text.split("\n")[2:])
    assert not isinstance(naive.statement(changed), str)


@given(st.text(max_size=200), st.sampled_from(samples.KINDS))
def test_arbitrary_text_is_refused(text: str, kind: type[Statement]) -> None:
    for tried in (text, f"{kind.KIND}\n{ORIGIN}\n{text}", f"{kind.KIND}\n{ORIGIN}\n{text}\n"):
        with pytest.raises(ProofError):
            statements.parse_text(tried, kind)


@given(st.binary(max_size=300), st.sampled_from(samples.KINDS))
def test_arbitrary_bytes_are_refused(data: bytes, kind: type[Statement]) -> None:
    with pytest.raises(ProofError):
        statements.read(data, kind)


@pytest.mark.parametrize("kind", SAMPLES)
def test_any_changed_byte_of_a_signed_statement_fails(kind: str) -> None:
    sample = SAMPLES[kind]
    data = sample.data

    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(ProofError):
            statements.verify(changed, type(sample.statement), sample.key.verifier)


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_line_is_needed_in_its_place_and_once(kind: str) -> None:
    sample = SAMPLES[kind]
    lines = signing.text(sample.statement, sample.origin).splitlines()
    may_go = {"replaces", "checkpoint", "region", "first", "next", "until_us", "gone"}
    may_go |= {"actor", "from_us", "to_us"}  # of a hold
    may_go |= {"part"}  # a gap may have held its rows
    may_go |= {"filter", "ledger", "gap"} if kind == "export" else set()

    for at in range(2, len(lines)):
        moved = [*lines[:at], *lines[at + 1 :]]
        variants = [[*lines[: at + 1], *lines[at:]]]
        if at > 2:
            variants.append([*moved[: at - 1], lines[at], *moved[at - 1 :]])
        if lines[at].split()[0] not in may_go:
            variants.append(moved)
        for variant in variants:
            with pytest.raises(ProofError):
                statements.parse_text("\n".join(variant) + "\n", type(sample.statement))


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_text_without_its_last_line_end_is_refused(kind: str) -> None:
    sample = SAMPLES[kind]
    text = signing.text(sample.statement, sample.origin)

    with pytest.raises(MalformedError):
        statements.parse_text(text[:-1], type(sample.statement))


@pytest.mark.parametrize("tenants", ["", f"tenant {'a' * 64} 0\n"])
def test_a_trailer_has_tenants_and_each_has_records(tenants: str) -> None:
    trailer = Trailer(samples.fixed_names(1)[0].unhashed, bytes(32), bytes(32), (("a" * 64, 1),))
    text = signing.text(trailer, ORIGIN).replace(f"tenant {'a' * 64} 1\n", tenants)

    with pytest.raises(MalformedError, match="no records"):
        statements.parse_text(text, Trailer)
    assert isinstance(naive.statement(text), str)


@pytest.mark.parametrize("kind", SAMPLES)
def test_another_version_of_a_kind_is_refused_by_name(kind: str) -> None:
    other = f"{SAMPLES[kind].statement.KIND[:-1]}9"
    data = resigned(kind, lambda text: f"{other}\n{text.partition(chr(10))[2]}")

    with pytest.raises(MalformedError, match=other):
        statements.read(data, type(SAMPLES[kind].statement))


@pytest.mark.parametrize("value", ["01", "-1", "+1", "1.0", " 1", "1 ", "", "9223372036854775808"])
def test_a_number_in_another_form_is_refused(value: str) -> None:
    text = signing.text(SAMPLES["fence"].statement, ORIGIN)

    with pytest.raises(MalformedError):
        statements.parse_text(text.replace("epoch 2\n", f"epoch {value}\n"), Fence)


@pytest.mark.parametrize(
    "value",
    ['"\\u0041"', '"\\/"', '"\\u000A"', '"a" ', "'a'", "a", "1", "null", '["a"]', '"\\ud800"', '"'],
)
def test_a_string_in_another_form_is_refused(value: str) -> None:
    text = signing.text(SAMPLES["closed"].statement, ORIGIN)
    why = json.dumps("no sign of life for 10 min")

    with pytest.raises(MalformedError):
        statements.parse_text(text.replace(why, value), Closed)


def test_a_string_that_nests_is_refused_by_name() -> None:
    text = signing.text(SAMPLES["closed"].statement, ORIGIN)
    deep = re.sub("^why .*$", "why " + "[" * 50_000, text, flags=re.MULTILINE)

    with pytest.raises(MalformedError):
        statements.parse_text(deep, Closed)


@pytest.mark.parametrize("line", ["region local", f"region local {'a' * 32} more", "region "])
def test_a_line_with_another_number_of_words_is_refused(line: str) -> None:
    sample = SAMPLES["receipt"]
    text = signing.text(sample.statement, sample.origin)

    with pytest.raises(MalformedError):
        statements.parse_text(re.sub("^region local .*$", line, text, flags=re.MULTILINE), Receipt)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_hash_of_another_size_is_refused(size: int) -> None:
    sample = SAMPLES["region"]
    key, wrong = (note.encode_base64(each) for each in (samples.TAG_KEY, bytes(size)))
    text = signing.text(sample.statement, sample.origin)

    with pytest.raises(MalformedError):
        statements.parse_text(text.replace(key, wrong), Cookie)


@pytest.mark.parametrize(("kind", "key"), [("heartbeat", "checkpoint"), ("fence", "certificate")])
def test_a_line_with_an_empty_note_is_refused(kind: str, key: str) -> None:
    sample = SAMPLES[kind]
    text = signing.text(sample.statement, sample.origin)
    empty = re.sub(f"^{key} .*$", f"{key} ", text, flags=re.MULTILINE)

    with pytest.raises(MalformedError):
        statements.parse_text(empty, type(sample.statement))
    assert isinstance(naive.statement(empty), str)


def test_a_string_without_a_utf_8_form_is_not_written() -> None:
    closed = dataclasses.replace(SAMPLES["closed"].statement, why="\ud800")  # type: ignore[type-var]

    with pytest.raises(MalformedError):
        signing.write(closed, ORIGIN, CLOSER_KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"quorum": 1},
        {"quorum": 4},
        {"regions": ()},
        {"regions": samples.STORES[::-1]},
        {"regions": (samples.STORES[0], ("x", samples.STORES[0][1]))},
        {"regions": (samples.STORES[0], samples.STORES[0])},
        {"regions": (("Upper", "0" * 32), ("x", "1" * 32))},
        {"epoch": 0},
        {"epoch": 2**24},
        {"epoch": 1},
        {"trail_key": bytes(31)},
        {"instance": "F" * 32},
        {"started_us": -1},
    ],
)
def test_a_birth_that_cannot_be_is_neither_written_nor_read(change: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        wrong = dataclasses.replace(SAMPLES["birth"].statement, **change)  # type: ignore[type-var]
        signing.write(wrong, ORIGIN, NODE_KEY)


def test_a_first_birth_begins_an_empty_ledger() -> None:
    first = dataclasses.replace(_birth(), epoch=1, base=EMPTY_END)

    found = statements.verify_birth(signing.write(first, ORIGIN, NODE_KEY), TRAIL)

    assert found.statement == first


def test_an_end_whose_root_is_not_that_of_its_hashes_is_refused() -> None:
    end = samples.fixed_end()
    text = signing.text(Vote(2, end), ORIGIN)
    other = text.replace(note.encode_base64(end.root), note.encode_base64(bytes(32)))

    with pytest.raises(MismatchError, match="root"):
        statements.parse_text(other, Vote)


def test_equal_votes_have_equal_texts_whoever_casts_them() -> None:
    vote = SAMPLES["close"].statement

    by_closer = statements.read(signing.write(vote, ORIGIN, CLOSER_KEY), Vote)
    by_node = statements.read(signing.write(vote, ORIGIN, NODE_KEY), Vote)

    assert by_closer.text == by_node.text
    assert by_closer.note != by_node.note


def test_a_vote_for_a_larger_end_differs() -> None:
    end: LedgerEnd = ledger.extend(samples.fixed_end(6), samples.fixed_names(7)[6])

    assert end == samples.fixed_end(7)
    assert signing.text(Vote(2, end), ORIGIN) != signing.text(Vote(2, samples.fixed_end(6)), ORIGIN)


# Who must have signed


def _birth() -> Birth:
    birth = SAMPLES["birth"].statement
    assert isinstance(birth, Birth)
    return birth


OTHER_TRAIL = SigningKey.generate("any", b"z" * 32)
OTHER_TRAIL_ID = names.trail_id(OTHER_TRAIL.public)
OTHER_TRAIL_KEY = SigningKey.generate(names.trail_origin(OTHER_TRAIL_ID), b"z" * 32)


def test_what_the_trail_signed_is_verified_from_its_id_alone() -> None:
    cookie = kinds.verify_cookie(SAMPLES["region"].data, TRAIL)
    certificate = statements.verify_certificate(SAMPLES["certificate"].data, TRAIL)
    gap = statements.verify_gap(SAMPLES["gap"].data, TRAIL)

    assert (gap.origin, gap.statement) == (ORIGIN, SAMPLES["gap"].statement)
    retired = kinds.verify_retired(SAMPLES["retired"].data, TRAIL)
    assert (retired.origin, retired.statement) == (ORIGIN, SAMPLES["retired"].statement)
    assert cookie.statement == SAMPLES["region"].statement
    assert certificate.statement.node == NODE


def test_what_nodes_signed_is_verified_from_the_trails_id_alone() -> None:
    birth = statements.verify_birth(SAMPLES["birth"].data, TRAIL)
    fence = statements.verify_by_certificate(SAMPLES["fence"].data, Fence, TRAIL)
    closed = statements.verify_by_certificate(SAMPLES["closed"].data, Closed, TRAIL)

    assert (birth.origin, fence.origin, closed.origin) == (ORIGIN, ORIGIN, ORIGIN)
    assert (fence.statement.by, closed.statement.by) == (CLOSER, CLOSER)
    assert closed.statement.end == samples.fixed_end()


def test_another_trail_accepts_none_of_it() -> None:
    with pytest.raises(MismatchError):
        kinds.verify_cookie(SAMPLES["region"].data, OTHER_TRAIL_ID)
    with pytest.raises(MismatchError):
        statements.verify_certificate(SAMPLES["certificate"].data, OTHER_TRAIL_ID)
    with pytest.raises(MismatchError):
        statements.verify_gap(SAMPLES["gap"].data, OTHER_TRAIL_ID)
    with pytest.raises(MismatchError):
        statements.verify_birth(SAMPLES["birth"].data, OTHER_TRAIL_ID)
    with pytest.raises(MismatchError):
        statements.verify_by_certificate(SAMPLES["closed"].data, Closed, OTHER_TRAIL_ID)


@pytest.mark.parametrize(
    "change",
    [
        {"end": 3},
        {"first": 2},
        {"next": 31},
        {"until_us": samples.STARTED_US + 2},
        {"gone": ("eu-1",)},
        {"gone": ("z", "y")},
        {"regions": ()},
        {"end": 2**40},
    ],
)
def test_a_gap_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    gap = dataclasses.replace(SAMPLES["gap"].statement, **change)  # type: ignore[type-var]

    with pytest.raises(MalformedError):
        signing.text(gap, ORIGIN)


OF_LEDGERS = {"gap": statements.verify_gap, "retired": kinds.verify_retired}


@pytest.mark.parametrize("kind", OF_LEDGERS)
def test_a_gap_or_retirement_speaks_of_a_ledger_and_not_of_the_trail(kind: str) -> None:
    wrong = signing.write(SAMPLES[kind].statement, TRAIL_KEY.name, TRAIL_KEY)

    with pytest.raises(ProofError):
        OF_LEDGERS[kind](wrong, TRAIL)


@pytest.mark.parametrize("kind", OF_LEDGERS)
def test_a_gap_or_retirement_signed_by_a_node_is_refused(kind: str) -> None:
    wrong = signing.write(SAMPLES[kind].statement, ORIGIN, NODE_KEY)

    with pytest.raises(SignatureError):
        OF_LEDGERS[kind](wrong, TRAIL)


@pytest.mark.parametrize("kind", ["region", "certificate"])
def test_the_trails_word_signed_by_a_node_is_refused(kind: str) -> None:
    forged = signing.write(SAMPLES[kind].statement, TRAIL_KEY.name, NODE_KEY)
    renamed = SigningKey.generate(TRAIL_KEY.name, samples.NODE_SEED)
    renamed_forged = signing.write(SAMPLES[kind].statement, TRAIL_KEY.name, renamed)
    verify = kinds.verify_cookie if kind == "region" else statements.verify_certificate

    for data in (forged, renamed_forged):
        with pytest.raises(SignatureError):
            verify(data, TRAIL)


def test_the_trails_word_about_another_origin_is_refused() -> None:
    elsewhere = signing.write(SAMPLES["certificate"].statement, ORIGIN, TRAIL_KEY)

    with pytest.raises(SignatureError, match="signed by another"):
        statements.verify_certificate(elsewhere, TRAIL)


def test_a_certificate_of_another_node_is_refused_where_one_is_expected() -> None:
    data = SAMPLES["certificate"].data

    assert statements.verify_certificate(data, TRAIL, NODE_KEY.public).origin == TRAIL_KEY.name
    with pytest.raises(MismatchError):
        statements.verify_certificate(data, TRAIL, CLOSER_KEY.public)


def test_a_certificate_whose_node_is_not_that_of_its_key_is_refused() -> None:
    data = resigned("certificate", lambda text: text.replace(NODE, CLOSER))

    with pytest.raises(MalformedError):
        statements.verify_certificate(data, TRAIL)


def test_a_birth_without_the_trails_certificate_is_refused() -> None:
    forged = Certificate(TRAIL_KEY.public, NODE, NODE_KEY.public, 1)
    own = signing.write(forged, TRAIL_KEY.name, NODE_KEY)
    of_other = dataclasses.replace(_birth(), certificate=samples.certificate_of(CLOSER_KEY))

    with pytest.raises(SignatureError):
        birth = dataclasses.replace(_birth(), certificate=own)
        statements.verify_birth(signing.write(birth, ORIGIN, NODE_KEY), TRAIL)
    with pytest.raises(MismatchError):
        statements.verify_birth(signing.write(of_other, ORIGIN, NODE_KEY), TRAIL)


def test_a_birth_that_another_node_signed_is_refused() -> None:
    birth = dataclasses.replace(
        _birth(), node_key=CLOSER_KEY.public, certificate=samples.certificate_of(CLOSER_KEY)
    )

    with pytest.raises(SignatureError, match="signed by another"):
        statements.verify_birth(signing.write(birth, ORIGIN, CLOSER_KEY), TRAIL)


def test_a_birth_that_names_another_trails_key_is_refused() -> None:
    birth = dataclasses.replace(_birth(), trail_key=OTHER_TRAIL.public)

    with pytest.raises(MismatchError):
        statements.verify_birth(signing.write(birth, ORIGIN, NODE_KEY), TRAIL)


@pytest.mark.parametrize(("kind", "type_"), [("fence", Fence), ("closed", Closed)])
def test_a_closer_must_be_the_one_that_it_says_and_certified(
    kind: str, type_: type[Fence] | type[Closed]
) -> None:
    statement = SAMPLES[kind].statement
    other_by = dataclasses.replace(statement, by=NODE)  # type: ignore[type-var]

    with pytest.raises(MismatchError, match="closer"):
        data = signing.write(other_by, ORIGIN, CLOSER_KEY)
        statements.verify_by_certificate(data, type_, TRAIL)
    with pytest.raises(SignatureError):
        data = signing.write(statement, ORIGIN, NODE_KEY)
        statements.verify_by_certificate(data, type_, TRAIL)


def test_a_store_is_found_whole_by_whom_the_trail_certified_and_of_that_trail() -> None:
    whole = SAMPLES["whole"].statement
    assert isinstance(whole, Whole)

    found = kinds.verify_whole(SAMPLES["whole"].data, TRAIL)

    assert found.statement == whole
    with pytest.raises(MismatchError):
        kinds.verify_whole(SAMPLES["whole"].data, OTHER_TRAIL_ID)
    with pytest.raises(SignatureError):
        kinds.verify_whole(signing.write(whole, TRAIL_KEY.name, NODE_KEY), TRAIL)
    with pytest.raises(MismatchError, match="surveyor"):
        other = dataclasses.replace(whole, by=NODE)
        kinds.verify_whole(signing.write(other, TRAIL_KEY.name, CLOSER_KEY), TRAIL)
    with pytest.raises(MismatchError, match="is not the trail"):
        kinds.verify_whole(signing.write(whole, ORIGIN, CLOSER_KEY), TRAIL)


def test_a_manifest_is_of_whom_the_trail_certified_and_of_that_trail() -> None:
    archive = SAMPLES["archive"].statement
    assert isinstance(archive, Archive)

    found = kinds.verify_archive(SAMPLES["archive"].data, TRAIL)

    assert found.statement == archive
    with pytest.raises(MismatchError):
        kinds.verify_archive(SAMPLES["archive"].data, OTHER_TRAIL_ID)
    with pytest.raises(SignatureError):
        kinds.verify_archive(signing.write(archive, TRAIL_KEY.name, NODE_KEY), TRAIL)
    with pytest.raises(MismatchError, match="is not the trail"):
        kinds.verify_archive(signing.write(archive, ORIGIN, CLOSER_KEY), TRAIL)


OF_RETENTION: dict[str, FloorKey | HoldKey] = {
    "floor": FloorKey("2026-11-24t10", "debug"),
    "floor-2": FloorKey("2026-11-24t10", "debug"),
    "hold": HoldKey("7" * 32),
    "release": HoldKey("7" * 32, is_release=True),
}


@pytest.mark.parametrize("kind", OF_RETENTION)
def test_a_statement_of_retention_is_of_whom_the_trail_certified_and_of_its_place(
    kind: str,
) -> None:
    key, said = OF_RETENTION[kind], SAMPLES[kind].statement

    found = verify_retained(key, SAMPLES[kind].data, TRAIL)

    assert found.statement == said
    with pytest.raises(MismatchError):
        verify_retained(key, SAMPLES[kind].data, OTHER_TRAIL_ID)
    with pytest.raises(SignatureError):
        verify_retained(key, signing.write(said, TRAIL_KEY.name, NODE_KEY), TRAIL)
    with pytest.raises(MismatchError, match="is not the trail"):
        verify_retained(key, signing.write(said, ORIGIN, CLOSER_KEY), TRAIL)
    for other in (FloorKey("2026-11-24", "debug"), HoldKey("8" * 32), *OF_RETENTION.values()):
        if other != key:
            with pytest.raises(ProofError):
                verify_retained(other, SAMPLES[kind].data, TRAIL)


@pytest.mark.parametrize(
    "change",
    [
        {"parts": ()},
        {"rows": 0},
        {"parts": (("b" * 64, 4096, 0),)},
        {"parts": (("c" * 64, 1, 1), ("b" * 64, 1, 1))},
        {"min": 91},
        {"min": 0, "max": 0},
        {"latest_us": 0},
    ],
)
def test_a_floor_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    floor = SAMPLES["floor"].statement
    assert isinstance(floor, Floor)

    with pytest.raises(MalformedError):
        dataclasses.replace(floor, **change).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 13])
def test_a_floor_lets_something_go_of_each_tenant_that_it_counts(size: int) -> None:
    floor = SAMPLES["floor-2"].statement
    assert isinstance(floor, ProvableFloor)

    with pytest.raises(MalformedError, match="more tenants than records"):
        dataclasses.replace(floor, gone=Tree(size, bytes(32))).check()


@pytest.mark.parametrize(
    ("tenants", "earliest", "latest", "touches"),
    [
        (("acme", "blå"), -9, -5, True),
        (("acme",), -9, -6, False),
        (("acme",), 4, 9, True),
        (("acme",), 5, 9, False),
        (("blå", ""), -9, 9, False),
    ],
)
def test_a_hold_touches_what_may_have_its_tenant_s_events_in_its_time(
    tenants: tuple[str, ...], earliest: int, latest: int, touches: bool
) -> None:
    hold = SAMPLES["hold"].statement
    assert isinstance(hold, Hold)

    at = samples.STARTED_US
    assert hold.touches(tenants, at + earliest, at + latest) == touches
    with pytest.raises(MalformedError):
        dataclasses.replace(hold, to_us=hold.from_us).check()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 0},
        {"parts": ()},
        {"ledgers": ()},
        {"gaps": ()},
        {"gaps": ((NODE, 4, 5),)},
        {"parts": (("default", "b" * 64, 1, 51),)},
        {"parts": (("default", "b" * 64, 1, 20), ("other", "b" * 64, 1, 20))},
        {"ledgers": ((NODE, 0, 5, 0, 4),)},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    archive = SAMPLES["archive"].statement
    assert isinstance(archive, Archive)

    with pytest.raises(MalformedError):
        dataclasses.replace(archive, **change).check()  # type: ignore[arg-type]


def test_a_store_that_was_compared_with_itself_or_with_none_is_not_found_whole() -> None:
    whole = SAMPLES["whole"].statement
    assert isinstance(whole, Whole)

    with pytest.raises(MalformedError, match="itself"):
        dataclasses.replace(whole, store=whole.regions[0][1]).check()
    with pytest.raises(MalformedError):
        dataclasses.replace(whole, regions=()).check()


def test_a_fence_for_another_trails_ledger_is_refused() -> None:
    foreign = names.ledger_origin(OTHER_TRAIL_ID, NODE)

    with pytest.raises(MismatchError, match="not of the trail"):
        data = signing.write(SAMPLES["fence"].statement, foreign, CLOSER_KEY)
        statements.verify_by_certificate(data, Fence, TRAIL)


def test_the_trails_own_key_can_speak_as_a_closer() -> None:
    as_closer = SigningKey.generate(names.ledger_origin(TRAIL, TRAIL), samples.TRAIL_SEED)
    certificate = samples.certificate_of(as_closer)
    closed = Closed(2, samples.fixed_end(), TRAIL, "declared", samples.STARTED_US, certificate)

    found = statements.verify_by_certificate(
        signing.write(closed, ORIGIN, as_closer), Closed, TRAIL
    )

    assert found.statement.by == TRAIL


@pytest.mark.parametrize("kind", ["heartbeat", "receipt"])
def test_a_node_speaks_for_its_own_ledger_only(kind: str) -> None:
    sample = SAMPLES[kind]
    type_ = type(sample.statement)

    assert statements.verify(sample.data, type_, NODE_KEY.verifier).origin == ORIGIN
    forged = signing.write(sample.statement, ORIGIN, CLOSER_KEY)
    with pytest.raises(SignatureError, match="signed by another"):
        statements.verify(forged, type_, CLOSER_KEY.verifier)
    with pytest.raises(SignatureError, match="known key"):
        statements.verify(forged, type_, NODE_KEY.verifier)


def test_a_statement_of_no_origin_is_neither_written_nor_read() -> None:
    for origin in ("", "holdfast", "example.com/log", f"{ORIGIN}\nepoch 1", f"{ORIGIN}/"):
        with pytest.raises(MalformedError):
            signing.text(SAMPLES["close"].statement, origin)


def test_a_statement_is_at_most_64_kib() -> None:
    closed = SAMPLES["closed"].statement
    assert isinstance(closed, Closed)

    with pytest.raises(MalformedError, match="bytes"):
        signing.write(dataclasses.replace(closed, why="w" * 65_536), ORIGIN, CLOSER_KEY)
