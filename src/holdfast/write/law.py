"""What makes an event good: the whole law, for one line. Exact, and slow. Pure.

`admit` proves most lines good by quicker means; every other line is judged here, and so is every
refusal made here.
"""

import binascii
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from holdfast.times import parse_time
from holdfast.write import strict
from holdfast.write.record import Actor, Sent

DEPTH_MAX: Final = 128
FAULTS_PER_LINE_MAX: Final = 5
RESERVED: Final = "holdfast."
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

MALFORMED: Final = "malformed"
TOO_LARGE: Final = "too-large"

_EVENT_BYTES_MAX: Final = 1024 * 1024
_REQUEST_BYTES_MAX: Final = 8 * 1024 * 1024
_REQUEST_EVENTS_MAX: Final = 10_000
_NAME_BYTES_MAX: Final = 256

NOT_GOOD: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decode = msgspec.json.Decoder(Sent).decode
_decode_actor = msgspec.json.Decoder(Actor).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_MESSAGE = re.compile(r"(.*?)(?: - at `\$\.?([a-z_.\[\]0-9]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_EXPECTED = re.compile(r"Expected `(\w+)`, got `(\w+)`")
_KINDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a fraction",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CHOICES: Final = {
    "outcome": "one of success, failure, denied, unknown",
    "payload_encoding": "base64, or left out",
}


class Limits(Struct, frozen=True):
    """Sizes in bytes of UTF-8. They may be lowered, never raised: readers rely on them.

    event_bytes: without space outside strings. request_bytes: decompressed.
    """

    event_bytes: int = _EVENT_BYTES_MAX
    request_bytes: int = _REQUEST_BYTES_MAX
    request_events: int = _REQUEST_EVENTS_MAX
    tenant_bytes: int = _NAME_BYTES_MAX
    id_bytes: int = _NAME_BYTES_MAX

    def __post_init__(self) -> None:
        for name, most in zip(self.__struct_fields__, self.__struct_defaults__, strict=True):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between 1 and {most}")


class Fault(NamedTuple):
    """What is wrong with a line. field: dotted path inside the event, "" for the line itself."""

    field: str
    reason: str
    kind: str = MALFORMED


class Lawful(NamedTuple):
    """A good event, and its line without space outside strings."""

    sent: Sent
    line: bytes


def judge(line: bytes, limits: Limits, own: bool) -> Lawful | tuple[Fault, ...]:
    """Decide over one line.

    Args:
        line: what should be one JSON object.
        limits: of an event.
        own: whether it is the trail's own event, which may have an action "holdfast.*".
    Returns:
        The event, or what is wrong with it: at least one fault.
    """
    try:
        line.decode()
        compact = msgspec.json.format(line, indent=-1)
        sent = _decode(compact)
    except NOT_GOOD as error:
        return (explain(error, line),)
    deep = tuple(
        _too_deep(name) for name, part in _parts(sent) if strict.is_deeper(part, DEPTH_MAX)
    )
    if deep:
        return deep
    text = _encode(sent)
    unclean = islice(strict.faults(compact, foreign="payload"), FAULTS_PER_LINE_MAX)
    faults = [
        *(Fault(field, reason) for field, reason in unclean),
        *_faults(sent, len(text), limits, own),
    ]
    return tuple(faults[:FAULTS_PER_LINE_MAX]) if faults else Lawful(sent, text)


def explain(error: Exception, line: bytes) -> Fault:
    """Say why a line could not be decoded, in the words of who sent it. error: of NOT_GOOD."""
    match error:
        case UnicodeDecodeError():
            return Fault("", f"not UTF-8 (byte {error.start})")
        case RecursionError():
            return _too_deep("")
        case msgspec.ValidationError():
            return _explain_shape(str(error))
    if line.startswith(BYTE_ORDER_MARK):
        return Fault("", "begins with a byte order mark: send UTF-8 without one")
    if _SURROGATE.search(line) and (field := _with_lone_surrogate(line)) is not None:
        return Fault(field, "holds half of a surrogate pair, which is no character")
    reason = str(error).removeprefix("JSON is malformed: ")
    if reason == "Input data was truncated":
        reason = "it ends too early"
    return Fault("", f"not JSON: {reason}")


