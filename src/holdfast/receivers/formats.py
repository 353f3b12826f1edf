"""The formats that can be imported, and how a piece of a file becomes events. Pure.

A piece is one event, or an envelope or an array with many. Every event in it comes out, mapped, or
is named with what is wrong with it.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from holdfast.errors import Problem, RejectedError
from holdfast.receivers import anyjson, cloudtrail, kubernetes, native


class Format(NamedTuple):
    """A format. envelope: the key under which an envelope has its events, "" for none.

    map_event: bytes of one event, and whether the source's account becomes the tenant, to an event
    of ours; raises RejectedError for what is no JSON object.
    """

    envelope: str
    map_event: Callable[[bytes, bool], bytes]


class Piece(NamedTuple):
    """A part of a file that stands by itself. line: 1-based line that it begins on."""

    line: int
    data: bytes


class Ready(NamedTuple):
    """An event to send. place: where in its piece it was, "[3]", or "" for the whole of it."""

    line: int
    place: str
    data: bytes


FORMATS: Final = {
    "holdfast": Format("", native.map_event),
    "ndjson": Format("", anyjson.map_event),
    "cloudtrail": Format("Records", cloudtrail.map_event),
    "k8s": Format("items", kubernetes.map_event),
}

_SPACE = re.compile(r"[ \t\r\n]*")
_decode_array = msgspec.json.Decoder(list[Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_scan_value = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode


def map_piece(
    format: Format, piece: Piece, account_as_tenant: bool = False
) -> Iterator[Ready | Problem]:
    """Every event in a piece, in order: mapped, or what is wrong with it."""
    count = 0
    place = ""
    try:
        for data, place in split(piece.data, format.envelope):
            count += 1
            try:
                yield Ready(piece.line, place, format.map_event(data, account_as_tenant))
            except RejectedError as error:
                yield Problem(piece.line, place, error.problems[0].reason)
    except RejectedError as error:
        yield Problem(piece.line, f"after {place}" if count else "", error.problems[0].reason)


def split(data: bytes, envelope: str) -> Iterator[tuple[bytes, str]]:
    """The events in a piece, each with its place: "[0]", "[1]", ... or "" for the piece itself.

    Raises:
        RejectedError: an envelope is broken; what stands before the break has been yielded.
    """
    data = data.strip()
    opening = rb"[\[{]" if envelope else rb"\["
    if re.match(opening, data) is None or (
        data.startswith(b"{") and b'"%b"' % envelope.encode() not in data
    ):
        yield data, ""
        return
    try:
        parts = _parts(data, envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield from _split_strange(data, envelope)
        return
    if parts is None:
        yield data, ""
        return
    for index, part in enumerate(parts):
        yield bytes(part), f"[{index}]"


def _parts(data: bytes, envelope: str) -> list[Raw] | None:
    """The elements, where the piece is an array or an envelope with one."""
    if data.startswith(b"["):
        return _decode_array(data)
    inside = _decode_object(data).get(envelope)
    if inside is None or not bytes(inside).startswith(b"["):
        return None
    return _decode_array(inside)


def _split_strange(data: bytes, envelope: str) -> Iterator[tuple[bytes, str]]:
    """The same for what is not quite JSON: bad UTF-8, lone surrogates, NaN, or cut off.

    Elements come out byte for byte, for their mapping to keep.
    """
    text = data.decode(errors="surrogateescape")
    at = 0
    if data.startswith(b"{"):
        found = re.search(rf'"{envelope}"\s*:\s*\[', text)
        if found is None:
            yield data, ""
            return
        at = found.end() - 1
    at, index = _skip(text, at + 1), 0
    while at < len(text) and text[at] != "]":
        try:
            _, end = _scan_value(text, at)
        except (ValueError, RecursionError):
            break
        yield text[at:end].encode(errors="surrogateescape"), f"[{index}]"
        index += 1
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            break
        at = _skip(text, at + 1)
    if text[at : at + 1] != "]":
        raise RejectedError("malformed", Problem(0, "", "the list of events is broken off"))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
