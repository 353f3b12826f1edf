"""What all mappings share: reading a foreign event tolerantly, and writing ours. Pure.

A foreign event is never refused over what is in it. Where a field is not there, or is not what it
should be, ours has none; the payload still has it all.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from holdfast.errors import Problem, RejectedError
from holdfast.times import parse_time
from holdfast.write.law import DEPTH_MAX, RESERVED
from holdfast.write.strict import is_deeper

TEXT_CHARACTERS_MAX: Final = 1024
ID_BYTES_MAX: Final = 256
NO_ACTION: Final = "unknown"

_WHITE: Final = b" \t\r\n"
_decode = msgspec.json.Decoder(dict[str, object], float_hook=float).decode
_encode = msgspec.json.Encoder().encode

Json = object  # what a JSON parser returns
Object = dict[str, object]


class Original(Struct, frozen=True):
    """A foreign event.

    fields: as parsed. payload: a JSON value that keeps it; encoding: of the payload, "" or base64.
    digest: SHA-256 of what is kept, hex: of the JSON without space outside strings, else of the
    bytes as they came.
    """

    fields: Object
    payload: bytes
    encoding: str
    digest: str


class Mapped(Struct, kw_only=True, omit_defaults=True):
    """Our event, in the order of its fields. Empty ones are left out."""

    id: str
    time: str = ""
    tenant: str = ""
    actor: Object = {}
    action: str
    targets: list[dict[str, str]] = []
    outcome: str = ""
    reason: str = ""
    source: dict[str, str] = {}
    trace: dict[str, str] = {}
    severity: str = ""
    attributes: Object = {}
    payload_type: str
    payload_encoding: str = ""
    payload: Raw | UnsetType = UNSET


def read_original(data: bytes) -> Original:
    """Read one foreign event.

    JSON that a record may hold is kept as it is. JSON that it may not (lone surrogates, NaN, very
    deep nesting) is kept as text, and bytes that are no text as base64.

    Raises:
        RejectedError: it is not a JSON object.
    """
    data = data.strip(_WHITE)
    try:
        text = data.decode()
        compact = msgspec.json.format(data, indent=-1)
        if is_deeper(compact, DEPTH_MAX):
            raise RecursionError
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_strange(data)
    try:
        fields = _decode(compact)
    except msgspec.ValidationError:  # no object, or a number with thousands of digits
        fields = _lenient(text)
    return Original(fields, compact, "", _sha256(compact))


def _read_strange(data: bytes) -> Original:
    fields = _lenient(data.decode(errors="replace"))
    try:
        payload, encoding = _encode(data.decode()), ""
    except UnicodeDecodeError:
        payload, encoding = _encode(b64encode(data).decode()), "base64"
    return Original(fields, payload, encoding, _sha256(data))


def _lenient(text: str) -> Object:
    try:
        fields = json.loads(text, parse_int=_whole, strict=False)
    except RecursionError:
        fields = {} if text.startswith("{") else None
    except ValueError as error:
        reason = str(error).partition(":")[0].lower()
        raise RejectedError("malformed", Problem(0, "", f"not JSON: {reason}")) from None
    if not isinstance(fields, dict):
        raise RejectedError("malformed", Problem(0, "", "not a JSON object"))
    return fields


def write_event(mapped: Mapped, original: Original) -> bytes:
    """Our event as one line of JSON, with the original in it."""
    if not mapped.id or len(mapped.id.encode()) > ID_BYTES_MAX:
        mapped.id = f"sha256:{original.digest}"
    mapped.action = mapped.action or NO_ACTION
    if mapped.action.startswith(RESERVED):
        mapped.action = f"{mapped.payload_type}:{mapped.action}"
    mapped.payload_encoding = original.encoding
    mapped.payload = Raw(original.payload)
    return _encode(mapped)


def pick(value: Json, *path: str) -> Json:
    """The value at a path; None: there is none. A hop may have changed the case of a key."""
    for key in path:
        if not isinstance(value, dict):
            return None
        if key in value:
            value = value[key]
        else:
            lower = key.lower()
            value = next((part for name, part in value.items() if name.lower() == lower), None)
    return value


def text(value: Json) -> str:
    """A value as text for a field of ours, bounded; "" for what is no text or number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    if not value.isascii():
        value = value.encode(errors="replace").decode()  # of a lone surrogate
    return value[:TEXT_CHARACTERS_MAX]


def first(*values: Json) -> str:
    """The first of the values that has a text."""
    return next(filter(None, map(text, values)), "")


def filled(**values: str) -> dict[str, str]:
    """Those fields that are not empty."""
    return {name: value for name, value in values.items() if value}


def objects(value: Json) -> Iterator[Object]:
    """The objects in a list, or the one that stands there without its list."""
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            yield part


def read_time(candidates: Iterable[Json]) -> tuple[str, Object]:
    """The first time that can be read, as it is spelled; and attributes.

    Returns:
        The time, "" for none; and what could not be read, as the attribute `time`.
    """
    unread: Object = {}
    for value in candidates:
        if value in (None, ""):
            continue
        try:
            if isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX:
                parse_time(value)
                return value, unread
        except ValueError:
            pass
        unread = unread or {"time": value if isinstance(value, int | float) else text(value)}
    return "", unread


def _whole(token: str) -> int | str:
    return int(token) if len(token) < 20 else token


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