def _with_lone_surrogate(line: bytes) -> str | None:
    """The first field whose name or text holds half of a surrogate pair; None: there is none.

    The standard library reads such text, where the decoder only says that it is no JSON.
    """
    try:
        left: list[tuple[str, object]] = [("", json.loads(line))]
    except (ValueError, RecursionError):
        return None
    while left:
        field, value = left.pop()
        if isinstance(value, str) and not _is_text(value):
            return field
        if isinstance(value, list):
            left += [(f"{field}[{at}]", each) for at, each in reversed([*enumerate(value)])]
        if isinstance(value, dict):
            if not all(map(_is_text, value)):
                return field
            inside = f"{field}." if field else ""
            left += [(inside + strict.shown(k), each) for k, each in reversed(value.items())]
    return None


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def _explain_shape(message: str) -> Fault:
    """Say which field is not as it must be, from msgspec's message."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None, "every message matches"
    what, field = match[1], match[2] or ""
    inside = f"{field}." if field else ""
    if found := _UNKNOWN.fullmatch(what):
        name = strict.shown(found[1])
        own = not inside and name in ("received", "principal")
        return Fault(inside + name, "set by the server, never sent" if own else "unknown field")
    if found := _MISSING.fullmatch(what):
        return Fault(inside + found[1], "missing")
    if found := _EXPECTED.fullmatch(what):
        wanted, got = (_KINDS.get(kind, kind) for kind in found.groups())
        instead = ": leave it out instead" if got == "null" else ""
        return Fault(field, f"must be {wanted}, not {got}{instead}")
    if "length >= 1" in what:
        return Fault(field, "must not be empty")
    if field in _CHOICES:
        return Fault(field, f"must be {_CHOICES[field]}")
    return Fault(field, what[:1].lower() + what[1:200].replace("`", ""))


def _parts(sent: Sent) -> Iterator[tuple[str, bytes]]:
    """The raw parts that are there."""
    for name in ("actor", "attributes", "payload"):
        part: Raw | UnsetType = getattr(sent, name)
        if not isinstance(part, UnsetType):
            yield name, bytes(part)


def _faults(sent: Sent, size_bytes: int, limits: Limits, own: bool) -> Iterator[Fault]:
    if size_bytes > limits.event_bytes:
        reason = f"the event has {size_bytes} bytes, more than {limits.event_bytes}"
        yield Fault("", reason, TOO_LARGE)
    for name, most in (("id", limits.id_bytes), ("tenant", limits.tenant_bytes)):
        text: str | UnsetType = getattr(sent, name)
        if text and len(text.encode()) > most:
            yield Fault(name, f"longer than {most} bytes", TOO_LARGE)
    if sent.action.startswith(RESERVED) and not own:
        yield Fault("action", f'"{RESERVED}*" is reserved for the trail\'s own events')
    if not isinstance(sent.time, UnsetType):
        try:
            parse_time(sent.time)
        except ValueError as error:
            yield Fault("time", str(error))
    yield from _faults_of_parts(sent)


def _faults_of_parts(sent: Sent) -> Iterator[Fault]:
    if sent.actor is not UNSET:
        try:
            _decode_actor(sent.actor)
        except msgspec.ValidationError as error:
            fault = _explain_shape(str(error))
            yield fault._replace(field=f"actor.{fault.field}".rstrip("."))
    if not isinstance(sent.attributes, UnsetType) and not bytes(sent.attributes).startswith(b"{"):
        yield Fault("attributes", "must be an object")
    if isinstance(sent.payload, UnsetType):
        for name in ("payload_type", "payload_encoding"):
            if getattr(sent, name) is not UNSET:
                yield Fault(name, "there is no payload that it speaks of")
        return
    if sent.payload_type is UNSET:
        yield Fault("payload_type", "missing: it says what the payload is, such as aws.cloudtrail")
    if sent.payload_encoding == "base64":
        try:
            binascii.a2b_base64(_decode_text(sent.payload), strict_mode=True)
        except (msgspec.ValidationError, binascii.Error, ValueError):
            yield Fault("payload", "not a string of standard base64, as payload_encoding says")


def _too_deep(field: str) -> Fault:
    return Fault(field, f"nested in more than {DEPTH_MAX} levels")
