"""What several pages are made of: a command to copy, a table, a state in words. Pure."""

from collections.abc import Sequence

from holdfast.serve.ui.html import Child, Markup, el
from holdfast.serve.ui.words import glyph


def command_box(text: str) -> Markup:
    """A command to copy; the button is the script's."""
    copy = el("button", "Copy", class_="b js-only", type="button", data_copy=True)
    return el("div", el("pre", text, tabindex=0), copy, class_="cmd")


def head(title: str, said: Child = None, *more: Child, id: str | None = None) -> Markup:
    """A heading, what is said beside it, and what stands at the end of its line."""
    told = el("p", said) if said else None
    end = [el("span", class_="sp"), *more] if more else None
    return el("div", el("h2", title), told, end, class_="hd", id=id)


def table(label: str, heads: Sequence[str], rows: Sequence[Sequence[Child]]) -> Markup:
    """A table that scrolls by itself where it is wider than the page. A heading that begins with
    ">" is of figures, which stand at the right."""
    names = [
        el("th", name.removeprefix(">"), scope="col", class_="r" if name[:1] == ">" else None)
        for name in heads
    ]
    lines = [
        el(
            "tr",
            [
                el("td", cell, class_="r" if name[:1] == ">" else None)
                for name, cell in zip(heads, row, strict=True)
            ],
        )
        for row in rows
    ]
    inside = el("table", el("thead", el("tr", names)), el("tbody", lines))
    return el("div", inside, class_="tbl", tabindex=0, role="region", aria_label=label)


def state(mood: str, *words: Child) -> Markup:
    """A state: its sign, and what it means in words."""
    return el("span", glyph(mood), words, class_=f"st {mood}")


def spans(path: str, known: Sequence[tuple[str, str]], named: str) -> list[Markup]:
    """Links to a page over another stretch of time; each is (as the address has it, words)."""
    return [
        el(
            "a",
            words,
            class_="b",
            href=f"{path}?span={each}",
            aria_current="true" if each == named else None,
        )
        for each, words in known
    ]


def mono(text: str, title: str | None = None) -> Markup:
    return el("span", text, class_="m", title=title)
