"""What the signed notes say about each ledger, verified. Pure.

Every note of every region comes in, with where it lies; what does not verify becomes a finding and
proves nothing. Keys come first: births, fences and closes carry the certificates of those who
signed them, and all else is signed by one of those.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from holdfast.keep.objects import why_wrong
from holdfast.model import NodeId
from holdfast.proof import ProofError, names, note, statements
from holdfast.proof.floors import kind_of
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Birth, Closed, Gap, Heartbeat
from holdfast.regions import layout
from holdfast.regions.kinds import Fence, Retired, Vote
from holdfast.regions.layout import CheckpointKey, EpochKey, FloorKey, GapKey, HeartbeatKey, Key
from holdfast.regions.port import RegionId
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out
from holdfast.verify.findings import Finding
from holdfast.write.quorum import decide_close

RECENT_MAX = 64


@dataclass(frozen=True, slots=True)
class Copy:
    """A note as a region has it. why_wrong: as `Evidence.judge` found it; "" where it is good."""

    region: RegionId
    key: str
    data: bytes
    why_wrong: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Somebody signed that a ledger had this root at this size. where: for a person.

    region, key: of the object that says so; "" for a note that was kept elsewhere.
    """

    size: int
    root: bytes
    where: str
    region: RegionId = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """Where an epoch ends, and who says so."""

    end: LedgerEnd
    key: str
    region: RegionId


@dataclass
class Ledger:
    """One node. key: its public key; None where the trail is not seen to have admitted it.

    births, ends: by epoch. votes: epoch -> region -> (size, text). fences: epoch -> who holds
    one. closed: epoch -> by whom its close was written down. beats: (epoch, promised size, key,
    region). gaps: as declared. retired: by epoch. marks: what was signed of its roots.
    """

    node: NodeId
    key: VerifierKey | None = None
    births: dict[int, list[tuple[Birth, RegionId]]] = field(default_factory=dict)
    ends: dict[int, list[Said]] = field(default_factory=dict)
    votes: dict[int, dict[RegionId, tuple[int, str]]] = field(default_factory=dict)
    fences: dict[int, set[RegionId]] = field(default_factory=dict)
    closed: dict[int, NodeId] = field(default_factory=dict)
    beats: list[tuple[int, int, str, RegionId]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    retired: dict[int, Retired] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)

    @property
    def known_size(self) -> int:
        """So many segments it must have: below that, what is not there is missing."""
        ends = [said.end.size for each in self.ends.values() for said in each]
        marks = [mark.size for mark in self.marks]
        return max([0, *ends, *marks, *(size for _, size, _, _ in self.beats)])

    @property
    def retirement(self) -> Retired | None:
        """The statement that the node writes no more; of the last epoch, where there are two."""
        return self.retired[max(self.retired)] if self.retired else None

    @property
    def last_epoch(self) -> int:
        return max(self.births, default=0)

    def end_of(self, epoch: int) -> LedgerEnd | None:
        """Where an epoch was decided to end, as far as one is known. Epoch 0: the beginning."""
        if epoch == 0:
            return EMPTY_END
        said = self.ends.get(epoch, ())
        return min((each.end for each in said), key=lambda end: end.size) if said else None


