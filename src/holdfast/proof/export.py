"""That a file is what a trail exported: `holdfast-export/1`, a receipt beside it.

The receipt is its signer's word that these are all records that match; what it says of the file is
checked here. Where only the time, or a tenant too, was asked for, a certificate of completeness of
the same time proves that they are all. FORMAT.md, section 10.
"""

import hashlib
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, BinaryIO, NamedTuple

from holdfast.proof import certificate, fields, merkle, names, statements
from holdfast.proof.certificate import LINE_BYTES_MAX
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.fields import Line, Word, words
from holdfast.proof.names import SegmentName
from holdfast.proof.records import TIME_US_MAX, let_go_text, received_of, time_text
from holdfast.proof.statements import Certified

RECEIPT_BYTES_MAX = 1024 * 1024
BLOCK_BYTES = 1024 * 1024
BLOCK_LEAVES = 1024
LINES = "ndjson"
KINDS = (LINES, "csv", "parquet")
PROVABLE, STATED = "provable", "stated"
BUT_LET_GO = ", but for what rules let go"
_FILTER = re.compile(r"[a-z]{1,32}")


class Ledger(NamedTuple):
    """Segments [start, end) of a node's ledger, which that of size and root was signed to have."""

    node: str
    start: int
    end: int
    size: int
    root: bytes


class Missing(NamedTuple):
    """Segments [start, end) that are declared lost."""

    node: str
    start: int
    end: int


class LetGo(NamedTuple):
    """A rule of retention, in words, and how many records it let go of units in reach."""

    records: int
    rule: str


class Listed(NamedTuple):
    """A region, and when its listing began and ended."""

    region: str
    from_us: int
    to_us: int


def _one_of(*known: str) -> Word[str]:
    def parse(text: str) -> str:
        if text not in known:
            raise MalformedError(f"{text[:80]!r} is not one of {', '.join(known)}")
        return text

    return Word(str, parse)


def _parse_filter(text: str) -> tuple[str, str]:
    name, _, value = text.partition(" ")
    if not _FILTER.fullmatch(name):
        raise MalformedError(f"{name[:80]!r} is not the name of a filter")
    return name, fields.STRING.parse(value)


def _form_filter(value: tuple[str, str]) -> str:
    return f"{value[0]} {fields.STRING.form(value[1])}"


def _parse_let_go(text: str) -> LetGo:
    records, _, rule = text.partition(" ")
    return LetGo(fields.NUMBER.parse(records), fields.STRING.parse(rule))


def _form_let_go(value: LetGo) -> str:
    return f"{value.records} {fields.STRING.form(value.rule)}"


_LEDGER = words(Ledger, fields.ID, *(fields.NUMBER,) * 3, fields.HASH)
_MISSING = words(Missing, fields.ID, fields.NUMBER, fields.NUMBER)
_LISTED = words(Listed, fields.REGION, fields.NUMBER, fields.NUMBER)
Filters = Annotated[tuple[tuple[str, str], ...], Line(Word(_form_filter, _parse_filter), "*")]


