"""An event's proof holds as it was made, and with any change it is refuted or cannot be checked."""

import json
import random
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    SignatureError,
    ledger,
    merkle,
    tenants,
)
from holdfast.proof.event import EventProof, ProvenEvent
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.names import SegmentName
from tests.proof import samples
from tests.proof.proofs import checked, genuine, written
from tests.proof.samples import CLOSER_KEY, TRAIL

STEPS = 6
GOOD = {False: written(genuine()), True: written(genuine(closed=True))}
OTHER = b"\x05" * 32


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(("segment", "line"), [(0, 0), (1, 1), (2, 5), (3, 6), (4, 7)])
def test_every_record_is_proven_on_a_checkpoint_and_on_a_close(
    segment: int, line: int, closed: bool
) -> None:
    proof = genuine(segment, line, closed=closed)

    proven, claims = checked(written(proof))

    assert isinstance(proven, ProvenEvent), proven
    assert len(claims) == STEPS
    assert proven.proof == proof
    assert (proven.name.index, proven.head.size) == (segment, 5)
    assert proven.facts()["record"] == proof.record


def test_a_proof_is_one_line_in_one_form() -> None:
    decoded = json.loads(GOOD[False])

    assert GOOD[False].count(b"\n") == 1 and GOOD[False].endswith(b"\n")
    assert list(decoded) == ["format", *(field.name for field in fields(EventProof))]
    others = [
        json.dumps(decoded).encode(),
        GOOD[False][:-1],
        GOOD[False] + b"\n",
        b" " + GOOD[False],
        GOOD[False].replace(b'"count":', b'"count": '),
        GOOD[False].replace(b"/1", b"\\u002f1", 1),
        GOOD[False].replace(b'{"format"', b'{"format":"holdfast-proof/1","format"'),
        GOOD[False].decode().encode("utf-16"),
        b"[" * 100_000,
        b"",
    ]
    for other in others:
        error, claims = checked(other)

        assert isinstance(error, MalformedError)
        assert len(claims) == 1


