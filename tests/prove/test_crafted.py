"""Certificates of ledgers that a node would never have made: each rule by itself must refuse them.

The node's own key signs them, so that nothing else is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    ledger,
    merkle,
    objects,
    tenants,
)
from holdfast.proof.certificate import Head, Proven, Shown, Stretch
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.proof.records import time_text
from holdfast.proof.statements import Birth, Closed, Heartbeat
from holdfast.prove import paths
from holdfast.regions import segment, signing
from tests.proof import samples
from tests.proof.samples import NODE, STARTED_US, TAG_KEY, TRAIL
from tests.prove.certificates import checked

SALT = segment.tenant_salt(TAG_KEY, "acme")
SALT_ID = tenants.salt_id(SALT)
UNTIL = STARTED_US + 60_000_000
LOW, HIGH = f"{'0' * 64} {'1' * 64}", f"{'f' * 64} {'1' * 64}"
LOWEST, HIGHEST = "0" * 63 + "1", "f" * 63 + "e"


@dataclass
class Held:
    """A segment: all leaves, and what is shown of it. records: of the tenant, with a time each."""

    leaves: list[str]
    show: tuple[int, int]
    records: Sequence[bytes] = ()


def own_leaf(index: int, records: Sequence[bytes]) -> str:
    root = merkle.root(merkle.leaf_hashes(records))
    tag, blind = tenants.tag(SALT, NODE, index), tenants.blind(SALT, NODE, index)
    return tenants.tenant_leaf(tag, blind, len(records), root).decode()


def record(after_us: int, tenant: str = "acme") -> bytes:
    time = time_text(STARTED_US + after_us)
    return b'{"id":"x","tenant":"%b","received":"%b"}' % (tenant.encode(), time.encode())


Word = Callable[[LedgerEnd], Heartbeat | Birth | Closed]


def promise(end: LedgerEnd) -> Heartbeat:
    return Heartbeat(1, 1, UNTIL, UNTIL, end.size, b"", ())


def crafted(*held: Held, forged: int | None = None, word: Word = promise) -> bytes:
    """A certificate over these segments, sealed 1, 2, ... s after the start. forged: the index of
    one that the signed ledger has otherwise. word: what bounds it."""
    end, claimed, lines = EMPTY_END, [], []
    for index, each in enumerate(held):
        hashes = merkle.leaf_hashes([leaf.encode() for leaf in each.leaves])
        count = len(each.leaves) + len(each.records) + 1
        sealed_us = STARTED_US + 1_000_000 * (index + 1)
        root = merkle.root(hashes)
        name = SegmentName(
            index, 1, end.first, count, len(hashes), sealed_us, root, bytes(31) + bytes([index])
        )
        signed = replace(name, root=bytes(32)) if index == forged else name
        end = ledger.extend(end, signed)
        claimed.append(name)
        start, stop = each.show
        around = paths.before(hashes, start), paths.after(hashes, stop)
        beside = () if each.records else tuple(each.leaves[start:stop])
        lines.append(objects.form(Shown(name.text, start, *around, beside, (), len(each.records))))
        lines += [each_record + b"\n" for each_record in each.records]
    head = samples.checkpoint(end)
    said = signing.write(word(end), samples.ORIGIN, samples.NODE_KEY).decode()
    own = samples.certificate_of(samples.NODE_KEY).decode()
    asked = Head("acme", SALT, STARTED_US, UNTIL, UNTIL, ("x",), (NODE,))
    stretch = Stretch((), own, head.decode(), 0, end.size, (), (), said)
    return b"".join([objects.form(asked), objects.form(stretch), *lines])


def outcome(data: bytes) -> Proven | ProofError:
    return checked(data, SALT_ID, TRAIL)[0]


def with_records(*records: bytes, index: int = 0) -> Held:
    leaves = sorted([LOW, own_leaf(index, records), HIGH])
    return Held(leaves, (1, 2), records)


def absent(*leaves: str, show: tuple[int, int]) -> Held:
    return Held(list(leaves), show)


ABOVE, BELOW = f"{HIGHEST} {'2' * 64}", f"{LOWEST} {'2' * 64}"
GOOD: dict[str, Callable[[], bytes]] = {
    "records": lambda: crafted(with_records(record(1), record(2))),
    "between two": lambda: crafted(absent(LOW, HIGH, show=(0, 2))),
    "before the first": lambda: crafted(absent(ABOVE, HIGH, show=(0, 1))),
    "behind the last": lambda: crafted(absent(LOW, BELOW, show=(1, 2))),
    "alone": lambda: crafted(absent(LOW, show=(0, 1))),
}
ELSEWHERE = "may have the tenant's leaf elsewhere"
MINE = own_leaf(0, [record(1)])
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "a forged segment": (lambda: crafted(absent(LOW, HIGH, show=(0, 2)), forged=0), "not those of"),
    "its own leaf first of two": (
        lambda: crafted(absent(MINE, HIGH, show=(0, 2))),
        ELSEWHERE,
    ),
    "its own leaf last of two": (lambda: crafted(absent(LOW, MINE, show=(0, 2))), ELSEWHERE),
    "its own leaf alone": (lambda: crafted(absent(MINE, show=(0, 1))), ELSEWHERE),
    "two above, and one below not shown": (
        lambda: crafted(absent(LOW, ABOVE, HIGH, show=(1, 3))),
        ELSEWHERE,
    ),
    "two below, and one above not shown": (
        lambda: crafted(absent(LOW, BELOW, HIGH, show=(0, 2))),
        ELSEWHERE,
    ),
    "one above that is not the first": (
        lambda: crafted(absent(LOW, HIGH, show=(1, 2))),
        ELSEWHERE,
    ),
    "one below that is not the last": (
        lambda: crafted(absent(LOW, HIGH, show=(0, 1))),
        ELSEWHERE,
    ),
    "three leaves": (lambda: crafted(absent(LOW, ABOVE, HIGH, show=(0, 3))), ELSEWHERE),
    "leaves in another order": (lambda: crafted(absent(HIGH, LOW, show=(0, 2))), "ascending"),
    "a leaf of another form": (
        lambda: crafted(absent(f"{'0' * 64} x", show=(0, 1))),
        "two hashes",
    ),
    "a record from before its segment": (
        lambda: crafted(absent(LOW, show=(0, 1)), with_records(record(1_000_000), index=1)),
        "another time",
    ),
    "a record from after its segment": (
        lambda: crafted(with_records(record(1_000_001))),
        "another time",
    ),
    "a record of another tenant": (lambda: crafted(with_records(record(1, "b"))), "this tenant"),
    "a record without a tenant": (
        lambda: crafted(with_records(record(1).replace(b'"tenant":"acme",', b""))),
        "this tenant",
    ),
    "a record without a time": (
        lambda: crafted(with_records(b'{"tenant":"acme"}')),
        "does not say when",
    ),
    "a record with another form of time": (
        lambda: crafted(with_records(record(1).replace(b"Z", b"z"))),
        "does not say when",
    ),
    "a record that is no object": (lambda: crafted(with_records(b'["acme"]')), "this tenant"),
    "a record that is no JSON": (lambda: crafted(with_records(b"{")), "not JSON"),
    "a record too deep": (lambda: crafted(with_records(b"[" * 100_000)), "not JSON"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_follows_the_rules_is_proven(name: str) -> None:
    found = outcome(GOOD[name]())

    assert isinstance(found, Proven), found
    assert (found.events, found.absent) == ((2, 0) if name == "records" else (0, 1))


@pytest.mark.parametrize("name", BAD)
def test_each_rule_refuses_by_itself_what_breaks_it(name: str) -> None:
    make, why = BAD[name]

    found = outcome(make())

    assert isinstance(found, MismatchError | MalformedError), found
    assert why in str(found)


def born(base: LedgerEnd, started_us: int = UNTIL, epoch: int = 2) -> Birth:
    own, stores = samples.certificate_of(samples.NODE_KEY), samples.STORES
    keys = (samples.TRAIL_KEY.public, samples.NODE_KEY.public)
    return Birth(*keys, own, epoch, "1" * 32, started_us, 2, stores, base)


def decided(end: LedgerEnd, epoch: int = 1) -> Closed:
    own = samples.certificate_of(samples.NODE_KEY)
    return Closed(epoch, end, NODE, "x", UNTIL, own)


def another(end: LedgerEnd) -> LedgerEnd:
    """A ledger of that size with other names."""
    tree = merkle.EMPTY_RANGE
    for _ in range(end.size):
        tree = tree.append(bytes(32))
    return replace(end, range=tree)


WORDS: dict[str, tuple[Word, bool]] = {
    "a promise": (promise, True),
    "a birth": (born, True),
    "a decided close": (decided, True),
    "a birth before the time was over": (lambda end: born(end, UNTIL - 2), False),
    "a birth behind less": (lambda end: born(EMPTY_END), False),
    "a birth behind another ledger": (lambda end: born(another(end)), False),
    "a close of less": (lambda end: decided(EMPTY_END), False),
    "a close of another ledger": (lambda end: decided(another(end)), False),
    "a close of an epoch before": (lambda end: decided(end, 0), False),
    "a promise before the time was over": (
        lambda end: replace(promise(end), promise_us=UNTIL - 2),
        False,
    ),
    "a promise of less": (lambda end: replace(promise(end), promise_size=1), False),
    "a promise of no epoch": (lambda end: replace(promise(end), epoch=0), False),
}


@pytest.mark.parametrize("name", WORDS)
def test_only_what_speaks_of_this_end_of_this_time_bounds_a_node(name: str) -> None:
    word, holds = WORDS[name]

    found = outcome(crafted(*[absent(LOW, show=(0, 1))] * 2, word=word))

    assert isinstance(found, Proven if holds else MismatchError), found


def test_a_record_with_a_number_that_no_program_holds_is_one_like_others() -> None:
    long = record(1).replace(b'"id":"x"', b'"id":"x","payload":' + b"9" * 10_000)

    assert isinstance(outcome(crafted(with_records(long))), Proven)


def test_a_record_at_the_very_edge_of_its_segment_belongs_to_it() -> None:
    held = with_records(record(1_000_001), record(2_000_000), index=1)

    found = outcome(crafted(absent(LOW, show=(0, 1)), held))

    assert isinstance(found, Proven) and found.events == 2
