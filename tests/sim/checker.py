"""The judge: every outcome, answer and statement against what the stores hold in the end.

It reads the stores by itself and verifies with `holdfast.proof` alone; the product's own reading
has no say here. The invariants' numbers are the design's. Simulated worlds are judged by it, and
what real processes left in real directories (`tests/nemesis`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.proof import ProofError, ledger, names, note, statements
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Birth, Closed, Heartbeat
from holdfast.regions import layout, segment
from holdfast.regions.kinds import Cookie, Receipt
from holdfast.regions.segment import Opened
from holdfast.times import parse_time
from holdfast.write.batch import Acknowledgement


class Store(Protocol):
    """A region after the end. content: key -> bytes, of all that it holds."""

    def content(self) -> Mapping[str, bytes]: ...


class Scene(Protocol):
    """What happened in, and what came of it.

    beats: every heartbeat that was ever seen -> its node. repairs: what a keeper put: the keeper's
    machine, key, bytes. destroyed: segments of which all copies were lost at once, key -> bytes, as
    they were. swept: segments that were removed since archives have them, the same. holders: the
    stores that hold a key, or whose archive has that segment. problem: takes what must not be.
    """

    @property
    def stores(self) -> Mapping[str, Store]: ...
    @property
    def quorum(self) -> int: ...
    @property
    def beats(self) -> Mapping[bytes, str]: ...
    @property
    def repairs(self) -> Sequence[tuple[str, str, bytes]]: ...
    @property
    def destroyed(self) -> Mapping[str, bytes]: ...
    @property
    def swept(self) -> Mapping[str, bytes]: ...
    def holders(self, key: str) -> Sequence[str]: ...
    def problem(self, text: str) -> None: ...


class Named(Protocol):
    """A process."""

    @property
    def name(self) -> str: ...


class Asked(Protocol):
    """A request. records: what must be stored of it once it is acknowledged, if that is known."""

    @property
    def ack(self) -> Acknowledgement | None: ...
    @property
    def records(self) -> Sequence[bytes]: ...


class Writer(Protocol):
    """A machine, and what its clients were told. nodes: all that it ever was -> their seeds.

    acks: in the order of the acknowledgements of each process.
    """

    @property
    def name(self) -> str: ...
    @property
    def nodes(self) -> Mapping[str, bytes]: ...
    @property
    def acks(self) -> Sequence[tuple[Named, Acknowledgement]]: ...
    @property
    def requests(self) -> Sequence[Asked]: ...


@dataclass(eq=False)
class Said:
    """A reader's statement, and the names of the segments that it showed then. gaps: those that the
    statement named: (node, start, end)."""

    reader: str
    through_us: int
    shown: frozenset[str]
    gaps: tuple[tuple[str, int, int], ...] = ()

    def excuses(self, node: str, index: int) -> bool:
        return any(of == node and start <= index < end for of, start, end in self.gaps)


@dataclass
class NodeTruth:
    """One node, as the stores show it in the end. ledger: name -> its records' `received`, µs."""

    key: VerifierKey
    births: dict[int, list[Birth]] = field(default_factory=dict)
    closes: dict[int, set[LedgerEnd]] = field(default_factory=dict)
    segments: dict[str, tuple[SegmentName, bytes]] = field(default_factory=dict)
    checkpoints: dict[int, set[bytes]] = field(default_factory=dict)
    chain: list[SegmentName] = field(default_factory=list)
    ends: list[LedgerEnd] = field(default_factory=lambda: [EMPTY_END])


