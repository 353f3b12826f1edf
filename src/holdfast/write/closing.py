"""Ending an epoch: nothing acknowledged lies beyond its end, and everyone agrees where that is.

Used by a node's own start for the epoch that it left open, and by keepers for a node that is lost.
Any number of closers may work at once, and any of them may die anywhere:

1. the birth is brought to W of its stores (nothing can have been acknowledged before);
2. a fence is put in every store: what lands after it there is never counted;
3. where the fence stands, the epoch's segments are listed, then what the store's archive has of
   them; R stores;
4. the contiguous, valid run from the base is what was acknowledged, and perhaps a little more;
5. each segment of the run is copied until W stores are known to hold it: a listing alone tells
   that only of what a checkpoint covers, since a directory shows a name before its fsync;
6. the vote for the run's end is cast in every store, put-if-absent;
7. votes of a majority decide, and the decision is written down in W stores.

Nothing is counted of a store but between two readings of its cookie, which is that of the birth.

Why no acknowledged event is lost: an ack saw W stores without a fence after its PUT, a closer
lists R = N - W + 1 stores after its fence, and the two share one. Dying after 2 leaves a node
fenced, after 5 some copies more, after 6 votes that every later closer counts: never two answers.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.ports import Host
from holdfast.proof import ProofError, names, statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.proof.note import Note, VerifierKey
from holdfast.proof.statements import Closed
from holdfast.regions import Regions, layout, signing
from holdfast.regions.cookie import NOT_THERE
from holdfast.regions.kinds import Fence, Vote
from holdfast.regions.port import (
    Absent,
    Differs,
    Listing,
    Present,
    RegionId,
    Stored,
    Unknown,
)
from holdfast.regions.region import Region
from holdfast.write.identity import Identity
from holdfast.write.left import (
    Closing,
    Listed,
    Run,
    StoppedError,
    intact_bytes,
    list_fenced,
    read_all,
    valid_run,
    while_there,
    with_swept,
)
from holdfast.write.quorum import decide_close

COPIES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Undecided:
    """The epoch stays open: too few stores answered, or votes are split and a store is silent."""

    reason: str


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
    closing = begin_closing(regions, birth_bytes, identity, host)
    try:
        written = await written_down(closing)
        if written is None:
            decided = decide_close(await _votes(closing), closing.count)
            if decided is None:
                await _bring_birth(closing)
                proposal = await _propose(closing)
                await _keep_everywhere(
                    closing, layout.vote_key(closing.node, closing.epoch), _vote(closing, proposal)
                )
                decided = decide_close(await _votes(closing), closing.count)
            if decided is None:
                return Undecided("the votes are split and not every store voted")
            # For sure now: what a person declared lies in W regions.
            written = await written_down(closing, for_sure=True)
            if written is None and decide_close(await _votes(closing), closing.count) != decided:
                return Undecided("a vote that decided is lost since")
            end = statements.parse_text(decided[1], Vote).end
            written = written or closed_note(closing, end, why)
        return await _write_down(closing, written)
    except StoppedError as stopped:
        return Undecided(str(stopped))


def begin_closing(regions: Regions, birth_bytes: bytes, identity: Identity, host: Host) -> Closing:
    """An attempt over the stores that the birth names and that are there. Raises ProofError."""
    birth = statements.verify_birth(birth_bytes, regions.trail)
    named = dict(birth.statement.regions)
    known = tuple(region for region in regions if region.store_uuid)
    stores = tuple(region for region in known if named.get(region.id) == region.store_uuid)
    later = tuple(region for region in known if region not in stores)
    return Closing(regions.trail, birth, birth_bytes, stores, later, identity, host)


async def _keep_everywhere(
    closing: Closing, key: str, data: bytes
) -> Mapping[str, Stored | Differs | Unknown]:
    outcomes = await asyncio.gather(
        *(while_there(closing, store, lambda s: s.keep(key, data)) for store in closing.stores)
    )
    return {store.id: outcome for store, outcome in zip(closing.stores, outcomes, strict=True)}


async def _bring_birth(closing: Closing) -> None:
    """Step 1. Two births of one epoch may exist; only one that W stores hold ever counted, and only
    its process sealed anything: so the run is the same, whichever of them a closer has."""
    key = layout.birth_key(closing.node, closing.epoch)
    outcomes = (await _keep_everywhere(closing, key, closing.birth_bytes)).values()
    if sum(isinstance(o, Stored) for o in outcomes) >= closing.quorum:
        return
    others = sum(isinstance(o, Differs) for o in outcomes) + len(closing.replaced)
    if others > closing.count - closing.quorum:
        return  # these bytes can never lie in W stores any more
    raise StoppedError("the birth of the epoch could not be brought to a quorum of its stores")


async def _propose(closing: Closing) -> LedgerEnd:
    """Steps 2 to 5: fence, list, take the run, complete it."""
    run, listed = await find_run(closing)
    if why := run.why_short(run.end):
        raise StoppedError(why)
    await complete(closing, run, listed)
    return run.end


async def find_run(closing: Closing) -> tuple[Run, Listed]:
    """Steps 2 to 4, and what each store that was fenced lists."""
    fence = fence_of(closing.birth.origin, closing.epoch, closing.identity, closing.host)
    found = await asyncio.gather(*(list_fenced(closing, store, fence) for store in closing.stores))
    shown = {
        store.id: held
        for store, held in zip(closing.stores, found, strict=True)
        if not isinstance(held, Unknown)
    }
    if len(shown) < closing.needed:
        raise StoppedError(
            f"{len(shown)} of the {closing.needed} stores that must be fenced and listed answered"
        )
    listed = await with_swept(closing, shown)
    return await valid_run(closing, listed), listed


def fence_of(origin: str, epoch: int, identity: Identity, host: Host) -> bytes:
    """The closer's own statement that the epoch of that ledger is over. The first one stays."""
    return signing.write(
        Fence(
            epoch=epoch,
            by=identity.node,
            fenced_us=host.now_us(),
            certificate=identity.certificate,
        ),
        origin,
        identity.key,
    )


