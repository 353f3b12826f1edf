"""Ending an epoch: nothing acknowledged lies beyond its end, and everyone agrees where that is.

Used by a node's own start for the epoch that it left open, and by keepers for a node that is lost.
Any number of closers may work at once, and any of them may die anywhere:

1. the birth is brought to W of its stores (nothing can have been acknowledged before);
2. a fence is put in every store: what lands after it there is never counted;
3. where the fence stands, the epoch's segments are listed, the cookie is checked after; R stores;
4. the contiguous, valid run from the base is what was acknowledged, and perhaps a little more;
5. each segment of the run is copied until W stores hold it;
6. the vote for the run's end is cast in every store, put-if-absent;
7. votes of a majority decide, and the decision is written down in W stores.

Why no acknowledged event is lost: an ack saw W stores without a fence after its PUT, a closer
lists R = N - W + 1 stores after its fence, and the two share one. Dying after 2 leaves a node
fenced, after 5 some copies more, after 6 votes that every later closer counts: never two answers.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.ports import Host
from holdfast.proof import ProofError, ledger, names, note, segment, statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.proof.note import Note, VerifierKey
from holdfast.proof.statements import Birth, Closed, Fence, Heartbeat, Signed, Vote
from holdfast.regions import Regions
from holdfast.regions.cookie import read_cookie
from holdfast.regions.port import Differs, Listing, Present, Stored, Unknown
from holdfast.regions.region import Region
from holdfast.write.identity import Identity
from holdfast.write.quorum import decide_close

COPIES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Undecided:
    """The epoch stays open: too few stores answered, or votes are split and a store is silent."""

    reason: str


class _StoppedError(Exception):
    """Carries the reason of an `Undecided` out of the steps."""


@dataclass(frozen=True, slots=True)
class _Closing:
    """One attempt: the epoch's birth as it lies in the regions, and who closes it."""

    trail: str
    birth: Signed[Birth]
    birth_bytes: bytes
    stores: tuple[Region, ...]
    identity: Identity
    host: Host

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
    def count(self) -> int:
        return len(self.birth.statement.regions)

    @property
    def needed(self) -> int:
        return self.count - self.quorum + 1


async def close_epoch(
    regions: Regions, birth_bytes: bytes, identity: Identity, host: Host, why: str
) -> LedgerEnd | Undecided:
    """End an epoch, or find out where it was ended.

    Args:
        regions: The trail's. Those whose cookie is not one that the birth names take no part.
        birth_bytes: The epoch's `birth.note` as found; verified here.
        identity: The closing node.
        why: For people, in `closed.note`.
    Returns:
        Where the epoch ends, the same for every closer ever, written down in W regions.
    Raises:
        ProofError: the birth does not verify.
    """
    birth = statements.verify_birth(birth_bytes, regions.trail)
    named = dict(birth.statement.regions)
    stores = tuple(r for r in regions if named.get(r.id) == r.store_uuid)
    closing = _Closing(regions.trail, birth, birth_bytes, stores, identity, host)
    try:
        written = await _written_down(closing)
        if written is None:
            decided = decide_close(await _votes(closing), closing.count)
            if decided is None:
                await _bring_birth(closing)
                proposal = await _propose(closing)
                await _keep_everywhere(
                    closing, names.vote_key(closing.node, closing.epoch), _vote(closing, proposal)
                )
                decided = decide_close(await _votes(closing), closing.count)
            if decided is None:
                return Undecided("the votes are split and not every store voted")
            written = _closed_note(closing, decided, why)
        return await _write_down(closing, written)
    except _StoppedError as stopped:
        return Undecided(str(stopped))


async def _keep_everywhere(
    closing: _Closing, key: str, data: bytes
) -> Mapping[str, Stored | Differs | Unknown]:
    outcomes = await asyncio.gather(*(store.keep(key, data) for store in closing.stores))
    return {store.id: outcome for store, outcome in zip(closing.stores, outcomes, strict=True)}


async def _bring_birth(closing: _Closing) -> None:
    """Step 1. Two births of one epoch may exist; only one that W stores hold ever counted."""
    key = names.birth_key(closing.node, closing.epoch)
    outcomes = (await _keep_everywhere(closing, key, closing.birth_bytes)).values()
    if sum(isinstance(o, Stored) for o in outcomes) >= closing.quorum:
        return
    others = sum(isinstance(o, Differs) for o in outcomes)
    if others > closing.count - closing.quorum:
        # No birth of these bytes can ever lie in W stores: nothing was acknowledged under it, and
        # the run found below is empty, whoever closes.
        return
    raise _StoppedError("the birth of the epoch could not be brought to a quorum of its stores")


