"""Ask the configured witnesses to cosign this node's checkpoints, and keep what they answer.

A cosignature lies beside the checkpoint, as `ev/cp/<node>/<size>.<witness>.note`: the same note
with one more signature. What is there already is what the regions list, so that nothing is kept
here over a restart. Nothing waits for a witness: an acknowledgement never does, and one that is
away, or refuses, is told in the reports and asked again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from holdfast.ports import Host
from holdfast.proof import ProofError, note
from holdfast.proof.names import node_id
from holdfast.proof.note import Checkpoint
from holdfast.read.growth import Growth, NotShown
from holdfast.regions import Regions, layout
from holdfast.regions.cosignature import WitnessKey, cosigned_at
from holdfast.regions.layout import CheckpointKey
from holdfast.regions.listing import list_everywhere
from holdfast.regions.port import Present, RegionId, Stored
from holdfast.write.identity import Identity

log = logging.getLogger("holdfast.keep")

EVERY_SECONDS = 60.0
ANSWER_SECONDS = 30.0

Post = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]  # URL, body -> status, body


class Asked(Struct, frozen=True):
    """A witness that is to be asked. key: a vkey of type 0x04."""

    name: str
    url: str
    key: str

    @property
    def verifier(self) -> WitnessKey:
        return WitnessKey.parse(self.key)

    @property
    def id(self) -> str:
        """As it stands in the keys of cosignatures."""
        return node_id(self.verifier.public)


class WitnessReport(Struct, frozen=True):
    """How one witness does. size: of the newest checkpoint that it cosigned, 0: none yet.
    cosigned_us: when. failed: why it did not cosign the last one; "" where it did."""

    witness: str
    url: str
    size: int
    cosigned_us: int
    failed: str


class WitnessesReport(Struct, frozen=True):
    """How the policy does. quorum: so many must cosign each checkpoint. size: of the newest one
    that is kept; cosigned: by how many. waiting_us: since when a checkpoint lacks some; 0: none."""

    quorum: int
    size: int
    cosigned: int
    waiting_us: int
    witnesses: tuple[WitnessReport, ...]


@dataclass(slots=True)
class _Known:
    """What is known of one witness. asked_from: the size that it is believed to stand at."""

    asked: Asked
    size: int = 0
    at_us: int = 0
    failed: str = ""
    asked_from: int = 0


@dataclass(slots=True)
class Kept:
    """A node's checkpoints as the regions list them. sizes: who has cosigned which."""

    size: int = 0
    holders: list[RegionId] = field(default_factory=list)
    cosigned: dict[str, set[int]] = field(default_factory=dict)


