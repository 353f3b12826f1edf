"""What an epoch left in its stores: the steps of a closing that only look.

Where the fence stands, the epoch's segments are listed, and then what archives have of it; the
longest chain of them that is the node's own, from the base on, is what was acknowledged, and
perhaps a little more.

Segments that the trail's key states to be lost are passed over, where the ledger's tree can be
carried on behind them: their names are listed still and the next segment commits to them, or the
tree is whole again at the next power of two, whose root that segment's trailer states. Where
neither is so, the epoch's end cannot be stated, and it stays open.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from holdfast.ports import Host
from holdfast.proof import ProofError, ledger, names, note, statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Birth, Heartbeat, Signed
from holdfast.regions import layout, segment
from holdfast.regions.cookie import LOOK_SECONDS_MAX, NOT_THERE, is_still
from holdfast.regions.evidence import Archived
from holdfast.regions.kinds import Archive
from holdfast.regions.port import Absent, Listing, Present, RegionId, Unknown
from holdfast.regions.region import Region
from holdfast.write.archived import DAYS_AT_ONCE, Shown, archives_in, days_of, swept_segments
from holdfast.write.identity import Identity

Found = TypeVar("Found")
ByIndex = Mapping[int, Sequence[SegmentName]]


class StoppedError(Exception):
    """Carries the reason of an `Undecided` out of the steps."""


@dataclass(frozen=True, slots=True)
class Closing:
    """One attempt: the epoch's birth as it lies in the regions, and who closes it.

    stores: those that the birth names, as far as they are there. later: those of other regions, or
    that took the place of one: they have no say, but a decision that was copied there is one.
    forgone: of the R stores that must be asked, so many were replaced: a person does without them.
    """

    trail: str
    birth: Signed[Birth]
    birth_bytes: bytes
    stores: tuple[Region, ...]
    later: tuple[Region, ...]
    identity: Identity
    host: Host
    forgone: int = 0

    @property
    def node(self) -> str:
        return names.node_id(self.birth.statement.node_key)

    @property
    def epoch(self) -> int:
        return self.birth.statement.epoch

    @property
    def quorum(self) -> int:
        return self.birth.statement.quorum

    @property
    def replaced(self) -> frozenset[RegionId]:
        """The regions that show another store by now than the birth names: it is gone for good."""
        named = {id for id, _ in self.birth.statement.regions}
        return frozenset(store.id for store in self.later if store.id in named)

    @property
    def count(self) -> int:
        return len(self.birth.statement.regions)

    @property
    def needed(self) -> int:
        return self.count - self.quorum + 1 - self.forgone


async def list_fenced(closing: Closing, store: Region, fence: bytes) -> Shown | Unknown:
    """Steps 2 and 3: put the fence; what the store holds of this epoch.

    The listing begins after the fence is known to stand: what is not listed is not counted later.
    It goes shard by shard, since a call has one time-out, and an epoch may have gone on for months.
    """
    key = layout.fence_key(closing.node, closing.epoch)
    fenced = await while_there(closing, store, lambda s: s.keep(key, fence))
    if isinstance(fenced, Unknown):
        return fenced
    prefix = layout.segments_prefix(closing.node)
    shards = await while_there(closing, store, lambda s: s.level(prefix))
    if isinstance(shards, Unknown):
        return shards
    first = layout.shard_prefix(closing.node, closing.birth.statement.base.size)
    held: set[str] = set()
    for shard in (f"{prefix}{part}/" for part in shards.folders):
        if shard >= first:
            found = await while_there(closing, store, partial(Region.list, prefix=shard))
            if isinstance(found, Unknown):
                return found
            held |= _of_epoch(closing, found)
    archives = await _archives_of(closing, store)
    if isinstance(archives, Unknown):
        return archives
    return Shown(closing.node, frozenset(held), tuple(archives))


async def _archives_of(closing: Closing, store: Region) -> list[Archive] | Unknown:
    """The manifests that may have segments of the epoch; a few days in each call."""
    base = closing.birth.statement.base
    days = await while_there(closing, store, partial(days_of, after_us=base.sealed_us))
    if isinstance(days, Unknown):
        return days
    archives: list[Archive] = []
    for at in range(0, len(days), DAYS_AT_ONCE):
        look = partial(
            archives_in,
            days=days[at : at + DAYS_AT_ONCE],
            trail=closing.trail,
            node=closing.node,
        )
        found = await while_there(closing, store, look)
        if isinstance(found, Unknown):
            return found
        archives += found
    return archives


def _of_epoch(closing: Closing, listing: Listing) -> set[str]:
    keys = (layout.known_key(entry.key) for entry in listing)
    segments = (key.name for key in keys if isinstance(key, layout.SegmentKey))
    return {name.text for name in segments if name.epoch == closing.epoch}


async def while_there(
    closing: Closing, store: Region, work: Callable[[Region], Awaitable[Found]]
) -> Found | Unknown:
    """Do some work with a store; Unknown unless it was the one that the birth names all the time.

    Another that answers meanwhile, under the same region, has neither what was counted before nor a
    say in this epoch. The cookie is read before and after, which tells of one change in between;
    so it must not take long, as in `regions.cookie.look`.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    if await is_there(closing, store):
        found = await work(store)
        if await is_there(closing, store) and clock() - begun <= LOOK_SECONDS_MAX:
            return found
    return Unknown(NOT_THERE)


