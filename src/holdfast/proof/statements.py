"""What nodes and trails sign: one dataclass a kind, which is its field table.

The text of each is: the kind, the origin that it speaks of, then the fields in order (`fields`).
`read` only parses; what a `verify...` returns is proven to be signed by whom FORMAT.md says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Generic, NamedTuple, TypeVar, cast, get_type_hints

from holdfast.proof import fields, names, note
from holdfast.proof.errors import MalformedError, MismatchError, SignatureError
from holdfast.proof.fields import Line, words
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.note import Note, SigningKey, VerifierKey

TRAILER_BYTES_MAX = 16 * 1024 * 1024


class RegionState(NamedTuple):
    """How a region stands, as a node sees it. state: "ok", or a word for what is wrong."""

    region: str
    state: str
    lag_segments: int
    lag_bytes: int


def _pair(*values: object) -> tuple[object, ...]:
    return values


_STATE = words(RegionState, fields.REGION, fields.STATE, fields.NUMBER, fields.NUMBER)
_STORE = words(_pair, fields.REGION, fields.ID)
_COUNT = words(_pair, fields.TAG, fields.NUMBER)
States = Annotated[tuple[RegionState, ...], Line(_STATE, "*", "region")]
Stores = Annotated[tuple[tuple[str, str], ...], Line(_STORE, "*", "region")]
Tenants = Annotated[tuple[tuple[str, int], ...], Line(_COUNT, "*", "tenant")]
Gone = Annotated[tuple[str, ...], Line(fields.REGION, "*", "gone")]


class Statement:
    """Base of all kinds.

    KIND: first line of the text. BY_ORIGIN: must be signed by the key that has the origin as its
    name; else another may speak of that origin. BYTES_MAX: of the whole note.
    """

    KIND: ClassVar[str]
    BY_ORIGIN: ClassVar[bool] = True
    BYTES_MAX: ClassVar[int] = note.NOTE_BYTES_MAX

    def check(self) -> None:
        """Raise MalformedError for values that contradict each other."""


@dataclass(frozen=True)
class Cookie(Statement):
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
    replaces: fields.IdOrNone


@dataclass(frozen=True)
class Certificate(Statement):
    """The trail admits a node. Signed by the trail, whose key is in it: it proves itself."""

    KIND = "holdfast-certificate/1"
    trail_key: fields.Hash
    node: fields.Id
    node_key: fields.Hash
    certified_us: fields.Number

    def check(self) -> None:
        if names.node_id(self.node_key) != self.node:
            raise MalformedError("the certificate's node is not that of its key")


@dataclass(frozen=True)
class Birth(Statement):
    """An epoch of a node begins. Signed by the node.

    instance: random, of the process. quorum: W. regions: all N, (region id, store), by id.
    base: where the epoch before was decided to end.
    """

    KIND = "holdfast-birth/1"
    trail_key: fields.Hash
    node_key: fields.Hash
    certificate: fields.NoteBytes
    epoch: fields.Number
    instance: fields.Id
    started_us: fields.Number
    quorum: fields.Number
    regions: Stores
    base: fields.End

    def check(self) -> None:
        _check_stores(self.regions)
        if not len(self.regions) // 2 < self.quorum <= len(self.regions):
            raise MalformedError("the quorum is not a majority of the regions")
        if not 1 <= self.epoch < 2**24 or (self.epoch == 1 and self.base != EMPTY_END):
            raise MalformedError("the epoch does not fit its base")


@dataclass(frozen=True)
class Fence(Statement):
    """Nothing that lands in this store after it counts for the epoch. Signed by the closer.

    by: the closer. certificate: the closer's.
    """

    KIND = "holdfast-fence/1"
    BY_ORIGIN = False
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
class Closed(Statement):
    """Where an epoch ended, decided. Signed by the closer, whose certificate is in it."""

    KIND = "holdfast-closed/1"
    BY_ORIGIN = False
    epoch: fields.Number
    end: fields.End
    by: fields.Id
    why: fields.Text
    closed_us: fields.Number
    certificate: fields.NoteBytes


@dataclass(frozen=True)
class Whole(Statement):
    """A store that came later was found to hold what others hold. Signed by whoever compared them.

    store: which. by: who. regions: what it was compared with, (region id, store), by id.
    """

    KIND = "holdfast-whole/1"
    BY_ORIGIN = False
    store: fields.Id
    by: fields.Id
    found_us: fields.Number
    certificate: fields.NoteBytes
    regions: Stores

    def check(self) -> None:
        _check_stores(self.regions)
        if self.store in {store for _, store in self.regions}:
            raise MalformedError("a store was compared with itself")


@dataclass(frozen=True)
class Heartbeat(Statement):
    """A node's word on where it stands. Signed by the node.

    n: grows within an epoch. promise_us, promise_size: all segments below that size are
    acknowledged, and every event in a later one has a later `received`. checkpoint: the newest, a
    signed note, or b"". regions: as the node sees them, by id.
    """

    KIND = "holdfast-heartbeat/1"
    epoch: fields.Number
    n: fields.Number
    time_us: fields.Number
    promise_us: fields.Number
    promise_size: fields.Number
    checkpoint: fields.NoteOrNone
    regions: States

    def check(self) -> None:
        _check_ascending([state.region for state in self.regions])


@dataclass(frozen=True)
class Receipt(Statement):
    """The node counted a segment in those stores, a quorum. Signed by the node.

    segment: its name. regions: (region id, store), by id.
    """

    KIND = "holdfast-receipt/1"
    segment: fields.Name
    regions: Stores

    def check(self) -> None:
        _check_stores(self.regions)


@dataclass(frozen=True)
class Trailer(Statement):
    """What a segment says of itself, at the end of its bytes. Signed by the node.

    segment: its name less the hash. frame: SHA-256 of the bytes before the trailer. root_before: of
    the ledger before it. tenants: (tag, count of records), by tag, as the records lie.
    """

    KIND = "holdfast-trailer/1"
    BYTES_MAX = TRAILER_BYTES_MAX
    segment: fields.Unhashed
    frame: fields.Hash
    root_before: fields.Hash
    tenants: Tenants

    def check(self) -> None:
        _check_ascending([tag for tag, _ in self.tenants])
        if not self.tenants or any(count < 1 for _, count in self.tenants):
            raise MalformedError("a tenant of a segment has no records")


@dataclass(frozen=True)
class Gap(Statement):
    """Segments of a ledger are lost: no region has a good copy. Signed by the trail.

    start, end: indexes [start, end). first: events in the ledger before them; next: events before
    segment `end`; None: not known. after_us, until_us: every lost event was received after the one
    and at or before the other. regions: (region id, store), listed whole and without a good copy,
    by id. gone: regions that are gone for good, by id. by, cause: for people.
    """

    KIND = "holdfast-gap/1"
    BY_ORIGIN = False
    trail_key: fields.Hash
    start: Annotated[int, Line(fields.NUMBER, key="from")]
    end: Annotated[int, Line(fields.NUMBER, key="to")]
    first: fields.NumberOrNone
    next: fields.NumberOrNone
    after_us: fields.Number
    until_us: fields.NumberOrNone
    regions: Stores
    gone: Gone
    by: fields.Text
    cause: fields.Text
    declared_us: fields.Number

    def check(self) -> None:
        _check_stores(self.regions)
        _check_ascending(self.gone)
        if set(self.gone) & {region for region, _ in self.regions}:
            raise MalformedError("a region was looked at and is gone")
        if not self.start < self.end < 16**names.INDEX_DIGITS:
            raise MalformedError("a gap holds no segment")
        least = self.start if self.first is None else self.first
        if least < self.start or (
            self.next is not None and self.next < least + self.end - self.start
        ):
            raise MalformedError("each segment has a record")
        if self.until_us is not None and self.until_us <= self.after_us:
            raise MalformedError("a gap has no time")


S = TypeVar("S", bound=Statement)


@dataclass(frozen=True, slots=True)
class Signed(Generic[S]):
    """A statement as found. text: what is signed, and what votes are compared by."""

    origin: str
    statement: S
    text: str
    note: Note


KINDS: tuple[type[Statement], ...] = tuple(Statement.__subclasses__())
_HINTS = {kind: get_type_hints(kind, include_extras=True) for kind in KINDS}
_TABLES: dict[type[Statement], list[tuple[str, str, Line]]] = {
    kind: [
        (name, hint.__metadata__[0].key or name, hint.__metadata__[0])
        for name, hint in hints.items()
        if name.islower()
    ]
    for kind, hints in _HINTS.items()
}


def text(statement: Statement, origin: str) -> str:
    """The text of a statement. Raises MalformedError for values that have no form in it."""
    statement.check()
    lines = [statement.KIND, names.check_origin(origin)]
    for attribute, key, line in _TABLES[type(statement)]:
        value = getattr(statement, attribute)
        values = value if line.times == "*" else [value] if value != line.nothing else []
        lines += (f"{key} {line.word.write(each)}" for each in values)
    return "\n".join(lines) + "\n"


def parse_text(text: str, kind: type[S]) -> S:
    """The statement of a text. Raises ProofError."""
    return _parse(text, kind)[1]


def _parse(text: str, kind: type[S]) -> tuple[str, S]:
    first, *lines = text.split("\n")  # the last one, empty, ends the loop below
    if first != kind.KIND:
        raise MalformedError(f"the statement is of kind {first[:80]!r}, not {kind.KIND}")
    if len(lines) < 2 or lines[-1]:
        raise MalformedError("the statement is cut off")
    origin, at, values = names.check_origin(lines[0]), 1, {}
    for attribute, key, line in _TABLES[kind]:
        found = []
        while lines[at].startswith(f"{key} "):
            found.append(line.word.read(lines[at][len(key) + 1 :]))
            at += 1
        if (line.times == "1" and not found) or (line.times != "*" and len(found) > 1):
            raise MalformedError(f"a line `{key} ...` is missing, misplaced or repeated")
        values[attribute] = tuple(found) if line.times == "*" else (*found, line.nothing)[0]
    if at != len(lines) - 1:
        raise MalformedError(f"{lines[at][:80]!r} is not expected here")
    statement = cast(Callable[..., S], kind)(**values)
    statement.check()
    return origin, statement


def write(statement: Statement, origin: str, key: SigningKey) -> bytes:
    """Sign a statement of that origin with the key of whom FORMAT.md says; the note.

    Raises MalformedError: a value has no form in the text, or the note would be too large.
    """
    return note.sign(text(statement, origin), key, bytes_max=statement.BYTES_MAX)


def read(data: bytes, kind: type[S]) -> Signed[S]:
    """Parse a statement, whoever signed it. Raises ProofError."""
    return _signed(note.parse(data, kind.BYTES_MAX), kind)


def _signed(signed: Note, kind: type[S]) -> Signed[S]:
    origin, statement = _parse(signed.text, kind)
    return Signed(origin, statement, signed.text, signed)


def verify(data: bytes, kind: type[S], *keys: VerifierKey) -> Signed[S]:
    """Parse a statement that one of the keys signed.

    Raises:
        MalformedError, MismatchError: not such a statement.
        SignatureError: not signed by one of the keys; or, where the kind must be signed by the key
            of its origin, by another one.
    """
    signed = _signed(note.verify(data, keys, kind.BYTES_MAX), kind)
    if kind.BY_ORIGIN and all(each.name != signed.origin for each in signed.note.signatures):
        raise SignatureError(f"a statement of {signed.origin} is signed by another")
    return signed


OfTrail = TypeVar("OfTrail", Cookie, Certificate, Gap)
OfCloser = TypeVar("OfCloser", Fence, Closed)
Certified = TypeVar("Certified", Fence, Closed, Whole)

# What follows takes no more on trust than the trail's id. All of it raises ProofError.


def _verify_by_trail(data: bytes, kind: type[OfTrail], trail: str) -> Signed[OfTrail]:
    trail_key = read(data, kind).statement.trail_key
    if names.trail_id(trail_key) != trail:
        raise MismatchError(f"the key in it is not that of the trail {trail}")
    return verify(data, kind, VerifierKey(names.trail_origin(trail), trail_key))


def verify_cookie(data: bytes, trail: str) -> Signed[Cookie]:
    """Verify a store's cookie."""
    return _verify_by_trail(data, Cookie, trail)


