"""The page that asks for the token. It tells nothing of the trail. Pure."""

from typing import Final

from holdfast.serve.ui import frame
from holdfast.serve.ui.html import el

WRONG: Final = "That is not this server's token."
TOO_OFTEN: Final = "Too many wrong tokens were sent. Try again in a minute."


def render(onward: str, problem: str = "") -> bytes:
    """The whole page, in UTF-8. onward: where it leads. problem: why it is shown again."""
    box = el(
        "input",
        id="token",
        name="token",
        type="password",
        autocomplete="current-password",
        required=True,
        autofocus=True,
        aria_invalid="true" if problem else None,
        aria_describedby="wrong" if problem else None,
    )
    told = el("p", problem, class_="note down", id="wrong", role="alert")
    form = el(
        "form",
        el("input", type="hidden", name="next", value=onward),
        el("label", "Token", for_="token"),
        box,
        el("button", "Sign in", class_="b p", type="submit"),
        action="/signin",
        method="post",
        class_="signin",
    )
    return frame.bare(
        "Sign in",
        el("header", frame.brand(), class_="top"),
        el(
            "main",
            el("h1", "Sign in"),
            el(
                "p",
                "It is the server's token. It stays on this machine for 12 hours as a cookie "
                "that reads and cannot write.",
                class_="dim",
            ),
            told if problem else None,
            form,
            el(
                "p",
                "Signed in already, and came by a link from elsewhere? ",
                el("a", "Open it again", href=onward),
                ".",
                class_="dim mt",
            ),
            id="main",
            class_="sheet",
        ),
    )
