"""`holdfast send`: one event from the command's options, or whatever standard input holds."""

import json as jsons
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Target
from holdfast.cli.source import open_client, rejected
from holdfast.client.client import new_id

STDIN_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class Described:
    """An event, described by options."""

    action: Annotated[str, Option(help="What was done, such as user.login.")] = ""
    actor: Annotated[str, Option(metavar="ID", help="Who did it.")] = ""
    actor_type: Annotated[str, Option(metavar="TYPE", help="user, service, ...")] = ""
    actor_name: Annotated[str, Option(metavar="NAME")] = ""
    target: Annotated[
        list[str] | None, Option(metavar="[TYPE:]ID", help="What it was done to; repeatable.")
    ] = None
    outcome: Annotated[str, Option(help="success, failure, denied or unknown.")] = ""
    reason: Annotated[str, Option(help="Why, or why not.")] = ""
    tenant: Annotated[str, Option(help="Whose trail it belongs to.")] = ""
    time: Annotated[
        str, Option(metavar="TIME", help="When (RFC 3339); else the time received.")
    ] = ""
    ip: Annotated[str, Option(help="The source's address.")] = ""
    id: Annotated[str, Option(help="Your own id: sending it again changes nothing.")] = ""
    attribute: Annotated[
        list[str] | None, Option(metavar="NAME=VALUE", help="Anything else; repeatable.")
    ] = None

    def event(self) -> dict[str, Any]:
        """The event, without the fields that were not given.

        Raises:
            RejectedError: an attribute without "=".
        """
        actor = {"type": self.actor_type, "id": self.actor, "name": self.actor_name}
        values: dict[str, Any] = {
            "id": self.id or new_id(),
            "time": self.time,
            "tenant": self.tenant,
            "actor": {name: value for name, value in actor.items() if value},
            "action": self.action,
            "targets": [_target(text) for text in self.target or ()],
            "outcome": self.outcome,
            "reason": self.reason,
            "source": {"ip": self.ip} if self.ip else {},
            "attributes": dict(_attribute(text) for text in self.attribute or ()),
        }
        return {name: value for name, value in values.items() if value}

    @property
    def is_given(self) -> bool:
        return self != Described()


class _Peek(Struct):
    id: Raw | UnsetType = UNSET


def send(
    target_server: Target,
    described: Described,
    json: Annotated[bool, Option("--json", help="The server's answer as it came.")] = False,
) -> int:
    """Send an event and wait until it is durable.

    Without --action, reads JSON from standard input: an event, an array of events, or an event a
    line. All of them are taken, or none is.
    """
    if described.is_given and not described.action:
        raise rejected("--action", "is missing: it is the one thing that an event must say")
    if described.is_given:
        lines = [jsons.dumps(described.event(), ensure_ascii=False).encode()]
    else:
        lines = lines_of(_standard_input())
    with open_client(target_server) as client:
        acknowledged = client.send(lines)
    if json:
        printer.machine_object(
            {
                "segment": acknowledged.segment,
                "receipt": acknowledged.receipt,
                "regions": acknowledged.regions,
                "ids": acknowledged.ids,
            }
        )
        return GOOD
    regions = printer.safe(", ".join(acknowledged.regions))
    for id in acknowledged.ids:
        printer.line(f"{printer.safe(id)} is durable in regions {regions}")
    return GOOD


def lines_of(data: bytes) -> list[bytes]:
    """The events in a JSON document or in NDJSON, a line each and with an `id` each.

    What is no JSON stays as it is, so that the server says what is wrong with it.
    """
    try:
        if data.lstrip()[:1] == b"[":
            parts = [bytes(raw) for raw in msgspec.json.decode(data, type=list[Raw])]
        else:
            msgspec.json.decode(data, type=_Peek)
            parts = [data]
    except msgspec.MsgspecError:
        parts = [line for line in data.split(b"\n") if line.strip()]
    return [_with_id(part) for part in parts]


def _with_id(event: bytes) -> bytes:
    """An event on one line, else byte for byte as it came, with an `id` if it had none."""
    # Outside strings a line end is white space, and inside it is no JSON.
    line = event.replace(b"\r", b" ").replace(b"\n", b" ").strip()
    try:
        has_id = msgspec.json.decode(line, type=_Peek).id is not UNSET
    except msgspec.MsgspecError:
        return line
    rest = line[1:].lstrip()
    if has_id or rest == b"}":
        return line
    return b'{"id":"%b",%b' % (new_id().encode(), rest)


def _standard_input() -> bytes:
    if sys.stdin.isatty():
        raise rejected("--action", "is missing, and standard input is a terminal: no event to send")
    data = sys.stdin.buffer.read(STDIN_BYTES_MAX + 1)
    if len(data) > STDIN_BYTES_MAX:
        raise rejected("standard input", "holds more than 8 MiB: use `holdfast import`")
    if not data.strip():
        raise rejected("standard input", "holds no event, and no --action is given")
    return data


def _target(text: str) -> dict[str, str]:
    kind, colon, id = text.partition(":")
    return {"type": kind, "id": id} if colon else {"id": text}


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise rejected("--attribute", f"is NAME=VALUE, not {text!r}")
    return name, value
