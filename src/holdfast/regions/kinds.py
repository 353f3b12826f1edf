"""Statements that nothing which proves something rests on: who keeps a trail reads them. Pure.

Made as those in `proof.statements`: one dataclass a kind, which is its field table.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from holdfast.proof import fields, merkle, names, statements
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.fields import Line, Word, words
from holdfast.proof.floors import ObjectHash, Unit
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Certified, OfTrail, Signed, Statement, Stores
from holdfast.regions import layout, units

TRAILER_BYTES_MAX = 16 * 1024 * 1024


def _parse_unhashed(text: str) -> str:
    return SegmentName.parse(f"{text}-{bytes(merkle.HASH_BYTES).hex()}").unhashed


_COUNT = words(statements.pair, Word(str, names.check_hash), fields.NUMBER)
_OBJECT = words(
    statements.pair,
    *(Word(str, units.check_class), Word(str, names.check_hash), fields.NUMBER, fields.NUMBER),
)
_LEDGER = words(statements.pair, fields.ID, *[fields.NUMBER] * 4)
_LOST = words(statements.pair, fields.ID, fields.NUMBER, fields.NUMBER)
IdOrNone = Annotated[str, Line(fields.ID, "?", nothing="")]
Name = Annotated[str, Line(Word(str, lambda text: SegmentName.parse(text).text))]
Unhashed = Annotated[str, Line(Word(str, _parse_unhashed))]
Parts = Annotated[tuple[tuple[str, str, int, int], ...], Line(_OBJECT, "*", "part")]
Ledgers = Annotated[tuple[tuple[str, int, int, int, int], ...], Line(_LEDGER, "*", "ledger")]
Lost = Annotated[tuple[tuple[str, int, int], ...], Line(_LOST, "*", "gap")]
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
class Archive(Certified):
    """A unit of a store's archive is whole. Signed by whoever read it back from that store.

    generation: from 1 on; the largest in a store counts. region, store: where. evidence: SHA-256 of
    the object that has names, trailers and leaves. parts: (class, SHA-256, bytes, rows), by the
    first two. ledgers: (node, from, to, first, next): the segments [from, to) are in it, which hold
    the node's events [first, next). gaps: (node, from, to): of these, what is declared lost.
    """

    KIND = "holdfast-archive/1"
    unit: Unit
    generation: fields.Number
    region: fields.Region
    store: fields.Id
    by: fields.Id
    archived_us: fields.Number
    certificate: fields.NoteBytes
    evidence: ObjectHash
    parts: Parts
    ledgers: Ledgers
    gaps: Lost

    def objects(self) -> dict[str, int]:
        """The keys of what it names, with their sizes in bytes; 0: it does not say."""
        evidence = layout.archived_key(units.day_of(self.unit), "", self.evidence)
        return {key: size for key, size, _ in self.rows()} | {evidence: 0}

    def rows(self) -> list[tuple[str, int, int]]:
        """The key, bytes and rows of each part."""
        day = units.day_of(self.unit)
        return [
            (layout.archived_key(day, of, sha256), size, rows)
            for of, sha256, size, rows in self.parts
        ]

    def check(self) -> None:
        statements.check_ascending([node for node, *_ in self.ledgers])
        statements.check_ascending([f"{of} {sha256}" for of, sha256, *_ in self.parts])
        if not self.generation or not self.parts or not self.ledgers:
            raise MalformedError("an archive has a generation, a part and a ledger")
        if len({sha256 for _, sha256, *_ in self.parts}) != len(self.parts):
            raise MalformedError("an archive names a part twice")
        if any(not rows or not size for *_, size, rows in self.parts):
            raise MalformedError("a part of an archive holds nothing")
        spans = {node: (start, end) for node, start, end, *_ in self.ledgers}
        for _, start, end, first, after in self.ledgers:
            if not start < end or after - first < end - start or first < start:
                raise MalformedError("each segment has a record")
        for node, start, end in self.gaps:
            low, high = spans.get(node, (0, 0))
            if not low <= start < end < high:
                raise MalformedError("a gap of an archive lies beside its ledgers")
        for (node, _, end), (later, start, _) in pairwise(self.gaps):
            if (node, end) >= (later, start):
                raise MalformedError("the gaps of an archive are not in order")
        rows = sum(rows for *_, rows in self.parts)
        events = sum(after - first for *_, first, after in self.ledgers)
        if rows > events or (rows < events and not self.gaps):
            raise MalformedError("an archive has another number of rows than of events")


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


def verify_archive(data: bytes, trail: str) -> Signed[Archive]:
    """Verify the manifest of a unit: the trail certified who signed it, of the same trail."""
    signed = statements.verify_certified(data, Archive, trail)
    if signed.origin != names.trail_origin(trail):
        raise MismatchError(f"{signed.origin} is not the trail {trail}")
    return signed


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