def verify_gap(data: bytes, trail: str) -> Signed[Gap]:
    """Verify a gap: the trail signed, and it speaks of a ledger of the same trail."""
    signed = _verify_by_trail(data, Gap, trail)
    _check_ledger(signed.origin, trail)
    return signed


def verify_certificate(
    data: bytes, trail: str, node_key: bytes | None = None
) -> Signed[Certificate]:
    """Verify a certificate. node_key: the public key that it must certify, where one is known."""
    signed = _verify_by_trail(data, Certificate, trail)
    if node_key is not None and signed.statement.node_key != node_key:
        raise MismatchError("the certificate is of another node's key")
    return signed


def _node_key(trail: str, certificate: Certificate) -> VerifierKey:
    return VerifierKey(names.ledger_origin(trail, certificate.node), certificate.node_key)


def verify_birth(data: bytes, trail: str) -> Signed[Birth]:
    """Verify a birth: the trail certified the node, the node signed, of its own ledger."""
    birth = read(data, Birth).statement
    certificate = verify_certificate(birth.certificate, trail, birth.node_key).statement
    if certificate.trail_key != birth.trail_key:
        raise MismatchError("the birth names another trail's key than its certificate")
    return verify(data, Birth, _node_key(trail, certificate))


def verify_by_certificate(data: bytes, kind: type[OfCloser], trail: str) -> Signed[OfCloser]:
    """Verify a fence or a decided close: the trail certified the closer that it names, that one
    signed, and it speaks of a ledger of the same trail."""
    signed = _verify_certified(data, kind, trail)
    _check_ledger(signed.origin, trail)
    return signed


