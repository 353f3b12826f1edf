"""That these are all events of a tenant that were received in some time: `holdfast-completeness/1`;
or all events of all tenants: `holdfast-completeness-all/1`. Version 2 of either: all but for those
that rules of retention let go (`left`).

Checked as FORMAT.md has it (section 10), a line at a time, however long the file is.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar

from holdfast.proof import anchor, ledger, merkle, names, objects, statements, tenants
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.floors import Floor
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.left import Floors, Left, Missing, WholeLeft, merged, told_of
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.proof.records import received_of, time_text
from holdfast.proof.statements import Birth, Certificate, Closed, Heartbeat

LINE_BYTES_MAX = 16 * 1024 * 1024

# Is told of each record of the tenant that was verified, in the order of the file: its leaf hash,
# its segment, and whether it was received in [from, to); None: only its segment's end shows that.
Seen = Callable[[bytes, SegmentName, bool | None], None]


@dataclass(frozen=True)
class Head:
    """The first line."""

    MARK: ClassVar = ("format", "holdfast-completeness/1")
    tenant: str
    salt: bytes
    from_us: int
    to_us: int
    complete_through_us: int
    basis: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class HeadOfAll:
    """The first line of one that is of all tenants."""

    MARK: ClassVar = ("format", "holdfast-completeness-all/1")
    from_us: int
    to_us: int
    complete_through_us: int
    basis: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class HeadOfLeft(Head):
    """The same, of one over a time of which rules let something go."""

    MARK: ClassVar = ("format", "holdfast-completeness/2")


@dataclass(frozen=True)
class HeadOfAllLeft(HeadOfAll):
    """The same, of all tenants."""

    MARK: ClassVar = ("format", "holdfast-completeness-all/2")


HEADS: tuple[type[Head | HeadOfAll], ...] = (Head, HeadOfAll, HeadOfLeft, HeadOfAllLeft)


@dataclass(frozen=True)
class Stretch:
    """Neighbouring segments of a node's ledger; their lines follow."""

    MARK: ClassVar = ("line", "stretch")
    gaps: tuple[str, ...]
    certificate: str
    head: str
    start: int
    end: int
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    until: str


@dataclass(frozen=True)
class Named:
    """A segment that is not in question."""

    MARK: ClassVar = ("line", "segment")
    segment: str


@dataclass(frozen=True)
class Shown(Named):
    """What a segment has of the tenant: leaf hashes or so many records, which follow. Else the
    leaves beside which the tenant's would stand."""

    MARK: ClassVar = ("line", "tenant")
    leaf: int
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    beside: tuple[str, ...]
    hashes: tuple[bytes, ...]
    records: int


@dataclass(frozen=True)
class Whole(Named):
    """All that a segment has. Of each tenant, in the order of their leaves: its tag, its blind, and
    how many records it has; then leaf hashes or so many records, which follow."""

    MARK: ClassVar = ("line", "whole")
    tags: tuple[str, ...]
    blinds: tuple[bytes, ...]
    counts: tuple[int, ...]
    hashes: tuple[bytes, ...]
    records: int


Opened = Shown | Whole | Left | WholeLeft  # a segment that is in question


@dataclass(slots=True)
class Proven:
    """What is proven, and what is only stated. events: records received in [from, to)."""

    head: Head | HeadOfAll
    code: int = 0
    reason: str = ""
    events: int = 0
    records: int = 0
    hashes: int = 0
    segments: int = 0
    absent: int = 0
    gaps: list[str] = field(default_factory=list)
    stated: list[str] = field(default_factory=list)
    let_go: list[tuple[Floor, int]] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """What is proven: names in plain words, values for JSON."""
        head, events = self.head, None if self.hashes else self.events
        return {
            "tenant": head.tenant if isinstance(head, Head) else "all tenants",
            "salt id": tenants.salt_id(head.salt) if isinstance(head, Head) else None,
            "received": f"from {time_text(head.from_us)} to before {time_text(head.to_us)}",
            "events": events,
            "records in these segments": self.records + self.hashes,
            "segments that may hold some": self.segments,
            "of them without the tenant": self.absent if self._knows_absence else None,
            "nodes": [*head.nodes],
            "not shown": [*self.gaps, *told_of(self.let_go)],
            "only stated": self.stated,
        }

    @property
    def _knows_absence(self) -> bool:
        return isinstance(self.head, Head) and self.code != 3


