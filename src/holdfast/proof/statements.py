"""What nodes and trails sign, beside segments: one dataclass a kind, which is its field table.

The text of each is: the kind, the origin that it speaks of, then the fields in order (`fields`).
`read` only parses; what a `verify_...` returns is proven to be signed by whom FORMAT.md says.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar, Generic, TypeVar, cast, dataclass_transform

from holdfast.proof import names, note
from holdfast.proof.errors import MalformedError, MismatchError, SignatureError
from holdfast.proof.fields import (
    BYTES,
    HASH,
    ID,
    NAME,
    NUMBER,
    REGION,
    STATE,
    STRING,
    TAG,
    UNHASHED,
    Codec,
    Lines,
    Word,
    ledger_end,
    line,
    optional,
    pair,
    repeated,
    single,
    split_words,
)
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.note import Note, SigningKey, VerifierKey

TRAILER_BYTES_MAX = 16 * 1024 * 1024


class Statement:
    """Base of all kinds.

    KIND: first line of the text. BY_ORIGIN: whether it must be signed by the key that has the
    origin as its name; else another key may speak of that origin. BYTES_MAX: of the whole note.
    """

    __slots__ = ()
    KIND: ClassVar[str]
    BY_ORIGIN: ClassVar[bool] = True
    BYTES_MAX: ClassVar[int] = note.NOTE_BYTES_MAX

    def check(self) -> None:
        """Raise MalformedError for values that contradict each other."""


S = TypeVar("S", bound=Statement)


@dataclass_transform(frozen_default=True, field_specifiers=(line,))
def _statement(cls: type[S]) -> type[S]:
    return dataclass(frozen=True, slots=True)(cls)


@dataclass(frozen=True, slots=True)
class RegionState:
    """How a region stands, as a node sees it. state: "ok", or a word for what is wrong."""

    region: str
    state: str
    lag_segments: int
    lag_bytes: int


def _write_state(value: RegionState) -> str:
    words = (REGION.write(value.region), STATE.write(value.state))
    return " ".join((*words, NUMBER.write(value.lag_segments), NUMBER.write(value.lag_bytes)))


def _read_state(text: str) -> RegionState:
    region, state, lag_segments, lag_bytes = split_words(text, 4)
    return RegionState(
        REGION.read(region),
        STATE.read(state),
        NUMBER.read(lag_segments),
        NUMBER.read(lag_bytes),
    )


_STORES = repeated(pair(REGION, ID))


@_statement
class Cookie(Statement):
    """What a store is: one region of one trail. Signed by the trail.

    store: a random id, new for each store. tag_key: secret of the trail, 32 bytes. replaces: the id
    of the store whose place it took, or "".
    """

    KIND: ClassVar[str] = "holdfast-region/1"

    trail_key: bytes = line(single(HASH))
    trail_name: str = line(single(STRING))
    region: str = line(single(REGION))
    store: str = line(single(ID))
    tag_key: bytes = line(single(HASH))
    replaces: str = line(optional(ID, ""))


@_statement
class Certificate(Statement):
    """The trail admits a node. Signed by the trail, whose key is in it: it proves itself."""

    KIND: ClassVar[str] = "holdfast-certificate/1"

    trail_key: bytes = line(single(HASH))
    node: str = line(single(ID))
    node_key: bytes = line(single(HASH))
    certified_us: int = line(single(NUMBER))

    def check(self) -> None:
        """The node's id must be that of its key."""
        if names.node_id(self.node_key) != self.node:
            raise MalformedError("the certificate's node is not that of its key")


@_statement
class Birth(Statement):
    """An epoch of a node begins. Signed by the node.

    instance: random, of the process. quorum: W. regions: all N, (region id, store), by id.
    base: where the epoch before was decided to end.
    """

    KIND: ClassVar[str] = "holdfast-birth/1"

    trail_key: bytes = line(single(HASH))
    node_key: bytes = line(single(HASH))
    certificate: bytes = line(single(BYTES))
    epoch: int = line(single(NUMBER))
    instance: str = line(single(ID))
    started_us: int = line(single(NUMBER))
    quorum: int = line(single(NUMBER))
    regions: tuple[tuple[str, str], ...] = line(_STORES, "region")
    base: LedgerEnd = line(ledger_end("base_"))

    def check(self) -> None:
        """W must be a majority of N distinct stores; the first epoch begins an empty ledger."""
        _check_stores(self.regions)
        if not len(self.regions) // 2 < self.quorum <= len(self.regions):
            raise MalformedError("the quorum is not a majority of the regions")
        if not 1 <= self.epoch < 2**24 or (self.epoch == 1 and self.base != EMPTY_END):
            raise MalformedError("the epoch does not fit its base")


@_statement
class Fence(Statement):
    """Nothing that lands in this store after it counts for the epoch. Signed by the closer.

    by: the closer. certificate: the closer's.
    """

    KIND: ClassVar[str] = "holdfast-fence/1"
    BY_ORIGIN: ClassVar[bool] = False

    epoch: int = line(single(NUMBER))
    by: str = line(single(ID))
    fenced_us: int = line(single(NUMBER))
    certificate: bytes = line(single(BYTES))