class Witnesses:
    """See the module."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        identity: Callable[[], Identity | None],
        asked: Sequence[Asked],
        quorum: int,
        post: Post,
    ) -> None:
        """identity: of this process's node; None while it has no epoch. quorum: of the witnesses.
        post: sends a body to a URL; raises OSError where no answer comes."""
        self._regions = regions
        self._host = host
        self._identity = identity
        self._quorum = quorum
        self._post = post
        self._known = {each.id: _Known(each) for each in asked}
        self._growth = Growth(regions)
        self._newest = 0
        self._cosigned = 0
        self._waiting_us = 0

    def report(self) -> WitnessesReport:
        return WitnessesReport(
            quorum=self._quorum,
            size=self._newest,
            cosigned=self._cosigned,
            waiting_us=self._waiting_us,
            witnesses=tuple(
                WitnessReport(each.asked.name, each.asked.url, each.size, each.at_us, each.failed)
                for each in self._known.values()
            ),
        )

    async def ask_forever(self, interval_seconds: float = EVERY_SECONDS) -> None:
        """Look for checkpoints that lack cosignatures, an interval."""
        while self._known:
            await asyncio.sleep(interval_seconds)
            try:
                await self.ask()
            except Exception:
                # Whatever it is, the next time comes; nothing waits for this.
                log.exception("witnesses were not asked")

    async def ask(self) -> None:
        """One look at the newest checkpoint, and a question to each witness that has not cosigned
        it."""
        identity = self._identity()
        if identity is None:
            return
        kept = await look_for_cosignatures(self._regions, identity.node, self._newest)
        if not kept.size:
            return
        self._note(kept)
        lacking = [id for id in self._known if kept.size not in kept.cosigned.get(id, ())]
        if not lacking:
            return
        data = await self._read(identity, kept)
        if data is None:
            return
        await asyncio.gather(*(self._ask(identity, self._known[id], data) for id in lacking))
        self._note(await look_for_cosignatures(self._regions, identity.node, self._newest))

    def _note(self, kept: Kept) -> None:
        """Keep the figures of the report."""
        self._newest = kept.size
        self._cosigned = sum(kept.size in kept.cosigned.get(id, ()) for id in self._known)
        if self._cosigned >= self._quorum:
            self._waiting_us = 0
        elif not self._waiting_us:
            self._waiting_us = self._host.now_us()
        for id, known in self._known.items():
            known.size = max(known.size, *kept.cosigned.get(id, {0}))
            known.asked_from = max(known.asked_from, known.size)

    async def _read(self, identity: Identity, kept: Kept) -> bytes | None:
        for id in kept.holders:
            key = layout.checkpoint_key(identity.node, kept.size)
            found = await self._regions.by_id[id].read(key)
            if isinstance(found, Present):
                try:
                    checkpoint = note.verify_checkpoint(found.data, identity.key.verifier)
                except ProofError:
                    continue
                if checkpoint.size == kept.size:
                    return found.data
        return None

    async def _ask(self, identity: Identity, known: _Known, data: bytes) -> None:
        """Ask one witness, within a time; whatever happens is told in the report."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                known.failed = await self._cosign(identity, known, data)
        except TimeoutError:
            known.failed = f"no answer within {ANSWER_SECONDS:g} s"
        except (OSError, ProofError) as error:
            known.failed = str(error) or type(error).__name__
        if known.failed:
            log.warning("witness %s did not cosign: %s", known.asked.name, known.failed)

    async def _cosign(self, identity: Identity, known: _Known, data: bytes) -> str:
        """Why it was not cosigned; "" where it was, and lies in a region."""
        point = note.parse_checkpoint(note.parse(data).text)
        status, answer = 0, b""
        for _ in range(2):  # a 409 tells the size to begin from
            if known.asked_from > point.size:
                return f"it has seen {known.asked_from} segments, and this is {point.size}"
            found = await self._growth.grow(identity.node, known.asked_from, point.size)
            if isinstance(found, NotShown):
                return found.reason
            if found.new.root != point.root:
                return "the names in the regions do not give the root that was signed"
            self._growth.note(identity.node, found.new)
            body = _body(known.asked_from, found.path, data)
            status, answer = await self._post(f"{known.asked.url}/add-checkpoint", body)
            if status != 409:
                break
            known.asked_from = note.parse_number(answer.decode("ascii", "replace").strip())
        if status != 200:
            told = answer[:200].decode("utf-8", "replace").strip()
            return f"it answered {status} {told}".strip()
        return await self._keep(identity, known, data, point, answer)

    async def _keep(
        self, identity: Identity, known: _Known, data: bytes, point: Checkpoint, answer: bytes
    ) -> str:
        key, own = known.asked.verifier, identity.key.verifier
        signed = note.verify(data + answer, [key])
        good = next(iter(signed.signatures))
        line = f"— {good.name} {note.encode_base64(good.key_id + good.signature)}\n"
        made = data + line.encode()
        note.verify(made, [own, key])
        place = f"{layout.CHECKPOINTS_PREFIX}{identity.node}/{point.size:010x}"
        outcomes = await asyncio.gather(
            *(region.keep(f"{place}.{known.asked.id}.note", made) for region in self._regions)
        )
        if not any(isinstance(outcome, Stored) for outcome in outcomes):
            return "it cosigned, and no region took the cosignature"
        known.size = known.asked_from = point.size
        known.at_us = cosigned_at(good.signature) * 1_000_000
        return ""


async def look_for_cosignatures(regions: Regions, node: str, known: int = 0) -> Kept:
    """A node's newest checkpoint under `ev/cp/`, and all cosignatures from a known size on."""
    prefix = f"{layout.CHECKPOINTS_PREFIX}{node}/"
    after = f"{prefix}{known:010x}" if known else ""
    listings = await list_everywhere(regions, prefix, after, {})
    kept = Kept()
    for id, listing in listings.items():
        for entry in listing:
            key = _parsed(entry.key)
            if key is None or key.node != node:
                continue
            if key.witness:
                kept.cosigned.setdefault(key.witness, set()).add(key.size)
            elif key.size > kept.size:
                kept.size, kept.holders = key.size, [id]
            elif key.size == kept.size:
                kept.holders.append(id)
    return kept


def _body(old: int, path: tuple[bytes, ...], data: bytes) -> bytes:
    lines = [f"old {old}", *map(note.encode_base64, path), "", ""]
    return "\n".join(lines).encode() + data


def _parsed(text: str) -> CheckpointKey | None:
    key = layout.known_key(text)
    return key if isinstance(key, CheckpointKey) else None


def lag_seconds(report: WitnessesReport, now_us: int) -> float:
    """How long a checkpoint has lacked cosignatures; 0: none does."""
    return max(0, now_us - report.waiting_us) / 1e6 if report.waiting_us else 0.0
