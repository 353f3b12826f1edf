"""All records that were received in some time, as a file, and the receipt beside it.

The file is made in the order of the ledgers, which never changes, so that the same question gives
the same bytes again: whoever was cut off says how much is there already, and is given the rest. It
is made from its beginning all the same, for the receipt rests on what the regions show.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from msgspec import Raw, structs

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.model import Found, NodeId, Place, Query
from holdfast.ports import Host
from holdfast.proof import ProofError, merkle, names, note, statements
from holdfast.proof.export import PROVABLE, Export, Ledger, LetGo, Listed, Missing, completeness_of
from holdfast.proof.records import time_text
from holdfast.proof.statements import Gap
from holdfast.prove.stretches import Span
from holdfast.prove.walk import Batch, Plan, Walk
from holdfast.read.contents import Archived, Preserved, laid_out
from holdfast.read.decode import Lines
from holdfast.read.search import run_matching
from holdfast.regions import segment, signing
from holdfast.regions.regions import Regions
from holdfast.regions.signing import SigningKey

RECEIPTS_KEPT_MAX = 64
_RECEIVED = b',"received":"'
FILTERS = ("tenant", "actor", "action", "target", "outcome", "ip", "id", "q", "word")

Form = Callable[[Sequence[Found]], bytes]


class Signer(Protocol):
    """Who signs: a node's key and its certificate."""

    @property
    def node(self) -> str: ...
    @property
    def key(self) -> SigningKey: ...
    @property
    def certificate(self) -> bytes: ...


Speaker = Callable[[], Signer | None]


def nobody() -> None:
    """No key is here."""


class File(Protocol):
    """A file that is written from its beginning to its end. form: of events, in any process; what
    it gives is handed to `add`, in order. Blocking."""

    @property
    def form(self) -> Form: ...

    def add(self, formed: bytes) -> bytes: ...

    def end(self) -> bytes: ...


