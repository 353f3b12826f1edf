"""What JSON's grammar allows and an audit event may not hold. Pure.

msgspec checks the grammar, but keeps the last of two equal keys and has no limit of its own on
nesting. These functions find both exactly; they are slow, and only called on what is doubtful.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn, Optional

SEALED_KEY: Final = "$enc"
SHOWN_CHARACTERS_MAX: Final = 80

# What is between quotes holds no brackets that count.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_BRACKET = re.compile(rb"[\[\]{}]")


class _Pairs(list[tuple[str, object]]):
    """A JSON object with all its pairs, in order."""


class _Step(NamedTuple):
    """A place inside a JSON value. Linked, since paths as text could grow with the square."""

    before: Optional["_Step"]
    key: str | int

    def __str__(self) -> str:
        parts: list[str] = []
        step: _Step | None = self
        while step:
            parts.append(shown(step.key) if isinstance(step.key, str) else f"[{step.key}]")
            step = step.before
        return ".".join(reversed(parts)).replace(".[", "[")


def shown(text: str) -> str:
    """Foreign text for a message: bounded."""
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "..."


def is_deeper(data: bytes, limit: int) -> bool:
    """Whether arrays and objects nest in more than `limit` levels. data: valid JSON."""
    if data.count(b"{") + data.count(b"[") <= limit:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        if bracket in b"{[":
            depth += 1
            if depth > limit:
                return True
        else:
            depth -= 1
    return False


def faults(data: bytes, foreign: str) -> Iterator[tuple[str, str]]:
    """Find repeated keys and misused `$enc` objects, as (dotted path, reason).

    Args:
        data: a valid JSON object in UTF-8, nested at most a few hundred levels.
        foreign: the field whose value is not looked into.
    """
    text = data.decode()
    try:
        _SCAN.decode(text)
        return
    except _DoubtError:
        root = _READ.decode(text)
    yield from _faults_of(None, root)
    pending = [(_Step(None, key), part) for key, part in root if key != foreign]
    while pending:
        place, value = pending.pop()
        if isinstance(value, _Pairs):
            yield from _faults_of(place, value)
            pending += [(_Step(place, key), part) for key, part in value]
        elif isinstance(value, list):
            pending += [(_Step(place, index), part) for index, part in enumerate(value)]


def _faults_of(place: _Step | None, pairs: _Pairs) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for key, part in pairs:
        if key in seen:
            yield str(_Step(place, key)), "the key appears twice"
        seen.add(key)
        if key == SEALED_KEY and not (len(pairs) == 1 and isinstance(part, _Pairs)):
            yield str(_Step(place, key)), 'reserved: "$enc" holds an object and stands alone'


class _DoubtError(Exception):
    """Some object, somewhere, may be faulty."""


def _scan(pairs: list[tuple[str, object]]) -> None:
    keys = {key for key, _ in pairs}
    if len(keys) != len(pairs) or SEALED_KEY in keys:
        raise _DoubtError


def _unread(token: str) -> None:
    return None


def _refuse(token: str) -> NoReturn:
    raise ValueError(f"{token} is not JSON")


def _decoder(hook: Callable[[list[tuple[str, object]]], object]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=hook,
        parse_int=_unread,  # int() takes no more than 4300 digits
        parse_float=_unread,
        parse_constant=_refuse,
    )


_SCAN: Final = _decoder(_scan)
_READ: Final = _decoder(_Pairs)
