"""A world of one node and three regions in which a reader may be told lies.

Everything that takes time happens in an order that a seed draws: objects land late or never, clocks
err, a fenced instance promises on, closers and readers work in between. A `Lie` is what invariant
I10 forbids: something at or below a reported time that was not shown then, or that can still go.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.read.watermark import (
    Born,
    End,
    Judgement,
    Ledger,
    Looked,
    Promise,
    Sighting,
    View,
)
from holdfast.regions.sets import RegionSet

Judge = Callable[[View, Judgement], Judgement]

N, W, R = 3, 2, 2
ERROR = 1  # of a clock at a birth, and of a reader's at the start of its pass
DELTA = 2 * ERROR


class Lie(Exception):
    """The statement was not true."""


@dataclass
class Segment:
    epoch: int
    index: int
    first: int
    received: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.index}-{self.epoch}"


@dataclass
class Instance:
    """A process in one epoch; it lives on after it was fenced, until it looks."""

    epoch: int
    base: End
    floor: int
    stated: int
    error: int
    sure: bool = False
    sealed: list[Segment] = field(default_factory=list)
    acked: int = 0
    counted: set[tuple[int, int]] = field(default_factory=set)
    promised: int = 0


@dataclass
class Region:
    objects: set[tuple[str, int, int]] = field(default_factory=set)
    beat: Promise | None = None
    fenced: set[int] = field(default_factory=set)


class World:
    """See the module. `run` makes so many steps, drawn by the seed."""

    def __init__(self, seed: int, judge: Judge) -> None:
        self.draw = random.Random(seed)
        self.judge = judge
        self.t = 0
        self.regions = [Region() for _ in range(N)]
        self.flying: list[tuple[int, tuple[str, int, int] | Promise]] = []
        self.instances: dict[int, Instance] = {}
        self.births: dict[int, Born] = {}
        self.closes: dict[int, tuple[End, int]] = {}
        self.listed: set[int] = set()  # by the closer, fenced before
        self.closer_saw: set[int] = set()
        self.reader = Reader()
        self.reported: int | None = None
        self.trace: list[str] = []

    def run(self, steps: int = 120) -> None:
        busy = [*[self.tick] * 4, *[self.live] * 8, *[self.land] * 7, *[self.read] * 8]
        for _ in range(steps):
            self.draw.choice([self.close, self.close, *busy])()

    def note(self, text: str) -> None:
        self.trace.append(f"{self.t}: {text}")

    def tick(self) -> None:
        self.t += 1

    def land(self) -> None:
        if not self.flying:
            return
        region, what = self.flying.pop(self.draw.randrange(len(self.flying)))
        if self.draw.random() < 0.15:
            return  # never arrives
        if isinstance(what, Promise):
            self.regions[region].beat = what
        else:
            self.regions[region].objects.add(what)
        self.note(f"{what} lands in {region}")

    def send(self, what: tuple[str, int, int] | Promise) -> None:
        self.flying += [(region, what) for region in range(N)]

    def count(self, what: tuple[str, int, int]) -> int:
        return sum(what in region.objects for region in self.regions)

    # -- writing -------------------------------------------------------------------------------

    def live(self) -> None:
        if self.instances:
            known = list(self.instances)
            chosen = self.instances[self.draw.choice([*known, known[-1], known[-1]])]
            self.draw.choice([self.know, self.seal, self.seal, self.look, self.look, self.promise])(
                chosen
            )
        last = max(self.instances, default=0)
        closed = last == 0 or self.count(("closed", last, 0)) >= W
        if closed and self.draw.random() < 0.5:
            end, sealed = self.closes.get(last, (End(), 0))
            error = self.draw.randint(-ERROR, ERROR)
            new = Instance(last + 1, end, sealed, self.t + error, error)
            self.instances[last + 1] = new
            stores = tuple("abc")
            self.births[last + 1] = Born(last + 1, new.stated, end, R, stores)
            self.send(("birth", last + 1, 0))
            self.note(f"birth of {last + 1}, stating {new.stated}, base {end}")

    def clock(self, one: Instance) -> int:
        return self.t + one.error

    def know(self, one: Instance) -> None:
        if one.sure:
            one.error = self.draw.randint(-4, 9)  # a clock may go wrong later
        elif self.count(("birth", one.epoch, 0)) >= W:
            one.sure = True
            one.floor = max(one.floor, one.stated, self.clock(one))
            self.note(f"{one.epoch} may write, above {one.floor}")

    def seal(self, one: Instance) -> None:
        if not one.sure or len(one.sealed) >= 4:
            return
        events = self.draw.randint(1, 2)
        received = max(self.clock(one), one.floor + 1)
        at = one.base.size + len(one.sealed)
        before = one.sealed[-1] if one.sealed else None
        first = before.first + len(before.received) if before else one.base.first
        segment = Segment(one.epoch, at, first, (received,) * events)
        told = self.reported
        if one.epoch not in self.closes and told is not None and received <= told:
            raise Lie(f"received {received}, {told} was reported")
        one.floor = received
        one.sealed.append(segment)
        self.send(("segment", one.epoch, at))
        self.note(f"{one.epoch} seals {at}, received {received}")

    def look(self, one: Instance) -> None:
        """Count what lies in a region without a fence; acknowledge in order."""
        at = self.draw.randrange(N)
        region = self.regions[at]
        if one.epoch in region.fenced:
            one.sure = one.sure and self.draw.random() < 0.8  # some day it finds out
            return
        for segment in one.sealed:
            if ("segment", one.epoch, segment.index) in region.objects:
                one.counted.add((segment.index, at))
        while one.acked < len(one.sealed):
            index = one.sealed[one.acked].index
            if sum(counted == index for counted, _ in one.counted) < W:
                break
            one.acked += 1
            self.note(f"{one.epoch} acks {index}")

    def promise(self, one: Instance) -> None:
        if not one.sure:
            return
        if one.acked == len(one.sealed):
            one.floor = one.promised = max(self.clock(one), one.floor)
        else:
            oldest = one.sealed[one.acked].received[0]
            one.promised = max(one.promised, min(self.clock(one), oldest - 1))
        self.send(Promise(one.epoch, one.promised, one.base.size + one.acked))
        self.note(f"{one.epoch} promises {one.promised} over {one.base.size + one.acked}")

    def close(self) -> None:
        last = max(self.instances, default=0)
        if last == 0 or last in self.closes or self.count(("birth", last, 0)) < W:
            return
        one = self.instances[last]
        at = self.draw.randrange(N)
        region = self.regions[at]
        if last not in region.fenced:
            if self.draw.random() < 0.5:
                region.fenced.add(last)
                self.note(f"fence of {last} in {at}")
            return
        self.listed.add(at)
        self.closer_saw |= {i for kind, e, i in region.objects if (kind, e) == ("segment", last)}
        if len(self.listed) < R:
            return
        size = one.base.size
        while size in self.closer_saw:
            size += 1
        kept = one.sealed[: size - one.base.size]
        for segment in kept:
            for other in self.regions[:W]:
                other.objects.add(("segment", last, segment.index))
        first = kept[-1].first + len(kept[-1].received) if kept else one.base.first
        sealed = kept[-1].received[0] if kept else one.floor if not one.sealed else 0
        before = self.closes.get(last - 1, (End(), 0))[1]
        self.closes[last] = (End(size, first), max(sealed if kept else 0, before))
        self.listed, self.closer_saw = set(), set()
        self.send(("closed", last, 0))
        self.note(f"{last} is closed at {size}")

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> None:
        reader = self.reader
        if not reader.todo:
            reader.begin(self.t + self.draw.randint(-ERROR, ERROR), self.draw)
        todo = reader.todo[reader.step]
        if todo:
            at = todo.pop()
            if at in reader.failing or self.draw.random() < 0.12:
                reader.failing.add(at)
            else:
                self.visit(self.regions[at], reader.step)
        if not todo:
            reader.step += 1
        if reader.step == len(reader.todo):
            self.conclude()
            reader.step, reader.todo = 0, []

    def visit(self, region: Region, step: int) -> None:
        reader = self.reader
        if step == 0 and region.beat is not None:
            reader.promises.add(region.beat)
        for kind, epoch, index in region.objects:
            if step == 1 and kind == "birth":
                reader.births[epoch] = self.births[epoch]
            elif step == 1 and kind == "closed":
                reader.closes.add((epoch, self.closes[epoch][0]))
            elif step == 2 and kind == "segment" and index >= reader.settled.size:
                reader.seen[epoch, index] = self.segment(epoch, index)

    def segment(self, epoch: int, index: int) -> Segment:
        one = self.instances[epoch]
        return one.sealed[index - one.base.size]

    def conclude(self) -> None:
        reader = self.reader
        new = self.judge(reader.view(self.t), reader.judgement)
        old = self.reported
        if old is not None and (new.complete_through_us is None or new.complete_through_us < old):
            raise Lie(f"{old} was reported, now {new.complete_through_us}")
        self.reported = new.complete_through_us
        self.note(f"reader reports {self.reported}")
        reader.take(new)
        if self.reported is not None:
            self.check(self.reported)

    def check(self, through: int) -> None:
        shown = {
            segment.name
            for place, segment in self.reader.seen.items()
            if place in self.reader.held and segment.name not in self.reader.orphans
        }
        for epoch, one in self.instances.items():
            close = self.closes.get(epoch)
            for number, segment in enumerate(one.sealed):
                if segment.received[0] > through:
                    continue
                if close is None and number >= one.acked:
                    raise Lie(f"segment {segment.name} may come or go, {through} was reported")
                in_trail = close is None or segment.index < close[0].size
                if in_trail != (segment.name in shown):
                    raise Lie(f"{segment.name} in the trail: {in_trail}, at {through}")


class Reader:
    """What a follower remembers between passes."""

    def __init__(self) -> None:
        self.step = 0
        self.todo: list[list[int]] = []
        self.failing: set[int] = set()
        self.started = 0
        self.promises: set[Promise] = set()
        self.births: dict[int, Born] = {}
        self.closes: set[tuple[int, End]] = set()
        self.seen: dict[tuple[int, int], Segment] = {}
        self.held: set[tuple[int, int]] = set()
        self.settled = End()
        self.orphans: set[str] = set()  # taken out of the catalog, for good
        self.judgement = Judgement()
        self.draw = random.Random(0)

    def begin(self, started: int, draw: random.Random) -> None:
        self.started, self.draw = started, draw
        self.failing = {at for at in range(N) if draw.random() < 0.3}
        self.todo = [draw.sample(range(N), N) for _ in range(3)]

    def view(self, now: int) -> View:
        self.held |= {place for place in sorted(self.seen) if self.draw.random() < 0.8}
        settled_epoch = max((e for (e, i) in self.held if i == self.settled.size - 1), default=0)
        ledger = Ledger(
            node="n",
            births=tuple(self.births.values()),
            closes=tuple(self.closes),
            promises=tuple(self.promises),
            settled=self.settled,
            settled_epoch=settled_epoch,
            segments=tuple(
                Sighting(s.name, s.index, s.epoch, s.first, len(s.received), place in self.held)
                for place, s in self.seen.items()
                if s.index >= self.settled.size
            ),
        )
        return View(
            started_us=self.started,
            now_us=now,
            clock_error_us=DELTA,
            sets=(RegionSet(frozenset("abc"), W),),
            regions=tuple(
                Looked("abc"[at], "abc"[at], 0, 0, "failed" if at in self.failing else "")
                for at in range(N)
            ),
            ledgers=(ledger,) if self.births else (),
        )

    def take(self, judgement: Judgement) -> None:
        self.judgement = judgement
        self.orphans |= {orphan.name for orphan in judgement.orphans}
        for run in judgement.runs:
            self.settled = run.settled
