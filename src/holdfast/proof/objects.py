"""JSON objects in their one form, a line each: what the files that prove something consist of.

A dataclass is an object's field table: `str`, `int` (from 0 on), `bytes` (32, in base64), and
tuples of these.
"""

import functools
import json
from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar, get_args, get_origin, get_type_hints

from holdfast.proof import note
from holdfast.proof.errors import MalformedError
from holdfast.proof.merkle import HASH_BYTES

NUMBER_MAX = 2**53 - 1  # what every reader of JSON keeps as it is


class Kind(Protocol):
    """MARK: the first field of such an object, and its value."""

    MARK: ClassVar[tuple[str, str]]
    __dataclass_fields__: ClassVar[dict[str, Any]]


K = TypeVar("K", bound=Kind)


def form(value: Kind) -> bytes:
    """The line, with its line end. Raises MalformedError: a string has no UTF-8 form."""
    found = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    text = json.dumps(dict([value.MARK]) | found, ensure_ascii=False, separators=(",", ":"))
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError as error:
        raise MalformedError("a string holds a lone surrogate") from error


def parse(line: bytes, kind: type[K]) -> K:
    """Read a line that `form` gives. Raises MalformedError."""
    try:
        found = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError("a line is not JSON in UTF-8") from error
    key, mark = kind.MARK
    hints = _hints(kind)
    names = [field.name for field in fields(kind)]
    if not isinstance(found, dict) or [*found] != [key, *names] or found[key] != mark:
        raise MalformedError(f"a line does not have the fields of {mark}, in their order")
    value = kind(**{name: _typed(name, found[name], hints[name]) for name in names})
    if form(value) != line:
        raise MalformedError(f"a line of {mark} is not in its one form")
    return value


@functools.cache
def _hints(kind: type[Kind]) -> dict[str, Any]:
    return get_type_hints(kind)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return note.encode_base64(value)
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _typed(name: str, value: object, hint: Any) -> object:
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_typed(name, each, get_args(hint)[0]) for each in value)
    if hint is bytes and isinstance(value, str):
        value = note.decode_base64(value)
        if len(value) != HASH_BYTES:
            raise MalformedError(f"the field {name} holds a hash of {len(value)} bytes")
    if type(value) is not hint or (isinstance(value, int) and not 0 <= value <= NUMBER_MAX):
        raise MalformedError(f"the field {name} does not hold what it must")
    return value
