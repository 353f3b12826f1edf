"""The page of one event: what happened, all that was sent, its neighbours, and its proof. Pure."""

from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from holdfast.model import Found
from holdfast.proof.names import SegmentName
from holdfast.serve.ui import frame, rows
from holdfast.serve.ui.html import Child, Markup, clip, el
from holdfast.serve.ui.parts import command_box
from holdfast.serve.ui.query import Chip, chip_text
from holdfast.serve.ui.shown import Shown, sentence, shown, when
from holdfast.serve.ui.words import Frame, clock, glyph, names, short, size, span
from holdfast.times import parse_time

TEXT_CHARS_MAX: Final = 200_000
State = Literal["held", "down", "unk", "none"]


class Step(Struct, frozen=True):
    """A step of the check. claim: the checker's own words. holds: None where it was not reached."""

    claim: str
    holds: bool | None


class Proof(Struct, frozen=True):
    """What the check of the event's proof came to, made and checked for this page.

    steps: in their order. name, kind, size: of the segment and of what was signed, where all hold.
    why: why there is no proof, or what refuted it.
    """

    steps: tuple[Step, ...] = ()
    name: SegmentName | None = None
    head: str = ""
    size_bytes: int = 0
    why: str = ""


class Copy(Struct, frozen=True):
    """What a region has of the event's segment, asked for this page."""

    region: str
    state: State
    told: str


class Neighbours(Struct, frozen=True):
    """Events that share something with this one. found: None when it took too long."""

    title: str
    field: str
    value: str
    found: tuple[Found, ...] | None


class EventView(Struct, frozen=True, kw_only=True):
    """found: the event; others: more events under its id, of other tenants or other content."""

    frame: Frame
    found: Found
    others: tuple[Found, ...]
    proof: Proof
    copies: tuple[Copy, ...]
    neighbours: tuple[Neighbours, ...]


def render(view: EventView) -> bytes:
    """The whole page, in UTF-8."""
    event = shown(view.found)
    told = sentence(event)
    left = el(
        "div",
        _fields(view.found, event),
        _payload(view.found, event),
        _neighbours(view),
        class_="stack",
    )
    crumbs = el(
        "p",
        el("a", "Search", href="/"),
        el("span", " / ", class_="dim3", aria_hidden="true"),
        el("span", clip(event.id, 120), class_="m dim"),
        class_="s",
    )
    return frame.render(
        view.frame,
        "Event",
        crumbs,
        el("div", el("h1", told), el("p", _times(event, view.frame.now_us)), class_="hd"),
        _others(view),
        el("div", left, _proof(view, event), class_="ev hd"),
    )


def render_missing(of: Frame, id: str) -> bytes:
    """The page of an id under which nothing is found."""
    through = of.said.complete_through_us
    sure = (
        "How far the trail is known is not known, so there may be one."
        if through is None
        else f"Of what was received through {clock(through, of.now_us)} UTC, that is certain."
    )
    return frame.render(
        of,
        "No such event",
        el(
            "div",
            el("h1", "There is no event ", el("span", clip(id, 120), class_="m")),
            class_="hd",
        ),
        el("p", sure),
        el("p", el("a", "Back to the search", href="/", class_="b"), class_="mt"),
    )


def _times(event: Shown, now_us: int) -> str:
    time, fraction = when(event, now_us)
    try:
        received_us = parse_time(event.received)
        at = clock(received_us, now_us, 6)
        if not event.time:
            return f"Received here at {at} UTC; the sender told no time of its own."
        late_us = received_us - parse_time(event.time)
    except ValueError:
        return f"{time}{fraction} UTC."
    after = f"{span(late_us)} later" if late_us >= 0 else f"{span(-late_us)} earlier by our clock"
    return f"{time}{fraction} UTC as the sender tells it; received here {after}, at {at}."


def _others(view: EventView) -> Markup | None:
    if not view.others:
        return None
    links = [
        [
            " ",
            el(
                "a",
                f"{short(each.node)} {each.position:,}",
                href=rows.event_path(each, shown(each)),
                class_="m",
            ),
        ]
        for each in view.others[:20]
    ]
    what = "Other events have this id too, of another tenant or with other content:"
    return el("p", what, links, class_="note behind")


# -- what was sent -----------------------------------------------------------------------------


def _panel(title: str, note: Child, *body: Child) -> Markup:
    head = el("header", el("h2", title), el("span", note, class_="st none") if note else None)
    return el("section", head, *body, class_="panel card")


