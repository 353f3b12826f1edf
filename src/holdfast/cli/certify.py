"""`holdfast certify`: a file that proves to a tenant that these are all of its events."""

import json
from dataclasses import dataclass
from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.crew import Hands, worked_source
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Place, Where
from holdfast.cli.source import rejected
from holdfast.cli.straight import opened
from holdfast.proof import tenants
from holdfast.proof.certificate import Head, head_of


@dataclass(frozen=True)
class Whose:
    """Whose events, and when they were received."""

    from_: Annotated[str, Option("--from", metavar="TIME", help="Received at or after (RFC 3339).")]
    to: Annotated[str, Option(metavar="TIME", help="Received before.")]
    tenant: Annotated[str | None, Option(help="Whose events; '' for those without.")] = None
    all_tenants: Annotated[
        bool, Option("--all-tenants", help="All events of the trail: not for a tenant.")
    ] = False


def certify(
    whose: Whose,
    where: Where,
    hands: Hands,
    no_records: Annotated[
        bool, Option("--no-records", help="Hashes in place of the records.")
    ] = False,
) -> int:
    """Print a certificate of completeness: `holdfast certify ... > FILE`.

    It proves to the tenant that these are all of its events that were received in that time, and
    shows nothing of others. It is checked by `python -m holdfast.proof check FILE --trail TRAIL
    --salt-id S`, where the tenant must know both ids from elsewhere.
    """
    if whose.all_tenants is (whose.tenant is not None):
        raise rejected("--tenant", "or --all-tenants: one of them")
    asked = {"tenants": "all"} if whose.tenant is None else {"tenant": whose.tenant}
    asked |= {"from": whose.from_, "to": whose.to}
    if no_records:
        asked["records"] = "hashes"
    head = b""
    with worked_source(where, hands) as source:
        for piece in source.certificate(asked):
            if not head.endswith(b"\n"):
                head += piece[: piece.find(b"\n") + 1] or piece
            printer.block(piece)
    if whose.all_tenants:
        return GOOD
    asked_of = head_of(head)
    assert isinstance(asked_of, Head), "it is of a tenant"
    salt = asked_of.salt
    printer.note(
        f"the tenant's salt id, which it must know from elsewhere: {tenants.salt_id(salt)}"
    )
    return GOOD


def salt_id(
    tenant: Annotated[str, Option(help="Which; '' for events without one.")],
    place: Place,
    as_json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Print a tenant's salt id.

    The tenant keeps it, from when it first is a tenant, and checks certificates against it. It
    gives nothing away.
    """
    with opened(place.data, place.config) as found:
        id = found.system.prover.certifier.salt_id(tenant)
    if as_json:
        printer.machine(json.dumps({"tenant": tenant, "salt_id": id}, ensure_ascii=False).encode())
    else:
        printer.line(id)
    return GOOD
