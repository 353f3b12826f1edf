"""The room's face: proofs of events, made of what the reader holds and what regions show.

A proof is checked as an outsider would check it before it is handed out. Certificates of
completeness are made by `certifier`, files of records by `exporter`.
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import Executor

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.model import Found
from holdfast.ports import Host
from holdfast.proof import ProofError, event, objects
from holdfast.proof.note import VerifierKey
from holdfast.prove.certificate import Certifier
from holdfast.prove.event import Standing, prove_event
from holdfast.prove.export import Exporter, Speaker, nobody
from holdfast.prove.heads import certified, gaps_in, heads
from holdfast.prove.trees import Trees
from holdfast.prove.walk import Walk
from holdfast.read.contents import Preserved
from holdfast.read.reader import Reader
from holdfast.regions.regions import Regions


class Prover:
    """See the module."""

    def __init__(
        self,
        reader: Reader,
        regions: Regions,
        host: Host,
        heartbeat_seconds: float,
        speaker: Speaker = nobody,
    ) -> None:
        """heartbeat_seconds: how often a living node signs where its ledger stands. speaker: who
        signs what is exported."""
        self._reader = reader
        self._regions = regions
        self._host = host
        self._heartbeat_seconds = heartbeat_seconds
        self._trees = Trees(reader.names, host)
        self._walk = Walk(reader, regions, self._trees, host.compute)
        self.certifier = Certifier(self._walk, regions)
        self.exporter = Exporter(self._walk, regions, host, speaker)

    def hand_to(self, executor: Executor, at_once: int) -> None:
        """Who makes certificates and exports from now on, so many pieces at a time."""
        self._walk.hand_to(executor, at_once)

    async def event(
        self, tenant: str | None, id: str, node: str = "", position: int | None = None
    ) -> bytes:
        """The proof of an event, as a file of the format `holdfast-proof/1`.

        Args:
            tenant: of whom; None: any.
            node, position: which one, where several events have the id; "" and None: any.
        Raises:
            RejectedError: not-found; ambiguous: several events have that id; unprovable: names
                that its path needs are lost for good.
            UnavailableError: not yet, and when to ask again.
            CorruptError: what is stored contradicts what was signed.
        """
        found = await self._reader.event(tenant, id)
        return await self.prove(_one_of(found, id, node, position))

    async def prove(self, found: Found) -> bytes:
        """The same of an event that was found."""
        held, standing, key = await self._standing(found.node, found.segment)
        line = found.position - int(standing.segment.split("-")[2], 16)
        tag_key, trail = self._regions.tag_key, self._regions.trail
        made = self._host.compute.submit(_make, held, key, tag_key, line, standing, trail)
        return await asyncio.wrap_future(made)

    async def _standing(self, node: str, index: int) -> tuple[Preserved, Standing, VerifierKey]:
        kept = await self._reader.notes(node)
        of = certified(node, self._regions.trail, kept)
        if of is None:
            raise UnavailableError(f"no birth of node {node} was read yet")
        held = await self._reader.segment(node, index)
        signed = await heads(self._regions, of, kept, index)
        lost = [gap.start for gap in gaps_in(kept)]
        why: UnavailableError | None = None
        for each in signed:
            try:
                head = each.head
                path = await self._trees.path(node, index, head.size, head.root)
            except UnavailableError as error:
                why = error
                continue
            said = Standing(held.name.text, path, of.note.decode(), each.note.decode())
            return held, said, of.key
        if signed and lost and min(lost) < signed[-1].head.size:
            reason = (
                f"segments of node {node} from {min(lost)} on are lost, and the path needs them"
            )
            raise RejectedError("unprovable", Problem(0, "id", reason))
        raise why or self._not_yet(node, index)

    def _not_yet(self, node: str, index: int) -> UnavailableError:
        seconds = math.ceil(self._heartbeat_seconds) + 1
        return UnavailableError(
            f"segment {index} of node {node} is in nothing signed yet: the node signs it with its "
            f"next heartbeat, within {seconds} s, or whoever closes its epoch does",
            retry_after_seconds=seconds,
        )


def _one_of(found: Sequence[Found], id: str, node: str, position: int | None) -> Found:
    fitting = [
        each for each in found if node in ("", each.node) and position in (None, each.position)
    ]
    if not fitting:
        raise RejectedError("not-found", Problem(0, "id", f"there is no event {id!r} there"))
    if len(fitting) > 1:
        places = "; ".join(f"node {each.node} position {each.position}" for each in fitting[:10])
        reason = f"{len(fitting)} events have it: name the tenant, or node and position ({places})"
        raise RejectedError("ambiguous", Problem(0, "id", reason))
    return fitting[0]


def _make(
    held: Preserved, key: VerifierKey, tag_key: bytes, line: int, standing: Standing, trail: str
) -> bytes:
    """In a worker: a proof, checked. Raises CorruptError."""
    try:
        made = objects.form(prove_event(held, key, tag_key, line, standing))
        for _ in event.check(made, trail):
            pass
    except ProofError as error:
        raise CorruptError(f"what is stored proves nothing of this event: {error}") from error
    return made