Begin = Callable[[], File]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be exported. query: its filters alone count. kind: of file, by its name."""

    span: Span
    query: Query
    kind: str

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        values = [(name, getattr(self.query, name)) for name in sorted(FILTERS)]
        return tuple(
            (name, value)
            for name, value in values
            if value or (name == "tenant" and value is not None)
        )


@dataclass(frozen=True, slots=True)
class Had:
    """What of a file is there already: so many bytes, and their SHA-256."""

    size_bytes: int = 0
    sha256: bytes = hashlib.sha256().digest()


NOTHING = Had()


@dataclass(frozen=True, slots=True)
class Piece:
    """What became of a batch: its records as they were formed, and their leaf hashes."""

    formed: bytes
    leaves: tuple[bytes, ...]


class Exporter:
    """See the module."""

    def __init__(self, walk: Walk, regions: Regions, host: Host, speaker: Speaker) -> None:
        self._walk = walk
        self._regions = regions
        self._host = host
        self._speaker = speaker
        self._receipts: dict[Asked, bytes] = {}

    async def file(self, asked: Asked, begin: Begin, had: Had = NOTHING) -> AsyncGenerator[bytes]:
        """The file, in pieces, the first of which is empty: then all is planned.

        Args:
            begin: begins a file of the kind that is asked for.
            had: what of it is not to be given again.

        Raises:
            RejectedError: as `Walk.plan`; or what was had is no beginning of this file.
            UnavailableError, CorruptError: as `Walk.plan`.
        """
        plan = await self._walk.plan(asked.span, asked.query.tenant)
        yield b""
        made = _Made(begin(), had)
        async for piece in self._pieces(plan, asked, made.file.form):
            if data := await self._host.offload(made.add, piece):
                yield data
        if data := await self._host.offload(made.end):
            yield data
        if (signer := self._speaker()) is not None:
            self._keep(asked, self._receipt(plan, asked, made, signer))

    async def receipt(self, asked: Asked, begin: Begin) -> bytes:
        """The receipt of that file. Of one that was made lately it is at hand; else the file is
        made for it once more. Raises as `file`; RejectedError: nobody is here to sign it."""
        if self._speaker() is None:
            reason = "nobody is here to sign: neither the trail's key nor a server's node"
            raise RejectedError("unsigned", Problem(0, "sign", reason))
        if asked not in self._receipts:
            async for _ in self.file(asked, begin):
                pass
        found = self._receipts.get(asked)
        if found is None:
            raise UnavailableError("the node has no epoch now, so it cannot sign")
        return found

    async def _pieces(self, plan: Plan, asked: Asked, form: Form) -> AsyncGenerator[Piece]:
        of = (asked, self._regions.tag_key, form)
        for node, stretches in plan.nodes:
            for stretch in stretches:
                async for piece in self._walk.made(node, stretch, plan, _piece, *of):
                    yield piece

    def _keep(self, asked: Asked, receipt: bytes) -> None:
        self._receipts.pop(asked, None)
        self._receipts[asked] = receipt
        if len(self._receipts) > RECEIPTS_KEPT_MAX:
            del self._receipts[next(iter(self._receipts))]

    def _receipt(self, plan: Plan, asked: Asked, made: "_Made", signer: Signer) -> bytes:
        ledgers, gaps = set[Ledger](), set[Missing]()
        let_go: dict[str, int] = {}
        for floor in plan.let_go:
            let_go[floor.rule] = let_go.get(floor.rule, 0) + floor.rows
        for node, stretches in plan.nodes:
            for each in stretches:
                if each.end:
                    size, root = _head(each.head.encode())
                    ledgers.add(Ledger(node, each.start, each.end, size, root))
                for gap in each.gaps:
                    lost = statements.read(gap.encode(), Gap).statement
                    gaps.add(Missing(node, lost.start, lost.end))
        said = Export(
            kind=asked.kind,
            sha256=made.digest.digest(),
            bytes=made.size_bytes,
            events=made.tree.size,
            root=made.tree.root(),
            from_us=plan.span.from_us,
            to_us=plan.span.to_us,
            complete_through_us=plan.through_us,
            filter=asked.filters,
            complete=completeness_of(asked.filters, bool(let_go)),
            ledger=tuple(sorted(ledgers)),
            gap=tuple(sorted(gaps)),
            let_go=tuple(sorted(LetGo(rows, rule) for rule, rows in let_go.items())),
            region=tuple(
                Listed(each.region, each.listed_from_us, each.listed_to_us)
                for each in sorted(plan.basis, key=lambda each: each.region)
            ),
            by=signer.node,
            exported_us=self._host.now_us(),
            certificate=signer.certificate,
        )
        return signing.write(said, names.trail_origin(self._regions.trail), signer.key)


class _Made:
    """A file as far as it is made: its size, its hash, and the tree over its records."""

    def __init__(self, file: File, had: Had) -> None:
        self.file = file
        self._had = had
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.tree = merkle.EMPTY_RANGE

    def add(self, piece: Piece) -> bytes:
        """What of it is to be given."""
        self.tree = self.tree.extend(piece.leaves)
        return self._take(self.file.add(piece.formed))

    def end(self) -> bytes:
        rest = self._take(self.file.end())
        if self.size_bytes < self._had.size_bytes:
            raise _another(f"it has only {self.size_bytes} bytes")
        return rest

    def _take(self, data: bytes) -> bytes:
        known = min(max(self._had.size_bytes - self.size_bytes, 0), len(data))
        is_all = self.size_bytes + known == self._had.size_bytes
        self.digest.update(data[:known])
        if known and is_all and self.digest.digest() != self._had.sha256:
            raise _another("its beginning has another SHA-256")
        self.digest.update(data[known:])
        self.size_bytes += len(data)
        return data[known:]


def _another(why: str) -> RejectedError:
    reason = f"what is there already is no beginning of this file ({why}): begin anew"
    return RejectedError("bad-parameter", Problem(0, "had", reason))


def _head(head: bytes) -> tuple[int, bytes]:
    """The size and the root in a checkpoint or a decided close, which the plan verified."""
    if not head:
        return 0, merkle.EMPTY_ROOT
    if not head.startswith(b"holdfast-"):
        signed = note.parse_checkpoint(note.parse(head).text)
        return signed.size, signed.root
    end = statements.read(head, statements.Closed).statement.end
    return end.size, end.root


def _piece(found: Batch, node: NodeId, asked: Asked, tag_key: bytes, form: Form) -> Piece:
    """In a worker: the records of some segments that were asked for.

    Raises CorruptError: bytes that are not what the name says.
    """
    events: list[Found] = []
    for name, held in found:
        if held is not None:
            try:
                events += _in_reach(held, node, asked.query.tenant, tag_key)
            except ProofError as error:
                raise CorruptError(f"segment {name.index} of node {node}: {error}") from error
    if completeness_of(asked.filters, is_less=False) != PROVABLE:
        places = run_matching(_parts(events), structs.replace(asked.query, limit=1))
        events = [each for each in events if Place(node, each.position) in places]
    start, end = (time_text(us).encode() for us in (asked.span.from_us, asked.span.to_us))
    events = [each for each in events if start <= _received(bytes(each.record)) < end]
    return Piece(form(events), tuple(merkle.leaf_hashes(bytes(each.record) for each in events)))


def _in_reach(held: Preserved, node: NodeId, tenant: str | None, tag_key: bytes) -> list[Found]:
    """A segment's records that are left; of one tenant only where that is asked for."""
    name, start, end = held.name, 0, held.name.count
    if tenant is not None:
        own, at = segment.hide(tag_key, tenant, node, name.index)[0], 0
        start, end = 0, 0
        for tag, count in held.trailer().tenants:
            if tag == own:
                start, end = at, at + count
            at += count
    records: Sequence[bytes | None] = (
        laid_out(held, tag_key, node) if isinstance(held, Archived) else held.opened()
    ).records
    return [
        Found(Raw(record), node, name.index, name.first + line)
        for line, record in enumerate(records[start:end], start)
        if record is not None
    ]


def _parts(events: Sequence[Found]) -> list[Lines]:
    """Neighbours of one segment together, as they are decoded."""
    parts = []
    for index, some in groupby(events, lambda each: each.segment):
        found = list(some)
        data = b"".join(bytes(each.record) + b"\n" for each in found)
        parts.append(Lines(found[0].node, index, found[0].position, data))
    return parts


def _received(record: bytes) -> bytes:
    """The server's own field, which stands behind the event's."""
    start = record.rfind(_RECEIVED) + len(_RECEIVED)
    return record[start : record.index(b'"', start)]