async def _propose(closing: _Closing) -> LedgerEnd:
    """Steps 2 to 5: fence, list, take the run, complete it."""
    fence = statements.write(
        Fence(
            epoch=closing.epoch,
            by=closing.identity.node,
            fenced_us=closing.host.now_us(),
            certificate=closing.identity.certificate,
        ),
        closing.birth.origin,
        closing.identity.key,
    )
    fences = await _keep_everywhere(closing, names.fence_key(closing.node, closing.epoch), fence)
    standing = [s for s in closing.stores if not isinstance(fences[s.id], Unknown)]
    listings = await asyncio.gather(*(_list_fenced(closing, store) for store in standing))
    listed = {s.id: held for s, held in zip(standing, listings, strict=True) if held is not None}
    if len(listed) < closing.needed:
        raise _StoppedError(
            f"{len(listed)} of the {closing.needed} stores that must be fenced and listed answered"
        )
    run = await _valid_run(closing, listed)
    await _complete(closing, run, listed)
    return _end(closing.birth.statement.base, run)


async def _list_fenced(closing: _Closing, store: Region) -> frozenset[str] | None:
    """Step 3: the names that a store holds of this epoch; None if it cannot be relied on.

    The listing begins after the fence is known to stand, and the cookie is read after it: a store
    that was replaced in between would show fewer names than were counted.
    """
    after = names.segments_after(closing.node, closing.birth.statement.base.size)
    seen = await store.list(names.segments_prefix(closing.node), after)
    cookie = await read_cookie(store, closing.trail)
    if not isinstance(seen, Listing) or isinstance(cookie, Unknown):
        return None
    if getattr(cookie, "store", None) != dict(closing.birth.statement.regions)[store.id]:
        return None
    held = set()
    for entry in seen:
        try:
            name = names.parse_key(entry.key)
        except ProofError:
            continue
        if isinstance(name, names.SegmentKey) and name.name.epoch == closing.epoch:
            held.add(name.name.text)
    return frozenset(held)


async def _valid_run(
    closing: _Closing, listed: Mapping[str, frozenset[str]]
) -> tuple[SegmentName, ...]:
    """Step 4: the longest chain of names from the base whose bytes are the node's own.

    A checkpoint signed by the node vouches for the names below its size without their bytes; what
    lies above is read: hash, signature, and the ledger's root before it.
    """
    by_index: dict[int, list[SegmentName]] = {}
    for text in sorted(frozenset().union(*listed.values())):
        name = SegmentName.parse(text)
        by_index.setdefault(name.index, []).append(name)
    vouched = _vouched(closing, by_index, await _checkpoints(closing))
    end = _end(closing.birth.statement.base, vouched)
    run = list(vouched)
    while True:
        for name in by_index.get(end.size, ()):
            if await _is_genuine(closing, end, name, listed):
                run.append(name)
                end = ledger.extend(end, name)
                break
        else:
            return tuple(run)


def _end(base: LedgerEnd, run: Iterable[SegmentName]) -> LedgerEnd:
    end = base
    for name in run:
        end = ledger.extend(end, name)
    return end