def _check_ledger(origin: str, trail: str) -> None:
    if names.parse_ledger_origin(origin)[0] != trail:
        raise MismatchError(f"{origin} is not of the trail {trail}")


def verify_whole(data: bytes, trail: str) -> Signed[Whole]:
    """Verify that a store was found whole: the trail certified who says so, that one signed, and it
    speaks of the same trail."""
    signed = _verify_certified(data, Whole, trail)
    if signed.origin != names.trail_origin(trail):
        raise MismatchError(f"{signed.origin} is not the trail {trail}")
    return signed


def _verify_certified(data: bytes, kind: type[Certified], trail: str) -> Signed[Certified]:
    claimed = read(data, kind).statement
    certificate = verify_certificate(claimed.certificate, trail).statement
    if certificate.node != claimed.by:
        raise MismatchError("the certificate is not that of the closer or surveyor that it names")
    return verify(data, kind, _node_key(trail, certificate))


def _check_ascending(keys: Sequence[str]) -> None:
    if any(left >= right for left, right in pairwise(keys)):
        raise MalformedError("regions or tags are not in ascending order, each once")


def _check_stores(regions: Sequence[tuple[str, str]]) -> None:
    _check_ascending([region for region, _ in regions])
    if not regions or len({store for _, store in regions}) != len(regions):
        raise MalformedError("a statement names no store, or one twice")