def _fields(found: Found, event: Shown) -> Markup:
    lines: list[tuple[str, Child]] = [
        ("action", rows.action(event.action)),
        ("outcome", rows.outcome(event.outcome)),
        ("reason", event.reason),
        ("actor", _party(event.actor.name, event.actor.id)),
        ("actor type", event.actor.type),
    ]
    lines += [
        ("target", _party(target.name, target.id, target.type)) for target in event.targets[:50]
    ]
    origin, trace = event.source, event.trace
    lines += [
        ("source ip", origin.ip),
        ("user agent", origin.user_agent),
        ("host", origin.host),
        ("service", origin.service),
        ("request", trace.request_id),
        ("trace", trace.trace_id),
        ("session", trace.session_id),
        ("severity", str(event.severity)),
        ("tenant", event.tenant),
        ("time", event.time),
        ("received", event.received),
        ("submitted by", event.principal),
        ("sender", ", ".join(f"{key} {value}" for key, value in event.producer.items())),
    ]
    lines += [
        (f"attributes.{clip(key, 60)}", clip(_json(value), 2000))
        for key, value in event.attributes.items()
    ]
    lines += [
        ("id", event.id),
        ("node", found.node),
        ("lies at", f"segment {found.segment:,}, position {found.position:,}"),
    ]
    pairs = [[el("dt", dt), el("dd", dd, class_="m")] for dt, dd in lines if dd]
    return _panel("Fields", "as Holdfast read them", el("dl", pairs, class_="kv"))


def _party(name: str, id: str, type: str = "") -> str:
    told = f"{name} ({id})" if name and id and name != id else name or id
    return f"{type} {told}".strip()


