"""What the search page's address asks for: filters, words, a time, a page of results. Pure.

Everything that the page shows is in its address, so every state of it is a link:

    q        what is typed into the box (see `query`)
    kept     filters that stood beside the box when the form was sent; q takes their place
    last     a preset, up to now: 15m
    from, to absolute times; without a zone they are UTC
    cursor   a page of results
    count    "wait": counts are waited for as long as they take

The API's own filters (`actor=alice`) are taken too, as what would be typed.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct, structs

from holdfast.errors import Problem
from holdfast.model import Query
from holdfast.serve.ui.query import FIELDS, Chip, Typed, joined, parse, write
from holdfast.times import parse_time

PRESETS: Final = {  # name: minutes, label
    "5m": (5, "5 min"),
    "15m": (15, "15 min"),
    "1h": (60, "1 h"),
    "24h": (1_440, "24 h"),
    "7d": (10_080, "7 days"),
    "30d": (43_200, "30 days"),
}
_MINUTE_US: Final = 60_000_000
_ZONELESS: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?Z?", re.ASCII | re.IGNORECASE
)
_KNOWN: Final = frozenset({"q", "kept", "last", "from", "to", "cursor", "count", *FIELDS})


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked. text: as typed, when it cannot be read; problems: of everything else."""

    typed: Typed
    text: str = ""
    last: str = ""
    from_: str = ""
    to: str = ""
    from_us: int | None = None
    to_us: int | None = None
    cursor: str = ""
    waits: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Nothing is asked for but the newest events."""
        whole = not (self.typed.chips or self.typed.words or self.last or self.cursor)
        return whole and not (self.text or self.from_ or self.to or self.problems)

    def query(self, limit: int) -> Query:
        """The search."""
        filters = {chip.field: chip.value for chip in self.typed.chips}
        return Query(
            from_us=self.from_us,
            to_us=self.to_us,
            q=self.typed.words,
            cursor=self.cursor,
            limit=limit,
            **filters,
        )

    def parameters(self) -> dict[str, str]:
        """The same as the API takes it: no presets, no paging."""
        named = {chip.field: chip.value for chip in self.typed.chips}
        found = {"q": self.typed.words, "from": self.from_, "to": self.to}
        return named | {name: value for name, value in found.items() if value}

    def having(self, field: str, value: str) -> "Asked":
        """With this filter, from the newest event on."""
        return structs.replace(self, typed=self.typed.having(field, value), cursor="")

    def without(self, field: str) -> "Asked":
        """Without that filter, from the newest event on."""
        return structs.replace(self, typed=self.typed.without(field), cursor="")

    def during(self, last: str = "", from_: str = "", to: str = "") -> "Asked":
        """At that time, from the newest event on."""
        return structs.replace(self, last=last, from_=from_, to=to, cursor="")

    def href(self, **more: str) -> str:
        """Where that is seen."""
        asked = {
            "q": write(self.typed),
            "last": self.last,
            "from": "" if self.last else self.from_,
            "to": "" if self.last else self.to,
            "cursor": self.cursor,
            **more,
        }
        encoded = urlencode({name: value for name, value in asked.items() if value})
        return "/" + ("?" + encoded if encoded else "")


def read(pairs: Iterable[tuple[str, str]], now_us: int) -> Asked:
    """Read an address. Whatever it is, it is read; what it cannot mean is among the problems."""
    given: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in pairs:
        if name not in _KNOWN:
            problems.append(Problem(0, name[:80], "is not known here"))
        elif value.strip() or name == "tenant":
            given[name] = value.strip()
    new = parse(given.get("q", ""))
    named = Typed(tuple(Chip(name, given[name]) for name in FIELDS if name in given))
    typed = joined(joined(parse(given.get("kept", "")), named), new)
    problems += [Problem(0, "q", mistake.reason) for mistake in new.mistakes]
    times = _times(given, now_us, problems)
    return Asked(
        typed=typed,
        text=given.get("q", "") if new.mistakes else "",
        last=given.get("last", ""),
        from_=given.get("from", "") if "last" not in given else "",
        to=given.get("to", "") if "last" not in given else "",
        from_us=times[0],
        to_us=times[1],
        cursor=given.get("cursor", ""),
        waits=given.get("count") == "wait",
        problems=tuple(problems),
    )


def _times(
    given: dict[str, str], now_us: int, problems: list[Problem]
) -> tuple[int | None, int | None]:
    if last := given.get("last", ""):
        if last not in PRESETS:
            problems.append(Problem(0, "last", f"is one of {', '.join(PRESETS)}"))
            return None, None
        to_us = now_us // 1_000_000 * 1_000_000 + 1_000_000  # the second that runs is in it
        return to_us - PRESETS[last][0] * _MINUTE_US, to_us
    found: list[int | None] = []
    for name in ("from", "to"):
        try:
            found.append(read_time(given[name]) if name in given else None)
        except ValueError as error:
            problems.append(Problem(0, name, str(error)))
            found.append(None)
    return found[0], found[1]


def read_time(text: str) -> int:
    """A time as people type it: a day, hours and minutes, and UTC where no zone is said."""
    found = _ZONELESS.fullmatch(text)
    if found is None:
        return parse_time(text)
    day, minutes, seconds = found.groups()
    return parse_time(f"{day}T{minutes or '00:00'}{seconds or ':00'}Z")