class Checker:
    """Judges one world after its end. Everything wrong becomes a problem of the world."""

    def __init__(
        self, world: Scene, cookie: Cookie, machines: Iterable[Writer], said: Iterable[Said]
    ) -> None:
        """cookie: any store's; it says which trail this is."""
        self.world = world
        self.trail = names.trail_id(cookie.trail_key)
        self.tag_key = cookie.tag_key
        self.machines = list(machines)
        self.said = list(said)
        self.nodes: dict[str, NodeTruth] = {}
        self.opened: dict[str, Opened] = {}
        self.received: dict[str, tuple[int, ...]] = {}
        self.destroyed: set[str] = set()  # names of segments that may be missing
        self.found: set[str] = set()  # names of segments with a good copy

    def run(self) -> None:
        held = {id: store.content() for id, store in self.world.stores.items()}
        self._read(held)
        self._read_lost()
        for node, truth in sorted(self.nodes.items()):
            self._check_closes(node, truth)
            self._walk(node, truth)
            self._check_statements(node, truth)
        self._check_acks()
        self._check_repairs()
        for said in self.said:
            self._check_said(said)

    def is_destroyed(self, key: layout.SegmentKey) -> bool:
        """Whether every copy of a segment was lost, so that it may be missing."""
        return key.name.text in self.destroyed

    def contents(self) -> Iterator[tuple[layout.SegmentKey, Opened]]:
        """Every segment of every ledger, as far as it verifies."""
        for node, truth in sorted(self.nodes.items()):
            for name in truth.chain:
                if name.text in self.opened:
                    yield layout.SegmentKey(node, name), self.opened[name.text]

    def wrong(self, text: str) -> None:
        self.world.problem(text)

    # -- what is there -------------------------------------------------------------------------

    def _read(self, held: Mapping[str, Mapping[str, bytes]]) -> None:
        objects = {(key, data) for content in held.values() for key, data in content.items()}
        later = []
        for key, data in sorted(objects):
            try:
                parsed = layout.parse_key(key)
            except ProofError:
                self.wrong(f"there is an object that is none of ours: {key}")
                continue
            if isinstance(parsed, layout.GapKey):
                self._check_gap(parsed, data)
            elif isinstance(parsed, layout.EpochKey) and parsed.kind == "birth":
                self._take_birth(parsed, data)
            elif not isinstance(parsed, layout.RegionKey):
                later.append((parsed, data))
        for parsed, data in later:
            node = self.nodes.get(getattr(parsed, "node", ""))
            if node is None:
                continue
            try:
                self._take(node, parsed, data)
            except ProofError:
                continue  # rotten; an intact copy is found elsewhere, or missed below

    def _read_lost(self) -> None:
        """Segments of which every copy was destroyed are in the ledgers as they were; each has a
        good copy that turned up since, or lies in a gap that a quorum holds."""
        for text, data in sorted(self.world.swept.items()):
            key = layout.parse_key(text)
            if isinstance(key, layout.SegmentKey) and key.node in self.nodes:
                self.nodes[key.node].segments[key.name.text] = (key.name, data)
        for text, data in sorted(self.world.destroyed.items()):
            key = layout.parse_key(text)
            assert isinstance(key, layout.SegmentKey)
            self.destroyed.add(key.name.text)
            if key.name.text not in self.found and not self._is_declared(key):
                self.wrong(f"I12: {_which(key)} is lost, and no gap that a quorum holds says so")
            if key.node in self.nodes:
                self.nodes[key.node].segments[key.name.text] = (key.name, data)

    def _is_declared(self, key: layout.SegmentKey) -> bool:
        gaps = {
            text
            for store in self.world.stores.values()
            for text in store.content()
            if text.startswith(layout.gaps_prefix(key.node))
        }
        return any(
            gap.start <= key.name.index < gap.end
            and len(self.world.holders(text)) >= self.world.quorum
            for text in gaps
            if isinstance(gap := layout.parse_key(text), layout.GapKey)
        )

    def _check_gap(self, key: layout.GapKey, data: bytes) -> None:
        """I12: what a gap says to be lost was lost."""
        lost = {
            parsed.name.index
            for parsed in map(layout.parse_key, self.world.destroyed)
            if isinstance(parsed, layout.SegmentKey) and parsed.node == key.node
        }
        if not lost.issuperset(range(key.start, key.end)):
            self.wrong(f"I12: a gap [{key.start}, {key.end}) of {key.node[:6]} is none")
        gap = statements.verify_gap(data, self.trail).statement
        if (gap.start, gap.end) != (key.start, key.end):
            self.wrong(f"I12: another gap lies where [{key.start}, {key.end}) should")

    def _take_birth(self, key: layout.EpochKey, data: bytes) -> None:
        try:
            signed = statements.verify_birth(data, self.trail)
        except ProofError:
            return
        verifier = VerifierKey(signed.origin, signed.statement.node_key)
        truth = self.nodes.setdefault(key.node, NodeTruth(verifier))
        truth.births.setdefault(key.epoch, []).append(signed.statement)

    def _take(self, truth: NodeTruth, key: layout.Key, data: bytes) -> None:
        if isinstance(key, layout.SegmentKey):
            if hashlib.sha256(data).digest() == key.name.sha256:
                truth.segments[key.name.text] = (key.name, data)
                self.found.add(key.name.text)
        elif isinstance(key, layout.EpochKey) and key.kind == "closed":
            closed = statements.verify_by_certificate(data, Closed, self.trail)
            truth.closes.setdefault(key.epoch, set()).add(closed.statement.end)
        elif isinstance(key, layout.CheckpointKey):
            checkpoint = note.verify_checkpoint(data, truth.key)
            truth.checkpoints.setdefault(checkpoint.size, set()).add(checkpoint.root)

    # -- ledgers -------------------------------------------------------------------------------

    def _check_closes(self, node: str, truth: NodeTruth) -> None:
        told = {epoch: set(ends) for epoch, ends in truth.closes.items()}
        for epoch, births in truth.births.items():
            for birth in births:
                told.setdefault(epoch - 1, set()).add(birth.base)
        for epoch, ends in sorted(told.items()):
            if len(ends) > 1:
                sizes = sorted(end.size for end in ends)
                self.wrong(f"I18: epoch {epoch} of {node[:6]} ends at {sizes}")
        for epoch in truth.births:
            if epoch not in told:
                self.wrong(f"epoch {epoch} of {node[:6]} was never closed")
        truth.closes = told

    def _walk(self, node: str, truth: NodeTruth) -> None:
        """The ledger from its beginning: what every close says, name after name."""
        places: dict[tuple[int, int], list[SegmentName]] = {}
        for name, _ in truth.segments.values():
            places.setdefault((name.epoch, name.index), []).append(name)
        for epoch in sorted(truth.births):
            for close in sorted(truth.closes.get(epoch, ()), key=lambda end: end.size)[:1]:
                while truth.ends[-1].size < close.size:
                    end = truth.ends[-1]
                    found = places.get((epoch, end.size), [])
                    if len(found) != 1:
                        which = f"segment {end.size} of {node[:6]}, epoch {epoch}"
                        self.wrong(f"I4: {len(found)} objects are {which}")
                        return
                    self._take_segment(node, truth, found[0])
                if truth.ends[-1] != close and truth.ends[-1].size == close.size:
                    self.wrong(f"epoch {epoch} of {node[:6]} was closed on another ledger")

    def _take_segment(self, node: str, truth: NodeTruth, name: SegmentName) -> None:
        end = truth.ends[-1]
        data = truth.segments[name.text][1]
        where = f"segment {name.index} of {node[:6]}"
        truth.chain.append(name)
        held = self.world.holders(layout.segment_key(node, name))
        if len(held) < self.world.quorum and name.text not in self.destroyed:
            self.wrong(f"I1: {where} lies below a close, and in {held} only")
        try:
            opened = segment.verify(data, name, truth.key.public, truth.key.name)
            segment.verify_tenants(opened, self.tag_key, node)
            truth.ends.append(ledger.extend(end, name))
        except ProofError as error:
            self.wrong(f"I16/I17: {where} does not verify: {error}")
            truth.ends.append(
                LedgerEnd(
                    end.size + 1,
                    end.first + name.count,
                    name.sealed_us,
                    end.range.append(b"\0" * 32),
                )
            )
            return
        if opened.trailer.root_before != end.root:
            self.wrong(f"I16: {where} continues another ledger")
        received = tuple(parse_time(str(json.loads(r)["received"])) for r in opened.records)
        self.opened[name.text], self.received[name.text] = opened, received
        if not all(end.sealed_us < at <= name.sealed_us for at in received):
            self.wrong(f"I8: {where} holds events outside its time")

    def _check_statements(self, node: str, truth: NodeTruth) -> None:
        """I9, I16: heartbeats and checkpoints, every one that was ever written."""
        sizes = dict(enumerate(truth.ends))
        for size, roots in truth.checkpoints.items():
            if size not in sizes or roots != {sizes[size].root}:
                self.wrong(f"I16: a checkpoint of {node[:6]} at {size} is not the ledger's")
        for data, owner in self.world.beats.items():
            if owner != node:
                continue
            beat = statements.verify(data, Heartbeat, truth.key).statement
            if not beat.epoch:
                continue
            where = f"a promise of {node[:6]} in epoch {beat.epoch}"
            if beat.promise_size not in sizes:
                self.wrong(f"I9: {where} covers {beat.promise_size}, beyond the close")
            for name in truth.chain[beat.promise_size :]:
                times = self.received.get(name.text, ())
                if name.epoch == beat.epoch and times and min(times) <= beat.promise_us:
                    self.wrong(f"I9: {where} is broken by segment {name.index}")
            found = note.verify_checkpoint(beat.checkpoint, truth.key)
            if found.size not in sizes or found.root != sizes[found.size].root:
                self.wrong(f"I16: {where} carries a checkpoint of another ledger")

    # -- what was told -------------------------------------------------------------------------

    def _check_acks(self) -> None:
        names_of = {node: {n.text for n in truth.chain} for node, truth in self.nodes.items()}
        instances: dict[tuple[str, int], str] = {}
        last: dict[tuple[str, str], int] = {}
        for machine in self.machines:
            for process, ack in machine.acks:
                name = SegmentName.parse(ack.segment)
                where = f"segment {name.index} of epoch {name.epoch}, {ack.node[:6]}"
                if ack.segment not in names_of.get(ack.node, ()):
                    self.wrong(f"LOST: {where} was acknowledged and is not in the ledger")
                if instances.setdefault((ack.node, name.epoch), process.name) != process.name:
                    self.wrong(f"I6: two processes acknowledged in epoch {name.epoch}")
                if name.index < last.get((process.name, ack.node), 0):
                    self.wrong(f"I5: {where} was acknowledged after a later one")
                last[process.name, ack.node] = name.index
                held = self.world.holders(layout.segment_key(ack.node, name))
                if len(held) < self.world.quorum and ack.segment not in self.destroyed:
                    self.wrong(f"I1: {where} lies in {held} only, in the end")
                self._check_receipt(ack.node, ack.segment, ack.receipt, ack.regions)
            for request in machine.requests:
                if request.ack is not None and request.ack.segment in self.opened:
                    stored = self.opened[request.ack.segment].records
                    if not set(request.records) <= set(stored):
                        self.wrong("an acknowledged event is not in its segment")

    def _check_receipt(self, node: str, text: str, data: bytes, counted: tuple[str, ...]) -> None:
        if node not in self.nodes:
            return
        receipt = statements.verify(data, Receipt, self.nodes[node].key).statement
        if receipt.segment != text or tuple(id for id, _ in receipt.regions) != counted:
            self.wrong("a receipt says another thing than the acknowledgement")

    def _check_repairs(self) -> None:
        """I19."""
        own = {
            machine.name: {names.ledger_origin(self.trail, node) for node in machine.nodes}
            for machine in self.machines
        }
        for keeper, key, data in self.world.repairs:
            parsed = layout.parse_key(key)
            if isinstance(parsed, layout.SegmentKey):
                truth = self.nodes.get(parsed.node)
                if hashlib.sha256(data).digest() != parsed.name.sha256:
                    self.wrong("I19: a keeper spread a corrupt copy")
                elif truth and parsed.name.text not in {n.text for n in truth.chain}:
                    self.wrong("I19: a keeper spread an orphan")
            if isinstance(parsed, layout.EpochKey) and parsed.kind in ("fence", "close"):
                signers = {signature.name for signature in note.parse(data).signatures}
                if not signers <= own[keeper]:
                    self.wrong(f"I19: a keeper spread another's {parsed.kind}")

    def _check_said(self, said: Said) -> None:
        """I10: nothing at or below a reported time appears or disappears, but for what the same
        statement names as lost."""
        for node, truth in self.nodes.items():
            final = {name.text for name in truth.chain}
            for name in truth.chain:
                times = self.received.get(name.text, ())
                if name.text in self.destroyed and said.excuses(node, name.index):
                    continue
                if name.text not in said.shown and times and min(times) <= said.through_us:
                    self.wrong(
                        f"I10: {said.reader} did not know segment {name.index} of "
                        f"{node[:6]}, epoch {name.epoch}"
                    )
            for text, (name, data) in truth.segments.items():
                if text in said.shown and text not in final:
                    opened = segment.verify(data, name, truth.key.public, truth.key.name)
                    first = min(parse_time(str(json.loads(r)["received"])) for r in opened.records)
                    if first <= said.through_us:
                        self.wrong(
                            f"I10: {said.reader} showed segment {name.index} of "
                            f"{node[:6]}, epoch {name.epoch}, which is an orphan"
                        )


def _which(key: layout.SegmentKey) -> str:
    return f"segment {key.name.index} of epoch {key.name.epoch}, {key.node[:6]}"