async def complete(closing: Closing, run: Run, listed: Listed) -> None:
    """Step 5: no vote before all of the run lies in W stores, or the close could name a hole.

    What a checkpoint covers was acknowledged: where it is listed, it is durable. Of the rest a
    listing tells less, since a directory shows a name before its fsync: putting it again syncs it.
    What is archived was in W stores before, and each store's archive is its own business.
    """
    at_once = asyncio.Semaphore(COPIES_AT_ONCE)

    async def bring(name: SegmentName) -> bool:
        async with at_once:
            try:
                data = await intact_bytes(closing, name, listed)
            except StoppedError:
                if run.is_lost(name.index):
                    return True
                raise
            key = layout.segment_key(closing.node, name)
            outcomes = await _keep_everywhere(closing, key, data)
            return sum(isinstance(o, Stored) for o in outcomes.values()) >= closing.quorum

    lacking = [
        name
        for at, name in enumerate(run.names)
        if not listed.is_archived(name.index)
        and (at >= run.vouched or listed.count(name) < closing.quorum)
    ]
    brought = await asyncio.gather(*(bring(name) for name in lacking))
    if not all(brought):
        raise StoppedError("a segment of the epoch could not be brought to a quorum of its stores")


def _vote(closing: Closing, end: LedgerEnd) -> bytes:
    return signing.write(
        Vote(epoch=closing.epoch, end=end), closing.birth.origin, closing.identity.key
    )


async def _votes(closing: Closing) -> list[tuple[int, str]]:
    """The votes cast so far, one a store: (size, text)."""
    ballots = (await read_ballots(closing)).values()
    return [ballot for ballot in ballots if isinstance(ballot, tuple)]


async def read_ballots(closing: Closing) -> Mapping[str, tuple[int, str] | Absent | Unknown]:
    """Each store's vote as (size, text), by region.

    Votes are equal when their texts are; who cast them is no part of that, but it must have been a
    node of this trail. What lies in the place of a store that is gone is no vote of it, and votes
    decide together only if they all were there at once.
    """
    found = await read_all(closing, layout.vote_key(closing.node, closing.epoch))
    return {
        id: await _ballot(closing, answer.data) if isinstance(answer, Present) else answer
        for id, answer in found.items()
    }