def _vouched(
    closing: _Closing,
    by_index: Mapping[int, Sequence[SegmentName]],
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


async def _checkpoints(closing: _Closing) -> Mapping[int, bytes]:
    """Sizes and roots that the node itself signed, as its heartbeats carry them."""
    key = VerifierKey(closing.birth.origin, closing.birth.statement.node_key)
    beats = await asyncio.gather(
        *(store.read(names.heartbeat_key(closing.node)) for store in closing.stores)
    )
    found: dict[int, bytes] = {}
    for beat in beats:
        if not isinstance(beat, Present):
            continue
        try:
            carried = statements.verify(beat.data, Heartbeat, key).statement.checkpoint
            if carried:
                checkpoint = note.verify_checkpoint(carried, key)
                found[checkpoint.size] = checkpoint.root
        except ProofError:
            continue
    return found


async def _is_genuine(
    closing: _Closing, end: LedgerEnd, name: SegmentName, listed: Mapping[str, frozenset[str]]
) -> bool:
    """Whether a segment continues the ledger, by its bytes.

    Raises _StoppedError where no store that lists it hands out intact bytes now: absent would be a
    guess, and a run cut short by a guess could lose what was acknowledged.
    """
    try:
        ledger.extend(end, name)
        data = await _intact_bytes(closing, name, listed)
        trailer = segment.verify_trailer(
            data, name, closing.birth.statement.node_key, closing.birth.origin
        )
    except ProofError:
        return False
    return trailer.root_before == end.root


async def _intact_bytes(
    closing: _Closing, name: SegmentName, listed: Mapping[str, frozenset[str]]
) -> bytes:
    key = names.segment_key(closing.node, name)
    for store in closing.stores:
        if name.text in listed.get(store.id, ()):
            found = await store.read(key)
            if isinstance(found, Present) and _hashes_to(found.data, name):
                return found.data
    raise _StoppedError(f"no store hands out the bytes of segment {name.index}")


def _hashes_to(data: bytes, name: SegmentName) -> bool:
    return hashlib.sha256(data).digest() == name.sha256


async def _complete(
    closing: _Closing, run: Sequence[SegmentName], listed: Mapping[str, frozenset[str]]
) -> None:
    """Step 5: no vote before all of the run lies in W stores, or the close could name a hole."""
    at_once = asyncio.Semaphore(COPIES_AT_ONCE)

    async def bring(name: SegmentName) -> bool:
        async with at_once:
            data = await _intact_bytes(closing, name, listed)
            key = names.segment_key(closing.node, name)
            outcomes = await _keep_everywhere(closing, key, data)
            return sum(isinstance(o, Stored) for o in outcomes.values()) >= closing.quorum

    lacking = [n for n in run if sum(n.text in h for h in listed.values()) < closing.quorum]
    brought = await asyncio.gather(*(bring(name) for name in lacking))
    if not all(brought):
        raise _StoppedError("a segment of the epoch could not be brought to a quorum of its stores")


def _vote(closing: _Closing, end: LedgerEnd) -> bytes:
    return statements.write(
        Vote(epoch=closing.epoch, end=end), closing.birth.origin, closing.identity.key
    )


async def _votes(closing: _Closing) -> list[tuple[int, str]]:
    """The votes cast so far, one a store: (size, text).

    Votes are equal when their texts are; who cast them is no part of that, but it must have been a
    node of this trail.
    """
    key = names.vote_key(closing.node, closing.epoch)
    found = await asyncio.gather(*(store.read(key) for store in closing.stores))
    votes: list[tuple[int, str]] = []
    for answer in found:
        if not isinstance(answer, Present):
            continue
        try:
            voters = await _voters(closing, statements.read(answer.data, Vote).note)
            vote = statements.verify(answer.data, Vote, *voters)
        except ProofError as error:
            raise _StoppedError(f"a vote cannot be verified: {error}") from error
        if vote.origin == closing.birth.origin and vote.statement.epoch == closing.epoch:
            votes.append((vote.statement.end.size, vote.text))
    return votes


async def _voters(closing: _Closing, signed: Note) -> list[VerifierKey]:
    """The keys of those who say that they signed a vote, as the trail certified them."""
    known = {
        closing.identity.node: closing.identity.key.verifier,
        closing.node: VerifierKey(closing.birth.origin, closing.birth.statement.node_key),
    }
    voters = []
    for signature in signed.signatures:
        _, node = names.parse_ledger_origin(signature.name)
        voter = known.get(node) or await find_node_key(closing.stores, closing.trail, node)
        if voter is not None:
            voters.append(voter)
    return voters


async def find_node_key(stores: Iterable[Region], trail: str, node: str) -> VerifierKey | None:
    """A node's key, by any birth of it that a store shows; None: none shows one now."""
    for store in stores:
        listing = await store.list(names.epochs_prefix(node))
        births = (
            [e.key for e in listing if e.key.endswith("/birth.note")]
            if isinstance(listing, Listing)
            else []
        )
        for key in births[-1:]:
            answer = await store.read(key)
            if isinstance(answer, Present):
                with contextlib.suppress(ProofError):
                    birth = statements.verify_birth(answer.data, trail)
                    return VerifierKey(birth.origin, birth.statement.node_key)
    return None


def _closed_note(closing: _Closing, decided: tuple[int, str], why: str) -> bytes:
    return statements.write(
        Closed(
            epoch=closing.epoch,
            end=statements.parse_text(decided[1], Vote).end,
            by=closing.identity.node,
            why=why,
            closed_us=closing.host.now_us(),
            certificate=closing.identity.certificate,
        ),
        closing.birth.origin,
        closing.identity.key,
    )


async def _written_down(closing: _Closing) -> bytes | None:
    """A decision that somebody wrote down, verified."""
    key = names.closed_key(closing.node, closing.epoch)
    for answer in await asyncio.gather(*(store.read(key) for store in closing.stores)):
        if isinstance(answer, Present):
            try:
                statements.verify_by_certificate(answer.data, Closed, closing.trail)
            except ProofError:
                continue
            return answer.data
    return None


async def _write_down(closing: _Closing, closed: bytes) -> LedgerEnd:
    """Step 7. Another closer's note of the same decision counts as well as ours."""
    end = statements.verify_by_certificate(closed, Closed, closing.trail).statement.end
    key = names.closed_key(closing.node, closing.epoch)
    outcomes = await _keep_everywhere(closing, key, closed)
    if sum(not isinstance(o, Unknown) for o in outcomes.values()) < closing.quorum:
        raise _StoppedError("the close is decided but could not be written down in a quorum")
    return end
