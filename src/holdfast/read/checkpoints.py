"""Each node's newest checkpoint, as the regions show it: all that an outsider need keep of a node.

A living node's rides in its heartbeat; that of a node which is gone lies there still, or under
`ev/cp/`. Both are looked at in every region, and the largest that the node's certified key signed
is taken. Two of one size with different roots are the proof that a node told two stories.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.model import NodeId
from holdfast.proof import ProofError, names, note, statements
from holdfast.proof.note import Checkpoint, VerifierKey
from holdfast.proof.statements import Heartbeat
from holdfast.regions import layout
from holdfast.regions.layout import CheckpointKey, EpochKey, HeartbeatKey
from holdfast.regions.listing import list_everywhere, look_at_cookies
from holdfast.regions.port import Listing, Present, RegionId
from holdfast.regions.region import Region
from holdfast.regions.regions import Regions

TRIES_MAX = 8  # checkpoints of one node that are read until one is good, in each region


@dataclass(frozen=True, slots=True)
class Newest:
    """A node's newest checkpoint. note: as signed; certificate: by which the trail admits it."""

    node: NodeId
    note: bytes
    checkpoint: Checkpoint
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found.

    newest: one a node that has sealed anything, by node. cosigned: the newest of each node that a
    witness cosigned, with all cosignatures that lie beside it. conflicts: two notes of one node and
    one size with different roots. listed: the regions that count; absent: why the others do not.
    """

    newest: Mapping[NodeId, Newest]
    cosigned: Mapping[NodeId, Newest]
    conflicts: Mapping[NodeId, tuple[bytes, bytes]]
    listed: tuple[RegionId, ...]
    absent: Mapping[RegionId, str]


class Checkpoints:
    """Looks again and again. What it once saw is remembered: a note that is gone was signed."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._keys: dict[NodeId, tuple[VerifierKey, bytes]] = {}
        self._newest: dict[NodeId, Newest] = {}
        self._cosigned: dict[NodeId, Newest] = {}
        self._conflicts: dict[NodeId, tuple[bytes, bytes]] = {}
        self._turn = asyncio.Lock()

    async def look(self) -> Look:
        """Ask every region."""
        async with self._turn:
            return await self._look()

    async def _look(self) -> Look:
        regions = tuple(self._regions)
        absent: dict[RegionId, str] = {}
        await look_at_cookies(self._regions, absent)
        beats = await list_everywhere(regions, layout.HEARTBEATS_PREFIX, "", absent)
        epochs = await list_everywhere(regions, layout.NODES_PREFIX, "", absent)
        await self._learn(epochs)
        await asyncio.gather(*(self._hear(self._regions.by_id[id], beats[id]) for id in beats))
        for node in sorted(self._keys):
            prefix = f"{layout.CHECKPOINTS_PREFIX}{node}/"
            cosigned = self._cosigned.get(node)
            # Listed from what was cosigned on: others may cosign the same one later.
            after = f"{prefix}{cosigned.checkpoint.size:010x}" if cosigned else ""
            listings = await list_everywhere(regions, prefix, after, absent)
            for id, listing in listings.items():
                await self._read_newest(self._regions.by_id[id], node, listing)
            await self._read_cosigned(node, listings)
        await look_at_cookies(self._regions, absent)
        return Look(
            newest=dict(sorted(self._newest.items())),
            cosigned=dict(sorted(self._cosigned.items())),
            conflicts=dict(self._conflicts),
            listed=tuple(region.id for region in regions if region.id not in absent),
            absent=absent,
        )

    async def _learn(self, epochs: Mapping[RegionId, Listing]) -> None:
        """The key and the certificate of every node, from the first birth of it that is good."""
        for id, listing in epochs.items():
            for entry in listing:
                key = layout.known_key(entry.key)
                if not isinstance(key, EpochKey) or key.kind != "birth" or key.node in self._keys:
                    continue
                found = await self._regions.by_id[id].read(entry.key)
                if isinstance(found, Present):
                    self._admit(key.node, found.data)

    def _admit(self, node: NodeId, birth: bytes) -> None:
        origin = names.ledger_origin(self._regions.trail, node)
        try:
            signed = statements.verify_birth(birth, self._regions.trail)
        except ProofError:
            return  # a corrupt copy; what is corrupt is the surveys' business
        if signed.origin == origin:
            said = signed.statement
            self._keys[node] = (VerifierKey(origin, said.node_key), said.certificate)

    async def _hear(self, region: Region, listing: Listing) -> None:
        keys = (layout.known_key(each.key) for each in listing)
        nodes = [key.node for key in keys if isinstance(key, HeartbeatKey)]
        known = [node for node in nodes if node in self._keys]
        read = await asyncio.gather(*(region.read(layout.heartbeat_key(node)) for node in known))
        for node, found in zip(known, read, strict=True):
            if isinstance(found, Present):
                self._take_beat(node, found.data)

    def _take_beat(self, node: NodeId, data: bytes) -> None:
        try:
            beat = statements.verify(data, Heartbeat, self._keys[node][0]).statement
        except ProofError:
            return
        if beat.checkpoint:
            self._take(node, beat.checkpoint)

    async def _read_newest(self, region: Region, node: NodeId, listing: Listing) -> None:
        keys = [each.key for each in listing if _is_own(layout.known_key(each.key), node)]
        for key in keys[: -TRIES_MAX - 1 : -1]:
            found = await region.read(key)
            if isinstance(found, Present) and self._take(node, found.data):
                return

    async def _read_cosigned(self, node: NodeId, listings: Mapping[RegionId, Listing]) -> None:
        """The newest checkpoint that has cosignatures, with all of them in one note."""
        places: dict[int, dict[str, list[RegionId]]] = {}
        for id, listing in listings.items():
            for entry in listing:
                key = layout.known_key(entry.key)
                if isinstance(key, CheckpointKey) and key.node == node and key.witness:
                    places.setdefault(key.size, {}).setdefault(entry.key, []).append(id)
        for size in sorted(places, reverse=True)[:TRIES_MAX]:
            notes = [await self._copy_of(node, size, *place) for place in places[size].items()]
            if good := [each for each in notes if each is not None]:
                verifier, certificate = self._keys[node]
                data = _joined(good)
                point = note.verify_checkpoint(data, verifier)
                self._cosigned[node] = Newest(node, data, point, certificate)
                return

    async def _copy_of(
        self, node: NodeId, size: int, key: str, holders: Sequence[RegionId]
    ) -> bytes | None:
        """A good copy of a cosigned checkpoint, of the newest one's root if it is as large."""
        for id in holders:
            found = await self._regions.by_id[id].read(key)
            if isinstance(found, Present) and self._take(node, found.data):
                point = note.parse_checkpoint(note.parse(found.data).text)
                newest = self._newest[node].checkpoint
                if point.size == size and not _differ(point, newest):
                    return found.data
        return None

    def _take(self, node: NodeId, data: bytes) -> bool:
        """Take a note for the node's, if it is the node's; whether it is."""
        key, certificate = self._keys[node]
        try:
            checkpoint = note.verify_checkpoint(data, key)
        except ProofError:
            return False
        known = self._newest.get(node)
        if checkpoint.size and (known is None or checkpoint.size > known.checkpoint.size):
            self._newest[node] = Newest(node, data, checkpoint, certificate)
        elif known is not None and _differ(known.checkpoint, checkpoint):
            self._conflicts.setdefault(node, (known.note, data))
        return True


def _joined(notes: Sequence[bytes]) -> bytes:
    """One note with the signatures of all, which are over the same text; each once."""
    text = note.parse(notes[0]).text
    lines = [
        line for each in notes if note.parse(each).text == text for line in _signature_lines(each)
    ]
    return text.encode() + b"\n" + b"".join(dict.fromkeys(lines))


def _signature_lines(data: bytes) -> Sequence[bytes]:
    return data[data.rindex(b"\n\n") + 2 :].splitlines(keepends=True)


def _differ(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether no ledger can have both."""
    return one.size == other.size and one.root != other.root


def _is_own(key: layout.Key | None, node: NodeId) -> bool:
    """Whether a key is of a checkpoint of that node, and not of a witness's cosignature."""
    return isinstance(key, CheckpointKey) and key.node == node and not key.witness