@_statement
class Vote(Statement):
    """A store's vote on where an epoch ends. Signed by the closer; equal votes have equal texts."""

    KIND: ClassVar[str] = "holdfast-close/1"
    BY_ORIGIN: ClassVar[bool] = False

    epoch: int = line(single(NUMBER))
    end: LedgerEnd = line(ledger_end(""))


@_statement
class Closed(Statement):
    """Where an epoch ended, decided. Signed by the closer, whose certificate is in it."""

    KIND: ClassVar[str] = "holdfast-closed/1"
    BY_ORIGIN: ClassVar[bool] = False

    epoch: int = line(single(NUMBER))
    end: LedgerEnd = line(ledger_end(""))
    by: str = line(single(ID))
    why: str = line(single(STRING))
    closed_us: int = line(single(NUMBER))
    certificate: bytes = line(single(BYTES))


@_statement
class Heartbeat(Statement):
    """A node's word on where it stands. Signed by the node.

    n: grows within an epoch. promise_us, promise_size: all segments below that size are
    acknowledged, and every event in a later one has a later `received`. checkpoint: the newest, a
    signed note, or b"". regions: as the node sees them, by id.
    """

    KIND: ClassVar[str] = "holdfast-heartbeat/1"

    epoch: int = line(single(NUMBER))
    n: int = line(single(NUMBER))
    time_us: int = line(single(NUMBER))
    promise_us: int = line(single(NUMBER))
    promise_size: int = line(single(NUMBER))
    checkpoint: bytes = line(optional(BYTES, b""))
    regions: tuple[RegionState, ...] = line(repeated(Word(_write_state, _read_state)), "region")

    def check(self) -> None:
        """Regions come in the order of their ids, each once."""
        _check_ascending([state.region for state in self.regions], "regions")


@_statement
class Receipt(Statement):
    """The node counted a segment in those stores, a quorum. Signed by the node.

    segment: its name. regions: (region id, store), by id.
    """

    KIND: ClassVar[str] = "holdfast-receipt/1"

    segment: str = line(single(NAME))
    regions: tuple[tuple[str, str], ...] = line(_STORES, "region")

    def check(self) -> None:
        """At least one store, each once."""
        _check_stores(self.regions)


@_statement
class Trailer(Statement):
    """What a segment says of itself, at the end of its bytes. Signed by the node.

    name_unhashed: its name less the hash. root_before: of the ledger before it. tenants: (tag,
    count of records), by tag, as the records lie.
    """

    KIND: ClassVar[str] = "holdfast-trailer/1"
    BYTES_MAX: ClassVar[int] = TRAILER_BYTES_MAX

    name_unhashed: str = line(single(UNHASHED), "segment")
    root_before: bytes = line(single(HASH))
    tenants: tuple[tuple[str, int], ...] = line(repeated(pair(TAG, NUMBER)), "tenant")

    def check(self) -> None:
        """Tags ascend, each once, and each has records."""
        _check_ascending([tag for tag, _ in self.tenants], "tags")
        if not self.tenants or any(count < 1 for _, count in self.tenants):
            raise MalformedError("a tenant of a segment has no records")


@dataclass(frozen=True, slots=True)
class Signed(Generic[S]):
    """A statement as found. text: what is signed, and what votes are compared by."""

    origin: str
    statement: S
    text: str
    note: Note


def text(statement: Statement, origin: str) -> str:
    """The text of a statement. Raises MalformedError for values that have no form in it."""
    statement.check()
    lines = [statement.KIND, origin]
    for attribute, key, codec in _table(type(statement)):
        lines += codec.write(key, getattr(statement, attribute))
    return "\n".join(lines) + "\n"


def parse_text(text: str, kind: type[S]) -> S:
    """The statement of a text. Raises ProofError."""
    return _parse(text, kind)[1]


def write(statement: Statement, origin: str, key: SigningKey) -> bytes:
    """Sign a statement.

    Args:
        origin: Of what it speaks: the trail's or a ledger's origin.
        key: Of whoever FORMAT.md says must sign this kind.
    Returns:
        The signed note.
    Raises:
        MalformedError: a value has no form in the text, or the note would be too large.
    """
    return note.sign(text(statement, origin), key, bytes_max=statement.BYTES_MAX)


def read(data: bytes, kind: type[S]) -> Signed[S]:
    """Parse a statement; whoever signed it. Raises ProofError."""
    return _signed(note.parse(data, kind.BYTES_MAX), kind)


