"""The page of a verification while it runs: it grows, and ends with what it came to. Pure.

Of the lines that say how far it is, the sheet shows the last one: so the page needs no script.
"""

from typing import Final

from holdfast.serve.ui import frame
from holdfast.serve.ui.html import Markup, el
from holdfast.serve.ui.words import Frame

_HERE: Final = "<!--here-->"


def page(view: Frame, asked: str) -> tuple[bytes, bytes]:
    """What stands before what comes, and what after it. asked: in words."""
    whole = frame.render(
        view,
        "Verification",
        el("div", el("h1", "Verification"), el("p", asked), class_="hd"),
        el("p", el("a", "Back to Integrity", href="/integrity", class_="b"), class_="bar2"),
        el("div", Markup(_HERE), class_="vrun"),
        current="/integrity",
    )
    before, _, after = whole.partition(_HERE.encode())
    return before, after


def progress(done: int, total: int) -> Markup:
    """How far it is."""
    return el("p", words(done, total), class_="panel pad vp")


def words(done: int, total: int) -> str:
    if not total:
        return "Looking at the regions; leave the page to stop."
    return f"{done:,} of {total:,} segments; leave the page to stop."


def problem(why: str) -> Markup:
    """Why there is no verdict: that is not a verdict."""
    told = el("b", "No verdict.")
    return el("p", told, " ", why[:1].upper() + why[1:], ".", class_="note unk vdone")
