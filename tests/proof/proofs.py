"""Genuine proofs of events of the small trail, and what their steps claim."""

from collections.abc import Generator
from typing import TypeVar

from holdfast.proof import event, merkle, objects
from holdfast.proof.errors import ProofError
from holdfast.proof.event import EventProof, ProvenEvent
from holdfast.proof.statements import Closed
from holdfast.prove import paths
from holdfast.prove.event import Standing, prove_event
from holdfast.read.contents import Stored
from holdfast.regions import signing
from tests.proof import samples
from tests.proof.samples import CLOSER, CLOSER_KEY, NODE_KEY, ORIGIN, TAG_KEY, TRAIL

SEGMENTS = 5
Found = TypeVar("Found")


def genuine(segment: int = 2, line: int = 4, *, closed: bool = False) -> EventProof:
    """The proof of a line of the small trail's segment, on a checkpoint or on a decided close."""
    sealed, ends = samples.ledger_of(SEGMENTS)
    names = [one.name.text for one in sealed]
    path = paths.inclusion_path(merkle.leaf_hashes([n.encode() for n in names]), segment)
    head = samples.checkpoint(ends[-1])
    if closed:
        certificate = samples.certificate_of(CLOSER_KEY)
        said = Closed(1, ends[-1], CLOSER, "lost", samples.STARTED_US + 9, certificate)
        head = signing.write(said, ORIGIN, CLOSER_KEY)
    own = samples.certificate_of(NODE_KEY).decode()
    held = Stored(sealed[segment].name, sealed[segment].data)
    standing = Standing(names[segment], path, own, head.decode())
    return prove_event(held, NODE_KEY.verifier, TAG_KEY, line, standing)


def checked(data: bytes, trail: str = TRAIL) -> tuple[ProvenEvent | ProofError, list[str]]:
    """What a check ends with, and the claims that it made on the way."""
    claims: list[str] = []
    steps = event.check(data, trail)
    try:
        while True:
            claims.append(next(steps))
    except StopIteration as end:
        proven: ProvenEvent = end.value
        return proven, claims
    except ProofError as error:
        return error, claims


def drained(steps: Generator[str, None, Found]) -> Found:
    """What a check ends with. Raises what it raises."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Found = end.value
            return found


def written(proof: EventProof) -> bytes:
    return objects.form(proof)
