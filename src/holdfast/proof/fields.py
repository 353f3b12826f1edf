"""How the values of a statement stand in its text, one codec a type.

A statement's dataclass is its field table: each annotation names a codec, and the order of the
fields is the order of the lines. A value has one form only; everything else is refused.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from holdfast.proof import names, note
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.merkle import HASH_BYTES, CompactRange
from holdfast.proof.names import SegmentName

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Word(Generic[T]):
    """A value within a line. write and read raise ProofError for what has no form in it."""

    write: Callable[[T], str]
    read: Callable[[str], T]


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """A value as lines with one key. write and read: what stands after the key in each.

    key: the word in the text, where it is not the field's name.
    """

    write: Callable[[T], list[str]]
    read: Callable[[list[str]], T]
    key: str = ""


def single(word: Word[T]) -> Lines[T]:
    """Exactly one line."""

    def read(values: list[str]) -> T:
        if len(values) != 1:
            raise MalformedError("a line is missing, out of order or repeated")
        return word.read(values[0])

    return Lines(lambda value: [word.write(value)], read)


def optional(word: Word[T], nothing: T) -> Lines[T]:
    """One line, or none for `nothing`, which the word itself has no form for."""
    return Lines(
        lambda value: [] if value == nothing else [word.write(value)],
        lambda values: single(word).read(values) if values else nothing,
    )


def repeated(word: Word[T], key: str) -> Lines[tuple[T, ...]]:
    """Any number of lines, in order."""
    return Lines(
        lambda value: [word.write(each) for each in value],
        lambda values: tuple(word.read(each) for each in values),
        key,
    )


def words(make: Callable[..., T], *parts: Word[str] | Word[int]) -> Word[T]:
    """A tuple as words with single spaces between. make: it, of the values."""

    def read(text: str) -> T:
        found = text.split(" ")
        if len(found) != len(parts):
            raise MalformedError(f"{text[:80]!r} does not have {len(parts)} words")
        return make(*(part.read(each) for part, each in zip(parts, found, strict=True)))

    def write(value: T) -> str:
        assert isinstance(value, tuple)
        return " ".join(part.write(each) for part, each in zip(parts, value, strict=True))

    return Word(write, read)


def _checked(check: Callable[[str], object]) -> Word[str]:
    """Text that stands as it is, once checked, in both directions."""

    def same(text: str) -> str:
        check(text)
        return text

    return Word(same, same)


def _write_number(number: int) -> str:
    if not 0 <= number <= note.NUMBER_MAX:
        raise MalformedError(f"{number} is not a number of a statement")
    return str(number)


def _write_hash(value: bytes) -> str:
    if len(value) != HASH_BYTES:
        raise MalformedError(f"a value of {HASH_BYTES} bytes has {len(value)}")
    return note.encode_base64(value)


def _read_hash(text: str) -> bytes:
    value = note.decode_base64(text)
    _write_hash(value)
    return value


def _write_note(value: bytes) -> str:
    if not value:
        raise MalformedError("a note within a note is empty")
    return note.encode_base64(value)


def _read_note(text: str) -> bytes:
    value = note.decode_base64(text)
    _write_note(value)
    return value


def _write_string(value: str) -> str:
    """RFC 8785, section 3.2.2.2: `json` escapes the same, in the same forms.

    A lone surrogate stays one, and has no place in a note.
    """
    return json.dumps(value, ensure_ascii=False)


def _read_string(text: str) -> str:
    try:
        value = json.loads(text) if text.startswith('"') else None
    except ValueError as error:
        raise MalformedError(f"{text[:80]!r} is not a JSON string") from error
    if not isinstance(value, str) or _write_string(value) != text:
        raise MalformedError(f"{text[:80]!r} is not a JSON string in its canonical form")
    return value


def _write_end(end: LedgerEnd) -> str:
    numbers = (_write_number(each) for each in (end.size, end.first, end.sealed_us))
    return " ".join((*numbers, *(_write_hash(each) for each in (end.root, *end.range.hashes))))


def _read_end(text: str) -> LedgerEnd:
    numbers, hashes = text.split(" ")[:3], text.split(" ")[3:]
    if not hashes:
        raise MalformedError("the end of a ledger is cut off")
    size, first, sealed_us = (note.parse_number(each) for each in numbers)
    root, *subtrees = (_read_hash(each) for each in hashes)
    end = LedgerEnd(size, first, sealed_us, CompactRange(size, tuple(subtrees)))
    if end.root != root:
        raise MismatchError("the root of a ledger's end is not that of its hashes")
    return end


def _check_unhashed(text: str) -> None:
    SegmentName.parse(f"{text}-{bytes(HASH_BYTES).hex()}")


HASH = Word(_write_hash, _read_hash)
NOTE = Word(_write_note, _read_note)
STRING = Word(_write_string, _read_string)
NUMBER = Word(_write_number, note.parse_number)
ID = _checked(names.check_id)
REGION = _checked(names.check_region)
STATE = _checked(names.check_state)
TAG = _checked(names.check_hash)

Hash = Annotated[bytes, single(HASH)]
NoteBytes = Annotated[bytes, single(NOTE)]
NoteOrNone = Annotated[bytes, optional(NOTE, b"")]
Number = Annotated[int, single(NUMBER)]
Text = Annotated[str, single(STRING)]
Id = Annotated[str, single(ID)]
IdOrNone = Annotated[str, optional(ID, "")]
Region = Annotated[str, single(REGION)]
Name = Annotated[str, single(_checked(SegmentName.parse))]
Unhashed = Annotated[str, single(_checked(_check_unhashed))]
End = Annotated[LedgerEnd, single(Word(_write_end, _read_end))]
