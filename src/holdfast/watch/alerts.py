"""From what is wrong now to what somebody is told: the state of every alert. Pure.

    not there ── found ──> pending ── for long enough ──> open ── gone for a while ──> past
                              └── gone: nobody was told          (told once, and once resolved)

An alert that is silenced opens all the same and is not told; if it is still open when the silence
ends, it is told then. That it is resolved is told exactly where its opening was. A kind that cannot
be judged now neither opens nor resolves.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, structs

from holdfast.watch.health import Diagnosis, Trouble
from holdfast.watch.kinds import KINDS, Severity

CALM_US: Final = 15_000_000  # gone for so long, it is resolved: what comes and goes is one alert
PAST_MAX: Final = 200
SILENCES_MAX: Final = 100

Verb = Literal["opened", "resolved"]


class Alert(Struct, frozen=True, kw_only=True):
    """One alert. since_us, seen_us: when it was first and last found. opened_us: 0 while pending;
    told_us: 0 until somebody was told; resolved_us: 0 while it is not over."""

    key: str
    kind: str
    subject: str
    summary: str
    since_us: int
    seen_us: int
    opened_us: int = 0
    told_us: int = 0
    resolved_us: int = 0

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity

    @property
    def title(self) -> str:
        return KINDS[self.kind].title_of(self.subject)

    @property
    def id(self) -> str:
        """Of this very time that it opened."""
        return f"{self.key}@{self.opened_us}"


class Silence(Struct, frozen=True, kw_only=True):
    """Nobody is told of alerts whose key matches, until then. match: a key; "*" is any text."""

    match: str
    made_us: int
    until_us: int
    by: str
    why: str

    @property
    def means_something(self) -> bool:
        """Whether there is a kind of alert that it can cover. A key is a kind, or one and a colon
        and its subject; what follows a "*" may be in either."""
        head, star, _ = self.match.partition("*")
        kind, colon, _ = head.partition(":")
        return any(kind == each if colon or not star else each.startswith(kind) for each in KINDS)

    @property
    def pattern(self) -> str:
        """The same as a regular expression."""
        return ".*".join(map(re.escape, self.match.split("*")))

    def covers(self, key: str, now_us: int) -> bool:
        return now_us < self.until_us and re.fullmatch(self.pattern, key) is not None


class Book(Struct, frozen=True):
    """Everything about alerts. alerts: pending and open, by key; past: the newest first."""

    alerts: tuple[Alert, ...] = ()
    past: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()

    @property
    def open(self) -> tuple[Alert, ...]:
        """The gravest first, then the oldest."""
        found = [each for each in self.alerts if each.opened_us]
        return tuple(sorted(found, key=lambda each: (each.severity != "critical", each.opened_us)))

    def silence_of(self, key: str, now_us: int) -> Silence | None:
        """What keeps an alert from being told; of several, what does so for longest."""
        found = [each for each in self.silences if each.covers(key, now_us)]
        return max(found, key=lambda each: each.until_us, default=None)


class Change(Struct, frozen=True):
    """An alert opened, or is resolved."""

    verb: Verb
    alert: Alert


class Step(Struct, frozen=True):
    """changes: that happened. messages: that somebody is to be told; each of them once."""

    book: Book
    changes: tuple[Change, ...]
    messages: tuple[Change, ...]


def advance(
    book: Book, found: Diagnosis, now_us: int, after_us: Mapping[str, int] | None = None
) -> Step:
    """Go on to what was found now.

    Args:
        book: as it was.
        found: at this moment.
        now_us: may go back; what was to come later is then waited for from now on.
        after_us: by kind, how long it must last before it opens, where that is not the default.
    """
    before = {each.key: each for each in book.alerts}
    seen = {each.key: each for each in found.troubles if each.kind in KINDS}
    silences = tuple(each for each in book.silences if now_us < each.until_us)
    kept, over = [], []
    changes: list[Change] = []
    messages: list[Change] = []
    for key in sorted(before.keys() | seen.keys()):
        trouble = seen.get(key)
        if trouble is not None:
            alert = _found(before.get(key), trouble, now_us, after_us or {})
            opens = alert.opened_us and not (key in before and before[key].opened_us)
            changes += [Change("opened", alert)] if opens else []
        else:
            alert = _gone(before[key], now_us, before[key].kind in found.unknown)
        if alert.resolved_us:
            if not alert.opened_us:
                continue  # a blip: nobody ever knew
            over.append(alert)
            changes.append(Change("resolved", alert))
            messages += [Change("resolved", alert)] if alert.told_us else []
            continue
        silenced = any(each.covers(key, now_us) for each in silences)
        if alert.opened_us and not alert.told_us and not silenced:
            alert = structs.replace(alert, told_us=now_us)
            messages.append(Change("opened", alert))
        kept.append(alert)
    after = Book(tuple(kept), (*reversed(over), *book.past)[:PAST_MAX], silences)
    return Step(after, tuple(changes), tuple(messages))


def _found(
    known: Alert | None, trouble: Trouble, now_us: int, after_us: Mapping[str, int]
) -> Alert:
    if known is None:
        known = Alert(
            key=trouble.key,
            kind=trouble.kind,
            subject=trouble.subject,
            summary=trouble.summary,
            since_us=now_us,
            seen_us=now_us,
        )
    since_us = min(known.since_us, now_us)
    wait_us = after_us.get(trouble.kind, KINDS[trouble.kind].after_s * 1_000_000)
    return structs.replace(
        known,
        summary=trouble.summary,
        since_us=since_us,
        seen_us=now_us,
        opened_us=known.opened_us or (now_us if now_us - since_us >= wait_us else 0),
    )


def _gone(known: Alert, now_us: int, is_unknown: bool) -> Alert:
    """What was not found. Of what cannot be judged, it counts as seen."""
    if is_unknown:
        return structs.replace(known, seen_us=now_us)
    seen_us = min(known.seen_us, now_us)
    is_over = now_us - seen_us >= CALM_US
    return structs.replace(known, seen_us=seen_us, resolved_us=now_us if is_over else 0)


def silence(book: Book, wanted: Silence) -> Book:
    """Take in a silence; it takes the place of an earlier one with the same `match`."""
    others = [each for each in book.silences if each.match != wanted.match]
    return structs.replace(book, silences=(*others, wanted)[-SILENCES_MAX:])


def restarted(book: Book) -> Book:
    """What a process goes on from that was stopped: what was pending may have come and gone."""
    kept = tuple(each for each in book.alerts if each.opened_us and each.kind in KINDS)
    past = tuple(each for each in book.past if each.kind in KINDS)  # another version's may not be
    return structs.replace(book, alerts=kept, past=past)
