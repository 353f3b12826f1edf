"""The page of an empty trail: how to send the first event. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from holdfast.serve.ui import frame
from holdfast.serve.ui.curve import Curve, figure
from holdfast.serve.ui.html import Markup, el
from holdfast.serve.ui.parts import command_box
from holdfast.serve.ui.words import Frame, RegionView, glyph


class StartView(Struct, frozen=True, kw_only=True):
    """base_url: how this server was called; asks_token: writing needs the token. curve: how the
    server has done so far."""

    frame: Frame
    base_url: str
    asks_token: bool
    curve: Curve


def render(view: StartView) -> bytes:
    """The whole page, in UTF-8."""
    needs = view.frame.quorum
    token = ' \\\n  -H "authorization: Bearer $(cat TOKEN_FILE)"' if view.asks_token else ""
    sample = '{"action": "door.open", "actor": {"id": "alice"}, "outcome": "success"}'
    kind = " \\\n  -H 'Content-Type: application/json'"
    post = f"curl -sS {view.base_url}/v1/events{token}{kind} \\\n  -d '{sample}'"
    get = f"curl -sS '{view.base_url}/v1/events?actor=alice'{token}"
    token_file = " --token-file TOKEN_FILE" if view.asks_token else ""
    send = f"holdfast send --server {view.base_url}{token_file} --action door.open --actor alice"
    steps = (
        (
            "From a terminal",
            "Only an action is required. After make run, holdfast is .venv/bin/holdfast.",
            [command_box(post), command_box(send)],
        ),
        ("From Python", "It tries again, and what it sends twice is stored once.", _python(view)),
        (
            "You get a receipt",
            f"201 means that {needs} regions hold it; no other answer does.",
            el(
                "pre",
                '{"segment": "0000000000-000001-…", "receipt": "holdfast-receipt/1\\n…",\n'
                f' "regions": {_list(view.frame.regions[:needs])}, "ids": ["0189400f-9c3e-…"]}}',
                class_="code",
                tabindex=0,
            ),
        ),
        (
            "Look it up",
            "It is found as soon as it is acknowledged.",
            [command_box(get), _waiting()],
        ),
    )
    items = [
        el(
            "li",
            el("span", str(number), class_="no"),
            el("div", el("h2", head), el("p", what, class_="dim"), body),
        )
        for number, (head, what, body) in enumerate(steps, 1)
    ]
    body = el(
        "div",
        el("div", el("h1", "Send the first event"), class_="hd"),
        el("ol", items, class_="steps"),
        _warning(view.frame.regions),
        el("section", figure(view.curve), class_="panel pad", aria_label="This server so far"),
        class_="first",
    )
    return frame.render(view.frame, "Start", body, current="/", thin=False)


def _python(view: StartView) -> Markup:
    token = ', token=open("TOKEN_FILE").read().strip()' if view.asks_token else ""
    return command_box(
        "from holdfast.client import Client, Endpoint, with_id\n\n"
        f'with Client(Endpoint("{view.base_url}"{token})) as client:\n'
        '    client.send([with_id({"action": "door.open", "actor": {"id": "alice"}})])'
    )


def _waiting() -> Markup:
    """The script turns the page into the search when the event is here."""
    return el(
        "p",
        glyph("none"),
        el("b", " waiting for the first event"),
        " This page turns into the search once it has arrived (without JavaScript, ",
        el("a", "look again", href="/"),
        "). A click on its time opens it, with its proof.",
        class_="panel pad mt",
        data_first=True,
    )


def _list(regions: Sequence[RegionView]) -> str:
    return "[" + ", ".join(f'"{region.id}"' for region in regions) + "]"


def _warning(regions: Sequence[RegionView]) -> Markup | None:
    if not all(region.url.startswith("file:") for region in regions):
        return None
    return el(
        "p",
        "Directories on one disk are several names for one failure. Good for trying; for keeping, "
        "give each region its own store in ",
        el("span", "holdfast.toml", class_="m"),
        ".",
        class_="note",
    )
