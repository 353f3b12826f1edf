"""Statements that nothing which proves something rests on: who keeps a trail reads them. Pure.

Made as those in `proof.statements`: one dataclass a kind, which is its field table.
"""

from dataclasses import dataclass
from typing import Annotated

from holdfast.proof import fields, merkle, names, statements
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.fields import Line, Word, words
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Certified, OfTrail, Signed, Statement, Stores

TRAILER_BYTES_MAX = 16 * 1024 * 1024


def _parse_unhashed(text: str) -> str:
    return SegmentName.parse(f"{text}-{bytes(merkle.HASH_BYTES).hex()}").unhashed


_COUNT = words(statements.pair, Word(str, names.check_hash), fields.NUMBER)
IdOrNone = Annotated[str, Line(fields.ID, "?", nothing="")]
Name = Annotated[str, Line(Word(str, lambda text: SegmentName.parse(text).text))]
Unhashed = Annotated[str, Line(Word(str, _parse_unhashed))]
Tenants = Annotated[tuple[tuple[str, int], ...], Line(_COUNT, "*", "tenant")]


@dataclass(frozen=True)
class Cookie(OfTrail):
    """What a store is: one region of one trail. Signed by the trail.

    store: a random id, new for each store. tag_key: secret of the trail, 32 bytes. replaces: "" for
    the stores that the trail was founded with; else the id of the store whose place it took, or, of
    a region that was added, its own.
    """

    KIND = "holdfast-region/1"
    trail_key: fields.Hash
    trail_name: fields.Text
    region: fields.Region
    store: fields.Id
    tag_key: fields.Hash
    replaces: IdOrNone


@dataclass(frozen=True)
class Fence(Certified):
    """Nothing that lands in this store after it counts for the epoch. Signed by the closer.

    by: the closer. certificate: the closer's.
    """

    KIND = "holdfast-fence/1"
    epoch: fields.Number
    by: fields.Id
    fenced_us: fields.Number
    certificate: fields.NoteBytes


@dataclass(frozen=True)
class Vote(Statement):
    """A store's vote on where an epoch ends. Signed by the closer; equal votes have equal texts."""

    KIND = "holdfast-close/1"
    BY_ORIGIN = False
    epoch: fields.Number
    end: fields.End


@dataclass(frozen=True)
class Whole(Certified):
    """A store that came later was found to hold what others hold. Signed by whoever compared them.

    store: which. by: who. regions: what it was compared with, (region id, store), by id.
    """

    KIND = "holdfast-whole/1"
    store: fields.Id
    by: fields.Id
    found_us: fields.Number
    certificate: fields.NoteBytes
    regions: Stores

    def check(self) -> None:
        statements.check_stores(self.regions)
        if self.store in {store for _, store in self.regions}:
            raise MalformedError("a store was compared with itself")


@dataclass(frozen=True)
class Retired(OfTrail):
    """A node's ledger ends here and no later epoch of it counts. Signed by the trail.

    epoch: the last. end: of the ledger, as far as it is legitimate. by, why: for people.
    """

    KIND = "holdfast-retired/1"
    BY_ORIGIN = False
    trail_key: fields.Hash
    epoch: fields.Number
    end: fields.End
    by: fields.Text
    why: fields.Text
    retired_us: fields.Number


@dataclass(frozen=True)
class Receipt(Statement):
    """The node counted a segment in those stores, a quorum. Signed by the node.

    segment: its name. regions: (region id, store), by id.
    """

    KIND = "holdfast-receipt/1"
    segment: Name
    regions: Stores

    def check(self) -> None:
        statements.check_stores(self.regions)


@dataclass(frozen=True)
class Trailer(Statement):
    """What a segment says of itself, at the end of its bytes. Signed by the node.

    segment: its name less the hash. frame: SHA-256 of the bytes before the trailer. root_before: of
    the ledger before it. tenants: (tag, count of records), by tag, as the records lie.
    """

    KIND = "holdfast-trailer/1"
    BYTES_MAX = TRAILER_BYTES_MAX
    segment: Unhashed
    frame: fields.Hash
    root_before: fields.Hash
    tenants: Tenants

    def check(self) -> None:
        statements.check_ascending([tag for tag, _ in self.tenants])
        if not self.tenants or any(count < 1 for _, count in self.tenants):
            raise MalformedError("a tenant of a segment has no records")


def verify_cookie(data: bytes, trail: str) -> Signed[Cookie]:
    """Verify a store's cookie."""
    return statements.verify_by_trail(data, Cookie, trail)


def verify_retired(data: bytes, trail: str) -> Signed[Retired]:
    """Verify a node's retirement: the trail signed, and it speaks of a ledger of that trail."""
    signed = statements.verify_by_trail(data, Retired, trail)
    if names.parse_ledger_origin(signed.origin)[0] != trail:
        raise MismatchError(f"{signed.origin} is not of the trail {trail}")
    return signed


def verify_whole(data: bytes, trail: str) -> Signed[Whole]:
    """Verify that a store was found whole: the trail certified who says so, that one signed, and it
    speaks of the same trail."""
    signed = statements.verify_certified(data, Whole, trail)
    if signed.origin != names.trail_origin(trail):
        raise MismatchError(f"{signed.origin} is not the trail {trail}")
    return signed
