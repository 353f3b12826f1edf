"""How the values of a statement stand in its text: each in one form only, all else is refused.

A statement's dataclass is its field table: each annotation holds the `Line` of its field.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from holdfast.proof import names, note
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.merkle import HASH_BYTES, CompactRange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Word(Generic[T]):
    """A value as text. What `form` and `parse` do not carry over and back is refused."""

    form: Callable[[T], str]
    parse: Callable[[str], T]

    def write(self, value: T) -> str:
        text = self.form(value)
        if self.parse(text) != value:
            raise MalformedError(f"{value!r} has no form in a statement")
        return text

    def read(self, text: str) -> T:
        value = self.parse(text)
        if self.form(value) != text:
            raise MalformedError(f"{text[:80]!r} is not in its one form")
        return value


@dataclass(frozen=True, slots=True)
class Line:
    """How a field stands: key, space, word. key: where it is not the field's name.

    times: "1"; "?": none for the value `nothing`; "*": one for each of a tuple.
    """

    word: Word[Any]
    times: str = "1"
    key: str = ""
    nothing: object = None


def words(make: Callable[..., T], *parts: Word[str] | Word[int] | Word[bytes]) -> Word[T]:
    """A tuple as words with single spaces between. make: builds it of the values."""
    # Lists, for generators take twice as long, and a trailer has a line for each of its tenants.
    parsers, forms = [part.parse for part in parts], [part.form for part in parts]

    def parse(text: str) -> T:
        found = text.split(" ")
        if len(found) != len(parts):
            raise MalformedError(f"{text[:80]!r} does not have {len(parts)} words")
        return make(*[parse(each) for parse, each in zip(parsers, found, strict=True)])

    def form(value: T) -> str:
        assert isinstance(value, tuple)
        return " ".join([form(each) for form, each in zip(forms, value, strict=True)])

    return Word(form, parse)


def _parse_hash(text: str) -> bytes:
    value = note.decode_base64(text)
    if len(value) != HASH_BYTES:
        raise MalformedError(f"a value of {HASH_BYTES} bytes has {len(value)}")
    return value


def _parse_note(text: str) -> bytes:
    if not text:
        raise MalformedError("a note within a note is empty")
    return note.decode_base64(text)


def _form_string(value: str) -> str:
    """RFC 8785, section 3.2.2.2: `json` escapes the same, in the same forms.

    A lone surrogate stays one, and has no place in a note.
    """
    return json.dumps(value, ensure_ascii=False)


def _parse_string(text: str) -> str:
    try:
        value = json.loads(text) if text.startswith('"') else None
    except ValueError as error:
        raise MalformedError(f"{text[:80]!r} is not a JSON string") from error
    if not isinstance(value, str):
        raise MalformedError(f"{text[:80]!r} is not a JSON string")
    return value


def _form_end(end: LedgerEnd) -> str:
    hashes = (note.encode_base64(each) for each in (end.root, *end.range.hashes))
    return " ".join((str(end.size), str(end.first), str(end.sealed_us), *hashes))


def _parse_end(text: str) -> LedgerEnd:
    numbers, hashes = text.split(" ")[:3], text.split(" ")[3:]
    if not hashes:
        raise MalformedError("the end of a ledger is cut off")
    size, first, sealed_us = (note.parse_number(each) for each in numbers)
    root, *subtrees = (_parse_hash(each) for each in hashes)
    end = LedgerEnd(size, first, sealed_us, CompactRange(size, tuple(subtrees)))
    if end.root != root:
        raise MismatchError("the root of a ledger's end is not that of its hashes")
    return end


NUMBER = Word(str, note.parse_number)
HASH = Word(note.encode_base64, _parse_hash)
NOTE = Word(note.encode_base64, _parse_note)
STRING = Word(_form_string, _parse_string)
ID = Word(str, names.check_id)
REGION = Word(str, names.check_region)
STATE = Word(str, names.check_state)

Number = Annotated[int, Line(NUMBER)]
NumberOrNone = Annotated[int | None, Line(NUMBER, "?")]
Hash = Annotated[bytes, Line(HASH)]
NoteBytes = Annotated[bytes, Line(NOTE)]
NoteOrNone = Annotated[bytes, Line(NOTE, "?", nothing=b"")]
Text = Annotated[str, Line(STRING)]
Id = Annotated[str, Line(ID)]
Region = Annotated[str, Line(REGION)]
End = Annotated[LedgerEnd, Line(Word(_form_end, _parse_end))]
