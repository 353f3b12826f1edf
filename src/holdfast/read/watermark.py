"""The watermark: the time through which everything that was acknowledged is known. Pure.

A pass lists, each step ending in every region before the next begins: heartbeats, births and
closes, segments, cookies. What it saw, together with what earlier passes saw, is a `View`; `judge`
says what follows. Why each rule is there (every one has a counter-example when it is left out):

- *R usable regions.* Whatever was acknowledged lies in W of N, so R = N - W + 1 regions show it,
  of every set that the settings name. With fewer nothing follows: T freezes. A region counts only
  if its listing finished, and its cookie, read after the listing, is the right one; not while it is
  suspect, and not with a store that came later until that was found whole. Of an epoch that is open
  R of just those stores count that its birth names: what a lost store counted, only they show.
- *The run.* A node's segments, from 0, one after the other without a hole, each epoch's only inside
  [base, close). A segment at or beyond its epoch's decided close was never acknowledged: an orphan.
  The next birth's base tells the close as well as `closed.note` does, because only one of the two
  may have been seen. One sighting of a segment anywhere is enough, and is never forgotten.
- *Promises of the last epoch born only.* A fenced instance may go on promising, by a clock that
  says nothing about its successor. Until the last epoch promised anything, the start time that its
  birth states takes the place of a promise, with its base as the size.
- *A promise counts once its size lies within the run*, and the run counts as far as its bytes are
  held: what a search cannot find is not known.
- *Start of the pass - Δ.* A birth may land in a region just after it was listed; then its events'
  `received` lie above what the reader's clock said when the pass began, less both clocks' errors.
- *Never less than before*, and frozen at a hole: an index that must exist and was seen nowhere.
- *A declared gap fills the run*: what the trail's key states to be lost is not waited for, and is
  named under every answer. It hides nothing: a segment of it that is held is in the run as ever. At
  which event the ledger goes on behind it, the next segment says, or the decided end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct, structs

from holdfast.model import Basis, Completeness, Gap, Holding, HoldingKind, NodeId
from holdfast.read import shown
from holdfast.regions.sets import RegionSet, lacking_sight


class End(Struct, frozen=True, order=True):
    """A place in a ledger: so many segments, with so many events, lie before it."""

    size: int = 0
    first: int = 0


class Born(Struct, frozen=True):
    """A verified birth. needed: how many of `stores` show all that the epoch acknowledged."""

    epoch: int
    started_us: int
    base: End
    needed: int
    stores: tuple[str, ...]


class Promise(Struct, frozen=True, order=True):
    """From a verified heartbeat: every event beyond `size` segments is received after `time_us`."""

    epoch: int
    time_us: int
    size: int


class Trouble(Struct, frozen=True):
    """Why a segment's bytes are not to be had. lasting: every region was asked and answered."""

    reason: str
    lasting: bool


class Sighting(Struct, frozen=True):
    """A segment's name, seen in some region. held: its bytes were verified, and searches see it.

    trouble: what came of trying to read them, if they are not held.
    """

    name: str
    index: int
    epoch: int
    first: int
    count: int
    held: bool
    trouble: Trouble | None = None


class Ledger(Struct, frozen=True, kw_only=True):
    """All that is known of one node; every statement verified.

    closes: (epoch, end) of each closed.note seen. unverified: (epoch, why) of births that were
    listed, or follow from what was listed, and could not be read and verified.
    gaps: as declared. found: indexes in them that regions show again, and searches see.
    settled: everything before it is final, and held or declared lost; `segments` are those from
    there on, any order.
    settled_epoch: the epoch of the last settled segment, 0 while there is none. partial: more is
    there to be listed, so that what was not seen is not missing.
    """

    node: NodeId
    births: tuple[Born, ...] = ()
    closes: tuple[tuple[int, End], ...] = ()
    promises: tuple[Promise, ...] = ()
    unverified: tuple[tuple[int, str], ...] = ()
    gaps: tuple[Gap, ...] = ()
    found: tuple[int, ...] = ()
    settled: End = End()
    settled_epoch: int = 0
    partial: bool = False
    segments: tuple[Sighting, ...] = ()


