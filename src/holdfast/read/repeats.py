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

from msgspec import Struct, structs

from holdfast.errors import CorruptError
from holdfast.model import Place, Record

DIGEST_BYTES = 16
_OWN_FIELDS = frozenset({"received", "principal"})  # the server's, not the event's
_EXPONENT_DIGITS_MAX = 15


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
        strings and numbers and the order of fields; no tenant and "" are the same tenant.
    """
    try:
        pairs = _parse(record).pairs
        named = dict(pairs)
        who = _canonical([named.get("tenant", ""), named.get("id", "")])
        content = _canonical(_Fields([pair for pair in pairs if _is_content(*pair)]))
    except RecursionError:
        # Nested beyond what Python parses: the server's own two fields come last, and what is
        # before them is compared as it stands.
        who = content = record[: record.rfind(b',"received":"')].decode(errors="replace")
    return _digest(who), _digest(content)


def _is_content(name: str, value: object) -> bool:
    """Whether a field says something about the event itself."""
    return name not in _OWN_FIELDS and not (name == "tenant" and value == "")


class _Fields:
    """An object as parsed: its pairs in their order, also where a name comes twice."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        self.pairs = pairs


class _Number:
    """A number's token: kept as text, since a float would make different numbers equal."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _parse(record: Record) -> _Fields:
    fields = json.loads(
        record,
        object_pairs_hook=_Fields,
        parse_int=_Number,
        parse_float=_Number,
        parse_constant=_Number,
    )
    if not isinstance(fields, _Fields):
        raise CorruptError("a record is not a JSON object")
    return fields


def _canonical(value: object) -> str:
    """One text for all spellings of a parsed value."""
    if isinstance(value, _Fields):
        inside = sorted(value.pairs, key=lambda pair: pair[0])
        return f"{{{','.join(f'{json.dumps(name)}:{_canonical(of)}' for name, of in inside)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    if isinstance(value, _Number):
        return _normal_number(value.text)
    return json.dumps(value)


def _normal_number(text: str) -> str:
    """The shortest digits and a power of ten: 1, 1.0 and 10e-1 are the same number."""
    mantissa, _, power = text.lower().partition("e")
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if len(power) > _EXPONENT_DIGITS_MAX or not (whole + fraction).isdecimal():
        return text
    if not digits:
        return "0e0"
    short = digits.rstrip("0")
    exponent = int(power or "0") - len(fraction) + len(digits) - len(short)
    return f"{'-' if mantissa.startswith('-') else ''}{short}e{exponent}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]