class Evidence:
    """See the module. ledgers: by node. floors: of classes that are let go. findings: what does not
    verify, or contradicts itself."""

    def __init__(self, trail: str) -> None:
        self.trail = trail
        self.ledgers: dict[NodeId, Ledger] = {}
        self.floors: dict[Out, Floor] = {}
        self.findings: list[Finding] = []
        self._recent: dict[tuple[str, bytes], str] = {}  # what was judged, and how

    @property
    def node_keys(self) -> Mapping[NodeId, VerifierKey]:
        return {node: each.key for node, each in self.ledgers.items() if each.key is not None}

    def ledger(self, node: NodeId) -> Ledger:
        return self.ledgers.setdefault(node, Ledger(node))

    def births(self) -> list[Birth]:
        """All that verified, of every node."""
        groups = [group for each in self.ledgers.values() for group in each.births.values()]
        return [birth for group in groups for birth, _ in group]

    def judge(self, key: str, data: bytes) -> str:
        """Why these bytes cannot be the note of that key; "" where they are it.

        Heartbeats, checkpoints and votes need the keys that births and closes bring.
        """
        copy = (key, data)  # every region has the same, one after the other
        if copy not in self._recent:
            if len(self._recent) >= RECENT_MAX:
                self._recent.clear()
            self._recent[copy] = why_wrong(key, data, self.trail, self.node_keys)
        return self._recent[copy]

    def take(self, copies: Iterable[Copy]) -> None:
        """Take notes as they were judged; what is wrong with them becomes findings."""
        for copy in copies:
            key = layout.parse_key(copy.key)
            if not self._is_right(copy, key):
                continue
            if isinstance(key, EpochKey):
                self._take_epoch(key, copy)
            elif isinstance(key, CheckpointKey):
                self._mark(key.node, copy.data, copy)
            elif isinstance(key, GapKey):
                gap = statements.read(copy.data, Gap).statement
                if gap not in self.ledger(key.node).gaps:
                    self.ledger(key.node).gaps.append(gap)
            elif isinstance(key, FloorKey):
                floor = statements.read(copy.data, kind_of(copy.data)).statement
                self.floors[key.unit, key.retention] = floor
            elif isinstance(key, HeartbeatKey):
                self._take_beat(key.node, copy)

    def _take_epoch(self, key: EpochKey, copy: Copy) -> None:
        ledger = self.ledger(key.node)
        if key.kind == "birth":
            birth = statements.read(copy.data, Birth).statement
            ledger.births.setdefault(key.epoch, []).append((birth, copy.region))
            said = Said(birth.base, copy.key, copy.region)
            if key.epoch > 1:
                ledger.ends.setdefault(key.epoch - 1, []).append(said)
            self._admit(birth.certificate)
        elif key.kind == "closed":
            closed = statements.read(copy.data, Closed).statement
            said = Said(closed.end, copy.key, copy.region)
            ledger.ends.setdefault(key.epoch, []).append(said)
            ledger.closed[key.epoch] = closed.by
            self._admit(closed.certificate)
        elif key.kind == "close":
            vote = statements.read(copy.data, Vote)
            ballot = (vote.statement.end.size, vote.text)
            ledger.votes.setdefault(key.epoch, {})[copy.region] = ballot
        elif key.kind == "retired":
            retired = statements.read(copy.data, Retired).statement
            ledger.retired[key.epoch] = retired
            where = f"{copy.key} in region {copy.region}"
            end = retired.end
            ledger.marks.append(Mark(end.size, end.root, where, copy.region, copy.key))
        else:
            ledger.fences.setdefault(key.epoch, set()).add(copy.region)
            self._admit(statements.read(copy.data, Fence).statement.certificate)

    def _admit(self, certificate: bytes) -> None:
        """Take a key from a certificate that a verified note carries."""
        found = statements.verify_certificate(certificate, self.trail).statement
        if found.node != self.trail:  # the trail's own key stands for a person, who has no ledger
            origin = names.ledger_origin(self.trail, found.node)
            self.ledger(found.node).key = VerifierKey(origin, found.node_key)
            self._recent.clear()  # what lacked this key may be good

    def _take_beat(self, node: NodeId, copy: Copy) -> None:
        beat = statements.read(copy.data, Heartbeat).statement
        said = (beat.epoch, beat.promise_size, copy.key, copy.region)
        self.ledger(node).beats.append(said)
        if beat.checkpoint:
            try:
                self._mark(node, beat.checkpoint, copy)
            except ProofError as error:
                self._wrong(copy, f"the checkpoint in it: {error}")

    def _mark(self, node: NodeId, data: bytes, copy: Copy) -> None:
        ledger = self.ledger(node)
        assert ledger.key is not None, "it was verified by that key"
        found = note.verify_checkpoint(data, ledger.key)
        where = f"{copy.key} in region {copy.region}"
        ledger.marks.append(Mark(found.size, found.root, where, copy.region, copy.key))

    def _is_right(self, copy: Copy, key: Key) -> bool:
        """Whether a copy is what its key says; else there is a finding."""
        if isinstance(key, CheckpointKey | HeartbeatKey) and key.node not in self.node_keys:
            if isinstance(key, HeartbeatKey) and _is_waiting(copy.data):
                return False
            why = f"node {key.node} is not seen to be admitted by the trail"
            self.findings.append(
                Finding(
                    kind="uncertified",
                    region=copy.region,
                    node=key.node,
                    key=copy.key,
                    reason=why,
                )
            )
            return False
        if copy.why_wrong:
            self._wrong(copy, copy.why_wrong)
        return not copy.why_wrong

    def _wrong(self, copy: Copy, why: str) -> None:
        self.findings.append(Finding(kind="corrupt", region=copy.region, key=copy.key, reason=why))

    def contradictions(self, named: Mapping[RegionId, str]) -> Iterable[Finding]:
        """What verified statements say against each other. named: region -> its store."""
        for node, ledger in sorted(self.ledgers.items()):
            for epoch in sorted(ledger.births.keys() | ledger.ends.keys() | ledger.votes.keys()):
                yield from _ends_of(node, ledger, epoch)
                yield from _decision_of(node, ledger, epoch, named)
            for epoch in range(1, ledger.last_epoch):
                if epoch not in ledger.births:
                    yield no_birth(node, epoch, "a later one was born")
            for epoch, size, key, region in ledger.beats:
                most = max((said.end.size for said in ledger.ends.get(epoch, ())), default=size)
                if size > most:
                    why = f"it promises {size} segments, and its epoch was decided to end at {most}"
                    yield Finding(kind="conflict", region=region, node=node, key=key, reason=why)

    def absences(self, named: Mapping[RegionId, str]) -> Iterable[Finding]:
        """What the ending of an epoch left in the regions, and is not there. named: see above."""
        for node, ledger in sorted(self.ledgers.items()):
            for epoch in sorted(ledger.ends):
                if epoch not in ledger.closed:
                    yield _absent(layout.closed_key(node, epoch), "", _NO_CLOSE)
                elif ledger.closed[epoch] != self.trail:  # a person needs no majority of votes
                    yield from _votes_of(node, ledger, epoch, named)
                for region in sorted(named.keys() - ledger.fences.get(epoch, set())):
                    yield _absent(layout.fence_key(node, epoch), region, _NO_FENCE)


