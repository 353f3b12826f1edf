"""Maps of cells, and that of days: a row a month, a cell a day. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.serve.ui.html import Markup, el

MONTHS_MAX: Final = 24
_WIDTH: Final = 9
_LEFT: Final = 46
HEIGHT: Final = 15  # of a cell
TOP: Final = 14
_ORDER: Final = ("no", "bg", "c1", "c2", "c3", "u", "fx")
_FILLED: Final = {"c1": 5, "c2": 10, "c3": HEIGHT, "u": HEIGHT}


class Cell(Struct, frozen=True):
    """css: "c1" to "c3" by how much is there, "u" where it is lacking or not known, "no" for
    nothing. is_bad: something is wrong there."""

    css: str
    is_bad: bool = False


def calendar(label: str, cells: Mapping[str, Cell]) -> Markup:
    """The map. cells: by day; those of the newest months are drawn."""
    months = sorted({day[:7] for day in cells})[-MONTHS_MAX:]
    rows = {month: TOP + row * (HEIGHT + 2) for row, month in enumerate(months)}
    paths: dict[str, list[str]] = {}
    for day, cell in cells.items():
        if day[:7] in rows:
            _draw(paths, _LEFT + (int(day[8:]) - 1) * (_WIDTH + 2), rows[day[:7]], cell)
    names = [
        el("text", month, x=_LEFT - 6, y=y + 11, text_anchor="end") for month, y in rows.items()
    ]
    heads = [
        el("text", f"{day:02d}", x=_LEFT + (day - 1) * (_WIDTH + 2), y=9)
        for day in (1, 8, 15, 22, 29)
    ]
    return drawn(f"{label}, one cell a day", paths, [*heads, *names], len(months))


def drawn(
    label: str, paths: Mapping[str, Sequence[str]], names: Sequence[Markup], rows: int
) -> Markup:
    """A map of so many rows of cells. paths: of cells, by class. names: of its rows and columns."""
    return el(
        "svg",
        names,
        [el("path", class_=css, d="".join(paths[css])) for css in _ORDER if css in paths],
        class_="heat",
        viewBox=f"0 0 394 {TOP + rows * (HEIGHT + 2)}",
        role="img",
        aria_label=label,
    )


def _draw(paths: dict[str, list[str]], x: int, y: int, cell: Cell) -> None:
    if cell.css == "no":
        paths.setdefault("no", []).append(f"M{x} {y + HEIGHT - 1}h{_WIDTH}")
    else:
        filled = _FILLED[cell.css]
        paths.setdefault("bg", []).append(box(x, y, _WIDTH, HEIGHT))
        paths.setdefault(cell.css, []).append(box(x, y + HEIGHT - filled, _WIDTH, filled))
    if cell.is_bad:
        paths.setdefault("fx", []).append(box(x, y, _WIDTH, HEIGHT))


def box(x: int, y: int, width: int, height: int) -> str:
    """A filled rectangle, as a path."""
    return f"M{x} {y}h{width}v{height}h-{width}z"
