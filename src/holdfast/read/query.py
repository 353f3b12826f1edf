"""What a search asks for, checked, and where its next page begins. Pure.

The one order of events: by time, then node, then position, newest first. A cursor is a place in
that order, so pages stay right while events arrive: what is new lies before it.
"""

import base64
import binascii
import hashlib
import json

import msgspec
from msgspec import Struct

from holdfast.errors import Problem, RejectedError
from holdfast.model import NodeId, Query

LIMIT_MAX = 1000
TEXT_CHARACTERS_MAX = 1024
GROUPS = ("tenant", "actor", "action", "outcome", "ip", "node")
OUTCOMES = ("success", "failure", "denied", "unknown")

_TEXTS = ("tenant", "actor", "action", "target", "outcome", "ip", "id", "q", "word")
_CURSOR_VERSION = 1
# What some write otherwise than they must: PHP; Go; .NET. Case does not matter in a search.
_MORE_ESCAPED = (
    {ord("/"): r"\/"},
    {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"},
    {ord(each): f"\\u{ord(each):04x}" for each in "<>&'+`"},
)
_INT64_MAX = (1 << 63) - 1


class Spot(Struct, frozen=True, order=True, array_like=True):
    """A place in the order of events."""

    time_us: int
    node: NodeId
    position: int


class Phrase(Struct, frozen=True):
    """Text that a record must contain, in any case.

    spellings: any of them will do. is_whole: it neither begins nor ends within a word.
    """

    spellings: tuple[str, ...]
    is_whole: bool


class Wanted(Struct, frozen=True, kw_only=True):
    """A query that was checked.

    prefix: `action` is the beginning of the action. phrases: all of them are in the record.
    before: only events that come after this spot on the way from new to old.
    """

    from_us: int
    to_us: int
    tenant: str | None
    actor: str
    action: str
    prefix: bool
    target: str
    outcome: str
    ip: str
    id: str
    phrases: tuple[Phrase, ...]
    limit: int
    before: Spot | None
    digest: bytes

    @property
    def newest_us(self) -> int:
        """No event that is wanted has a later time."""
        last = self.to_us - 1
        return last if self.before is None else min(last, self.before.time_us)


class _Cursor(Struct, frozen=True, array_like=True):
    version: int
    digest: bytes
    spot: Spot


def check(query: Query) -> Wanted:
    """Check a query and take it apart.

    Raises:
        RejectedError: a field that no event could match, or a cursor that is not this search's.
    """
    problems = [
        problem
        for name in _TEXTS
        if (value := getattr(query, name)) is not None and (problem := _refuse_text(name, value))
    ]
    if query.outcome and query.outcome not in OUTCOMES:
        problems.append(Problem(0, "outcome", f"is one of {', '.join(OUTCOMES)}"))
    if not 1 <= query.limit <= LIMIT_MAX:
        problems.append(Problem(0, "limit", f"is 1 to {LIMIT_MAX}"))
    from_us = -_INT64_MAX if query.from_us is None else query.from_us
    to_us = _INT64_MAX if query.to_us is None else query.to_us
    if from_us >= to_us:
        problems.append(Problem(0, "from", "is not before `to`"))
    if problems:
        raise RejectedError("bad-parameter", *problems)
    digest = _digest(query)
    return Wanted(
        from_us=max(from_us, -_INT64_MAX),
        to_us=min(to_us, _INT64_MAX),
        tenant=query.tenant,
        actor=query.actor,
        action=query.action.removesuffix("*"),
        prefix=query.action.endswith("*"),
        target=query.target,
        outcome=query.outcome,
        ip=query.ip,
        id=query.id,
        phrases=tuple(
            Phrase(spellings(text), is_whole)
            for text, is_whole in ((query.q, False), (query.word, True))
            if text
        ),
        limit=query.limit,
        before=_read_cursor(query.cursor, digest) if query.cursor else None,
        digest=digest,
    )


def cursor_after(wanted: Wanted, last: Spot) -> str:
    """The cursor of the page that goes on behind `last`."""
    data = msgspec.msgpack.encode(_Cursor(_CURSOR_VERSION, wanted.digest, last))
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def check_groups(by: tuple[str, ...], bucket_us: int | None) -> None:
    """Check what a count is grouped by.

    Raises:
        RejectedError: an unknown or repeated field, or a bucket that is not positive.
    """
    problems = [
        Problem(0, "by", f"{name!r} is not one of {', '.join(GROUPS)}")
        for name in by
        if name not in GROUPS
    ]
    if len(set(by)) != len(by):
        problems.append(Problem(0, "by", "names a field twice"))
    if bucket_us is not None and not 1 <= bucket_us <= _INT64_MAX:
        problems.append(Problem(0, "bucket", "is a positive duration"))
    if problems:
        raise RejectedError("bad-parameter", *problems)


def spellings(text: str) -> tuple[str, ...]:
    """How a text may stand inside a JSON record, which keeps strings as their sender wrote them.

    As it is; with quotes, backslashes and control characters escaped; with everything beyond ASCII
    as 4 hex digits, which many senders' libraries write, in both cases of its letters; and each of
    these as the libraries write it that escape more, so that it can stand in HTML.
    """
    if not text:
        return ()
    found = [json.dumps(text, ensure_ascii=False)[1:-1]]
    if not text.isascii():
        found += [json.dumps(case)[1:-1] for case in (text, text.lower(), text.upper())]
    more = [each.translate(escapes) for escapes in _MORE_ESCAPED for each in found]
    return tuple(dict.fromkeys([text, *found, *more]))


def _refuse_text(name: str, value: str) -> Problem | None:
    if len(value) > TEXT_CHARACTERS_MAX:
        return Problem(0, name, f"has more than {TEXT_CHARACTERS_MAX} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        return Problem(0, name, "holds half of a surrogate pair")
    return None


def _digest(query: Query) -> bytes:
    filters = [getattr(query, name) for name in ("from_us", "to_us", *_TEXTS)]
    return hashlib.sha256(msgspec.json.encode(filters)).digest()[:6]


def _read_cursor(text: str, digest: bytes) -> Spot:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(data, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise RejectedError("bad-cursor", Problem(0, "cursor", "is not one of ours")) from None
    spot = cursor.spot
    in_range = abs(spot.time_us) <= _INT64_MAX and 0 <= spot.position <= _INT64_MAX
    if cursor.version != _CURSOR_VERSION or not in_range:
        raise RejectedError("bad-cursor", Problem(0, "cursor", "is not one of ours"))
    if cursor.digest != digest:
        raise RejectedError("bad-cursor", Problem(0, "cursor", "belongs to another search"))
    return spot