def head_of(line: bytes) -> Head | HeadOfAll:
    """What a certificate's first line says. Raises MalformedError."""
    return objects.parse(line, _kind_of(line))


def _kind_of(line: bytes) -> type[Head | HeadOfAll]:
    found = [kind for kind in HEADS if line.startswith(f'{{"format":"{kind.MARK[1]}"'.encode())]
    return found[0] if found else Head


def _unseen(leaf: bytes, name: SegmentName, is_asked: bool | None) -> None:
    """Nobody wants to know."""


def check(
    line: bytes, rest: BinaryIO, trail: str, salt_id: str | None, seen: Seen = _unseen
) -> Generator[str, None, Proven]:
    """Check a certificate step by step, as `event.check` does a proof.

    line: the file's first; rest: those that follow. trail, salt_id: the trail's and the tenant's,
    known from elsewhere; without a salt id, absence cannot be checked.
    """
    kind = _kind_of(line)
    yield f"the file is a certificate of completeness, in the one form of {kind.MARK[1]}"
    asked = head_of(line)
    statements.check_ascending(asked.nodes)
    if not asked.nodes:
        raise MalformedError("it names no node")
    if not asked.from_us < asked.to_us <= asked.complete_through_us + 1:
        raise MalformedError("it is of no time, or of one of which not all was known")
    proven, floors = Proven(asked), Floors(trail)
    if salt_id is not None and isinstance(asked, Head):
        yield f"the salt in it is the one of salt id {salt_id}"
        if tenants.salt_id(asked.salt) != salt_id:
            raise MismatchError(f"its salt id is {tenants.salt_id(asked.salt)}")
    for node in asked.nodes:
        yield from _Node(proven, rest, floors, names.check_id(node), seen).check()
    yield f"it ends with the last of the {len(asked.nodes)} nodes that it names"
    if rest.read(1):
        raise MalformedError("more follows")
    _note_let_go(proven, floors)
    if proven.absent and salt_id is None:
        proven.code = 3
        proven.reason = "whose salt this is, only a salt id tells that is known from elsewhere"
        proven.stated.append(f"that the tenant has nothing in {proven.absent} segments")
    if isinstance(asked, Head) and not proven.records:
        proven.stated.append("that the tenant of this salt has that name: it is in no record here")
    proven.stated += [
        f"that there are no other nodes, as these regions showed: {', '.join(asked.basis)}",
        "that nodes sealed by the rules: times and leaves in order, records under their own tags",
    ]
    return proven


def _note_let_go(proven: Proven, floors: Floors) -> None:
    """What is missing by floors: that they hold is proven, that they are right is their word."""
    proven.let_go = floors.shown
    if proven.let_go:
        records = sum(count for _, count in proven.let_go)
        proven.reason = f"but for up to {records} records that rules of retention let go"
        nodes = ", ".join(sorted({floor.by for floor, _ in proven.let_go}))
        proven.stated.append(f"that rules let those go, by the word of node {nodes}")


def _check_shape(line: Opened, name: SegmentName, gone: dict[str, Missing]) -> None:
    """Just one thing is shown of a segment, but where nothing is left of what is asked for."""
    things = [bool(line.hashes), bool(line.records)]
    if isinstance(line, Shown):
        things.append(bool(line.beside))
    is_empty = bool(gone) and not any(things)
    if things.count(True) != 1 and not is_empty:
        raise MalformedError(f"of segment {name.index} more or less than one thing is shown")


