"""Our own events, as they are; with an id, so that sending them again changes nothing. Pure."""

import hashlib
from typing import Final

import msgspec
from msgspec import Raw

from holdfast.errors import Problem, RejectedError
from holdfast.times import parse_time

Parts = dict[str, Raw]

_decode = msgspec.json.Decoder(Parts).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_NOT_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def map_event(data: bytes, account_as_tenant: bool = False) -> bytes:
    """Complete an event of ours.

    One without an id gets the hash of its own bytes (without space outside strings) as its id. A
    time that cannot be read moves to `attributes`. What else may be wrong is for the server to say.

    Args:
        data: a JSON object.
        account_as_tenant: changes nothing: the event has its tenant.
    Raises:
        RejectedError: it is not a JSON object.
    """
    try:
        compact = msgspec.json.format(data, indent=-1)
        parts = _decode(compact)
    except _NOT_JSON as error:
        reason = str(error).removeprefix("JSON is malformed: ")[:200]
        raise RejectedError("malformed", Problem(0, "", f"not a JSON object: {reason}")) from None
    line = _without_unread_time(compact, parts)
    if "id" in parts:
        return line
    id = f"sha256:{hashlib.sha256(compact).hexdigest()}"
    return b'{"id":"%b"%b%b' % (id.encode(), b"," if parts else b"", line[1:])


def _without_unread_time(line: bytes, parts: Parts) -> bytes:
    unread = parts.get("time")
    if unread is None or _is_time(unread) or len(_encode(parts)) != len(line):
        return line  # an event with a repeated key is for the server to refuse, with all it has
    try:
        attributes = _decode(parts.get("attributes", b"{}"))
    except _NOT_JSON:
        return line
    if len(_encode(attributes)) != len(parts.get("attributes", b"{}")):
        return line
    name = "time" if "time" not in attributes else "time_as_sent"
    moved = {key: part for key, part in parts.items() if key != "time"}
    return _encode(moved | {"attributes": attributes | {name: unread}})


def _is_time(raw: Raw) -> bool:
    try:
        parse_time(_decode_text(raw))
    except (msgspec.MsgspecError, ValueError):
        return False
    return True
