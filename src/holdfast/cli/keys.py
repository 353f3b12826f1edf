"""`holdfast keys`: who may write to the trail."""

import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Place
from holdfast.cli.place import settings_of, trail_key_of
from holdfast.cli.source import rejected
from holdfast.proof import ProofError, names
from holdfast.proof.note import VerifierKey
from holdfast.write.identity import certify


def admit(
    node_key: Annotated[
        str, Argument(metavar="KEY", help="The node's public key, as its start printed it.")
    ],
    place: Place,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="Write here instead of to standard output.")
    ] = None,
) -> int:
    """Certify a node under the trail's key, on a machine that has it.

    The answer belongs beside the node's own key, as DIR/nodes/0/node.cert.
    """
    trail = trail_key_of(settings_of(place.data, place.config))
    try:
        key = VerifierKey.parse(node_key)
    except ProofError as error:
        raise rejected("KEY", str(error)) from None
    node = names.node_id(key.public)
    if key.name != names.ledger_origin(trail.trail, node):
        raise rejected("KEY", f"is named {key.name!r}: it is not for the trail {trail.trail}")
    note = certify(trail.trail, trail.signing, key.public, time.time_ns() // 1000)
    if out is None:
        printer.machine(note.removesuffix(b"\n"))
        return GOOD
    out.write_bytes(note)
    printer.line(f"node {node} is admitted to the trail {trail.trail}: {out}")
    return GOOD
