"""A record as it is shown: what of it has a place of its own, and the sentence it makes. Pure."""

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from holdfast.model import Found
from holdfast.serve.ui.html import Markup, clip, el, join
from holdfast.serve.ui.words import DAY_US
from holdfast.times import format_us, parse_time

NAME_CHARS_MAX: Final = 120


class Party(Struct, frozen=True):
    """An actor or a target."""

    type: str = ""
    id: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.id or self.type

    @property
    def key(self) -> str:
        """What a search finds it by."""
        return self.id or self.name


class Origin(Struct, frozen=True):
    ip: str = ""
    user_agent: str = ""
    host: str = ""
    service: str = ""


class Trace(Struct, frozen=True):
    request_id: str = ""
    trace_id: str = ""
    session_id: str = ""


class Shown(Struct, frozen=True):
    """What of a record has a place of its own; the rest is passed over unread."""

    id: str
    action: str
    received: str
    principal: str = ""
    time: str = ""
    tenant: str = ""
    actor: Party = Party()
    targets: tuple[Party, ...] = ()
    outcome: str = ""
    reason: str = ""
    severity: str | int = ""
    source: Origin = Origin()
    trace: Trace = Trace()
    producer: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    payload: Raw = Raw()
    payload_type: str = ""
    payload_encoding: str = ""


_decode: Final = msgspec.json.Decoder(Shown).decode
_UNREAD: Final = Shown(id="", action="a record that this version cannot read", received="")


def shown(found: Found) -> Shown:
    """Read a record; one of a later version is shown bare rather than not at all."""
    try:
        return _decode(found.record)
    except msgspec.MsgspecError:
        return _UNREAD


def when(event: Shown, now_us: int) -> tuple[str, str]:
    """The time in UTC to the second, and the fraction with the sender's own precision."""
    text = event.time or event.received
    try:
        us = parse_time(text)
    except ValueError:
        return clip(text, 40), ""
    _, dot, fraction = text.partition(".")
    digits = len(fraction) - len(fraction.lstrip("0123456789")) if dot else 0
    iso = format_us(us)
    day = "" if us // DAY_US == now_us // DAY_US else iso[:10] + " "
    return day + iso[11:19], f".{iso[20 : 20 + min(digits, 6)]}" if digits else ""


# -- the sentence ------------------------------------------------------------------------------

_PAST: Final = {
    **{verb: verb + "d" for verb in ("create", "delete", "update", "remove", "enable", "disable")},
    **{verb: verb + "d" for verb in ("describe", "terminate", "invoke", "generate", "revoke")},
    **{verb: verb + "d" for verb in ("release", "associate", "authorize", "schedule", "change")},
    **{verb: verb + "ed" for verb in ("list", "start", "attach", "detach", "add", "reset")},
    **{verb: verb + "ed" for verb in ("watch", "patch", "open", "assert", "check", "decrypt")},
    **{verb: verb + "ed" for verb in ("encrypt", "lookup", "register", "reboot", "assign")},
    "get": "read",
    "put": "put",
    "set": "set",
    "run": "ran",
    "read": "read",
    "write": "wrote",
    "send": "sent",
    "stop": "stopped",
    "modify": "modified",
    "copy": "copied",
    "assume": "assumed",
    "login": "logged in",
    "logout": "logged out",
    "tag": "tagged",
    "close": "closed",
    "approve": "approved",
    "import": "imported",
    "export": "exported",
}
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def sentence(event: Shown) -> Markup:
    """Who did what to what, and how it ended, in one line of plain words."""
    actor = el("b", clip(event.actor.label, NAME_CHARS_MAX) or "Someone who is not named")
    verb, past, objects = _act(event.action)
    names = [clip(target.label, NAME_CHARS_MAX) for target in event.targets[:3] if target.label]
    if len(event.targets) > 3:
        names.append(f"{len(event.targets) - 3} more")
    on = join([" ", el("b", ", ".join(names))]) if names else None
    if not verb:
        did = join([": ", el("span", clip(event.action, NAME_CHARS_MAX), class_="m")])
        on = join([" on", on]) if on else None
    elif event.outcome in ("failure", "denied"):
        did = join([f" tried to {verb}", objects])
    else:
        did = join([f" {past}", objects])
    return join([actor, did, on, ". ", _ending(event)])


def _act(action: str) -> tuple[str, str, str]:
    """Verb, its past, and what it is done to with a space before it; "" for a verb that is none
    of ours: `ec2.amazonaws.com:DeleteFlowLogs`, `create pods/exec`, `door.open`."""
    name = action.rpartition(":")[2]
    words = _WORDS.findall(name) if " " not in name else name.split()
    for verb, rest in ((words[:1], words[1:]), (words[-1:], words[:-1])):
        known = verb[0].lower() if verb else ""
        if known in _PAST:
            told = " ".join(word if word.isupper() else word.lower() for word in rest)
            return known, _PAST[known], clip(f" {told}", NAME_CHARS_MAX) if told else ""
    return "", "", ""


def _ending(event: Shown) -> str:
    why = f": {clip(event.reason, 300)}" if event.reason else ""
    match event.outcome:
        case "success":
            return "It succeeded."
        case "failure":
            return f"It failed{why}." if not why.endswith(".") else f"It failed{why}"
        case "denied":
            return f"It was denied{why}." if not why.endswith(".") else f"It was denied{why}"
        case "unknown":
            return "How it ended is not known."
    return "How it ended was not sent."