async def read_all(closing: Closing, key: str) -> Mapping[RegionId, Present | Absent | Unknown]:
    """What the stores that the birth names hold under a key, by region. All who answered were there
    at one time, and held that."""
    clock = asyncio.get_running_loop().time
    begun = clock()

    async def read(store: Region) -> Present | Absent | Unknown:
        return await store.read(key) if await is_there(closing, store) else Unknown(NOT_THERE)

    async def still(store: Region, found: Present | Absent | Unknown) -> bool:
        return isinstance(found, Unknown) or (
            await is_there(closing, store) and clock() - begun <= LOOK_SECONDS_MAX
        )

    stores = closing.stores
    found = await asyncio.gather(*map(read, stores))
    there = await asyncio.gather(*map(still, stores, found))
    return {
        store.id: answer if is_so else Unknown(NOT_THERE)
        for store, answer, is_so in zip(stores, found, there, strict=True)
    }


async def is_there(closing: Closing, store: Region) -> bool:
    """Whether a region shows, now, the cookie of the very store that the birth names."""
    named = dict(closing.birth.statement.regions)[store.id]
    return await is_still(store, named, closing.trail)


@dataclass(frozen=True, slots=True)
class Listed:
    """What all stores that were fenced show of the epoch. shown: by region. swept: what is known of
    segments by archives alone, by index."""

    shown: Mapping[RegionId, Shown]
    swept: Mapping[int, Archived]

    @property
    def names(self) -> frozenset[str]:
        """Of all segments."""
        swept = (each.name.text for each in self.swept.values())
        return frozenset(swept).union(*(shown.names for shown in self.shown.values()))

    def count(self, name: SegmentName) -> int:
        """How many stores list it."""
        return sum(name.text in shown.names for shown in self.shown.values())

    def is_archived(self, index: int) -> bool:
        """Whether some store has it in its archive: it was final, in every store, before that."""
        return any(shown.holds(index) for shown in self.shown.values())


async def with_swept(closing: Closing, shown: Mapping[RegionId, Shown]) -> Listed:
    """The same with what was swept. Raises StoppedError: some of that cannot be read now."""
    base = closing.birth.statement.base.size
    swept, why = await swept_segments(closing.stores, shown, base, closing.host)
    if why:
        raise StoppedError(why)
    mine = {at: each for at, each in swept.items() if each.name.epoch == closing.epoch}
    return Listed(shown, mine)


@dataclass(frozen=True, slots=True)
class Run:
    """What an epoch left. names: its segments that are there, in order; the first `vouched` of them
    a checkpoint covers. end: where the ledger stands behind them. lost: ranges of indexes that are
    declared lost. owed: so many segments the node is known to have acknowledged."""

    names: tuple[SegmentName, ...]
    vouched: int
    end: LedgerEnd
    lost: tuple[tuple[int, int], ...]
    owed: int

    def is_lost(self, index: int) -> bool:
        return any(start <= index < end for start, end in self.lost)

    def go_on(self, end: LedgerEnd, *more: SegmentName) -> "Run":
        return replace(self, names=(*self.names, *more), end=end)

    def why_short(self, end: LedgerEnd) -> str:
        """Why the epoch must not end there: it would take from the trail what was acknowledged."""
        if end.size >= self.owed:
            return ""
        told = "no store that was listed has it"
        if self.is_lost(end.size):
            told = "the ledger's tree cannot be carried on behind the declared gap"
        return f"segment {end.size} of {self.owed} was acknowledged, and {told}"


