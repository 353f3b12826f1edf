"""A region: one failure domain as the rest of Holdfast meets it.

It stands before two stores (evidence under `ev/`; control under `ctl/`, with what is derived for
engines under `lake/`; often the same one) and
makes three promises about them. Every call ends within its time-out. A region that fails is left
alone for a while. And one that hangs holds a bounded number of calls in memory: neither a thread
in a dead disk nor an upload under way can be stopped, so a call that timed out keeps its place
until it really ends, and only then another one goes out.

Reading and writing are judged apart: a full or read-only store still reads.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from holdfast.regions.breaker import Breaker, BreakerLimits, Pass, State
from holdfast.regions.port import (
    Absent,
    Differs,
    Level,
    Listing,
    Present,
    Refused,
    RegionId,
    Removed,
    Store,
    Stored,
    Unknown,
)

EVIDENCE = "ev/"
REPLACEABLE = ("ctl/", "lake/")
CREATES_MAX = 2
OPERATIONS = ("create", "replace", "read", "list", "remove")

Outcome = TypeVar("Outcome")


@runtime_checkable
class Rooted(Protocol):
    """A store whose place may have to be made first, at a founding and never else."""

    async def has_root(self) -> bool | Unknown: ...

    async def make_root(self) -> Stored | Unknown: ...


@runtime_checkable
class Placed(Protocol):
    """A store of which it can be seen where it lies."""

    async def places(self) -> frozenset[Hashable] | Unknown:
        """Its directories, as the file system knows them: two stores that share one share what
        lies in it."""


@runtime_checkable
class Locking(Protocol):
    """A store that lets nobody delete what was put into it, for a time."""

    async def locked_days(self) -> int | Unknown:
        """How long, where nobody set another time for an object; 0: it does not."""


class RegionLimits(Struct, frozen=True):
    """timeout_seconds: for one call, waiting for its turn included. in_flight_max: calls that the
    store works on at once, for reading and for writing each."""

    timeout_seconds: float = 5.0
    in_flight_max: int = 16
    breaker: BreakerLimits = BreakerLimits()


@dataclass(slots=True)
class Counter:
    """What one operation cost since the start. refused: not tried, the breaker was open."""

    calls: int = 0
    failures: int = 0
    refused: int = 0
    seconds: float = 0.0


class RegionReport(Struct, frozen=True):
    """How a region does.

    state: "ok"; "open" when reading or writing is left alone; "unfit" when a probe found that its
    store does not do what the quorum rests on; "unverified" when it answers, and its store did not
    show the right cookie when last looked at. reading, writing: states of the two breakers. why:
    what is wrong, "" while all is well. ok_seconds_ago: since the last answer; None: there never
    was one.
    """

    id: RegionId
    url: str
    store_uuid: str
    state: str
    reading: str
    writing: str
    why: str
    ok_seconds_ago: float | None
    in_flight: int


def why_too_few(reports: Iterable[RegionReport], quorum: int) -> str:
    """Why fewer than W regions can be relied on, and which not; "" when enough can. Pure."""
    reports = tuple(reports)
    silent = [each for each in reports if each.state != "ok"]
    reachable = len(reports) - len(silent)
    if reachable >= quorum:
        return ""
    told = ", ".join(f"{each.id} ({each.why or 'no answer yet'})" for each in silent)
    return f"{reachable} of the {quorum} regions needed can be reached: not {told}"


@dataclass(slots=True, eq=False)
class _Lane:
    """Reading, or writing."""

    breaker: Breaker
    slots: asyncio.Semaphore
    tasks: set[asyncio.Task[object]] = field(default_factory=set)
    last_failure: Unknown | None = None

    def finished(self, task: asyncio.Task[object]) -> None:
        """A call really ended, perhaps long after anyone waited for it."""
        self.tasks.discard(task)
        self.slots.release()
        if not task.cancelled():
            task.exception()  # or asyncio complains that nobody ever asked


class Region:
    """See the module. Implements `Store`.

    id: the region's name in the settings. url: for a person. uris: of the two stores, as engines
    for large data take them; None: none reaches them. store_uuid: what the cookie showed
    when `Regions.verify` last read it, else "". named_uuid: what the store was last known to be;
    former_uuids: before another took its place. why_unverified: what `Regions.verify` or a writer's
    `look`, whichever was last, found wrong with the cookie; "" while it is right. why_unfit: what a
    probe found that the quorum cannot rest on; while there is something, no cookie of it is taken.
    counters: by name of the operation.
    """

    def __init__(
        self,
        id: RegionId,
        evidence: Store,
        control: Store | None = None,
        *,
        url: str = "",
        limits: RegionLimits | None = None,
        uris: tuple[str, str] | None = None,
    ) -> None:
        self.id = id
        self.url = url
        self.uris = uris
        self.store_uuid = ""
        self.named_uuid = ""
        self.former_uuids: set[str] = set()
        self.why_unverified = "its cookie was not read yet"
        self.why_unfit = ""
        self.counters = {name: Counter() for name in OPERATIONS}
        self._evidence = evidence
        self._control = evidence if control is None else control
        self._limits = limits or RegionLimits()
        self._reading = self._lane()
        self._writing = self._lane()
        self._last_ok: float | None = None

    @property
    def reachable(self) -> bool:
        """Whether it is relied on now: it answers, and is the store that it should be.

        The one place where that is decided, for admission, readiness and every report. False says
        "do not rely on it", not "do not call it": calls are what finds out that the region is back,
        and while it is left alone they cost nothing.
        """
        return self._is_answering and not self.why_unverified and not self.why_unfit

    @property
    def _is_answering(self) -> bool:
        return self._reading.breaker.state is self._writing.breaker.state is State.CLOSED

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        store = self._store_of(key)
        return await self._call(self._writing, "create", lambda: store.create(key, data))

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        if not key.startswith(REPLACEABLE):
            raise ValueError(f"evidence is never overwritten: {key!r}")
        return await self._call(self._writing, "replace", lambda: self._control.replace(key, data))

    async def read(self, key: str) -> Present | Absent | Unknown:
        store = self._store_of(key)
        return await self._call(self._reading, "read", lambda: store.read(key))

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        """As the port says. One call has one time-out: list large ledgers by shard or `after`."""
        store = self._store_of(prefix)
        return await self._call(self._reading, "list", lambda: store.list(prefix, after))

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        store = self._store_of(key)
        return await self._call(self._writing, "remove", lambda: store.remove(key))

    async def level(self, prefix: str) -> Level | Unknown:
        store = self._store_of(prefix)
        return await self._call(self._reading, "list", lambda: store.level(prefix))

    async def keep(self, key: str, data: bytes) -> Stored | Differs | Unknown:
        """Bring it about that these bytes lie durably under the key, or find out that others do.

        Every answer to a create but "stored" means that the bytes may be there, now or later. So
        they are read back; equal bytes count once a create was answered (port: `Store.create`),
        and whatever is still open after a second try is `Unknown`.
        """
        outcome: Stored | Unknown = Unknown("not tried")
        for _ in range(CREATES_MAX):
            outcome = await self.create(key, data)
            if isinstance(outcome, Stored):
                return outcome
            found = await self.read(key)
            if isinstance(found, Present) and found.data != data:
                return Differs(found.data)
            if isinstance(found, Present) and outcome.answered:
                return Stored()
            if isinstance(found, Unknown) or outcome.permanent:
                break
        return outcome

    async def has_root(self) -> bool | Unknown:
        """Whether both stores have a place to be in."""
        for store in (self._evidence, self._control):
            if isinstance(store, Rooted):
                answer = await self._bounded(self._writing, store.has_root)
                if answer is not True:
                    return answer
        return True

    async def make_root(self) -> Stored | Unknown:
        """Make what `has_root` misses. Only for founding a trail or a region."""
        for store in (self._evidence, self._control):
            if isinstance(store, Rooted):
                made = await self._bounded(self._writing, store.make_root)
                if isinstance(made, Unknown):
                    return made
        self._reading.breaker.reset()
        self._writing.breaker.reset()
        return Stored()

    async def places(self) -> frozenset[Hashable] | Unknown:
        """Where its stores lie; nothing where that cannot be seen, as of a bucket."""
        found: frozenset[Hashable] = frozenset()
        for store in (self._evidence, self._control):
            if isinstance(store, Placed):
                answer = await self._bounded(self._reading, store.places)
                if isinstance(answer, Unknown):
                    return answer
                found |= answer
        return found

    def report(self) -> RegionReport:
        now = asyncio.get_running_loop().time()
        return RegionReport(
            id=self.id,
            url=self.url,
            store_uuid=self.store_uuid,
            state=self._state(),
            reading=self._reading.breaker.state,
            writing=self._writing.breaker.state,
            why=self._why(),
            ok_seconds_ago=None if self._last_ok is None else now - self._last_ok,
            in_flight=len(self._writing.tasks) + len(self._reading.tasks),
        )

    def _state(self) -> str:
        if self._reading.breaker.state is not State.CLOSED:
            return "open"
        if self.why_unfit:
            return "unfit"
        if self.why_unverified:  # which may well be why it takes nothing
            return "unverified"
        return "ok" if self._is_answering else "open"

    def _why(self) -> str:
        failure = self._writing.last_failure or self._reading.last_failure
        wrong = {"unfit": self.why_unfit, "unverified": self.why_unverified}.get(self._state(), "")
        return wrong or (failure.reason if failure else "")

    def _lane(self) -> _Lane:
        slots = asyncio.Semaphore(self._limits.in_flight_max)
        return _Lane(Breaker(self._limits.breaker), slots)

    def _store_of(self, key: str) -> Store:
        if key.startswith(EVIDENCE):
            return self._evidence
        if key.startswith(REPLACEABLE):
            return self._control
        raise ValueError(f"neither evidence nor what may be replaced: {key!r}")

    async def locked_days(self) -> int | Unknown:
        """For how many days nobody may delete what is put here; 0: as far as is known, for none."""
        if not isinstance(self._evidence, Locking):
            return 0
        return await self._bounded(self._reading, self._evidence.locked_days)

    async def _call(
        self,
        lane: _Lane,
        operation: str,
        start: Callable[[], Coroutine[object, object, Outcome]],
    ) -> Outcome | Unknown:
        """One call under the breaker, counted."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        counter = self.counters[operation]
        admitted = lane.breaker.admit(begun)
        if admitted is Pass.REFUSED:
            counter.refused += 1
            last = lane.last_failure or Unknown("")
            return Unknown(f"left alone for now: {last.reason}", permanent=last.permanent)
        counter.calls += 1
        try:
            outcome = await self._bounded(lane, start)
        except BaseException:
            lane.breaker.abandoned(admitted, loop.time())
            raise
        now = loop.time()
        counter.seconds += now - begun
        if isinstance(outcome, Unknown) and not outcome.answered:
            counter.failures += 1
            lane.last_failure = outcome
            lane.breaker.failed(admitted, now, outcome.permanent)
        else:
            self._last_ok = now
            lane.breaker.succeeded(admitted)
            if lane.breaker.state is State.CLOSED:
                lane.last_failure = None
        return outcome

    async def _bounded(
        self, lane: _Lane, start: Callable[[], Coroutine[object, object, Outcome]]
    ) -> Outcome | Unknown:
        """Await one call of a store, but no longer than the time-out."""
        loop = asyncio.get_running_loop()
        seconds = self._limits.timeout_seconds
        deadline = loop.time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                await lane.slots.acquire()
        except TimeoutError:
            return Unknown(f"{len(lane.tasks)} calls are under way and none ended in {seconds:g} s")
        task = loop.create_task(start())
        lane.tasks.add(task)
        task.add_done_callback(lane.finished)
        # Not cancelled when time is up, or when the caller is: that would free its place here
        # while the thread or the upload goes on.
        done, _ = await asyncio.wait((task,), timeout=deadline - loop.time())
        return task.result() if done else Unknown(f"no answer within {seconds:g} s")