def wrong_path(path: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (OTHER, *path[1:])


TAMPERINGS: dict[str, tuple[int, Callable[[EventProof], EventProof], type[ProofError]]] = {
    "another record": (6, lambda p: replace(p, record=p.record + " "), MismatchError),
    "another place among the tenant's": (6, lambda p: replace(p, record_index=0), MismatchError),
    "a place beyond them": (6, lambda p: replace(p, record_index=p.count), MismatchError),
    "another path": (6, lambda p: replace(p, record_path=wrong_path(p.record_path)), MismatchError),
    "a shorter path": (6, lambda p: replace(p, record_path=p.record_path[1:]), MismatchError),
    "a longer path": (6, lambda p: replace(p, record_path=(*p.record_path, OTHER)), MismatchError),
    "another count": (6, lambda p: replace(p, count=p.count - 1), MismatchError),
    "more than the segment has": (6, lambda p: replace(p, count=9), MismatchError),
    "no record at all": (6, lambda p: replace(p, count=0), MismatchError),
    "another blind": (6, lambda p: replace(p, blind=OTHER), MismatchError),
    "another tag": (5, lambda p: replace(p, leaf="0" * 64 + p.leaf[64:]), MismatchError),
    "another leaf": (5, lambda p: replace(p, leaf=p.leaf[:65] + "0" * 64), MismatchError),
    "no leaf": (5, lambda p: replace(p, leaf="0" * 64), MalformedError),
    "another leaf's place": (
        5,
        lambda p: replace(p, leaf_index=(p.leaf_index + 1) % 3),
        MismatchError,
    ),
    "no leaf's place": (5, lambda p: replace(p, leaf_index=3), MismatchError),
    "a leaf's other path": (
        5,
        lambda p: replace(p, leaf_path=wrong_path(p.leaf_path)),
        MismatchError,
    ),
    "a leaf without a path": (5, lambda p: replace(p, leaf_path=()), MismatchError),
    "another segment": (4, lambda p: replace(p, segment=genuine(1).segment), MismatchError),
    "another root of the segment": (
        4,
        lambda p: replace(p, segment=p.segment[:60] + "0" * 64 + p.segment[124:]),
        MismatchError,
    ),
    "no name": (4, lambda p: replace(p, segment=p.segment[:-1]), MalformedError),
    "a segment's other path": (
        4,
        lambda p: replace(p, segment_path=wrong_path(p.segment_path)),
        MismatchError,
    ),
    "a segment beyond the ledger": (
        4,
        lambda p: replace(p, segment=samples.ledger_of(6)[0][5].name.text),
        MismatchError,
    ),
    "an older checkpoint": (
        4,
        lambda p: replace(p, head=samples.checkpoint(samples.ledger_of(2)[1][-1]).decode()),
        MismatchError,
    ),
    "another root in the checkpoint": (
        3,
        lambda p: replace(p, head=p.head.replace("\n5\n", "\n6\n")),
        SignatureError,
    ),
    "an unsigned checkpoint": (
        3,
        lambda p: replace(p, head=p.head.partition("\n\n")[0] + "\n"),
        MalformedError,
    ),
    "a statement of another kind": (
        3,
        lambda p: replace(p, head=samples.samples()["heartbeat"].data.decode()),
        MalformedError,
    ),
    "a later version of a close": (
        3,
        lambda p: replace(p, head=genuine(closed=True).head.replace("closed/1", "closed/2")),
        MalformedError,
    ),
    "another node's certificate": (
        3,
        lambda p: replace(p, certificate=samples.certificate_of(CLOSER_KEY).decode()),
        SignatureError,
    ),
    "a changed certificate": (
        2,
        lambda p: replace(p, certificate=p.certificate.replace("certified_us 1", "certified_us 2")),
        SignatureError,
    ),
    "no certificate": (2, lambda p: replace(p, certificate=""), MalformedError),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_changed_field_fails_at_its_own_step(what: str) -> None:
    step, change, error = TAMPERINGS[what]

    found, claims = checked(written(change(genuine())))

    assert type(found) is error, found
    assert len(claims) == step


def test_a_close_of_another_ledger_proves_nothing() -> None:
    proof = genuine(closed=True)
    other = replace(proof, certificate=samples.certificate_of(CLOSER_KEY).decode())

    found, claims = checked(written(other))

    assert isinstance(found, MismatchError)
    assert len(claims) == 3


def test_a_leaf_that_hides_more_than_its_segment_has_is_refuted() -> None:
    """Only a node that lies can sign it: two records behind a name that says one."""
    records = [samples.record("a", "acme"), samples.record("b", "acme")]
    leaves = merkle.leaf_hashes(records)
    leaf = tenants.tenant_leaf("0" * 64, OTHER, 2, merkle.root(leaves))
    root = merkle.root(merkle.leaf_hashes([leaf]))
    name = SegmentName(0, 1, 0, 1, 1, samples.STARTED_US, root, OTHER)
    proof = replace(
        genuine(),
        record=records[0].decode(),
        record_index=0,
        record_path=(leaves[1],),
        count=2,
        blind=OTHER,
        leaf=leaf.decode(),
        leaf_index=0,
        leaf_path=(),
        segment=name.text,
        segment_path=(),
        head=samples.checkpoint(ledger.extend(EMPTY_END, name)).decode(),
    )

    found, claims = checked(written(proof))

    assert isinstance(found, MismatchError)
    assert len(claims) == 6


def test_a_proof_of_another_trail_is_refuted() -> None:
    found, claims = checked(GOOD[False], "f" * 32)

    assert isinstance(found, MismatchError)
    assert len(claims) == 2


def test_every_field_of_the_file_is_tampered_with() -> None:
    """So that a field that is added later has its own row."""
    before = genuine()
    touched = {
        field.name
        for _, change, _ in TAMPERINGS.values()
        for field in fields(EventProof)
        if getattr(before, field.name) != getattr(change(before), field.name)
    }

    assert touched == {field.name for field in fields(EventProof)}


@given(st.booleans(), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_is_noticed(closed: bool, at: int, change: int) -> None:
    data = bytearray(GOOD[closed])
    data[at % len(data)] ^= change

    found, claims = checked(bytes(data))

    assert isinstance(found, ProofError)
    assert 1 <= len(claims) <= STEPS


@pytest.mark.parametrize("seed", range(20))
def test_any_piece_that_is_cut_repeated_or_moved_is_noticed(seed: int) -> None:
    random_ = random.Random(seed)
    data = GOOD[bool(seed % 2)]

    for _ in range(50):
        start, end = sorted(random_.choices(range(len(data)), k=2))
        at = random_.randrange(len(data))
        piece = data[start : end + 1]
        rest = data[:start] + data[end + 1 :]
        for changed in (rest, rest[:at] + piece + rest[at:], data[:at] + piece + data[at:]):
            if changed != data:
                assert isinstance(checked(changed)[0], ProofError)


@pytest.mark.parametrize("field", [field.name for field in fields(EventProof)])
def test_a_field_of_another_proof_is_noticed(field: str) -> None:
    here, there = genuine(2, 4), genuine(3, 6)
    if getattr(here, field) == getattr(there, field):
        assert field in ("certificate", "head", "blind", "count", "leaf_index", "record_index")
        return

    found, _ = checked(written(replace(here, **{field: getattr(there, field)})))

    assert isinstance(found, ProofError)


def test_the_trail_is_what_the_checker_knows() -> None:
    assert isinstance(checked(GOOD[False], TRAIL)[0], ProvenEvent)
