"""Where a person says that an epoch ends, when its votes never decide: stores are gone for good.

The close is an ordinary `closed.note`, in the trail's own name. Only one may ever be written, so
nothing is proposed while the votes decide, or still can: every store that the birth names has voted
or is gone, and votes are never changed. Nor while any store that is left does not say whether a
close lies there: votes may have decided that are lost since, and somebody may have acted on it. The
end is that of the longest run that R fenced stores show, and never below a vote or what the node is
known to have acknowledged.

Where others took the place of so many stores that fewer than R are left, votes never decide, and
the end is that of the run which those show that are left: what was acknowledged beyond it, and is
not known to have been, is lost.

What the stores cannot rule out: a closer that saw the votes decide, and then stood still (its
process, or its last put on the way) while a voter's store was lost and replaced and a person
declared another end. It looks for a decision and reads the votes once more right before it writes,
so it must stand still just after that, and some store must not have had the declared close yet;
put-if-absent then keeps both, each in some store. So declare when every process that could be
closing the epoch has ended or has gone on, and finish a declaration until all regions have it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.ports import Host
from holdfast.proof import statements
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.statements import Closed
from holdfast.regions import Regions, layout
from holdfast.regions.cookie import NOT_THERE
from holdfast.regions.kinds import Vote
from holdfast.regions.port import RegionId, Unknown
from holdfast.regions.signing import SigningKey
from holdfast.write.closing import (
    begin_closing,
    closed_note,
    complete,
    find_run,
    read_ballots,
    read_decision,
)
from holdfast.write.identity import speak_for_trail
from holdfast.write.left import Closing, StoppedError
from holdfast.write.quorum import decide_close

IF_IT_IS_GONE = "If it is gone for good, name it with --region-gone"


@dataclass(frozen=True, slots=True)
class ProposedEnd:
    """An end that may be stated. data: its note. is_new: no region has it yet. votes: size by
    region. unseen: regions whose stores had no say. run_size: segments that were found."""

    key: str
    data: bytes
    end: LedgerEnd
    is_new: bool
    votes: Mapping[RegionId, int]
    unseen: tuple[RegionId, ...]
    run_size: int


async def propose_end(
    regions: Regions,
    birth: bytes,
    trail_key: SigningKey,
    host: Host,
    gone: Collection[RegionId],
    why: str,
) -> ProposedEnd:
    """Find out whether the epoch may be ended by a person, and where. Nothing is stated.

    Fences are put again, where votes lie already. Where the close is declared already, that
    statement is the one to go on with.

    Args:
        birth: `birth.note` of the epoch.
        gone: Regions that are gone for good. why: for people.
    Raises:
        RejectedError: it is decided, or will be without a person; says why.
        UnavailableError: too little answers to know.
        ProofError: the birth does not verify.
    """
    person = speak_for_trail(regions.trail, trail_key, host)
    closing = begin_closing(regions, birth, person, host)
    key = layout.closed_key(closing.node, closing.epoch)
    try:
        written = (await read_decision(closing)).note
        if written is not None:
            return _go_on(closing, key, written)
        closing = replace(closing, forgone=_forgone(closing))
        votes = await _split_votes(closing, gone)
        run, listed = await find_run(closing)
        ends = [statements.parse_text(text, Vote).end for _, text in votes.values()]
        end = max([run.end, *ends], key=lambda each: each.size)
        if short := run.why_short(end):
            raise UnavailableError(f"{short}. State the gap first: holdfast gap declare")
        if not closing.forgone:  # else keepers bring the run to the stores that came later
            await complete(closing, run, listed)
        # After the votes: whoever decided by one that is lost since may have written it down since.
        written = await _decided_anywhere(closing, gone)
        if written is not None:
            return _go_on(closing, key, written)
    except StoppedError as stopped:
        raise UnavailableError(str(stopped)) from None
    unseen = tuple(sorted({id for id, _ in closing.birth.statement.regions} - set(votes)))
    told = f"{why} (declared; without {', '.join(unseen)})"
    return ProposedEnd(
        key=key,
        data=closed_note(closing, end, told),
        end=end,
        is_new=True,
        votes={id: size for id, (size, _) in votes.items()},
        unseen=unseen,
        run_size=run.end.size,
    )


def _rejected(option: str, reason: str) -> RejectedError:
    return RejectedError("no-close", Problem(0, option, reason))


def _go_on(closing: Closing, key: str, written: bytes) -> ProposedEnd:
    """The close that was declared before, and perhaps not put everywhere."""
    closed = statements.verify_by_certificate(written, Closed, closing.trail).statement
    if closed.by != closing.trail:
        raise _rejected("--epoch", f"it is decided already: it ends at {closed.end.size} segments")
    return ProposedEnd(key, written, closed.end, False, {}, (), closed.end.size)


def _forgone(closing: Closing) -> int:
    """How many of the R stores that must be asked were replaced; at least one must be left."""
    left = closing.count - len(closing.replaced)
    return max(0, closing.needed - left) if left else 0


async def _split_votes(
    closing: Closing, gone: Collection[RegionId]
) -> Mapping[RegionId, tuple[int, str]]:
    """The votes, once it is sure that they never decide."""
    ballots = await read_ballots(closing)
    votes = {id: ballot for id, ballot in ballots.items() if isinstance(ballot, tuple)}
    for id, _ in closing.birth.statement.regions:
        replaced = id in closing.replaced
        answers = replaced or not isinstance(ballots.get(id, Unknown("")), Unknown)
        if id in gone and answers:
            raise _rejected("--region-gone", f"{id} is not gone: it answers")
        if id in votes or id in gone or replaced or (answers and closing.forgone):
            continue
        if answers:
            raise _rejected(
                "--epoch",
                f"region {id} has not voted and still can: let a server run, then see; and first "
                "replace the regions that are gone for good",
            )
        why = getattr(ballots.get(id), "reason", "") or NOT_THERE
        raise UnavailableError(
            f"region {id} does not say how it voted ({why}), and its vote may decide. "
            f"{IF_IT_IS_GONE}"
        )
    decided = decide_close(list(votes.values()), closing.count)
    if decided is not None:
        raise _rejected(
            "--epoch", f"the votes decide that it ends at {decided[0]} segments: let a server run"
        )
    return votes


async def _decided_anywhere(closing: Closing, gone: Collection[RegionId]) -> bytes | None:
    """A close that is written down in any store: a single reader may have acted on it. Each store
    must say so that is neither gone nor replaced."""
    found = await read_decision(closing)
    for id, why in found.unread.items():
        if found.note is None and id not in gone and id not in closing.replaced:
            raise UnavailableError(
                f"region {id} does not say whether a close is written down there ({why}), and it "
                f"may be decided. {IF_IT_IS_GONE}"
            )
    return found.note