class Looked(Struct, frozen=True):
    """What became of a region in this pass. unusable: why it does not count, "" when it does."""

    region: str
    store: str
    from_us: int
    to_us: int
    unusable: str = ""


class View(Struct, frozen=True, kw_only=True):
    """One pass, and what is known from before.

    started_us: the clock when the pass began, None when no clock can be trusted (`clock` says why).
    now_us: the own clock, for the `since` of what is new. sets: those that the settings name, the
    one that is written to first.
    """

    started_us: int | None
    now_us: int
    clock_error_us: int
    sets: tuple[RegionSet, ...]
    regions: tuple[Looked, ...]
    ledgers: tuple[Ledger, ...]
    clock: str = ""


class Run(Struct, frozen=True):
    """How far a node's ledger is known.

    sighted: names without a hole. held: the same, of what searches see. settled: final as well;
    settled_epoch: the epoch of the last segment before it. Declared gaps are no holes.
    pending: segments seen beyond the run; they prove nothing yet. infinite: the last epoch is
    closed and held. alarm: what contradicts itself or is missing, for a person; "" if nothing is.
    """

    node: NodeId
    sighted: End
    held: End
    settled: End
    pending: int
    infinite: bool
    alarm: str = ""
    settled_epoch: int = 0


class Orphan(Struct, frozen=True, order=True):
    """A segment beyond its epoch's decided close: never acknowledged, not in the trail."""

    node: NodeId
    name: str


