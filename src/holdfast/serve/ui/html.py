"""Markup from text. Pure.

A template engine would be one more parser between hostile text and the page, and its holes are not
typed. Here text and markup are different types: a `str` is text, whatever it holds, and is escaped
on its way in; only what these functions return is markup.

An audit trail is full of what attackers typed, so characters that turn a line around or are not
seen at all are written out: what is read must be what is there.
"""

import html
from collections.abc import Iterable
from typing import Final, Union

_VOID: Final = frozenset({"br", "col", "input", "link", "meta"})
_UNSEEN: Final = {
    code: f"\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}U+{code:04X}"
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    for code in (
        *range(0x09),
        *range(0x0B, 0x20),
        *range(0x7F, 0xA0),
        0xAD,
        0x61C,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
        *range(0xFFF9, 0xFFFC),
        *range(0xE0000, 0xE0080),
    )
}


class Markup(str):
    """Text that is markup already: made here, or a constant of ours."""

    __slots__ = ()


Child = Union[str, Markup, None, Iterable["Child"]]  # noqa: UP007  # a name in quotes has no |
Attribute = str | int | bool | None


def text(value: str) -> Markup:
    """Text, escaped, with what cannot be seen written out."""
    seen = value if value.isprintable() else value.translate(_UNSEEN)
    return Markup(html.escape(seen, quote=False))


def el(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """An element.

    Args:
        tag: ours, never from outside.
        children: text is escaped; None is left out; sequences are joined.
        attributes: names are ours: "class_" is class, "_" is "-". True: without a value; None and
            False: left out. Values are escaped; characters stay as they are, since forms send them.
    """
    opened = "<" + tag + "".join(_attribute(*pair) for pair in attributes.items()) + ">"
    if tag in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Markup:
    """Children, one after the other."""
    return Markup("".join(map(_child, children)))


def document(title: str, *body: Child, head: Child = None) -> bytes:
    """A whole page."""
    inside = el("head", el("meta", charset="utf-8"), head, el("title", title)) + el("body", *body)
    return f'<!doctype html>\n<html lang="en">{inside}</html>\n'.encode()


def clip(value: str, chars: int) -> str:
    """At most so many characters, the last of them an ellipsis where something was cut off."""
    return value if len(value) <= chars else value[: chars - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return text(child)
    return join(child)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(str(value)).replace(chr(0), chr(0xFFFD))}"'
