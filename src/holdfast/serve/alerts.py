"""Alerts, as GET /v1/alerts and `holdfast alerts` say them, and silences as they are asked for."""

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from holdfast.errors import Problem, RejectedError
from holdfast.serve.answers import Time, time_of
from holdfast.serve.status import DeliveryShape, delivery_shape
from holdfast.times import format_us
from holdfast.watch.alarms import AlarmsReport
from holdfast.watch.alerts import Alert, Book, Silence
from holdfast.watch.kinds import KINDS
from holdfast.write import law, strict

BODY_BYTES_MAX: Final = 16 * 1024
SECONDS_MAX: Final = 31 * 24 * 3600
TEXT_CHARS_MAX: Final = 1000

Kind = TypeVar("Kind")


class StepShape(Struct, frozen=True):
    """One thing to do, and the command for it; "" where there is none."""

    text: str
    command: str


class AlertShape(Struct, frozen=True):
    """An alert. since: first found; opened: it lasted for long enough; told: null while silenced.
    silenced: until when; resolved: null while it is open."""

    key: str
    kind: str
    severity: str
    subject: str
    title: str
    summary: str
    means: str
    do: tuple[StepShape, ...]
    since: Time
    opened: Time
    told: Time | None
    silenced: Time | None
    resolved: Time | None


class SilenceShape(Struct, frozen=True):
    """Nobody is told of alerts whose key matches, until then."""

    match: str
    made: Time
    until: Time
    by: str
    why: str
    covers: tuple[str, ...]


class AlertsAnswer(Struct, frozen=True):
    """What is open, the gravest first; what is over, the newest first; silences; and how the ways
    do that messages go."""

    open: tuple[AlertShape, ...]
    past: tuple[AlertShape, ...]
    silences: tuple[SilenceShape, ...]
    channels: tuple[DeliveryShape, ...]


Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]


class SilenceWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A silence, as it is asked for. for_s: seconds from now; 0 ends one with this `match`."""

    match: Text
    for_s: Annotated[int, Meta(ge=0, le=SECONDS_MAX)]
    why: Text
    by: Annotated[str, Meta(max_length=TEXT_CHARS_MAX)] = ""


def alerts_answer(report: AlarmsReport, now_us: int) -> AlertsAnswer:
    """The answer to GET /v1/alerts."""
    book = report.book
    return AlertsAnswer(
        open=tuple(_shape(each, book, now_us) for each in book.open),
        past=tuple(_shape(each, book, now_us) for each in book.past),
        silences=tuple(
            silence_shape(each, book) for each in book.silences if now_us < each.until_us
        ),
        channels=tuple(map(delivery_shape, report.channels)),
    )


def _shape(alert: Alert, book: Book, now_us: int) -> AlertShape:
    kind = KINDS[alert.kind]
    silence = None if alert.resolved_us else book.silence_of(alert.key, now_us)
    return AlertShape(
        key=alert.key,
        kind=alert.kind,
        severity=alert.severity,
        subject=alert.subject,
        title=alert.title,
        summary=alert.summary,
        means=kind.means,
        do=tuple(StepShape(step.text, step.command) for step in kind.do),
        since=format_us(alert.since_us),
        opened=format_us(alert.opened_us),
        told=time_of(alert.told_us),
        silenced=format_us(silence.until_us) if silence else None,
        resolved=time_of(alert.resolved_us),
    )


def silence_shape(silence: Silence, book: Book) -> SilenceShape:
    """A silence, and what it covers of what is open, also where it has just ended."""
    covered = [each.key for each in book.open if silence.covers(each.key, silence.made_us - 1)]
    return SilenceShape(
        silence.match,
        format_us(silence.made_us),
        format_us(silence.until_us),
        silence.by,
        silence.why,
        tuple(covered),
    )


def decoded(body: bytes, media_type: str, kind: type[Kind]) -> Kind:
    """What a request's body asks for. Raises RejectedError: what is wrong with it, by name."""
    if media_type != "application/json":
        raise RejectedError("unsupported-media-type", Problem(0, "", "must be application/json"))
    if len(body) > BODY_BYTES_MAX:
        raise RejectedError("too-large", Problem(0, "", f"at most {BODY_BYTES_MAX:,} bytes"))
    try:
        body.decode()
        asked = msgspec.json.decode(body, type=kind)
    except law.NOT_GOOD as error:
        fault = law.explain(error, body)
        raise RejectedError("malformed", Problem(0, fault.field, fault.reason)) from None
    for place, reason in strict.faults(body, foreign=""):
        raise RejectedError("malformed", Problem(0, place, reason))
    return asked


def silence_of(body: bytes, media_type: str, principal: str, now_us: int) -> Silence:
    """The silence that a request asks for. principal: who sent it, for where it names nobody.

    Raises:
        RejectedError: what is wrong with it, by name.
    """
    wanted = decoded(body, media_type, SilenceWanted)
    silence = Silence(
        match=wanted.match,
        made_us=now_us,
        until_us=now_us + wanted.for_s * 1_000_000,
        by=wanted.by or principal,
        why=wanted.why,
    )
    if not silence.means_something:
        reason = f"no alert has such a key; a key begins with one of {', '.join(KINDS)}"
        raise RejectedError("malformed", Problem(0, "match", reason))
    return silence