async def valid_run(closing: Closing, listed: Listed) -> Run:
    """Step 4: the longest chain of names from the base whose bytes are the node's own.

    A checkpoint signed by the node vouches for the names below its size without their bytes; what
    lies above is read: hash, signature, and the ledger's root before it.
    """
    by_index: dict[int, list[SegmentName]] = {}
    for text in sorted(listed.names):
        name = SegmentName.parse(text)
        by_index.setdefault(name.index, []).append(name)
    beats = await _beats(closing)
    vouched = _vouched(closing, by_index, _checkpoints(closing, beats))
    end = _end(closing.birth.statement.base, vouched)
    owed = max([beat.promise_size for beat in beats if beat.epoch <= closing.epoch], default=0)
    reached = Run(vouched, len(vouched), end, await _declared_lost(closing), owed)
    while further := (
        await _next(closing, reached, by_index, listed)
        or await _behind_gap(closing, reached, by_index, listed)
    ):
        reached = further
    return reached


async def _next(closing: Closing, run: Run, by_index: ByIndex, listed: Listed) -> Run | None:
    """The run with one segment more."""
    for name in by_index.get(run.end.size, ()):
        try:
            if await _is_genuine(closing, run.end, name, listed):
                return run.go_on(ledger.extend(run.end, name), name)
        except StoppedError:
            if not run.is_lost(name.index):
                raise
    return None


async def _behind_gap(closing: Closing, run: Run, by_index: ByIndex, listed: Listed) -> Run | None:
    """The run as it goes on behind a declared gap; None where there is none, or no way on."""
    end = run.end
    while run.is_lost(end.size) and len(by_index.get(end.size, ())) == 1:
        try:
            end = ledger.extend(end, by_index[end.size][0])
        except ProofError:
            break
    if end.size > run.end.size:
        # Names without bytes: the next segment's root-before tells whether they are the true ones.
        on = await _next(closing, run.go_on(end), by_index, listed)
        if on is not None:
            return on
    if not run.is_lost(run.end.size):
        return None
    power = 1 << run.end.size.bit_length()
    while power <= max(by_index, default=0):
        between = await _signed_between(closing, run, power, by_index, listed)
        at_power = await _signed(closing, by_index.get(power, ()), listed)
        if between is not None and at_power is not None:
            name, root = at_power
            tree = CompactRange(power, (root,))
            return run.go_on(LedgerEnd(power, name.first, name.sealed_us - 1, tree), *between)
        power *= 2
    return None


async def _signed_between(
    closing: Closing, run: Run, power: int, by_index: ByIndex, listed: Listed
) -> tuple[SegmentName, ...] | None:
    """The segments from the run up to an index, but for those that are lost; None: one is neither
    there nor lost."""
    found: list[SegmentName] = []
    for index in range(run.end.size, power):
        signed = await _signed(closing, by_index.get(index, ()), listed)
        if signed is not None:
            found.append(signed[0])
        elif not run.is_lost(index):
            return None
    return tuple(found)


async def _signed(
    closing: Closing, claims: Sequence[SegmentName], listed: Listed
) -> tuple[SegmentName, bytes] | None:
    """The one of the names whose bytes the node signed, and the root before it."""
    for name in claims:
        try:
            return name, await _root_before(closing, name, listed)
        except (ProofError, StoppedError):
            continue
    return None


async def _declared_lost(closing: Closing) -> tuple[tuple[int, int], ...]:
    """What the trail's key states to be lost of this ledger."""
    found: set[tuple[int, int]] = set()
    answers = await asyncio.gather(*(_gaps_in(closing, store) for store in closing.stores))
    for data in _of_enough(closing, answers, "gaps"):
        with contextlib.suppress(ProofError):
            gap = statements.verify_gap(data, closing.trail)
            if gap.origin == closing.birth.origin:
                found.add((gap.statement.start, gap.statement.end))
    return tuple(sorted(found))