@dataclass(frozen=True)
class Export(Certified):
    """A file of all records that match and were received in [from_us, to_us). Signed by whoever
    exported it, whose certificate is in it.

    kind: of the file. sha256, bytes: of the file. events, root: of the records in it, verbatim and
    in its order. filter: name and value. complete: "provable" where a certificate of completeness
    can prove that they are all; "stated": that is its signer's word alone. ledger: what it rests
    on. gap: declared, in reach of that time. let_go: by rules, there. region: what was listed.
    """

    KIND = "holdfast-export/1"
    BYTES_MAX = RECEIPT_BYTES_MAX
    kind: Annotated[str, Line(_one_of(*KINDS))]
    sha256: fields.Hash
    bytes: fields.Number
    events: fields.Number
    root: fields.Hash
    from_us: fields.Number
    to_us: fields.Number
    complete_through_us: fields.Number
    filter: Filters
    complete: Annotated[str, Line(_one_of(PROVABLE, STATED))]
    ledger: Annotated[tuple[Ledger, ...], Line(_LEDGER, "*")]
    gap: Annotated[tuple[Missing, ...], Line(_MISSING, "*")]
    let_go: Annotated[tuple[LetGo, ...], Line(Word(_form_let_go, _parse_let_go), "*")]
    region: Annotated[tuple[Listed, ...], Line(_LISTED, "*")]
    by: fields.Id
    exported_us: fields.Number
    certificate: fields.NoteBytes

    def check(self) -> None:
        statements.check_ascending([name for name, _ in self.filter])
        statements.check_ascending([each.region for each in self.region])
        latest = min(self.complete_through_us + 1, TIME_US_MAX - 1)
        if not self.from_us < self.to_us <= latest:
            raise MalformedError("it is of no time, or of one of which not all was known")
        if any(not one.start <= one.end <= one.size for one in self.ledger):
            raise MalformedError("it rests on segments that a ledger does not have")
        if [*self.ledger] != sorted(set(self.ledger)) or [*self.gap] != sorted(set(self.gap)):
            raise MalformedError("its ledgers or gaps are not in order, each once")
        if any(not gap.start < gap.end for gap in self.gap):
            raise MalformedError("a gap holds no segment")
        if any(not gone.records for gone in self.let_go) or [*self.let_go] != sorted(
            set(self.let_go)
        ):
            raise MalformedError("what was let go is nothing, or not in order")
        if self.complete != completeness_of(self.filter, bool(self.let_go)):
            raise MalformedError("it says the wrong thing of how its completeness is known")

    @property
    def is_of_all(self) -> bool:
        """Whether a certificate can prove that these are all, or all that rules left."""
        return completeness_of(self.filter, is_less=False) == PROVABLE

    @property
    def tenant(self) -> str | None:
        """Whose records it is of; None: all."""
        return dict(self.filter).get("tenant")


def completeness_of(filters: tuple[tuple[str, str], ...], is_less: bool) -> str:
    """How it can be known of an export with these filters that nothing is left out of it. is_less:
    some was let go, by rules that only its signer states."""
    is_all = {name for name, _ in filters} <= {"tenant"} and not is_less
    return PROVABLE if is_all else STATED


@dataclass(slots=True)
class Proven:
    """What is proven of a file, and what is only stated."""

    said: Export
    code: int = 0
    reason: str = ""
    complete: str = "the signer's word alone"
    stated: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """What is proven: names in plain words, values for JSON."""
        said = self.said
        missing = [f"node {g.node}, segments {g.start} to {g.end}: lost" for g in said.gap]
        missing += [let_go_text(gone.records, gone.rule) for gone in said.let_go]
        rests = [
            f"node {one.node}, segments {one.start} to {one.end} of {one.size}"
            for one in said.ledger
        ]
        return {
            "exported by": said.by,
            "exported": time_text(said.exported_us),
            "kind": said.kind,
            "received": f"from {time_text(said.from_us)} to before {time_text(said.to_us)}",
            "filters": [f"{name} = {value}" for name, value in said.filter] or ["none"],
            "events": said.events,
            "bytes": said.bytes,
            "root of the records": said.root.hex(),
            "rests on": rests,
            "not in it": missing,
            "that these are all": self.complete,
            "only stated": self.stated,
        }


def check(
    data: bytes, file: BinaryIO, trail: str, proof: BinaryIO | None, salt_id: str | None
) -> Generator[str, None, Proven]:
    """Check a receipt and its file step by step, as `event.check` does a proof.

    file: what was exported, from its beginning. trail: the trail's id, known from elsewhere.
    proof, salt_id: a certificate of completeness of the same, and what checking it takes.
    """
    yield f"the receipt is a {Export.KIND} that was signed for the trail {trail}"
    signed = statements.verify_certified(data, Export, trail)
    if signed.origin != names.trail_origin(trail):
        raise MismatchError(f"it speaks of {signed.origin}")
    proven = Proven(signed.statement, code=4 if signed.statement.gap else 0)
    said = proven.said
    if said.kind == LINES:
        yield f"the file is the {said.events} records of the receipt, received in its time"
        _check_lines(said, file)
    else:
        yield f"the file has the {said.bytes} bytes and the SHA-256 of the receipt"
        _check_hash(said, iter(lambda: file.read(BLOCK_BYTES), b""))
        proven.stated.append(f"that {said.events} records with that root are in the file")
    if proof is not None:
        file.seek(0)
        yield from _check_all(proven, file, trail, proof, salt_id)
    else:
        if said.is_of_all:
            proven.complete += "; a certificate of completeness of the same time proves it"
            proven.complete += f" of a file as {LINES}" * (said.kind != LINES)
            proven.complete += BUT_LET_GO * bool(said.let_go)
        else:
            proven.complete += ": no certificate proves what filters leave out"
        proven.stated.append("that these are all that match, and that they are the trail's")
        regions = ", ".join(each.region for each in said.region)
        proven.stated.append(f"that there are no other nodes, as these regions showed: {regions}")
    return proven


