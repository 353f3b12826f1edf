"""How the values of a statement are written as lines of text and read back, one codec a type.

A statement's dataclass is its field table: each field names its codec, and the order of the fields
is the order of the lines. A value has one form only; everything else is refused.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from holdfast.proof import names, note
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.merkle import HASH_BYTES, CompactRange
from holdfast.proof.names import SegmentName

T = TypeVar("T")
U = TypeVar("U")


class Lines:
    """The lines of a statement's text, taken from the front."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether all lines were taken."""
        return self._at == len(self._lines)

    def take_if(self, key: str) -> str | None:
        """The value of the next line if it has that key."""
        if self.is_empty:
            return None
        found, space, value = self._lines[self._at].partition(" ")
        if found != key or not space:
            return None
        self._at += 1
        return value

    def take(self, key: str) -> str:
        """The value of the next line, which must have that key. Raises MalformedError."""
        value = self.take_if(key)
        if value is None:
            raise MalformedError(f"a line `{key} ...` is missing or out of order")
        return value


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """write: the lines of a value under a key. read: takes them again, or raises MalformedError."""

    write: Callable[[str, T], list[str]]
    read: Callable[[str, Lines], T]


def line(codec: Codec[T], key: str = "") -> T:
    """A field of a statement. key: the word in the text, where it is not the field's name."""
    return cast(T, field(metadata={"codec": codec, "key": key}))


@dataclass(frozen=True, slots=True)
class Word(Generic[T]):
    """A value that is one word or, as the only one in its line, the rest of the line."""

    write: Callable[[T], str]
    read: Callable[[str], T]


def single(word: Word[T]) -> Codec[T]:
    """Exactly one line."""
    return Codec(
        lambda key, value: [f"{key} {word.write(value)}"],
        lambda key, lines: word.read(lines.take(key)),
    )


def optional(word: Word[T], nothing: T) -> Codec[T]:
    """One line, or none for `nothing`, which no line can stand for."""

    def read(key: str, lines: Lines) -> T:
        text = lines.take_if(key)
        if text is None:
            return nothing
        value = word.read(text)
        if value == nothing:
            raise MalformedError(f"a line `{key} ...` says nothing")
        return value

    return Codec(
        lambda key, value: [] if value == nothing else [f"{key} {word.write(value)}"], read
    )


def repeated(word: Word[T]) -> Codec[tuple[T, ...]]:
    """Any number of lines."""

    def read(key: str, lines: Lines) -> tuple[T, ...]:
        values = []
        while (text := lines.take_if(key)) is not None:
            values.append(word.read(text))
        return tuple(values)

    return Codec(lambda key, values: [f"{key} {word.write(value)}" for value in values], read)


def pair(first: Word[T], second: Word[U]) -> Word[tuple[T, U]]:
    """Two words with a space between."""

    def read(text: str) -> tuple[T, U]:
        left, right = split_words(text, 2)
        return first.read(left), second.read(right)

    return Word(lambda value: f"{first.write(value[0])} {second.write(value[1])}", read)


def split_words(text: str, count: int) -> list[str]:
    """Exactly that many words with single spaces between. Raises MalformedError."""
    words = text.split(" ")
    if len(words) != count:
        raise MalformedError(f"{text[:80]!r} does not have {count} words")
    return words


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


def _write_string(value: str) -> str:
    """RFC 8785, section 3.2.2.2; `json` escapes what must be escaped, in the same forms."""
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise MalformedError("a string has a lone surrogate")
    return json.dumps(value, ensure_ascii=False)


def _read_string(text: str) -> str:
    try:
        value = json.loads(text) if text.startswith('"') else None
    except ValueError as error:
        raise MalformedError(f"{text[:80]!r} is not a JSON string") from error
    if not isinstance(value, str) or _write_string(value) != text:
        raise MalformedError(f"{text[:80]!r} is not a JSON string in its canonical form")
    return value


def _check_state(text: str) -> None:
    if not 1 <= len(text) <= 32 or not all("a" <= c <= "z" or c == "-" for c in text):
        raise MalformedError(f"{text[:80]!r} is not a state")


def _check_tag(text: str) -> None:
    names.check_id(text[:32])
    names.check_id(text[32:])


def _check_unhashed(text: str) -> None:
    SegmentName.parse(f"{text}-{bytes(HASH_BYTES).hex()}")


NUMBER = Word(_write_number, note.parse_number)
HASH = Word(_write_hash, _read_hash)
STRING = Word(_write_string, _read_string)
BYTES = Word(note.encode_base64, note.decode_base64)
ID = _checked(names.check_id)
REGION = _checked(names.check_region)
STATE = _checked(_check_state)
TAG = _checked(_check_tag)
NAME = _checked(SegmentName.parse)
UNHASHED = _checked(_check_unhashed)


def ledger_end(prefix: str) -> Codec[LedgerEnd]:
    """The lines size, first, sealed_us, root and, for each hash of the range, hash."""
    hashes = repeated(HASH)

    def write(_: str, end: LedgerEnd) -> list[str]:
        return [
            f"{prefix}size {_write_number(end.size)}",
            f"{prefix}first {_write_number(end.first)}",
            f"{prefix}sealed_us {_write_number(end.sealed_us)}",
            f"{prefix}root {_write_hash(end.root)}",
            *hashes.write(f"{prefix}hash", end.range.hashes),
        ]

    def read(_: str, lines: Lines) -> LedgerEnd:
        size = note.parse_number(lines.take(f"{prefix}size"))
        first = note.parse_number(lines.take(f"{prefix}first"))
        sealed_us = note.parse_number(lines.take(f"{prefix}sealed_us"))
        root = _read_hash(lines.take(f"{prefix}root"))
        end = LedgerEnd(
            size, first, sealed_us, CompactRange(size, hashes.read(f"{prefix}hash", lines))
        )
        if end.root != root:
            raise MismatchError("the root of a ledger's end is not that of its hashes")
        return end

    return Codec(write, read)
