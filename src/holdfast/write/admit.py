"""From a request's body to events, or a precise refusal. Pure.

    admit -> split into lines -> prove most of them good, quickly -> judge every other line

There is one law, in `law.judge`, and it is slow. The quick way has no opinion of its own: it takes
what a few cheap facts prove to be good, and leaves the rest to the judge.

The main fact is a length. Decoding a line into `Sent` and encoding that again never makes it
longer: the fixed fields come back in the shortest spelling that JSON has, the raw parts as they
were, a repeated key once, space outside strings not at all. All these differences have one sign, so
they cannot cancel: an equal length proves that nothing was dropped. The same holds inside `actor`
and `attributes`, where numbers come back as they were spelled; there, a whole group of lines is
compared at once.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import compress
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from holdfast.errors import Problem, RejectedError
from holdfast.times import parse_time
from holdfast.write import strict
from holdfast.write.law import (
    DEPTH_MAX,
    MALFORMED,
    NOT_GOOD,
    RESERVED,
    TOO_LARGE,
    Fault,
    Lawful,
    Limits,
    explain,
    judge,
)
from holdfast.write.record import Actor, Admitted, Sent, finish

__all__ = ["Admitted", "Limits", "admit", "finish"]

BAD_LINES_MAX: Final = 100
MEDIA_TYPES_OF_LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MEDIA_TYPE_JSON: Final = "application/json"
MEDIA_TYPES: Final = (MEDIA_TYPE_JSON, *MEDIA_TYPES_OF_LINES)

_GROUP_LINES: Final = 64
_JOINED_BYTES_MAX: Final = 256 * 1024
_SEALED: Final = b'"%b"' % strict.SEALED_KEY.encode()
_DEEP_BYTES_MIN: Final = 2 * DEPTH_MAX  # what nests deeper has at least so many brackets
_DEFAULT: Final = Limits()
_COMMAS_MANY: Final = 256 * 1024
_HEAD_BYTES: Final = 128

_decode = msgspec.json.Decoder(Sent).decode
_decode_objects = msgspec.json.Decoder(list[dict[str, object]], float_hook=Raw).decode
_decode_events = msgspec.json.Decoder(list[Sent]).decode
_decode_array = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode


class _Group(Struct, gc=False):
    """Types to check a group of lines against. A class, since its analysis is kept by msgspec."""

    actors: list[Actor]
    times: list[Annotated[datetime, Meta(tz=True)]]


def admit(body: bytes, content_type: str, limits: Limits = _DEFAULT, own: bool = False) -> Admitted:
    """Validate a whole request; nothing of it is taken unless all of it is good.

    Args:
        body: decompressed.
        content_type: as in the header: a JSON object, an array of them, or one a line.
        limits: of the request and of each event.
        own: whether these are the trail's own events, which may have an action "holdfast.*".
    Raises:
        RejectedError: malformed, too-large or unsupported-media-type; with every bad line, up to
            BAD_LINES_MAX.
    """
    is_lines = media_type(content_type) in MEDIA_TYPES_OF_LINES
    if len(body) > limits.request_bytes:
        raise _refusal(f"the body has more than {limits.request_bytes} bytes", TOO_LARGE)
    lines = _lines(body, limits) if is_lines else _elements(body, limits)
    # A guess, on which only speed depends: who writes spaces does so from the first field on.
    if b'": ' in body[:_HEAD_BYTES] or b"\r" in body[:4096]:
        lines = [_compacted(line) for line in lines]
    reading = _Reading(limits, own, seals=b"$" in body)  # few bodies have one, and it is found fast
    reading.read(lines)
    return reading.result()


@lru_cache(maxsize=64)
def media_type(content_type: str) -> str:
    """The one of MEDIA_TYPES that a Content-Type names.

    Raises:
        RejectedError: unsupported-media-type.
    """
    essence, *parameters = content_type.lower().split(";")
    found, reason = essence.strip(), ""
    if found not in MEDIA_TYPES:
        reason = f"is {found[:80] or 'missing'}; send {MEDIA_TYPE_JSON}"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8", "us-ascii"):
            reason = reason or "the charset must be UTF-8"
    if reason:
        raise RejectedError("unsupported-media-type", Problem(0, "Content-Type", reason))
    return found


def _lines(body: bytes, limits: Limits) -> list[bytes]:
    most = 2 * limits.request_events  # with an empty line after each
    lines = body.split(b"\n", most)
    if len(lines) > most and lines[-1]:
        raise _refusal(f"the body has more than {most} lines", TOO_LARGE)
    return lines


def _elements(body: bytes, limits: Limits) -> list[bytes]:
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return [body]
    try:
        if body.count(b",") > _COMMAS_MANY:
            _decode_events(body)  # ends at the first element that is none, before memory does
        elements = [bytes(element) for element in _decode_array(body)]
    except NOT_GOOD as error:
        raise _refusal_of_array(body, error) from None
    if len(elements) > limits.request_events:
        raise _refusal(f"more than {limits.request_events} events", TOO_LARGE)
    return elements


def _compacted(line: bytes) -> bytes:
    try:
        return msgspec.json.format(line, indent=-1)
    except NOT_GOOD:
        return line


def _refusal(reason: str, kind: str) -> RejectedError:
    return RejectedError(kind, Problem(0, "", reason))


def _refusal_of_array(body: bytes, error: Exception) -> RejectedError:
    fault = explain(error, body)
    element, _, field = fault.field.partition("]")  # such as "[3].actor"
    number = int(element.lstrip("[")) + 1 if element else 0
    return RejectedError(MALFORMED, Problem(number, field.lstrip("."), fault.reason))


class _Reading:
    """The events of one request, while it is read.

    Columns run side by side, one place an event; judged lines come out of turn.
    """

    def __init__(self, limits: Limits, own: bool, seals: bool) -> None:
        """seals: whether the body may speak of sealed values."""
        self._limits = limits
        self._own = own
        self._seals = seals
        # A text of so many characters has no more bytes than either limit.
        self._short = min(limits.id_bytes, limits.tenant_bytes) // 4
        self._numbers: list[int] = []
        self._tenants: list[str] = []
        self._ids: list[str] = []
        self._times: list[str] = []
        self._texts: list[bytes] = []
        self._bad: dict[int, tuple[Fault, ...]] = {}
        self._in_turn = True

    def read(self, lines: Sequence[bytes]) -> None:
        """Read everything, or as far as BAD_LINES_MAX bad lines."""
        for start in range(0, len(lines), _GROUP_LINES):
            self._read_group(start + 1, lines[start : start + _GROUP_LINES])
            if len(self._bad) >= BAD_LINES_MAX:
                break

    def result(self) -> Admitted:
        if self._bad:
            raise self._refused()
        count = len(self._texts)
        if not count:
            raise _refusal("there is no event in the body", MALFORMED)
        if count > self._limits.request_events:
            raise _refusal(f"more than {self._limits.request_events} events", TOO_LARGE)
        if not self._in_turn:
            order = sorted(range(count), key=self._numbers.__getitem__)
            self._tenants = [self._tenants[place] for place in order]
            self._ids = [self._ids[place] for place in order]
            self._times = [self._times[place] for place in order]
            self._texts = [self._texts[place] for place in order]
        return Admitted(
            tenants=tuple(self._tenants),
            ids=tuple(self._ids),
            times=tuple(self._times),
            lines=tuple(self._texts),
            size_bytes=sum(map(len, self._texts)),
        )

    def _refused(self) -> RejectedError:
        worst = sorted(self._bad.items())[:BAD_LINES_MAX]
        kinds = {fault.kind for _, faults in worst for fault in faults}
        return RejectedError(
            MALFORMED if MALFORMED in kinds else TOO_LARGE,
            *(
                Problem(number, fault.field, fault.reason)
                for number, faults in worst
                for fault in faults
            ),
        )

    def _read_group(self, first: int, lines: Sequence[bytes]) -> None:
        """Lines from number `first` on: what is proven is taken, the rest is judged."""
        numbers: list[int] = []
        sents: list[Sent] = []
        texts: list[bytes] = []
        doubtful: list[int] = []
        limit, short, seals = self._limits.event_bytes, self._short, self._seals
        for number, line in enumerate(lines, first):
            try:
                sent = _decode(line)
                text = _encode(sent)
            except NOT_GOOD:
                doubtful.append(number)
                continue
            if (
                len(text) != len(line)
                or len(text) > limit
                or (sent.id and len(sent.id) > short)
                or (sent.tenant and len(sent.tenant) > short)
                or sent.action[: len(RESERVED)] == RESERVED
                or (seals and _SEALED in line)
                or not (sent.payload_type is sent.payload is UNSET or _is_plain_payload(sent))
                or sent.payload_encoding is not UNSET
            ):
                doubtful.append(number)
                continue
            numbers.append(number)
            sents.append(sent)
            texts.append(text)
        if not _are_plain(sents):
            good = [_are_plain([sent]) for sent in sents]
            doubtful += [number for number, kept in zip(numbers, good, strict=True) if not kept]
            numbers = list(compress(numbers, good))
            sents = list(compress(sents, good))
            texts = list(compress(texts, good))
        self._numbers += numbers
        self._tenants += [sent.tenant or "" for sent in sents]
        self._ids += [sent.id or "" for sent in sents]
        self._times += [sent.time or "" for sent in sents]
        self._texts += texts
        for number in doubtful:
            self._judge(number, lines[number - first])

    def _judge(self, number: int, line: bytes) -> None:
        if not line.strip(b" \t\r"):
            return
        verdict = judge(line, self._limits, self._own)
        if isinstance(verdict, Lawful):
            self._numbers.append(number)
            self._tenants.append(verdict.sent.tenant or "")
            self._ids.append(verdict.sent.id or "")
            self._times.append(verdict.sent.time or "")
            self._texts.append(verdict.line)
            self._in_turn = False
        else:
            self._bad[number] = verdict


def _are_plain(sents: Sequence[Sent]) -> bool:
    """Whether times can be read, and actors and attributes are well made; False: not proven."""
    actors = [sent.actor for sent in sents if sent.actor is not UNSET]
    parts = actors + [sent.attributes for sent in sents if sent.attributes is not UNSET]
    times = [sent.time for sent in sents if sent.time is not UNSET]
    if odd := [time for time in times if time[-1:] != "Z"]:
        if not all(map(_is_time, odd)):
            return False
        times = [time for time in times if time[-1:] == "Z"]
    joined = b"[%b]" % b",".join(parts)
    if len(sents) > 1 and len(joined) > _JOINED_BYTES_MAX:
        return False  # one by one, for the sake of memory
    if len(joined) > _DEEP_BYTES_MIN:
        large = [bytes(part) for part in parts if len(part) > _DEEP_BYTES_MIN]
        if any(strict.is_deeper(part, DEPTH_MAX) for part in large):
            return False
    try:
        objects = _decode_objects(joined)
        msgspec.convert({"actors": objects[: len(actors)], "times": times}, _Group)
    except NOT_GOOD:
        return False
    return len(_encode(objects)) == len(joined)


def _is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def _is_plain_payload(sent: Sent) -> bool:
    """Whether the payload has its type and needs no change; False: not proven."""
    if sent.payload is UNSET or sent.payload_type is UNSET:
        return False
    data = bytes(sent.payload)
    try:
        if not data.isascii():
            data.decode()
    except UnicodeDecodeError:
        return False
    if len(data) > _DEEP_BYTES_MIN and strict.is_deeper(data, DEPTH_MAX):
        return False
    return len(msgspec.json.format(data, indent=-1)) == len(data)
