"""Stating that a node writes no more: its epoch is ended, then the end is signed by the trail.

    close its last epoch -> put `retired.note` in a quorum -> look for its births once more

A node that is alive is fenced by the first step and begins its next epoch within seconds. It looks
for the note after each birth and before it accepts anything, and here births are looked for after
the note is in a quorum: either it sees the note, or its birth is seen here, and that epoch is ended
and stated as well. Dying anywhere leaves a closed epoch or a statement; the same command goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.keep.declare import declare
from holdfast.keep.roster import Member, look_for_nodes
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import MismatchError, names, statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.read.growth import Growth, NotShown
from holdfast.regions import Regions, layout, signing
from holdfast.regions.kinds import Retired
from holdfast.regions.port import RegionId
from holdfast.regions.signing import SigningKey
from holdfast.write.closing import Undecided, close_epoch
from holdfast.write.identity import speak_for_trail

ROUNDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants. size: segments that are legitimate; None: all that was acknowledged.

    gone: regions that are gone for good. by, why: for people.
    """

    node: NodeId
    size: int | None
    gone: tuple[RegionId, ...]
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Done:
    """What is stated now. told: as `declare` says. decided: where the last epoch ends."""

    key: str
    retired: Retired
    decided: LedgerEnd
    told: Mapping[RegionId, str]


async def find_member(regions: Regions, wish: Wish) -> Member:
    """The node that is meant, before anything is done.

    Raises:
        RejectedError: there is no such node, or it is retired, and what is wanted now contradicts
            that or is not clear.
        UnavailableError: too few regions could be looked at.
    """
    found = (await look_for_nodes(regions, wish.node)).get(wish.node)
    if found is None:
        raise RejectedError("no-node", Problem(0, "NODE", f"no node {wish.node} was ever born"))
    retired = found.retired
    if retired is None:
        return found
    told, size = f"it is retired already, with {retired.end.size} segments", wish.size
    if retired.epoch == found.epoch and size not in (None, retired.end.size):
        raise RejectedError("no-node", Problem(0, "--at", told))
    if retired.epoch < found.epoch and size is None:
        # Whoever stole the key may have begun it: nothing of it is made legitimate unasked.
        reason = f"{told}, and was born again since: say how many of its segments count"
        raise RejectedError("no-node", Problem(0, "--at", reason))
    return found


async def retire(regions: Regions, trail_key: SigningKey, host: Host, wish: Wish) -> Done:
    """End the node's last epoch and state that it was the last; goes on where it was left.

    Raises:
        UnavailableError: too few regions answer, or the epoch's end cannot be decided.
        CorruptError: another statement lies there, or the names contradict each other.
    """
    member = await find_member(regions, wish)
    for _ in range(ROUNDS_MAX):
        done = await _retire_at(regions, trail_key, host, wish, member)
        member = (await look_for_nodes(regions, wish.node))[wish.node]
        if member.epoch == done.retired.epoch:
            return done
    raise UnavailableError(
        f"node {wish.node} was born {ROUNDS_MAX} times meanwhile: stop its process first"
    )


async def _retire_at(
    regions: Regions, trail_key: SigningKey, host: Host, wish: Wish, member: Member
) -> Done:
    person = speak_for_trail(regions.trail, trail_key, host)
    why = f"retired by {wish.by}: {wish.why}"
    decided = await close_epoch(regions, member.birth, person, host, why)
    if isinstance(decided, Undecided):
        raise UnavailableError(f"epoch {member.epoch} is not closed yet: {decided.reason}")
    key, data = layout.retired_key(member.node, member.epoch), member.retired_note
    if not data:
        statement = Retired(
            trail_key=trail_key.public,
            epoch=member.epoch,
            end=await _end(regions, member.node, wish.size, decided),
            by=wish.by,
            why=wish.why,
            retired_us=host.now_us(),
        )
        origin = names.ledger_origin(regions.trail, member.node)
        data = signing.write(statement, origin, trail_key)
    told = await declare(regions, key, data, wish.gone)
    return Done(key, statements.read(data, Retired).statement, decided, told)


async def _end(regions: Regions, node: NodeId, size: int | None, decided: LedgerEnd) -> LedgerEnd:
    """The end that is legitimate. Raises RejectedError: the ledger never had that size."""
    if size is None or size == decided.size:
        return decided
    if size > decided.size:
        reason = f"the ledger ends with {decided.size} segments"
        raise RejectedError("no-node", Problem(0, "--at", reason))
    try:
        found = await Growth(regions).grow(node, size, size)
    except MismatchError as error:
        raise CorruptError(str(error)) from error
    if isinstance(found, NotShown):
        raise UnavailableError(f"where the ledger stood cannot be told: {found.reason}")
    return found.new