def _check_hash(said: Export, blocks: Iterator[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    if size != said.bytes:
        raise MismatchError(f"the file has {size} bytes, not {said.bytes}")
    if digest.digest() != said.sha256:
        raise MismatchError(f"the file's SHA-256 is {digest.hexdigest()}")


def _check_lines(said: Export, file: BinaryIO) -> None:
    """The file's hash, and that its lines are the records: each of the time, and of the tenant."""
    tree, leaves = merkle.EMPTY_RANGE, list[bytes]()
    start, end = time_text(said.from_us), time_text(said.to_us)

    def lines() -> Iterator[bytes]:
        nonlocal tree, leaves
        for number, record in enumerate(_lines(file), 1):
            if not start <= received_of(record[:-1], said.tenant) < end:
                raise MismatchError(f"line {number} was received at another time")
            leaves.append(merkle.leaf_hash(record[:-1]))
            if len(leaves) == BLOCK_LEAVES:
                tree, leaves = tree.extend(leaves), []
            yield record
        tree = tree.extend(leaves)

    _check_hash(said, lines())
    if (tree.size, tree.root()) != (said.events, said.root):
        raise MismatchError(f"the file has {tree.size} records with the root {tree.root().hex()}")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX):
        if not line.endswith(b"\n"):
            raise MismatchError("the file is cut off, or a line is too long")
        yield line


def _check_all(
    proven: Proven, file: BinaryIO, trail: str, proof: BinaryIO, salt_id: str | None
) -> Generator[str, None, None]:
    """Hold the file against a certificate: it has each record that was received in that time."""
    said, beside = proven.said, _Beside(file)
    yield "the certificate is of what the receipt says: its time, and its tenant if any"
    if said.kind != LINES or not said.is_of_all:
        raise MalformedError(
            f"a certificate proves an export as {LINES}, with no filter but a tenant"
        )
    first = proof.readline(LINE_BYTES_MAX)
    asked = certificate.head_of(first)
    tenant = asked.tenant if isinstance(asked, certificate.Head) else None
    if (asked.from_us, asked.to_us, tenant) != (said.from_us, said.to_us, said.tenant):
        raise MismatchError("the certificate is of another time or tenant")
    found = yield from certificate.check(first, proof, trail, salt_id, beside.see)
    yield "each record that the certificate has of that time is in the file, and no other"
    beside.finish()
    proven.code, proven.reason = found.code or proven.code, found.reason
    proven.stated += found.stated
    if found.code != 3:
        proven.complete = "proven by the certificate" + ", but for gaps" * (found.code == 4)
        proven.complete += BUT_LET_GO * bool(found.let_go)
    if beside.outside:
        proven.complete += ", but for the first and last segments"
        proven.stated.append(
            f"that {beside.outside} further records there were received outside of that time: a "
            "certificate with the records themselves proves it"
        )


class _Beside:
    """The lines of a file, beside what a certificate shows in the same order."""

    def __init__(self, file: BinaryIO) -> None:
        self._leaves = (merkle.leaf_hash(line[:-1]) for line in _lines(file))
        self._next = next(self._leaves, None)
        self.outside = 0

    def see(self, leaf: bytes, name: SegmentName, is_asked: bool | None) -> None:
        """As `certificate.Seen`. Raises MismatchError: a record that must be there is not."""
        if is_asked is not False and leaf == self._next:
            self._next = next(self._leaves, None)
        elif is_asked:
            raise MismatchError(f"a record of segment {name.index} is not in the file there")
        elif is_asked is None:
            self.outside += 1

    def finish(self) -> None:
        """Raises MismatchError: the file has more."""
        if self._next is not None:
            raise MismatchError("the file has a record that the certificate does not have there")