async def _gaps_in(closing: Closing, store: Region) -> Sequence[bytes] | Unknown:
    listing = await store.list(layout.gaps_prefix(closing.node))
    if isinstance(listing, Unknown):
        return listing
    notes: list[bytes] = []
    for entry in listing:
        answer = await store.read(entry.key)
        if isinstance(answer, Unknown):
            return answer
        notes += [answer.data] if isinstance(answer, Present) else []
    return notes


def _of_enough(
    closing: Closing, answers: Sequence[Sequence[bytes] | Unknown], what: str
) -> list[bytes]:
    """All that stores told; StoppedError where fewer than R did: what was not read may be there."""
    told = [answer for answer in answers if not isinstance(answer, Unknown)]
    if len(told) < closing.needed:
        raise StoppedError(
            f"{len(told)} of the {closing.needed} stores that must be asked for {what} answered"
        )
    return [data for each in told for data in each]


def _end(base: LedgerEnd, run: Iterable[SegmentName]) -> LedgerEnd:
    end = base
    for name in run:
        end = ledger.extend(end, name)
    return end


def _vouched(
    closing: Closing,
    by_index: ByIndex,
    checkpoints: Mapping[int, bytes],
) -> tuple[SegmentName, ...]:
    """The names below the newest checkpoint that the listed names lead to."""
    end = closing.birth.statement.base
    chain: list[SegmentName] = []
    vouched = 0
    while len(by_index.get(end.size, ())) == 1:
        name = by_index[end.size][0]
        try:
            end = ledger.extend(end, name)
        except ProofError:
            break
        chain.append(name)
        if checkpoints.get(end.size) == end.root:
            vouched = len(chain)
    return tuple(chain[:vouched])


async def _beats(closing: Closing) -> Sequence[Heartbeat]:
    """The node's heartbeats, as the stores have them."""
    key = VerifierKey(closing.birth.origin, closing.birth.statement.node_key)

    async def heard(store: Region) -> Sequence[bytes] | Unknown:
        answer = await store.read(layout.heartbeat_key(closing.node))
        if isinstance(answer, Unknown):
            return answer
        return [answer.data] if isinstance(answer, Present) else []

    answers = await asyncio.gather(*map(heard, closing.stores))
    found: list[Heartbeat] = []
    for data in _of_enough(closing, answers, "heartbeats"):
        with contextlib.suppress(ProofError):
            found.append(statements.verify(data, Heartbeat, key).statement)
    return found


def _checkpoints(closing: Closing, beats: Iterable[Heartbeat]) -> Mapping[int, bytes]:
    """Sizes and roots that the node itself signed, as its heartbeats carry them."""
    key = VerifierKey(closing.birth.origin, closing.birth.statement.node_key)
    found: dict[int, bytes] = {}
    for beat in beats:
        if beat.checkpoint:
            with contextlib.suppress(ProofError):
                checkpoint = note.verify_checkpoint(beat.checkpoint, key)
                found[checkpoint.size] = checkpoint.root
    return found


async def _is_genuine(closing: Closing, end: LedgerEnd, name: SegmentName, listed: Listed) -> bool:
    """Whether a segment continues the ledger, by its bytes.

    Raises StoppedError where no store that lists it hands out intact bytes now: absent would be a
    guess, and a run cut short by a guess could lose what was acknowledged.
    """
    try:
        ledger.extend(end, name)
        return await _root_before(closing, name, listed) == end.root
    except ProofError:
        return False


async def _root_before(closing: Closing, name: SegmentName, listed: Listed) -> bytes:
    """Of the ledger before a segment, as its node signed it, by its bytes or by its archive."""
    node_key, origin = closing.birth.statement.node_key, closing.birth.origin
    swept = listed.swept.get(name.index)
    if swept is not None and swept.name == name:
        return swept.root_before(VerifierKey(origin, node_key))
    data = await intact_bytes(closing, name, listed)
    return segment.verify_trailer(data, name, node_key, origin).root_before


async def intact_bytes(closing: Closing, name: SegmentName, listed: Listed) -> bytes:
    key = layout.segment_key(closing.node, name)
    for store in closing.stores:
        if store.id in listed.shown and name.text in listed.shown[store.id].names:
            found = await store.read(key)
            if isinstance(found, Present) and _hashes_to(found.data, name):
                return found.data
    raise StoppedError(f"no store hands out the bytes of segment {name.index}")


def _hashes_to(data: bytes, name: SegmentName) -> bool:
    return hashlib.sha256(data).digest() == name.sha256
