"""What a request that fails is told: RFC 9457 problems, with types that never change. Pure.

A type is a path of this server, where a person can read what it means.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from holdfast.errors import (
    CorruptError,
    HeldError,
    HoldfastError,
    OutcomeUnknownError,
    RejectedError,
    UnavailableError,
)

MEDIA_TYPE: Final = "application/problem+json"
_MEDIA_TYPE_HEADER: Final = (b"content-type", MEDIA_TYPE.encode())
_encode = msgspec.json.Encoder().encode

Header = tuple[bytes, bytes]


class Kind(NamedTuple):
    """A kind of problem. title: the same for every occurrence. meaning: and what to do then."""

    status: int
    title: str
    meaning: str


KINDS: Final[Mapping[str, Kind]] = {
    "malformed": Kind(
        400,
        "The request is malformed",
        "Nothing was stored. `errors` says what is wrong where: line (1-based; 0: the request as a "
        "whole), field and reason. Correct it and send it again.",
    ),
    "unknown-parameter": Kind(
        400,
        "A parameter is not known here",
        "A misspelt filter would answer another question than the one asked, so it is refused. "
        "`errors` names it.",
    ),
    "bad-parameter": Kind(
        400,
        "A parameter cannot be read",
        "`errors` names it and says what it must be.",
    ),
    "bad-cursor": Kind(
        400,
        "The cursor does not belong to this search",
        "A cursor continues the very search that gave it, with the same filters. Search anew.",
    ),
    "too-many-groups": Kind(
        400,
        "The count makes too many groups",
        "Group by fewer fields, take wider bars, or filter.",
    ),
    "unauthorized": Kind(
        401,
        "The token is missing or wrong",
        "Send `Authorization: Bearer TOKEN` with the token in the server's `token_file` "
        "(or as the password of Basic, under any name; a browser is shown a form).",
    ),
    "not-found": Kind(404, "There is nothing here", "No such path, or no event with that id."),
    "ambiguous": Kind(
        409,
        "Several events have that id",
        "A proof is of one event: name its `tenant`, or its `node` and `position` as the element "
        "of a search has them. `errors` lists the places.",
    ),
    "unprovable": Kind(
        409,
        "No proof can be made of that event",
        "Segments of its ledger are lost for good, and with them names that its path needs.",
    ),
    "unsigned": Kind(
        409,
        "Nobody is here to sign",
        "A receipt is signed by the node of a server, or under the trail's key.",
    ),
    "uncertifiable": Kind(
        409,
        "That time cannot be certified or exported",
        "It is not all known yet: `errors` says through when it is. Or segments are lost, and no "
        "declared gap says so; or what a rule let go was stated by an older version.",
    ),
    "method-not-allowed": Kind(
        405, "That method means nothing here", "The header `Allow` lists what may be done."
    ),
    "timeout": Kind(
        408,
        "The request took too long to arrive",
        "Nothing was stored. Send smaller batches, or over a better line.",
    ),
    "too-large": Kind(
        413,
        "The request is too large",
        "Nothing was stored. `errors` names the limit. Send less at once.",
    ),
    "unsupported-media-type": Kind(
        415,
        "The body is of a kind that is not taken",
        "Content-Type is application/json (an event, or an array of events) or "
        "application/x-ndjson (an event a line); Content-Encoding is gzip, zstd or identity.",
    ),
    "misdirected": Kind(
        421,
        "That host is not served here",
        "Without a token this server answers only who calls it by a loopback name, lest a web page "
        "read the trail through the reader's own browser. Set `token_file`.",
    ),
    "held": Kind(
        423,
        "A legal hold forbids it",
        "What is to be deleted may have events that somebody holds. `holdfast hold list` has the "
        "holds; one that is over is released.",
    ),
    "headers-too-large": Kind(
        431, "The request's head is too large", "Send a shorter URL and fewer headers."
    ),
    "internal": Kind(
        500,
        "The server made a mistake",
        "It is written to the server's log under the `incident`. For POST /v1/events the outcome "
        "is unknown: send the same ids again.",
    ),
    "corrupt": Kind(
        500,
        "Stored bytes contradict their own name",
        "Page someone. Other regions hold intact copies; the server's log names the object.",
    ),
    "unavailable": Kind(
        503,
        "Not now",
        "Nothing was stored. Send the same request again after `Retry-After` seconds.",
    ),
    "not-ready": Kind(503, "Not ready", "`reasons` says what is missing."),
    "outcome-unknown": Kind(
        504,
        "Not acknowledged in time",
        "The events may be stored or not. Send them again with the same `ids`: what is stored "
        "twice under one id is shown once.",
    ),
}


class Reply(NamedTuple):
    """A whole HTTP answer. headers: content-type and what the kind of problem needs."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def type_uri(kind: str) -> str:
    """The problem's `type`: stable, and a path of this server."""
    return f"/problems/{kind}"


def problem(kind: str, detail: str, *headers: Header, **members: object) -> Reply:
    """Say what is wrong.

    Args:
        kind: a key of KINDS.
        detail: about this occurrence, for a person.
        headers: beyond content-type.
        members: extension members of the problem.
    """
    status, title, _ = KINDS[kind]
    body = {"type": type_uri(kind), "title": title, "status": status, "detail": detail, **members}
    return Reply(status, (_MEDIA_TYPE_HEADER, *headers), _encode(body))


def from_error(error: HoldfastError) -> Reply:
    """Translate one of our errors: the one place where they meet HTTP.

    A subclass of HoldfastError that is not known here is a mistake of ours, so `internal`.
    """
    match error:
        case RejectedError():
            return _rejected(error)
        case UnavailableError():
            retry = str(max(1, error.retry_after_seconds)).encode()
            return problem("unavailable", str(error), (b"retry-after", retry))
        case OutcomeUnknownError():
            return problem("outcome-unknown", str(error), ids=error.ids)
        case HeldError():
            return problem("held", str(error))
        case CorruptError():
            return problem("corrupt", "an object does not hash to its name")
    return problem("internal", "an error without a translation")


def _rejected(error: RejectedError) -> Reply:
    kind = error.kind if error.kind in KINDS else "malformed"
    errors = [
        {"line": found.line, "field": found.field, "reason": found.reason}
        for found in error.problems
    ]
    return problem(kind, str(error), errors=errors)
