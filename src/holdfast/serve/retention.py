"""Retention and legal holds, as the HTTP interface says them, and as they are asked for."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from holdfast.archive.rules import Rule
from holdfast.errors import Problem, RejectedError
from holdfast.proof import MalformedError
from holdfast.regions import units
from holdfast.regions.retaining import Out
from holdfast.retention.expire import RetentionReport
from holdfast.retention.holds import Held, Wanted
from holdfast.retention.plan import Expiring
from holdfast.serve.answers import Time, time_of
from holdfast.times import format_us, parse_time

TEXT_CHARS_MAX: Final = 1000


class LateShape(Struct, frozen=True):
    """What was let go before a hold came."""

    unit: str
    retention: str = field(name="class")
    rule: str
    floored: Time


class HoldShape(Struct, frozen=True):
    """A hold. from, to: null: open. released: null: it stands. stored: where it was just put, for
    each region "" or why not."""

    id: str
    tenant: str
    actor: str
    from_: Time | None = field(name="from")
    to: Time | None
    reason: str
    author: str
    placed: Time
    released: Time | None
    released_by: str
    release_reason: str
    late: tuple[LateShape, ...]
    stored: dict[str, str]


class HoldsAnswer(Struct, frozen=True):
    """All holds, also those that are over, by when they were placed."""

    holds: tuple[HoldShape, ...]


class RuleShape(Struct, frozen=True):
    """A rule of the settings."""

    retention: str = field(name="class")
    tenants: tuple[str, ...]
    payload_types: tuple[str, ...]
    actions: tuple[str, ...]
    min: int
    max: int


class RemovedShape(Struct, frozen=True):
    """Parts that were deleted in a region, or lie there."""

    region: str
    parts: int
    bytes: int


class ExpiringShape(Struct, frozen=True):
    """A class of a unit that some rule lets go, now or some day."""

    unit: str
    retention: str = field(name="class")
    rule: str
    rows: int
    bytes: int
    due: Time | None
    floored: bool
    why: tuple[str, ...]
    removed: tuple[RemovedShape, ...]
    left: dict[str, str]


class RetentionAnswer(Struct, frozen=True):
    """What a run did, or would do. through: what ages are counted by."""

    started: Time
    ended: Time
    through: Time | None
    rules: tuple[RuleShape, ...]
    expiring: tuple[ExpiringShape, ...]
    away: dict[str, str]
    trouble: str


Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
TextOrNone = Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]


class HoldWanted(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A hold, as it is asked for. from, to: RFC 3339; "": open."""

    tenant: TextOrNone
    reason: Text
    author: TextOrNone = ""
    actor: TextOrNone = ""
    from_: str = field(name="from", default="")
    to: str = ""


class ReleaseWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a hold, as it is asked for."""

    reason: Text
    author: TextOrNone = ""


class RunWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A run, as it is asked for: of one class of one unit, or "" for all."""

    unit: str = ""
    retention: str = field(name="class", default="")


def wanted_of(asked: HoldWanted, principal: str) -> Wanted:
    """The hold that is asked for. principal: who sent it, for where it names nobody.

    Raises:
        RejectedError: a time that is none, or a range that is empty.
    """
    from_us, to_us = _us("from", asked.from_), _us("to", asked.to)
    if to_us is not None and to_us <= (from_us or 0):
        raise RejectedError("malformed", Problem(0, "to", "lies not behind from"))
    return Wanted(
        tenant=asked.tenant,
        actor=asked.actor,
        from_us=from_us,
        to_us=to_us,
        reason=asked.reason,
        author=asked.author or principal,
    )


def only_of(asked: RunWanted) -> Out | None:
    """The class of the unit that is meant; None: all. Raises RejectedError."""
    if not asked.unit and not asked.retention:
        return None
    if not asked.unit or not asked.retention:
        name = "class" if asked.unit else "unit"
        raise RejectedError("malformed", Problem(0, name, "missing: unit and class go together"))
    for name, check, value in (
        ("unit", units.check_unit, asked.unit),
        ("class", units.check_class, asked.retention),
    ):
        try:
            check(value)
        except MalformedError as error:
            raise RejectedError("malformed", Problem(0, name, str(error))) from None
    return asked.unit, asked.retention


def _us(name: str, text: str) -> int | None:
    try:
        us = parse_time(text) if text else None
    except ValueError as error:
        raise RejectedError("malformed", Problem(0, name, str(error))) from None
    if us is not None and us < 0:
        raise RejectedError("malformed", Problem(0, name, "lies before 1970"))
    return us


def holds_answer(found: tuple[Held, ...]) -> HoldsAnswer:
    return HoldsAnswer(tuple(map(hold_shape, found)))


def hold_shape(held: Held) -> HoldShape:
    hold, release = held.hold, held.release
    return HoldShape(
        id=hold.hold,
        tenant=hold.tenant,
        actor=hold.actor,
        from_=time_of(hold.from_us),
        to=time_of(hold.to_us),
        reason=hold.reason,
        author=hold.author,
        placed=format_us(hold.placed_us),
        released=format_us(release.released_us) if release else None,
        released_by=release.author if release else "",
        release_reason=release.reason if release else "",
        late=tuple(
            LateShape(each.unit, each.retention, each.rule, format_us(each.floored_us))
            for each in held.late
        ),
        stored=dict(held.stored),
    )


def retention_answer(report: RetentionReport, rules: tuple[Rule, ...]) -> RetentionAnswer:
    return RetentionAnswer(
        started=format_us(report.started_us),
        ended=format_us(report.ended_us),
        through=time_of(report.through_us),
        rules=tuple(
            RuleShape(each.name, each.tenants, each.payload_types, each.actions, each.min, each.max)
            for each in rules
        ),
        expiring=tuple(map(_expiring, report.expiring)),
        away=dict(report.away),
        trouble=report.trouble,
    )


def _expiring(each: Expiring) -> ExpiringShape:
    left: Mapping[str, str] = dict(each.left)
    return ExpiringShape(
        unit=each.unit,
        retention=each.retention,
        rule=each.rule,
        rows=each.rows,
        bytes=each.size_bytes,
        due=format_us(each.due_us) if each.due_us else None,
        floored=each.floored,
        why=each.why,
        removed=tuple(RemovedShape(*removed) for removed in each.removed),
        left=dict(left),
    )