_NO_CLOSE: Final = (
    "it lay in a quorum of regions before the next epoch was born, and none that was looked at has "
    "it; that birth repeats what it said"
)
_NO_FENCE: Final = "the epoch is over, and this store does not say so; servers put one there"


def _absent(key: str, region: RegionId, why: str) -> Finding:
    return Finding(
        kind="under_replicated", region=region, node=key.split("/")[2], key=key, reason=why
    )


def _votes_of(
    node: NodeId, ledger: Ledger, epoch: int, named: Mapping[RegionId, str]
) -> Iterable[Finding]:
    """A close is written down only when a majority of the birth's stores voted. Which ones did, and
    lost their vote since, nobody can say."""
    if epoch not in ledger.births:
        return
    stores = dict(ledger.births[epoch][0][0].regions)
    needed = len(stores) // 2 + 1
    silent = [id for id, store in stores.items() if named.get(id) != store]
    held = [id for id in ledger.votes.get(epoch, {}) if id not in silent]
    if len(held) + len(silent) < needed:
        why = f"{needed} of the {len(stores)} stores of epoch {epoch} voted before its end was "
        why += f"written down, and {len(held)} of them have a vote: it stands by its note alone"
        yield _absent(layout.vote_key(node, epoch), "", why)


def _is_waiting(beat: bytes) -> bool:
    """Whether this is the heartbeat of a node that is in no epoch yet: it says nothing of a ledger,
    and what admits the node is not in any region before its first birth."""
    try:
        return statements.read(beat, Heartbeat).statement.epoch == 0
    except ProofError:
        return False


def no_birth(node: NodeId, epoch: int, why: str) -> Finding:
    """An epoch that began, and whose birth is in none of the regions."""
    reason = f"{why}, and its birth is in none of the regions that were looked at"
    return Finding(kind="no_birth", node=node, key=layout.birth_key(node, epoch), reason=reason)


def _ends_of(node: NodeId, ledger: Ledger, epoch: int) -> Iterable[Finding]:
    """All who say where an epoch ends must say the same, and not before it began."""
    said = ledger.ends.get(epoch, [])
    for other in said[1:]:
        if other.end != said[0].end:
            yield Finding(
                kind="conflict",
                region=other.region,
                node=node,
                key=other.key,
                reason=f"epoch {epoch} ends at {other.end.size} segments with the root "
                f"{other.end.root.hex()[:16]}..., by {said[0].key} in region {said[0].region} at "
                f"{said[0].end.size} with {said[0].end.root.hex()[:16]}...",
            )
    base = ledger.end_of(epoch - 1)
    if said and base is not None and said[0].end.size < base.size:
        yield Finding(
            kind="conflict",
            region=said[0].region,
            node=node,
            key=said[0].key,
            reason=f"epoch {epoch} ends at {said[0].end.size}, before it began at {base.size}",
        )


def _decision_of(
    node: NodeId, ledger: Ledger, epoch: int, named: Mapping[RegionId, str]
) -> Iterable[Finding]:
    """What the votes decide must be what is written down. Votes of other stores do not count."""
    births, end = ledger.births.get(epoch), ledger.end_of(epoch)
    if not births or end is None:
        return
    stores = dict(births[0][0].regions)
    ballots = [
        ballot
        for region, ballot in sorted(ledger.votes.get(epoch, {}).items())
        if stores.get(region) == named.get(region)
    ]
    decided = decide_close(ballots, len(stores))
    if decided is not None and statements.parse_text(decided[1], Vote).end != end:
        yield Finding(
            kind="conflict",
            node=node,
            key=layout.closed_key(node, epoch),
            reason=f"the votes decide that epoch {epoch} ends at {decided[0]} segments, and what "
            f"is written down is {end.size}",
        )