class Judgement(Struct, frozen=True):
    """What follows from a view. since: (node, kind of reason) -> when it was first so."""

    complete_through_us: int | None = None
    basis: tuple[Basis, ...] = ()
    holding_back: tuple[Holding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    runs: tuple[Run, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    since: tuple[tuple[tuple[NodeId, str], int], ...] = ()

    def statement(self) -> Completeness:
        """The statement under an answer."""
        return Completeness(self.complete_through_us, self.basis, self.holding_back, self.gaps)


ALARMING: frozenset[HoldingKind] = frozenset({"conflict", "hole", "unreadable"})
UNHELD: frozenset[HoldingKind] = frozenset({"fetch", "unreadable"})  # the run ends before it


class _Hold(Struct, frozen=True):
    """A reason that keeps T where it is. kind: stable, so that its age is known."""

    node: NodeId
    kind: HoldingKind
    reason: str
    since_us: int | None = None


class _Verdict(Struct, frozen=True):
    """What one node allows. bound_us: T_n, None: no statement yet."""

    run: Run
    bound_us: int | None
    freezes: bool
    holds: tuple[_Hold, ...]
    orphans: tuple[Orphan, ...]

    def lags(self, top: int) -> bool:
        """Whether it allows less than the pass does."""
        return not self.run.infinite and (self.bound_us is None or self.bound_us < top)

    def matters(self, top: int) -> bool:
        """Whether what it waits for is to be told: it holds T, or will and does not go away."""
        return self.freezes or self.lags(top) or bool(self.run.alarm)


def judge(view: View, previous: Judgement) -> Judgement:
    """Say through which time everything is known, on what that rests, and what holds it back.

    Args:
        view: this pass, joined with all that was seen before.
        previous: the last judgement over the same catalog; a fresh `Judgement()` at first.
    Returns:
        The new judgement. Its `runs` and `orphans` are to be carried into the next view.
    """
    usable = [look for look in view.regions if not look.unusable]
    stores = {look.store for look in usable}
    enough = lacking_sight(view.sets, [look.region for look in usable]) is None
    verdicts = [_judge_node(ledger, stores, enough) for ledger in view.ledgers]
    frozen = _region_holds(view, usable)
    holds = list(frozen)
    through = previous.complete_through_us
    if view.started_us is None:
        holds += [hold for verdict in verdicts for hold in verdict.holds]
    else:
        top = view.started_us - view.clock_error_us
        holds += [hold for one in verdicts if one.matters(top) for hold in one.holds]
        holds += _silent_nodes(verdicts, top)
        bounds = [verdict.bound_us for verdict in verdicts if not verdict.run.infinite]
        known = [bound for bound in bounds if bound is not None]
        stuck = frozen or any(verdict.freezes for verdict in verdicts) or len(known) < len(bounds)
        if not stuck:
            now = min([top, *known])
            through = now if through is None else max(through, now)
    since = _ages(holds, dict(previous.since), view.now_us)
    return Judgement(
        complete_through_us=through,
        basis=tuple(Basis(look.region, look.from_us, look.to_us) for look in usable),
        holding_back=tuple(
            Holding(hold.node, hold.kind, hold.reason, since[hold.node, hold.kind])
            for hold in holds
        ),
        gaps=missing(view.ledgers),
        runs=tuple(verdict.run for verdict in verdicts),
        orphans=tuple(orphan for verdict in verdicts for orphan in verdict.orphans),
        since=tuple(since.items()),
    )


def missing(ledgers: Iterable[Ledger]) -> tuple[Gap, ...]:
    """What of the declared gaps is still missing."""
    return tuple(
        structs.replace(gap, start=start, end=end)
        for ledger in ledgers
        for gap in ledger.gaps
        for start, end in shown.minus(((gap.start, gap.end),), shown.of_indexes(ledger.found))
    )


def _ages(
    holds: Iterable[_Hold], was: Mapping[tuple[NodeId, str], int], now_us: int
) -> dict[tuple[NodeId, str], int]:
    """Since when each reason holds: as it says itself, else since it was first given."""
    ages: dict[tuple[NodeId, str], int] = {}
    for hold in holds:
        key = (hold.node, hold.kind)
        ages[key] = was.get(key, now_us) if hold.since_us is None else hold.since_us
    return ages


def _region_holds(view: View, usable: Sequence[Looked]) -> list[_Hold]:
    """Reasons that concern no single node: too few regions, no clock to trust."""
    holds = []
    ids = [look.region for look in usable]
    if lacking := lacking_sight(view.sets, ids):
        why = "; ".join(f"{look.region}: {look.unusable}" for look in view.regions if look.unusable)
        count, of_which = lacking.count(ids), ""
        if lacking != view.sets[0]:
            of_which = f" of the earlier set {', '.join(sorted(lacking.ids))}"
        reason = (
            f"{count} of the {lacking.needed} regions that are needed{of_which} could be listed"
        )
        holds.append(_Hold("", "regions", f"{reason} ({why})" if why else reason))
    if view.started_us is None:
        holds.append(_Hold("", "clock", view.clock or "no clock can be trusted"))
    return holds


def _silent_nodes(verdicts: Iterable[_Verdict], top: int) -> list[_Hold]:
    """Nodes whose promise is older than the pass allows, and that have no better reason."""
    return [
        _Hold(
            verdict.run.node,
            "silent",
            "it has promised nothing newer, and its last epoch is not closed",
            verdict.bound_us,
        )
        for verdict in verdicts
        if not verdict.holds and verdict.lags(top) and verdict.bound_us is not None
    ]


class _Walk:
    """One walk along a node's ledger, from what is settled to where its run ends."""

    def __init__(self, ledger: Ledger, closes: Mapping[int, End]) -> None:
        self.problem = ""
        self._closes = closes
        self._gaps = [(gap.start, gap.end) for gap in ledger.gaps]
        # Behind a gap the position is only known to be this or more.
        self._is_loose = self._is_lost(ledger.settled.size - 1)
        self.epoch = 1
        self.end = ledger.settled
        self.held = ledger.settled
        self.held_epoch = 1
        self.path = [ledger.settled]  # every end of the held run, from the settled one on
        self.stopped: Sighting | None = None  # the first segment of the run that is not held
        self._pass_closed_epochs()
        self.held_epoch = self.epoch
        self._go(_by_place(ledger.segments))

    def _go(self, places: Mapping[tuple[int, int], Sequence[Sighting]]) -> None:
        unbroken = True
        while not self.problem:
            found = places.get((self.epoch, self.end.size), ())
            if self._is_lost(self.end.size) and not any(segment.held for segment in found):
                self._step(End(self.end.size + 1, self.end.first + 1), True, unbroken)
                continue
            if not found:
                return
            if len(found) > 1:
                self.problem = f"two segments claim index {self.end.size} in epoch {self.epoch}"
                return
            segment = found[0]
            if segment.first < self.end.first or (
                segment.first > self.end.first and not self._is_loose
            ):
                self.problem = (
                    f"segment {segment.index} begins at event {segment.first}, "
                    f"the ones before it end at {self.end.first}"
                )
                return
            if unbroken and not segment.held:
                unbroken, self.stopped = False, segment
            self._step(End(self.end.size + 1, segment.first + segment.count), False, unbroken)

    def _step(self, end: End, is_loose: bool, unbroken: bool) -> None:
        self.end, self._is_loose = end, is_loose
        self._pass_closed_epochs()
        if unbroken:
            self.held, self.held_epoch = self.end, self.epoch
            self.path.append(self.end)

    def _is_lost(self, index: int) -> bool:
        return any(start <= index < end for start, end in self._gaps)

    def _pass_closed_epochs(self) -> None:
        """Move on to the epoch that holds the next index, checking each close that is crossed."""
        while (close := self._closes.get(self.epoch)) is not None and close.size <= self.end.size:
            if self._is_loose and close.size == self.end.size and close.first > self.end.first:
                self.end, self._is_loose = End(close.size, close.first), False
            if close.size == self.end.size and close.first != self.end.first:
                self.problem = (
                    f"epoch {self.epoch} was closed at event {close.first}, "
                    f"its segments end at {self.end.first}"
                )
                return
            self.epoch += 1


def _judge_node(ledger: Ledger, stores: set[str], enough: bool) -> _Verdict:
    closes, problem = _closes(ledger)
    final = closes.get(ledger.settled_epoch)
    if final is not None and final.size < ledger.settled.size:
        problem = f"epoch {ledger.settled_epoch} was closed before what it had promised to be final"
    last = max((birth.epoch for birth in ledger.births), default=0)
    walk = _Walk(ledger, closes)
    problem = problem or walk.problem
    ends = [birth.base for birth in ledger.births if birth.epoch == last]
    started = min((b.started_us for b in ledger.births if b.epoch == last), default=None)
    promises = [promise for promise in ledger.promises if promise.epoch == last]
    if started is not None:
        promises += [Promise(last, started, end.size) for end in ends]
    owed = max([promise.size for promise in promises] + [end.size for end in closes.values()] + [0])
    settled = _settle(walk, ledger.promises, closes)
    holds = tuple(_node_holds(ledger, stores, walk, problem, owed if enough else 0))
    orphans = () if problem else tuple(_orphans(ledger, closes))
    outside = {orphan.name for orphan in orphans}
    run = Run(
        node=ledger.node,
        sighted=walk.end,
        held=walk.held,
        settled=settled,
        pending=sum(s.index >= walk.end.size and s.name not in outside for s in ledger.segments),
        infinite=walk.held_epoch > last > 0,
        settled_epoch=_epoch_before(settled.size, closes),
        alarm=next((hold.reason for hold in holds if hold.kind in ALARMING), ""),
    )
    reached = [p for p in promises if p.size <= walk.held.size and p.epoch <= walk.held_epoch]
    return _Verdict(
        run=run,
        bound_us=max((promise.time_us for promise in reached), default=None),
        freezes=any(hold.kind not in UNHELD for hold in holds),
        holds=holds,
        orphans=orphans,
    )


def _closes(ledger: Ledger) -> tuple[dict[int, End], str]:
    """Where each epoch ends: by its closed.note, or by the base of the next birth."""
    told: dict[int, set[End]] = {}
    for epoch, end in ledger.closes:
        told.setdefault(epoch, set()).add(end)
    for birth in ledger.births:
        told.setdefault(birth.epoch - 1, set()).add(birth.base)
    problem = ""
    if told.pop(0, {End()}) != {End()}:
        problem = "its first epoch is said to begin behind earlier segments"
    twice = sorted(epoch for epoch, ends in told.items() if len(ends) > 1)
    if twice:
        problem = f"epoch {twice[0]} is said to end at two different places"
    closes = {epoch: min(ends) for epoch, ends in told.items()}
    order = [closes[epoch] for epoch in sorted(closes)]
    if any(after < before for before, after in pairwise(order)):
        problem = problem or "a later epoch is said to end before an earlier one"
    return closes, problem


def _node_holds(
    ledger: Ledger, stores: set[str], walk: _Walk, problem: str, owed: int
) -> Iterator[_Hold]:
    node = ledger.node
    last = max((birth.epoch for birth in ledger.births), default=0)
    if problem:
        yield _Hold(node, "conflict", problem)
    for epoch, why in ledger.unverified:
        if epoch > last:
            yield _Hold(node, "birth", f"the birth of its epoch {epoch} is not known: {why}")
    if walk.stopped is not None:
        yield _why_not_held(node, walk.stopped)
    if walk.epoch > last > 0:
        return  # closed and whole: nothing can come, whatever else is missing
    if walk.end.size < owed and not problem and not ledger.partial:
        yield _Hold(
            node, "hole", f"segment {walk.end.size} of {owed} is in none of the regions listed"
        )
    elif walk.epoch < last:
        yield _Hold(node, "close", f"where its epoch {walk.epoch} ended is not known")
    elif ledger.partial and walk.stopped is None:
        yield _Hold(node, "fetch", f"segments from {walk.held.size} on are being listed")
    for birth in ledger.births:
        seen = sum(store in stores for store in birth.stores)
        if birth.epoch == last and seen < birth.needed:
            yield _Hold(
                node,
                "settings",
                f"its epoch {last} needs {birth.needed} of its {len(birth.stores)} stores to be "
                f"listed, {seen} were",
            )


def _why_not_held(node: NodeId, segment: Sighting) -> _Hold:
    trouble = segment.trouble
    if trouble is None:
        return _Hold(node, "fetch", f"segments from {segment.index} on are being read")
    reason = f"segment {segment.index} cannot be read: {trouble.reason}"
    return _Hold(node, "unreadable" if trouble.lasting else "fetch", reason)


def _settle(walk: _Walk, promises: Iterable[Promise], closes: Mapping[int, End]) -> End:
    """Where the ledger is final: held, and below a promise or a close, thus never an orphan.

    Only those of epochs that the walk has reached: where an earlier epoch ends is not known else,
    and the segments beyond that end look like the run.
    """
    sizes = [promise.size for promise in promises if promise.epoch <= walk.held_epoch]
    sizes += [end.size for epoch, end in closes.items() if epoch <= walk.held_epoch]
    settled, path = walk.path[0], walk.path
    return path[max(0, min(max(sizes, default=0), path[-1].size) - settled.size)]


def _epoch_before(size: int, closes: Mapping[int, End]) -> int:
    """The epoch that the last of so many segments belongs to; 0 for none."""
    if not size:
        return 0
    return max((epoch for epoch, end in closes.items() if end.size < size), default=0) + 1


def _orphans(ledger: Ledger, closes: Mapping[int, End]) -> Iterator[Orphan]:
    """Segments outside [base, close) of their own epoch."""
    for segment in ledger.segments:
        close, base = closes.get(segment.epoch), closes.get(segment.epoch - 1)
        beyond = close is not None and segment.index >= close.size
        before = base is not None and segment.index < base.size
        if beyond or before:
            yield Orphan(ledger.node, segment.name)


def _by_place(segments: Iterable[Sighting]) -> dict[tuple[int, int], list[Sighting]]:
    places: dict[tuple[int, int], list[Sighting]] = {}
    for segment in segments:
        places.setdefault((segment.epoch, segment.index), []).append(segment)
    return places
