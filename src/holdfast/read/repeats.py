"""Records that share (tenant, id): which of them a search shows. Pure.

A client that sends again after a 504 makes two records of one event, perhaps in two nodes' ledgers.
Both are evidence and stay; reading shows one. Two records are the same event when their tenant, id
and content are equal: as parsed, without `received` and `principal`, which each receipt has anew.
Shown is the least by (received, node, position), whatever arrived first, so that a catalog that was
rebuilt in another order shows the same. Different content under one id is nobody's repeat: one of
each content is shown, flagged as a conflict.
"""

import hashlib
import json
from collections.abc import Iterable
from enum import IntEnum

import msgspec
from msgspec import Struct, structs

from holdfast.errors import CorruptError
from holdfast.model import Place, Record

DIGEST_BYTES = 16
_OWN_FIELDS = frozenset({"received", "principal"})  # the server's, not the event's
_EXPONENT_DIGITS_MAX = 15
_INT_DIGITS_MAX = 4300  # what Python and msgspec read as an int
_WRITTEN_OUT_DIGITS_MAX = 18  # of a whole number with a power of ten


class Standing(IntEnum):
    """What a search does with a copy."""

    SHOWN = 0
    REPEAT = 1  # left out: the same event is shown elsewhere
    CONFLICT = 2  # shown and flagged: another content has the same id


class Copy(Struct, frozen=True):
    """One record among those that share (tenant, id). name, content: digests of 16 bytes."""

    place: Place
    name: bytes
    received_us: int
    content: bytes
    standing: Standing = Standing.SHOWN


def settle(copies: Iterable[Copy]) -> tuple[Copy, ...]:
    """Decide the standing of every copy; those of one name must all be there.

    Returns:
        The same copies with their standing. The order they come in does not matter.
    """
    groups: dict[bytes, dict[bytes, list[Copy]]] = {}
    for copy in copies:
        groups.setdefault(copy.name, {}).setdefault(copy.content, []).append(copy)
    settled: list[Copy] = []
    for contents in groups.values():
        first = Standing.SHOWN if len(contents) == 1 else Standing.CONFLICT
        for same in contents.values():
            shown, *rest = sorted(same, key=lambda copy: (copy.received_us, copy.place))
            settled.append(structs.replace(shown, standing=first))
            settled += [structs.replace(copy, standing=Standing.REPEAT) for copy in rest]
    return tuple(settled)


def digests(record: Record) -> tuple[bytes, bytes]:
    """Identify a record's (tenant, id), and its content as parsed.

    Returns:
        Two digests of 16 bytes. Equal content gives equal digests, whatever the spelling of
        strings and numbers and the order of fields; no tenant and "" are the same tenant. Only of
        whole numbers beyond 18 digits one with a power of ten is another than one without.
    """
    try:
        fields = _parse_plain(record)
        if fields is None:
            fields = _parse(record)
        who = [fields.get("tenant") or "", fields.get("id")]
        content = {k: v for k, v in fields.items() if k not in _OWN_FIELDS and (v or k != "tenant")}
        return _digest(_encode(who)), _digest(_encode(content))
    except (RecursionError, UnicodeEncodeError):
        # Nested beyond what can be parsed, or half a surrogate pair: the server's own two fields
        # come last, and what is before them is compared as it stands.
        rest = record[: record.rfind(b',"received":"')]
        return _digest(rest), _digest(rest)


def _parse_plain(record: Record) -> dict[str, object] | None:
    """The quick way for nearly all records.

    If what was parsed is not as long as it was spelled, something may have been lost that makes a
    difference (one of two fields with one name): then the slow way. Numbers stay as they were
    spelled for that, and nothing else is ever written longer than it was read: what is lost can not
    be made up for.
    """
    try:
        spelled = _SPELLED.decode(record)
        if not isinstance(spelled, dict) or len(msgspec.json.encode(spelled)) != len(record):
            return None
        fields: dict[str, object] = _PLAIN.decode(record)
    except msgspec.MsgspecError:
        return None
    return fields


def _parse(record: Record) -> dict[str, object]:
    """The slow way: numbers exact, objects that name a field twice as they are."""
    try:
        fields = json.loads(
            record,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_as_spelled,
        )
    except ValueError as error:
        raise CorruptError(f"a record is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CorruptError("a record is not a JSON object")
    return fields


def _object(pairs: list[tuple[str, object]]) -> object:
    """An object: a dict, or its text where a name comes twice, which no dict has."""
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    inside = [_encode(name) + b":" + _encode(value) for name, value in pairs]
    return msgspec.Raw(b"{" + b",".join(inside) + b"}")


def _as_spelled(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _integer(text: str) -> object:
    """As the quick way has it, which fails for longer ones."""
    return int(text) if len(text) <= _INT_DIGITS_MAX else _as_spelled(text)


def _number(text: str) -> object:
    """A number with a point or a power of ten by its value: 1.0 and 10e-1 are 1; none is rounded.

    A whole number becomes an int, as if it had neither, unless that would be long: a record could
    ask for a million digits with a few bytes. Any other is its shortest digits and a power of ten.
    """
    mantissa, _, power = text.lower().partition("e")
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    if len(power) > _EXPONENT_DIGITS_MAX or not (whole + fraction).isdecimal():
        return _as_spelled(text)
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    short = digits.rstrip("0")
    exponent = int(power or "0") - len(fraction) + len(digits) - len(short)
    sign = "-" if mantissa.startswith("-") else ""
    if 0 <= exponent <= _WRITTEN_OUT_DIGITS_MAX - len(short):
        return int(f"{sign}{short}{'0' * exponent}")
    return msgspec.Raw(f"{sign}{short}e{exponent}".encode())


_SPELLED = msgspec.json.Decoder(float_hook=_as_spelled)
_PLAIN = msgspec.json.Decoder(float_hook=_number)


def _encode(value: object) -> bytes:
    """One text for a value, in whatever order its names came."""
    return msgspec.json.encode(value, order="sorted")


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]
