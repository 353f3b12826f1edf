"""`holdfast hold`: what must stay, whatever a rule says."""

from dataclasses import dataclass
from typing import Annotated, Any

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, INCOMPLETE
from holdfast.cli.options import Where, this_user
from holdfast.cli.printer import safe
from holdfast.cli.source import decode, open_source, rejected


@dataclass(frozen=True)
class Events:
    """What is held."""

    tenant: Annotated[str, Option(help="Whose events; '' for those without a tenant.")]
    actor: Annotated[str, Option(help="Noted for people: what is held is all of the tenant.")] = ""
    from_: Annotated[str, Option("--from", metavar="TIME", help="At or after (RFC 3339).")] = ""
    to: Annotated[str, Option(metavar="TIME", help="Before (RFC 3339).")] = ""


@dataclass(frozen=True)
class Stated:
    """By whom, and why."""

    reason: Annotated[str, Option(metavar="TEXT", help="Why; everyone can read it.")]
    by: Annotated[str, Option(metavar="TEXT", help="Who wants it. (default: this user)")] = ""

    @property
    def author(self) -> str:
        return self.by or this_user()


def add(
    where: Where,
    events: Events,
    stated: Stated,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Hold events: nothing that may have one of them is deleted until the hold is released.

    Exit 0 once the hold lies in W regions and everything that it is of is still there; exit 4 where
    some of it was let go before, which is said; exit 3 where that cannot be known.
    """
    wanted = {"tenant": events.tenant, "reason": stated.reason, "author": stated.author}
    wanted |= {"actor": events.actor, "from": events.from_, "to": events.to}
    with open_source(where, events=False) as source:
        answer = source.hold(wanted)
    said = decode(answer)
    if json:
        printer.machine(answer)
    else:
        printer.line(f"held: {safe(said['id'])}")
        _say_late(said)
    return INCOMPLETE if said["late"] else GOOD


def list_holds(
    where: Where, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """List all holds, also those that are over."""
    with open_source(where, events=False) as source:
        answer = source.holds()
    if json:
        printer.machine(answer)
        return GOOD
    holds = decode(answer)["holds"]
    if holds:
        head = ("hold", "tenant", "actor", "from", "to", "by", "reason", "released")
        printer.table(head, [_row(each) for each in holds])
    for each in holds:
        _say_late(each)
    printer.line(f"holds that stand: {sum(not each['released'] for each in holds)}")
    return GOOD


def release(
    where: Where,
    id: Annotated[str, Argument(metavar="ID", help="As `hold list` has it.")],
    stated: Stated,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """State that a hold is over. The hold itself stays, and so does this."""
    if len(id) != 32 or not set(id) <= set("0123456789abcdef"):
        raise rejected("ID", "is 32 hex digits")
    with open_source(where, events=False) as source:
        answer = source.release(id, {"reason": stated.reason, "author": stated.author})
    if json:
        printer.machine(answer)
    else:
        said = decode(answer)
        printer.line(f"released: {safe(said['id'])} ({safe(said['release_reason'])})")
    return GOOD


def _say_late(said: dict[str, Any]) -> None:
    for each in said["late"]:
        printer.line(
            f"too late for hold {safe(said['id'])}: the class {safe(each['class'])} of "
            f"{safe(each['unit'])} was let go at {safe(each['floored'])} by {safe(each['rule'])}"
        )


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    named = ("id", "tenant", "actor", "from", "to", "author", "reason", "released")
    return tuple(safe(str(each[name] or "-")) for name in named)
