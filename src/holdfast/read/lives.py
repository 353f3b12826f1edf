"""How each node's ledger went: its epochs in time, and how far what it says reaches. Pure.

For whoever looks at a trail; what follows from it for the watermark is `watermark`'s to say.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.proof import ProofError, statements
from holdfast.proof.statements import Closed
from holdfast.read.watermark import Ledger, Run
from holdfast.regions import layout
from holdfast.regions.layout import EpochKey


class EpochLife(Struct, frozen=True, order=True):
    """One epoch. ended_us: when its end was decided, None while it is not, or not known when;
    why: in one word of whoever closed it."""

    number: int
    started_us: int
    ended_us: int | None = None
    why: str = ""


class Life(Struct, frozen=True, kw_only=True):
    """One node, by what regions showed. epochs: in their order.

    promise_us: its last epoch is acknowledged through then, of what was promised and is held; None:
    nothing is promised. size: segments of its ledger without a hole, held: those that searches see;
    events: as many lie before `size`. pending: segments seen beyond it. is_closed: its last epoch
    has ended, and all of it is held.
    """

    node: NodeId
    epochs: tuple[EpochLife, ...]
    promise_us: int | None
    size: int
    held: int
    events: int
    pending: int
    is_closed: bool


def lives_of(
    ledgers: Iterable[Ledger], runs: Iterable[Run], notes: Iterable[tuple[str, str, bytes]]
) -> tuple[Life, ...]:
    """Each node that any region showed, by its id.

    Args:
        runs: as they were judged last; a node without one is not judged yet.
        notes: the statements that were kept, as (region, key, bytes).
    """
    judged = {run.node: run for run in runs}
    ends = _ends(notes)
    lives = [_life(each, judged.get(each.node), ends) for each in ledgers]
    return tuple(sorted(lives, key=lambda life: life.node))


def _life(ledger: Ledger, run: Run | None, ends: dict[tuple[NodeId, int], Closed]) -> Life:
    starts: dict[int, int] = {}
    for birth in ledger.births:
        starts[birth.epoch] = min(birth.started_us, starts.get(birth.epoch, birth.started_us))
    epochs = tuple(_epoch(ledger.node, number, starts, ends) for number in sorted(starts))
    return Life(
        node=ledger.node,
        epochs=epochs,
        promise_us=_promise(ledger, run, epochs),
        size=run.sighted.size if run else ledger.settled.size,
        held=run.held.size if run else ledger.settled.size,
        events=run.sighted.first if run else ledger.settled.first,
        pending=run.pending if run else 0,
        is_closed=run is not None and run.infinite,
    )


def _epoch(
    node: NodeId, number: int, starts: dict[int, int], ends: dict[tuple[NodeId, int], Closed]
) -> EpochLife:
    """An epoch whose end is told by the next birth alone ended by then."""
    end = ends.get((node, number))
    later = starts.get(number + 1)
    return EpochLife(
        number,
        starts[number],
        ended_us=end.closed_us if end else later,
        why=end.why if end else "",
    )


def _promise(ledger: Ledger, run: Run | None, epochs: Sequence[EpochLife]) -> int | None:
    if not epochs or run is None:
        return None
    last = epochs[-1]
    kept = [
        promise.time_us
        for promise in ledger.promises
        if promise.epoch == last.number and promise.size <= run.held.size
    ]
    return max(kept, default=last.started_us)


def _ends(notes: Iterable[tuple[str, str, bytes]]) -> dict[tuple[NodeId, int], Closed]:
    ends: dict[tuple[NodeId, int], Closed] = {}
    for _, key, data in notes:
        place = layout.known_key(key)
        if isinstance(place, EpochKey) and place.kind == "closed":
            with suppress(ProofError):  # it was verified when it was kept
                ends[place.node, place.epoch] = statements.read(data, Closed).statement
    return ends
