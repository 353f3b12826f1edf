"""Notes that were kept elsewhere: what a ledger was once signed to be. Pure.

Whoever changes or cuts a whole ledger with its node's own key can sign all of it anew, but not
change what others kept. Where notes come from makes no difference: a person's file, or what another
node wrote down of its fellows (`holdfast.ledgers.seen`).
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof import MalformedError, MismatchError, names, note
from holdfast.proof.note import VerifierKey
from holdfast.verify.evidence import Mark

SEEN_ACTION = "holdfast.ledgers.seen"
_SIGNATURE = "— "


class Kept(Struct, frozen=True):
    """A checkpoint as it was kept. origin: of its ledger. where: for a person."""

    origin: str
    note: str
    where: str = ""


class _Seen(Struct, frozen=True):
    action: str
    attributes: dict[str, msgspec.Raw] = {}


_LINE = msgspec.json.Decoder(Kept)
_SEEN = msgspec.json.Decoder(_Seen)
_LEDGERS = msgspec.json.Decoder(list[Kept])


def parse_kept(data: bytes, file: str) -> tuple[Kept, ...]:
    """Read a file of notes: NDJSON with `origin` and `note`, or notes one after the other.

    Raises:
        MalformedError: naming the line.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8") from error
    first = next((line for line in lines if line), "")
    return tuple(_objects(lines, file) if first.startswith("{") else _plain(lines, file))


def _objects(lines: Sequence[str], file: str) -> Iterator[Kept]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                kept = _LINE.decode(line)
            except msgspec.MsgspecError as error:
                raise MalformedError(f"line {number}: {error}") from error
            yield Kept(kept.origin, kept.note, f"{file}, line {number}")


def _plain(lines: Sequence[str], file: str) -> Iterator[Kept]:
    """Notes as they lie under `ev/cp/`: text, an empty line, signature lines."""
    begin, text, is_signed = 1, list[str](), False
    for number, line in enumerate([*lines, ""], 1):
        if line.startswith(_SIGNATURE):
            is_signed = True
        elif is_signed:
            yield Kept(text[0], "".join(f"{each}\n" for each in text), f"{file}, line {begin}")
            text, is_signed = [], False
        if line or text:
            begin = begin if text else number
            text.append(line)
    if any(text):
        raise MalformedError(f"line {begin}: a note without a signature")


def seen_in(records: Sequence[bytes], where: str) -> Iterator[Kept]:
    """What a node wrote down of the other ledgers.

    Raises:
        MalformedError: such an event without such a list.
    """
    for record in records:
        if SEEN_ACTION.encode() not in record:
            continue
        try:
            seen = _SEEN.decode(record)
            if seen.action == SEEN_ACTION:
                for kept in _LEDGERS.decode(seen.attributes.get("ledgers", b"[]")):
                    yield Kept(kept.origin, kept.note, where)
        except msgspec.MsgspecError as error:
            raise MalformedError(f"a record of {SEEN_ACTION}: {error}") from error


def mark_of(kept: Kept, trail: str, keys: Mapping[NodeId, VerifierKey]) -> tuple[NodeId, Mark]:
    """Whose ledger a note speaks of, and what it says.

    A signature by a node that nobody shows any more cannot be checked; that is what it tells.

    Raises:
        ProofError: no checkpoint, of another trail, or not signed by its node.
    """
    its_trail, node = names.parse_ledger_origin(kept.origin)
    if its_trail != trail:
        raise MismatchError(f"{kept.origin} is not of the trail {trail}")
    if node in keys:
        found = note.verify_checkpoint(kept.note.encode(), keys[node])
    else:
        found = note.parse_checkpoint(note.parse(kept.note.encode()).text)
    if found.origin != kept.origin:
        raise MismatchError(f"the note is of {found.origin}, not of {kept.origin}")
    return node, Mark(found.size, found.root, kept.where)
