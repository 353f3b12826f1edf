"""What nodes and trails sign: one dataclass a kind, which is its field table.

The text of each is: the kind, the origin that it speaks of, then the fields in order (`fields`).
`read` only parses; what a `verify...` returns is proven to be signed by whom FORMAT.md says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, ClassVar, Generic, NamedTuple, TypeVar, cast, get_type_hints

from holdfast.proof import fields, names, note
from holdfast.proof.errors import MalformedError, MismatchError, SignatureError
from holdfast.proof.fields import Line, words
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.note import Note, VerifierKey


class RegionState(NamedTuple):
    """How a region stands, as a node sees it. state: "ok", or a word for what is wrong."""

    region: str
    state: str
    lag_segments: int
    lag_bytes: int


def pair(*values: object) -> tuple[object, ...]:
    return values


_STATE = words(RegionState, fields.REGION, fields.STATE, fields.NUMBER, fields.NUMBER)
_STORE = words(pair, fields.REGION, fields.ID)
States = Annotated[tuple[RegionState, ...], Line(_STATE, "*", "region")]
Stores = Annotated[tuple[tuple[str, str], ...], Line(_STORE, "*", "region")]
Gone = Annotated[tuple[str, ...], Line(fields.REGION, "*", "gone")]


class Statement:
    """Base of all kinds.

    KIND: first line of the text. BY_ORIGIN: must be signed by the key that has the origin as its
    name; else another may speak of that origin. BYTES_MAX: of the whole note. TABLE: how a kind's
    fields stand in its text, in order: attribute, key, line.
    """

    KIND: ClassVar[str]
    BY_ORIGIN: ClassVar[bool] = True
    BYTES_MAX: ClassVar[int] = note.NOTE_BYTES_MAX
    TABLE: ClassVar[tuple[tuple[str, str, Line], ...]]

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        lines = {name: hints[name].__metadata__[0] for name in cls.__annotations__}
        own = tuple((name, line.key or name, line) for name, line in lines.items())
        base = cls.__mro__[1]  # of a later version of a kind: its lines go on behind those
        cls.TABLE = (*getattr(base, "TABLE", ()), *own) if hasattr(base, "KIND") else own

    def check(self) -> None:
        """Raise MalformedError for values that contradict each other."""


class OfTrail(Statement):
    """A kind that the trail signs, whose key is in it."""

    trail_key: fields.Hash


class Certified(Statement):
    """A kind that tells who signed it, by that one's certificate."""

    BY_ORIGIN = False
    by: fields.Id
    certificate: fields.NoteBytes


@dataclass(frozen=True)
class Certificate(OfTrail):
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
        check_stores(self.regions)
        if not len(self.regions) // 2 < self.quorum <= len(self.regions):
            raise MalformedError("the quorum is not a majority of the regions")
        if not 1 <= self.epoch < 2**24 or (self.epoch == 1 and self.base != EMPTY_END):
            raise MalformedError("the epoch does not fit its base")


@dataclass(frozen=True)
class Closed(Certified):
    """Where an epoch ended, decided. Signed by the closer, whose certificate is in it."""

    KIND = "holdfast-closed/1"
    epoch: fields.Number
    end: fields.End
    by: fields.Id
    why: fields.Text
    closed_us: fields.Number
    certificate: fields.NoteBytes


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
        check_ascending([state.region for state in self.regions])


@dataclass(frozen=True)
class Gap(OfTrail):
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
        check_stores(self.regions)
        check_ascending(self.gone)
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
    for attribute, key, line in kind.TABLE:
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


T = TypeVar("T", bound=OfTrail)
C = TypeVar("C", bound=Certified)

# What follows takes no more on trust than the trail's id. All of it raises ProofError.


def verify_by_trail(data: bytes, kind: type[T], trail: str) -> Signed[T]:
    trail_key = read(data, kind).statement.trail_key
    if names.trail_id(trail_key) != trail:
        raise MismatchError(f"the key in it is not that of the trail {trail}")
    return verify(data, kind, VerifierKey(names.trail_origin(trail), trail_key))


def verify_gap(data: bytes, trail: str) -> Signed[Gap]:
    """Verify a gap: the trail signed, and it speaks of a ledger of the same trail."""
    signed = verify_by_trail(data, Gap, trail)
    _check_ledger(signed.origin, trail)
    return signed


def verify_certificate(
    data: bytes, trail: str, node_key: bytes | None = None
) -> Signed[Certificate]:
    """Verify a certificate. node_key: the public key that it must certify, where one is known."""
    signed = _certificate(data, trail)
    if node_key is not None and signed.statement.node_key != node_key:
        raise MismatchError("the certificate is of another node's key")
    return signed


@lru_cache(maxsize=256)
def _certificate(data: bytes, trail: str) -> Signed[Certificate]:
    """A node's is in most of what it signs, time and again."""
    return verify_by_trail(data, Certificate, trail)


def _node_key(trail: str, certificate: Certificate) -> VerifierKey:
    return VerifierKey(names.ledger_origin(trail, certificate.node), certificate.node_key)


def verify_birth(data: bytes, trail: str) -> Signed[Birth]:
    """Verify a birth: the trail certified the node, the node signed, of its own ledger."""
    birth = read(data, Birth).statement
    certificate = verify_certificate(birth.certificate, trail, birth.node_key).statement
    if certificate.trail_key != birth.trail_key:
        raise MismatchError("the birth names another trail's key than its certificate")
    return verify(data, Birth, _node_key(trail, certificate))


def verify_by_certificate(data: bytes, kind: type[C], trail: str) -> Signed[C]:
    """Verify a fence or a decided close: the trail certified the closer that it names, that one
    signed, and it speaks of a ledger of the same trail."""
    signed = verify_certified(data, kind, trail)
    _check_ledger(signed.origin, trail)
    return signed


def _check_ledger(origin: str, trail: str) -> None:
    if names.parse_ledger_origin(origin)[0] != trail:
        raise MismatchError(f"{origin} is not of the trail {trail}")


def verify_certified(data: bytes, kind: type[C], trail: str) -> Signed[C]:
    claimed = read(data, kind).statement
    certificate = verify_certificate(claimed.certificate, trail).statement
    if certificate.node != claimed.by:
        raise MismatchError("the certificate is not that of the closer or surveyor that it names")
    return verify(data, kind, _node_key(trail, certificate))


def check_ascending(keys: Sequence[str]) -> None:
    if any(left >= right for left, right in pairwise(keys)):
        raise MalformedError("regions or tags are not in ascending order, each once")


def check_stores(regions: Sequence[tuple[str, str]]) -> None:
    check_ascending([region for region, _ in regions])
    if not regions or len({store for _, store in regions}) != len(regions):
        raise MalformedError("a statement names no store, or one twice")