class _Node:
    """One node's part of the file."""

    def __init__(
        self, proven: Proven, rest: BinaryIO, floors: Floors, node: str, seen: Seen
    ) -> None:
        self._proven, self._asked, self._rest, self._seen = proven, proven.head, rest, seen
        self._floors, self._trail, self._node = floors, floors.trail, node
        self._origin = names.ledger_origin(self._trail, node)
        self._salt = self._asked.salt if isinstance(self._asked, Head) else None
        self._tenant = self._asked.tenant if isinstance(self._asked, Head) else None
        kinds: list[type[Opened]] = [Shown, Left] if self._salt is not None else [Whole, WholeLeft]
        if not isinstance(self._asked, HeadOfLeft | HeadOfAllLeft):
            del kinds[1]
        self._opened = {f'{{"line":"{kind.MARK[1]}"'.encode(): kind for kind in kinds}

    def _line(self) -> bytes:
        line = self._rest.readline(LINE_BYTES_MAX)
        if not line.endswith(b"\n"):
            raise MalformedError("it is cut off, or a line is too long")
        return line

    def check(self) -> Generator[str, None, None]:
        is_over, end = False, 0
        while not is_over:
            shown = objects.parse(self._line(), Stretch)
            if shown.gaps:
                yield f"what is not shown of node {self._node} is in declared gaps, or behind one"
                self._verify_gaps(shown, end)
                if not shown.end:
                    if shown != Stretch(shown.gaps, "", "", 0, 0, (), (), ""):
                        raise MalformedError("more is said of what is not shown")
                    return
            elif end:
                raise MismatchError(f"what follows segment {end - 1} is not shown")
            is_over, end = (yield from self._check_stretch(shown)), shown.end

    def _verify_gaps(self, shown: Stretch, end: int) -> None:
        self._proven.code = 4
        for note in shown.gaps:
            signed = statements.verify_gap(note.encode(), self._trail)
            gap = signed.statement
            is_behind = shown.end > 0 and gap.start >= shown.start
            if signed.origin != self._origin or gap.end <= end or is_behind:
                raise MismatchError(f"the gap from {gap.start} to {gap.end} is elsewhere")
            self._proven.gaps.append(
                f"node {self._node}, segments {end} to {shown.start or 'the last'}; of them "
                f"{gap.start} to {gap.end} are stated to be lost: {gap.cause}"
            )

    def _check_stretch(self, shown: Stretch) -> Generator[str, None, bool]:
        """Steps 3 to 7; whether the node's events in question end with it."""
        yield f"the trail {self._trail} admitted node {self._node}"
        node = statements.verify_certificate(shown.certificate.encode(), self._trail).statement
        if node.node != self._node:
            raise MismatchError(f"it admitted {node.node}")
        yield f"that its ledger has {shown.end} segments, or more, was signed for this trail"
        head = anchor.Head(self._node, 0, merkle.EMPTY_ROOT, "")
        if shown.head:
            head = anchor.verify_head(shown.head.encode(), node, self._trail)
        is_empty = shown.start == shown.end == head.size == len(shown.after) == 0
        if not (is_empty or shown.start < shown.end <= head.size):
            raise MismatchError(f"[{shown.start}, {shown.end}) are no segments of {head.size}")
        yield (
            f"segments {shown.start} to {shown.end} are those of this ledger, and what each that "
            "is in question holds of the tenant is all there"
        )
        end, epoch = self._check_segments(shown)
        if head.size and end.range.root_within(head.size, shown.after) != head.root:
            raise MismatchError(f"these segments are not those of the {head.kind}")
        if not shown.until:
            return end.size > 0 and end.sealed_us >= self._asked.to_us - 1
        yield f"node {self._node} received nothing more before that time was over"
        self._verify_until(shown.until.encode(), node, end, epoch)
        return True

    def _check_segments(self, shown: Stretch) -> tuple[LedgerEnd, int]:
        end, epoch = ledger.EMPTY_END, 0
        given = CompactRange(shown.start, shown.before)
        for index in range(shown.start, shown.end):
            data = self._line()
            kind: type[Named | Opened] = self._opened.get(data[: data.find(b",")], Named)
            line: Named | Opened = objects.parse(data, kind)
            name, since_us = SegmentName.parse(line.segment), end.sealed_us
            if index == shown.start and index:
                end = LedgerEnd(index, name.first, name.sealed_us - 1, given)
                if not shown.gaps and name.sealed_us >= self._asked.from_us:
                    raise MismatchError(f"what precedes segment {index} is not shown")
            end, epoch = ledger.extend(end, name), name.epoch
            if isinstance(line, Opened):
                self._proven.segments += 1
                self._check_opened(line, name, since_us)
            elif self._asked.from_us <= name.sealed_us and since_us < self._asked.to_us - 1:
                raise MismatchError(f"segment {index} is in question, and only named")
        return end, epoch

    def _check_opened(self, line: Opened, name: SegmentName, since_us: int) -> None:
        gone: dict[str, Missing] = {}
        if isinstance(line, Left | WholeLeft):
            gone = self._floors.take(self._line, line.floors, name)
        _check_shape(line, name, gone)
        kept = self._leaves(line, name, since_us)
        if isinstance(line, Whole | WholeLeft):
            self._check_whole(line, name, gone, kept)
        elif self._salt is not None:
            tag = tenants.tag(self._salt, self._node, name.index)
            leaves = [each.encode() for each in line.beside] if isinstance(line, Shown) else []
            if leaves:
                self._check_absent(line.leaf, leaves, name, tag)
            else:
                blind = tenants.blind(self._salt, self._node, name.index)
                leaves = [self._leaf_of(line, (tag, blind), gone, kept)]
            found = CompactRange(line.leaf, line.before)
            for each in leaves:
                found = found.append(merkle.leaf_hash(anchor.check_leaf(each)))
            if found.root_within(name.tenants, line.after) != name.root:
                raise MismatchError(f"segment {name.index} holds something else of the tenant")
        if next(kept, None) is not None:
            raise MismatchError(f"segment {name.index} has fewer records than are shown")
        self._proven.hashes += len(line.hashes)

    def _check_absent(self, leaf: int, leaves: list[bytes], name: SegmentName, tag: str) -> None:
        """The tenant's leaf would stand between these, or beside the one."""
        tags = [each.decode().partition(" ")[0] for each in leaves]
        is_first, is_last = leaf == 0, leaf + len(tags) == name.tenants
        statements.check_ascending(tags)
        if len(tags) > 2 or not (
            tag not in tags and (is_first or tags[0] < tag) and (is_last or tag < tags[-1])
        ):
            raise MismatchError(f"segment {name.index} may have the tenant's leaf elsewhere")
        self._proven.absent += 1

    def _leaf_of(
        self,
        line: Shown | Left,
        hidden_by: tuple[str, bytes],
        gone: dict[str, Missing],
        kept: Iterator[bytes],
    ) -> bytes:
        """The tenant's leaf, by what is there and what went. hidden_by: its tag and blind."""
        tag, blind = hidden_by
        own, shown = gone.get(tag), line.records + len(line.hashes)
        if isinstance(line, Left):
            if own is None or len(gone) > 1:
                raise MismatchError(f"what went of {line.segment[:10]} is another tenant's")
            if not own.left and len(line.hidden) == 1:
                return f"{tag} {line.hidden[0].hex()}".encode()
            if line.hidden or shown != own.left:
                raise MismatchError(f"{shown} records are there, and {own.left} did not go")
        count, tree = own.count if own else shown, merkle.EMPTY_RANGE
        for leaf in merged(count, own, kept):
            tree = tree.append(leaf)
        return tenants.tenant_leaf(tag, blind, tree.size, tree.root())

    def _check_whole(
        self,
        line: Whole | WholeLeft,
        name: SegmentName,
        gone: dict[str, Missing],
        kept: Iterator[bytes],
    ) -> None:
        statements.check_ascending(line.tags)
        hidden = [*line.hidden] if isinstance(line, WholeLeft) else []
        blinds, members = [*line.blinds], [*zip(line.tags, line.counts, strict=False)]
        empty = {tag for tag, own in gone.items() if not own.left}
        shape = {len(line.tags), len(line.counts), len(blinds) + len(hidden), name.tenants}
        if len(shape) > 1 or len(hidden) != len(empty):
            raise MalformedError(f"of segment {name.index} more or less than all is shown")
        missing = sum(len(own.hashes) for own in gone.values())
        shown = line.records + len(line.hashes) + missing
        if not shown == sum(line.counts) == name.count or 0 in line.counts:
            raise MismatchError(f"segment {name.index} has {name.count} records")
        if not {(tag, own.count) for tag, own in gone.items()} <= {*members}:
            raise MismatchError(f"what went of segment {name.index} is of others")
        leaves = []
        for tag, count in members:
            if tag in empty:
                leaf = f"{tag} {hidden.pop(0).hex()}".encode()
            else:
                root = merkle.root([*merged(count, gone.get(tag), kept)])
                leaf = tenants.tenant_leaf(tag, blinds.pop(0), count, root)
            leaves.append(merkle.leaf_hash(anchor.check_leaf(leaf)))
        if merkle.root(leaves) != name.root:
            raise MismatchError(f"segment {name.index} holds something else")

    def _leaves(
        self, line: Opened, name: SegmentName, since_us: int
    ) -> Generator[bytes, None, None]:
        """The leaf hashes of what is shown; all of a segment that lies within the time were
        received in it."""
        yield from self._records(line.records, name, since_us)
        asked = self._asked
        is_within = 0 < asked.from_us <= since_us + 1 and name.sealed_us < asked.to_us
        for leaf in line.hashes:
            self._seen(leaf, name, is_within or None)
            yield leaf

    def _records(
        self, count: int, name: SegmentName, since_us: int
    ) -> Generator[bytes, None, None]:
        """The leaf hashes of the records that follow."""
        since, sealed = time_text(since_us), time_text(name.sealed_us)
        start, end = time_text(self._asked.from_us), time_text(self._asked.to_us)
        for _ in range(count):
            record = self._line()[:-1]
            received = received_of(record, self._tenant)
            if received > sealed or (since_us and received <= since):
                raise MismatchError(
                    f"a record of segment {name.index} was received at another time"
                )
            is_asked = start <= received < end
            self._proven.events += is_asked
            self._proven.records += 1
            leaf = merkle.leaf_hash(record)
            self._seen(leaf, name, is_asked)
            yield leaf

    def _verify_until(self, data: bytes, node: Certificate, end: LedgerEnd, epoch: int) -> None:
        last_us = self._asked.to_us - 1
        if data.startswith(Heartbeat.KIND.encode()):
            key = VerifierKey(self._origin, node.node_key)
            beat = statements.verify(data, Heartbeat, key).statement
            said, until_us = (self._origin, beat.promise_size, end.root), beat.promise_us
            newest = beat.epoch
        elif data.startswith(Birth.KIND.encode()):
            born = statements.verify_birth(data, self._trail)
            said = (born.origin, born.statement.base.size, born.statement.base.root)
            newest, until_us = born.statement.epoch, born.statement.started_us
        else:
            closed = statements.verify_by_certificate(data, Closed, self._trail)
            said = (closed.origin, closed.statement.end.size, closed.statement.end.root)
            newest, until_us = closed.statement.epoch, last_us
        if (
            said != (self._origin, end.size, end.root)
            or until_us < last_us
            or newest < max(epoch, 1)
        ):
            raise MismatchError("what should bound it is of another ledger, size, epoch or time")
        self._proven.stated.append(f"that node {self._node} began no epoch after {newest} by then")