def _json(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _payload(found: Found, event: Shown) -> Markup:
    """What the sender sent, as it came; the whole record where it sent nothing else."""
    data, record = bytes(event.payload), bytes(found.record)
    parts: list[Child] = []
    if data:
        parts.append(_code("Payload, indented", _pretty(data), is_open=True))
        parts.append(_code("Payload, raw", data.decode()))
    parts.append(_code("Record, indented", _pretty(record), is_open=not data))
    parts.append(_code("Record, raw: the very line that was hashed", record.decode()))
    kind = event.payload_type or "none"
    note = f"{kind}, {size(len(data))}, kept token for token" if data else "no payload was sent"
    return _panel("Original", note, parts)


def _pretty(data: bytes) -> str:
    return msgspec.json.format(data, indent=2).decode()


def _code(title: str, text: str, *, is_open: bool = False) -> Markup:
    more = len(text) - TEXT_CHARS_MAX
    shown_ = text if more <= 0 else text[:TEXT_CHARS_MAX] + f"\n… {more:,} more characters"
    pre = el("pre", shown_, class_="code", tabindex=0, aria_label=title)
    return el("details", el("summary", el("span", class_="tw"), title), pre, open=is_open)


# -- neighbours --------------------------------------------------------------------------------


def _neighbours(view: EventView) -> Markup:
    parts = [_group(each, view) for each in view.neighbours]
    return _panel("Neighbours", "", parts or el("p", "It names no actor, target or request."))


def _group(group: Neighbours, view: EventView) -> list[Child]:
    href = "/?" + urlencode({"q": chip_text(Chip(group.field, group.value))})
    head = el("h3", group.title, " ", el("a", "all of them", href=href, class_="s"))
    if group.found is None:
        return [head, el("p", "Not found in time.", class_="dim")]
    if not [each for each in group.found if not _is_same(each, view.found)]:
        return [head, el("p", "No other event that is known.", class_="dim")]
    lines = [_neighbour(each, view) for each in group.found]
    return [head, el("table", el("tbody", lines), class_="nb")]


def _neighbour(found: Found, view: EventView) -> Markup:
    event = shown(found)
    time, _ = when(event, view.frame.now_us)
    is_this = _is_same(found, view.found)
    link: Child = el("b", time) if is_this else el("a", time, href=rows.event_path(found, event))
    targets = ", ".join(target.label for target in event.targets[:3])
    return el(
        "tr",
        el("td", link, class_="m"),
        el("td", rows.action(event.action), " ", rows.outcome(event.outcome), class_="m"),
        el("td", clip(targets, 120), class_="m"),
        aria_current="true" if is_this else None,
    )


def _is_same(one: Found, other: Found) -> bool:
    return (one.node, one.position) == (other.node, other.position)


# -- the proof ---------------------------------------------------------------------------------

_PLAIN: Final = (  # for each step of proof.event.check: what it means, and its kind
    ("The file is a proof in its one form", "form", "Every field is there and nothing else."),
    (
        "The trail admitted the node",
        "certificate",
        "The trail's key signed the node's. The trail's id is all that you must know.",
    ),
    (
        "The node signed where its ledger stood",
        "signature",
        "Whoever changed what lies below would have to sign another one for the same size.",
    ),
    (
        "The segment is in that ledger, at its place",
        "inclusion",
        "Its name is the leaf; the hashes beside it lead to the root that was signed.",
    ),
    (
        "The tenant's events are in the segment",
        "inclusion",
        "Its neighbours are hashes here: whose they are is not shown.",
    ),
    (
        "These bytes are what was stored",
        "record",
        "Their hash is the last leaf. One changed character would give another.",
    ),
)


def _proof(view: EventView, event: Shown) -> Markup:
    proof = view.proof
    held = sum(step.holds is True for step in proof.steps)
    mood: State = "held" if proof.name is not None else ("down" if _refuted(proof) else "unk")
    words = {
        "held": f"all {held} steps hold",
        "down": "refuted",
        "unk": "no proof yet" if not proof.steps else "not checked",
    }
    lead = "Made and checked for this page, out of the bytes as they are stored. Nothing here "
    lead += "asks you to trust this page: take the file and check it on another machine."
    steps = [_step(number, step) for number, step in enumerate(proof.steps)]
    return el(
        "section",
        el("header", el("h2", "Proof"), el("span", glyph(mood), words[mood], class_=f"st {mood}")),
        el("p", lead, class_="dim"),
        el("p", proof.why, class_=f"note {mood}") if proof.why else None,
        el("ol", steps, [_copies(view.copies)], class_="proof mt"),
        _not_proven(event),
        _check_it(view, event),
        class_=f"card is-{mood}",
    )


def _refuted(proof: Proof) -> bool:
    return any(step.holds is False for step in proof.steps)


def _step(number: int, step: Step) -> Markup:
    title, kind, meaning = _PLAIN[number] if number < len(_PLAIN) else (step.claim, "step", "")
    mood = {True: "held", False: "down", None: "unk"}[step.holds]
    return el(
        "li",
        glyph(mood, "g lg"),
        el("h3", title, el("span", f" · {kind}", class_="w")),
        el("p", meaning),
        el("p", clip(step.claim, 300), class_="m"),
        class_=None if step.holds else "cut",
    )


def _copies(copies: Sequence[Copy]) -> Markup:
    """In which regions it is held: read there for this page, and hashed."""
    held = [copy.region for copy in copies if copy.state == "held"]
    mood = "held" if len(held) == len(copies) else "unk"
    if any(copy.state == "down" for copy in copies):
        mood = "down"
    verb = " holds it" if len(held) == 1 else " hold it"
    head: Child = [names(held), verb] if held else "No copy is seen"
    lines = [
        el("p", glyph(copy.state, "g gi"), el("span", copy.region, class_="rg"), " ", copy.told)
        for copy in copies
    ]
    return el("li", glyph(mood, "g lg"), el("h3", head), lines)


def _not_proven(event: Shown) -> Markup:
    told = ["that what the sender told is true, or that it told everything"]
    told.append("that no other event is missing: a certificate of a whole time says that")
    if event.time:
        told.append("the time that the sender gave: the trail vouches for when it was received")
    return el(
        "div",
        el("b", "What this does not prove"),
        el("ul", [el("li", each) for each in told]),
        class_="note",
    )


def _check_it(view: EventView, event: Shown) -> list[Child]:
    trail = view.frame.trail
    name = f"{_file_name(event.id)}.proof.json"
    command = f"python3 -m holdfast.proof check {name} --trail {trail}"
    place = urlencode({"node": view.found.node, "position": view.found.position})
    href = f"/v1/events/{quote(event.id, safe='')}/proof?{place}"
    what = "Download the proof" + (f", {size(view.proof.size_bytes)}" if view.proof.name else "")
    return [
        el("h3", "Check it yourself"),
        el(
            "p",
            "Python, ",
            el("span", "cryptography", class_="m"),
            " and zstd are enough, and no server: python3 is one that has holdfast-audit, such as "
            ".venv/bin/python in a clone. Bring the trail's id from elsewhere than this page.",
            class_="dim",
        ),
        command_box(command),
        el(
            "p",
            el("a", what, class_="b p", href=href, download=name),
            el("a", "As JSON", class_="b", href=href.replace("/proof?", "?").partition("?")[0]),
            class_="bar2 mt",
        ),
    ]


def _file_name(id: str) -> str:
    kept = "".join(c for c in id[-40:] if c.isascii() and (c.isalnum() or c in "-_"))
    return kept or "event"
