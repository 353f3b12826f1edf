"""What is typed into the box: `actor:alice action:iam.* outcome:denied free words`. Pure.

A filter is a field, a colon and a value; whatever else stands there is looked for in the record as
it stands, words one after the other. `word:TCK-42` looks for a whole word, which an index finds at
once. Quotes hold spaces, colons and nothing at all: `tenant:""` is the tenant of events without
one, `"error: 5"` is text. A field that is not known is refused, never passed over as text: a
misspelt filter would answer another question.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from holdfast.read.query import OUTCOMES

FIELDS: Final = ("tenant", "actor", "action", "target", "outcome", "ip", "id", "word")

_TOKEN: Final = re.compile(
    r"""(?P<name>[A-Za-z]+): | (?P<quoted>"(?:[^"\\]|\\.)*") | (?P<bare>[^\s"]+|")""",
    re.VERBOSE,
)
_PLAIN: Final = re.compile(r'[^\s"]+')


class Chip(Struct, frozen=True):
    """One filter."""

    field: str
    value: str


class Mistake(Struct, frozen=True):
    """What cannot be read, and where in the text: characters [start, end)."""

    start: int
    end: int
    reason: str


class Typed(Struct, frozen=True):
    """A text as it was understood. words: what the record must hold, "" for anything."""

    chips: tuple[Chip, ...] = ()
    words: str = ""
    mistakes: tuple[Mistake, ...] = ()

    def value(self, field: str) -> str | None:
        """The filter's value; None where there is none."""
        return next((chip.value for chip in self.chips if chip.field == field), None)

    def having(self, field: str, value: str) -> "Typed":
        """The same with this filter in place of another on the same field."""
        kept = tuple(chip for chip in self.chips if chip.field != field)
        return Typed((*kept, Chip(field, value)), self.words)

    def without(self, field: str) -> "Typed":
        """The same less a filter; of "q", less the words."""
        kept = tuple(chip for chip in self.chips if chip.field != field)
        return Typed(kept, "" if field == "q" else self.words)


def parse(text: str) -> Typed:
    """Read a text. Whatever it is, it is read; what it cannot mean is among the mistakes."""
    chips: list[Chip] = []
    words: list[str] = []
    mistakes: list[Mistake] = []
    at = 0
    while found := _TOKEN.search(text, at):
        name = found["name"]
        if name is None:
            at = found.end()
            words.append(_plain(found, mistakes))
            continue
        value, at = _value(text, found.end(), mistakes)
        reason = _refuse(name, value, chips)
        if reason:
            mistakes.append(Mistake(found.start(), at, reason))
        else:
            chips.append(Chip(name, value or ""))
    return Typed(tuple(chips), " ".join(words), tuple(mistakes))


def write(typed: Typed) -> str:
    """The text that is read as this: what stands in links."""
    return " ".join([*(chip_text(chip) for chip in typed.chips), *_written(typed.words)])


def chip_text(chip: Chip) -> str:
    """A filter as it is typed."""
    bare = _PLAIN.fullmatch(chip.value)
    return f"{chip.field}:{chip.value if bare else _quote(chip.value)}"


def joined(kept: Typed, new: Typed) -> Typed:
    """Filters that stood there, and what was typed beside them: that comes in place of its like."""
    chips = [chip for chip in kept.chips if new.value(chip.field) is None]
    return Typed((*chips, *new.chips), new.words or kept.words, new.mistakes)


def _written(words: str) -> Iterable[str]:
    if not words:
        return ()
    again = parse(words)
    same = again.words == words and not again.chips and not again.mistakes
    return (words if same else _quote(words),)


def _plain(found: re.Match[str], mistakes: list[Mistake]) -> str:
    if found["quoted"]:
        return _unquote(found["quoted"])
    if found["bare"] == '"':
        mistakes.append(Mistake(found.start(), len(found.string), "the quote is never closed"))
    return found["bare"]


def _value(text: str, start: int, mistakes: list[Mistake]) -> tuple[str | None, int]:
    """What follows a colon, and where it ends; None: nothing does."""
    if start >= len(text) or text[start].isspace():
        return None, start
    if text[start] != '"':
        end = re.compile(r"\s|$").search(text, start)
        assert end is not None, "every text ends"
        return text[start : end.start()], end.start()
    found = _TOKEN.match(text, start)
    if found is None or not found["quoted"]:
        mistakes.append(Mistake(start, len(text), "the quote is never closed"))
        return text[start + 1 :], len(text)
    return _unquote(found["quoted"]), found.end()


def _refuse(name: str, value: str | None, chips: Iterable[Chip]) -> str:
    if name not in FIELDS:
        return (
            f"{name} is not a field (there are {', '.join(FIELDS)}); "
            "to look for it as text, put it into quotes"
        )
    if value is None or (not value and name != "tenant"):
        return f"{name} has no value"
    if any(chip.field == name for chip in chips):
        return f"{name} is given twice"
    if name == "outcome" and value not in OUTCOMES:
        return f"outcome is one of {', '.join(OUTCOMES)}"
    return ""


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)