async def _ballot(closing: Closing, data: bytes) -> tuple[int, str] | Unknown:
    """The vote in these bytes. One that does not verify, as far as is known now, is unknown."""
    try:
        voters = await _voters(closing, statements.read(data, Vote).note)
        vote = statements.verify(data, Vote, *voters)
    except ProofError as error:
        return Unknown(f"its vote cannot be verified: {error}")
    if vote.origin != closing.birth.origin or vote.statement.epoch != closing.epoch:
        return Unknown("the vote that lies there is that of another epoch")
    return vote.statement.end.size, vote.text


async def _voters(closing: Closing, signed: Note) -> list[VerifierKey]:
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
        listing = await store.list(layout.epochs_prefix(node))
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


def closed_note(closing: Closing, end: LedgerEnd, why: str) -> bytes:
    """The decision, in the closer's name."""
    return signing.write(
        Closed(
            epoch=closing.epoch,
            end=end,
            by=closing.identity.node,
            why=why,
            closed_us=closing.host.now_us(),
            certificate=closing.identity.certificate,
        ),
        closing.birth.origin,
        closing.identity.key,
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What the stores that the birth names say of a decision.

    note: one that was seen, verified, in those or in later ones; None: none was. unread: regions
    whose stores may hold one all the same, and why that is not known.
    """

    note: bytes | None
    unread: Mapping[RegionId, str]


async def read_decision(closing: Closing) -> Written:
    """Look for a decision that somebody wrote down. What does not verify is unknown, never none."""
    key = layout.closed_key(closing.node, closing.epoch)
    unread = {id: NOT_THERE for id, _ in closing.birth.statement.regions}
    note = None
    answers = await read_all(closing, key)
    for id, answer in answers.items():
        if isinstance(answer, Unknown):
            unread[id] = answer.reason
        elif isinstance(answer, Absent):
            del unread[id]
        elif _end_in(answer.data, closing) is None:
            unread[id] = "the one that lies there is corrupt"
        else:
            del unread[id]
            note = note or answer.data
    for store in closing.later if note is None else ():
        answer = await store.read(key)
        if isinstance(answer, Present) and _end_in(answer.data, closing) is not None:
            note = answer.data
    return Written(note, unread)


async def written_down(closing: Closing, *, for_sure: bool = False) -> bytes | None:
    """A decision that somebody wrote down, verified.

    for_sure: raise StoppedError where a person's may lie in W regions and have been seen in none.
    Of one store there is no such: a person declares without a store, and lists R all the same.
    """
    found = await read_decision(closing)
    may_lie = closing.count > 1 and len(found.unread) >= closing.quorum
    if for_sure and found.note is None and may_lie:
        raise StoppedError("too few stores could say whether the close is written down already")
    return found.note


async def _write_down(closing: Closing, closed: bytes) -> LedgerEnd:
    """Step 7. Another closer's note of the same decision counts as well as ours; so does a corrupt
    one, which nobody takes for none. What a person declared lies in W regions, but not always in W
    of the stores that the birth names: too few of these may be left."""
    said = statements.verify_by_certificate(closed, Closed, closing.trail).statement
    end, is_declared = said.end, said.by == closing.trail
    key = layout.closed_key(closing.node, closing.epoch)
    outcomes = await _keep_everywhere(closing, key, closed)
    for outcome in outcomes.values():
        if isinstance(outcome, Differs) and _end_in(outcome.data, closing) not in (None, end):
            raise StoppedError("another end of the epoch is written down in a store")
    kept = sum(not isinstance(o, Unknown) for o in outcomes.values())
    if kept < closing.quorum and not is_declared:
        raise StoppedError("the close is decided but could not be written down in a quorum")
    return end


def _end_in(data: bytes, closing: Closing) -> LedgerEnd | None:
    """Where a close says that this epoch ends; None: the bytes are none of it."""
    try:
        closed = statements.verify_by_certificate(data, Closed, closing.trail)
    except ProofError:
        return None
    is_ours = closed.origin == closing.birth.origin and closed.statement.epoch == closing.epoch
    return closed.statement.end if is_ours else None
