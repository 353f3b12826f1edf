"""What an outsider keeps of a trail, as JSON: newest checkpoints, and proofs that ledgers grew."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from holdfast.errors import CorruptError, Problem, RejectedError
from holdfast.proof import MismatchError, ProofError, names
from holdfast.proof.note import encode_base64
from holdfast.read.checkpoints import Look, Newest
from holdfast.read.growth import NotShown
from holdfast.wiring import System


class CheckpointShape(Struct, frozen=True):
    """A node's newest checkpoint. certificate: by which the trail admits the key that signed it."""

    origin: str
    note: str
    certificate: str


class AbsentShape(Struct, frozen=True):
    """A region that could not be asked, and why."""

    region: str
    reason: str


class ConflictShape(Struct, frozen=True):
    """Two checkpoints of one size with different roots: the node told two stories."""

    origin: str
    notes: tuple[str, ...]


class CheckpointsAnswer(Struct, frozen=True):
    """The newest checkpoint of each node, by origin; cosigned: the newest that a witness cosigned.

    listed: the regions that this rests on. enough: they show all that was acknowledged, so that
    none can be newer than what it was when they were asked.
    """

    trail: str
    checkpoints: tuple[CheckpointShape, ...]
    cosigned: tuple[CheckpointShape, ...]
    conflicts: tuple[ConflictShape, ...]
    listed: tuple[str, ...]
    absent: tuple[AbsentShape, ...]
    enough: bool


class ConsistencyAnswer(Struct, frozen=True):
    """A proof that a ledger only grew (RFC 9162, section 2.1.4.1), in base64.

    hashes: null where the names in the regions do not give it, for the reason. missing: the first
    segment that is in none of them; null where that is not known.
    """

    hashes: tuple[str, ...] | None
    missing: int | None
    reason: str


def checkpoints_answer(system: System, look: Look) -> CheckpointsAnswer:
    """The answer to GET /v1/checkpoints."""
    trail = system.regions.trail
    return CheckpointsAnswer(
        trail=trail,
        checkpoints=_shapes(trail, look.newest),
        cosigned=_shapes(trail, look.cosigned),
        conflicts=tuple(
            ConflictShape(names.ledger_origin(trail, node), (one.decode(), other.decode()))
            for node, (one, other) in sorted(look.conflicts.items())
        ),
        listed=look.listed,
        absent=tuple(AbsentShape(id, why) for id, why in sorted(look.absent.items())),
        enough=system.regions.are_enough(look.listed),
    )


def _shapes(trail: str, found: Mapping[str, Newest]) -> tuple[CheckpointShape, ...]:
    return tuple(
        CheckpointShape(
            names.ledger_origin(trail, node), each.note.decode(), each.certificate.decode()
        )
        for node, each in found.items()
    )


async def consistency_answer(system: System, asked: dict[str, Any]) -> ConsistencyAnswer:
    """The answer to GET /v1/consistency.

    Raises:
        RejectedError: a parameter is missing or makes no sense.
        CorruptError: the names contradict each other.
    """
    node = _node_of(system, asked)
    old, new = asked["old"], asked["new"]
    if old > new:
        raise _bad("new", "is smaller than `old`: a ledger never shrinks")
    try:
        found = await system.growth.grow(node, old, new)
    except MismatchError as error:
        raise CorruptError(f"node {node}: {error}") from error
    if isinstance(found, NotShown):
        return ConsistencyAnswer(None, found.index, found.reason)
    return ConsistencyAnswer(tuple(map(encode_base64, found.path)), None, "")


def _node_of(system: System, asked: dict[str, Any]) -> str:
    for name in ("origin", "old", "new"):
        if name not in asked:
            raise _bad(name, "is missing")
    try:
        trail, node = names.parse_ledger_origin(asked["origin"])
    except ProofError as error:
        raise _bad("origin", str(error)) from None
    if trail != system.regions.trail:
        raise _bad("origin", f"is not of the trail {system.regions.trail}")
    return node


def _bad(name: str, reason: str) -> RejectedError:
    return RejectedError("bad-parameter", Problem(0, name, reason))