def verify(data: bytes, kind: type[S], *keys: VerifierKey) -> Signed[S]:
    """Parse a statement that one of the keys signed.

    Raises:
        MalformedError, MismatchError: not such a statement.
        SignatureError: not signed by one of the keys; or, where the kind must be signed by the key
            of its origin, by another one.
    """
    signed = _signed(note.verify(data, keys, kind.BYTES_MAX), kind)
    signers = {signature.name for signature in signed.note.signatures}
    if kind.BY_ORIGIN and signed.origin not in signers:
        raise SignatureError(f"a statement of {signed.origin} is signed by another")
    return signed


def verify_cookie(data: bytes, trail: str) -> Signed[Cookie]:
    """Verify a store's cookie, knowing only the trail's id. Raises ProofError."""
    return _verify_by_trail(data, Cookie, trail)


def verify_certificate(
    data: bytes, trail: str, node_key: bytes | None = None
) -> Signed[Certificate]:
    """Verify a certificate, knowing only the trail's id.

    Args:
        node_key: The public key that it must certify, where one is expected.
    Raises:
        ProofError: it does not hold, or certifies another key.
    """
    signed = _verify_by_trail(data, Certificate, trail)
    if node_key is not None and signed.statement.node_key != node_key:
        raise MismatchError("the certificate is of another node's key")
    return signed


def verify_birth(data: bytes, trail: str) -> Signed[Birth]:
    """Verify a birth, knowing only the trail's id: the trail certified the node, the node signed.

    Raises:
        ProofError: it does not hold.
    """
    birth = read(data, Birth).statement
    certificate = verify_certificate(birth.certificate, trail, birth.node_key).statement
    if certificate.trail_key != birth.trail_key:
        raise MismatchError("the birth names another trail's key than its certificate")
    return verify(data, Birth, _node_key(trail, certificate))


Certified = TypeVar("Certified", Fence, Closed)


def verify_by_certificate(data: bytes, kind: type[Certified], trail: str) -> Signed[Certified]:
    """Verify a fence or a decided close, knowing only the trail's id.

    Raises:
        ProofError: not signed by the closer that it names, or the trail did not certify that one,
            or it speaks of another trail's ledger.
    """
    claimed = read(data, kind).statement
    certificate = verify_certificate(claimed.certificate, trail).statement
    if certificate.node != claimed.by:
        raise MismatchError("the certificate is not that of the closer")
    signed = verify(data, kind, _node_key(trail, certificate))
    if names.parse_ledger_origin(signed.origin)[0] != trail:
        raise MismatchError(f"{signed.origin} is not of the trail {trail}")
    return signed


ByTrail = TypeVar("ByTrail", Cookie, Certificate)


def _verify_by_trail(data: bytes, kind: type[ByTrail], trail: str) -> Signed[ByTrail]:
    trail_key = read(data, kind).statement.trail_key
    if names.trail_id(trail_key) != trail:
        raise MismatchError(f"the key in it is not that of the trail {trail}")
    return verify(data, kind, VerifierKey(names.trail_origin(trail), trail_key))


def _node_key(trail: str, certificate: Certificate) -> VerifierKey:
    return VerifierKey(names.ledger_origin(trail, certificate.node), certificate.node_key)


def _signed(signed: Note, kind: type[S]) -> Signed[S]:
    origin, statement = _parse(signed.text, kind)
    return Signed(origin, statement, signed.text, signed)


def _parse(text: str, kind: type[S]) -> tuple[str, S]:
    found, _, rest = text.partition("\n")
    if found != kind.KIND:
        raise MalformedError(f"the statement is of kind {found[:80]!r}, not {kind.KIND}")
    origin, _, rest = rest.partition("\n")
    if not rest.endswith("\n"):
        raise MalformedError("the statement is cut off")
    lines = Lines(rest[:-1].split("\n"))
    values = {attribute: codec.read(key, lines) for attribute, key, codec in _table(kind)}
    if not lines.is_empty:
        raise MalformedError("the statement goes on after its last field")
    construct = cast(Callable[..., S], kind)
    statement = construct(**values)
    statement.check()
    return origin, statement


def _table(kind: type[Statement]) -> list[tuple[str, str, Codec[object]]]:
    return _TABLES[kind.KIND]


def _check_ascending(keys: list[str], what: str) -> None:
    if any(left >= right for left, right in pairwise(keys)):
        raise MalformedError(f"the {what} of a statement are not in ascending order")


def _check_stores(regions: tuple[tuple[str, str], ...]) -> None:
    _check_ascending([region for region, _ in regions], "regions")
    if not regions or len({store for _, store in regions}) != len(regions):
        raise MalformedError("a statement names no store, or one twice")


KINDS: tuple[type[Statement], ...] = (
    Cookie,
    Certificate,
    Birth,
    Fence,
    Vote,
    Closed,
    Heartbeat,
    Receipt,
    Trailer,
)
_TABLES: dict[str, list[tuple[str, str, Codec[object]]]] = {
    kind.KIND: [
        (each.name, each.metadata["key"] or each.name, each.metadata["codec"])
        for each in fields(kind)  # type: ignore[arg-type]  # each is a dataclass
    ]
    for kind in KINDS
}
