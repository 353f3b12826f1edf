"""The event page's questions: the event, its proof checked here, its copies, its neighbours.

None of them holds up the others: each has its time, and what did not come is said.
"""

import asyncio
import hashlib
from typing import Final

from msgspec import structs

from holdfast.errors import HoldfastError
from holdfast.model import Found, Query
from holdfast.proof import ProofError
from holdfast.proof import event as proofs
from holdfast.proof.names import SegmentName
from holdfast.regions import layout
from holdfast.regions.port import Absent, Present
from holdfast.regions.region import Region
from holdfast.serve.faces import Faces
from holdfast.serve.parameters import Proving
from holdfast.serve.ui.event import Copy, EventView, Neighbours, Proof, Step, render, render_missing
from holdfast.serve.ui.shown import shown
from holdfast.serve.ui.words import Frame
from holdfast.times import parse_time

PROOF_SECONDS: Final = 3.0
COPY_SECONDS: Final = 2.0
NEIGHBOUR_SECONDS: Final = 2.0
NEIGHBOURS_MAX: Final = 6
REQUEST_US: Final = 3_600_000_000  # a request lasts seconds; so long is looked for before and after


async def page(faces: Faces, frame: Frame, id: str, which: Proving) -> tuple[bytes, int]:
    """The page of an event, and the status to show it under."""
    all_found = await faces.bounds.ask(faces.system.reader.event(which.tenant, id))
    fitting = [
        each
        for each in all_found
        if which.node in ("", each.node) and which.position in (None, each.position)
    ]
    if not fitting:
        return render_missing(frame, id), 404
    found = fitting[0]
    proof, copies, neighbours = await asyncio.gather(
        _prove(faces, found), _copies(faces, found), _neighbours(faces, found)
    )
    view = EventView(
        frame=frame,
        found=found,
        others=tuple(each for each in all_found if each is not found),
        proof=proof,
        copies=copies,
        neighbours=neighbours,
    )
    return render(view), 200


# -- the proof -----------------------------------------------------------------------------------


async def _prove(faces: Faces, found: Found) -> Proof:
    """Make the proof, and check it as an outsider would."""
    try:
        async with asyncio.timeout(PROOF_SECONDS):
            data = await faces.system.prover.prove(found)
            return await faces.system.host.offload(check, data, faces.system.regions.trail)
    except TimeoutError:
        return Proof(why=f"No proof was made within {PROOF_SECONDS:g} s; ask again.")
    except HoldfastError as error:
        return Proof(why=f"There is no proof: {error}.")


def check(data: bytes, trail: str) -> Proof:
    """What the check of a proof comes to, step by step."""
    claims: list[str] = []
    walk = proofs.check(data, trail)
    try:
        while True:
            claims.append(next(walk))
    except StopIteration as end:
        steps = tuple(Step(claim, True) for claim in claims)
        return Proof(steps, end.value.name, end.value.head.kind, len(data))
    except ProofError as error:
        steps = (*(Step(claim, True) for claim in claims[:-1]), Step(claims[-1], False))
        return Proof(steps, why=f"The last step does not hold: {error}.")


# -- where it is held ----------------------------------------------------------------------------


async def _copies(faces: Faces, found: Found) -> tuple[Copy, ...]:
    """Read the event's segment in every region, and hash it."""
    system = faces.system
    try:
        async with asyncio.timeout(COPY_SECONDS):
            held = await system.reader.segment(found.node, found.segment)
    except (HoldfastError, TimeoutError):
        return tuple(Copy(each.id, "unk", "was not asked") for each in system.regions)
    key, name = layout.segment_key(found.node, held.name), held.name
    return tuple(await asyncio.gather(*(_copy(faces, each, key, name) for each in system.regions)))


async def _copy(faces: Faces, region: Region, key: str, name: SegmentName) -> Copy:
    try:
        async with asyncio.timeout(COPY_SECONDS):
            answer = await region.read(key)
    except TimeoutError:
        return Copy(region.id, "unk", f"did not answer within {COPY_SECONDS:g} s: not known")
    match answer:
        case Present(data):
            digest = await faces.system.host.offload(lambda: hashlib.sha256(data).digest())
            if digest == name.sha256:
                return Copy(region.id, "held", "returned bytes with the hash in the name")
            return Copy(region.id, "down", "returned other bytes: a corrupt copy, never served")
        case Absent():
            return Copy(region.id, "none", "answers, and has no copy yet")
    return Copy(region.id, "unk", f"not known: {answer.reason}")


# -- neighbours ----------------------------------------------------------------------------------


async def _neighbours(faces: Faces, found: Found) -> tuple[Neighbours, ...]:
    """The last events until this one of its actor and on its target, and those of its request."""
    event = shown(found)
    try:
        until_us = parse_time(event.time or event.received) + 1
    except ValueError:
        return ()
    target = next((each.key for each in event.targets if each.key), "")
    request = event.trace.request_id
    around = Query(from_us=until_us - REQUEST_US, to_us=until_us + REQUEST_US, word=request)
    asked = (
        ("Same actor, until then", "actor", Query(actor=event.actor.key, to_us=until_us)),
        ("Same target, until then", "target", Query(target=target, to_us=until_us)),
        ("Same request, within an hour", "word", around),
    )
    groups = [_group(faces, *each) for each in asked if getattr(each[2], each[1])]
    return tuple(await asyncio.gather(*groups))


async def _group(faces: Faces, title: str, field: str, query: Query) -> Neighbours:
    value = getattr(query, field)
    query = structs.replace(query, limit=NEIGHBOURS_MAX)
    try:
        async with asyncio.timeout(NEIGHBOUR_SECONDS):
            page = await faces.bounds.ask(faces.system.reader.search(query))
    except (HoldfastError, TimeoutError):
        return Neighbours(title, field, value, None)
    return Neighbours(title, field, value, page.events)
