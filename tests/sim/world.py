"""The simulated world: stores, clocks, faults, and a memory of all that was ever said.

One seed draws everything. `note` is the trace; equal seeds have equal traces. A fault never takes
what the design does not survive: whatever a store loses without a word, W others hold (`may_lose`);
and a store is gone for good only where what is left still tells all that was acknowledged and
decided (`may_go`).
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextvars import Context, ContextVar, copy_context
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Literal, ParamSpec, TypeVar

from holdfast.ports import Host
from holdfast.proof import ProofError, statements
from holdfast.proof.statements import Birth, Closed, Heartbeat
from holdfast.regions import Region, Regions, kinds, layout
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.kinds import Archive, Vote
from holdfast.regions.port import Refused, Removed, Stored, Unknown
from holdfast.regions.region import RegionLimits
from holdfast.regions.trailkey import TrailKey
from holdfast.regions.whole import names_whole
from holdfast.write.quorum import decide_close
from tests.sim.archives import archives_in, holds
from tests.sim.buckets import Bucket, BucketStore, Weather
from tests.sim.disks import SimDisk
from tests.sim.processes import CURRENT, Killed, Loop, Process
from tests.sim.retained import DELETER, Watch
from tests.sim.stories import PEOPLES

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Loss = Literal["silent", "wiped", "gone"]
Objects = Mapping[str, bytes]

START_US = 1_800_000_000_000_000
DELTA_US = 2_000_000
TRAIL = TrailKey(bytes(range(32)), "simulated")
SHAPES = ((3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (1, 1), (4, 3), (5, 3), (3, 3))
ROLE: ContextVar[str] = ContextVar("role", default="")  # whose keeper is at work


class Inline(Executor):
    """Runs a job at once."""

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class World:
    """See the module. only: words that narrow what the seed draws: "disks" or "buckets", and names
    of actions, which then make up most of what happens; "people": somebody is there who replaces
    stores that are gone for good, and declares what else nobody can know; "archive": days are
    archived, and their segments swept; "expired": and let go by rules, or held. Of the worlds that
    are not narrowed, every third has people, and of the others every third archives.

    trace: (time, process, store, operation, key, answer, what was told instead).
    """

    def __init__(self, seed: int, only: str = "") -> None:
        self.seed = seed
        self.draw = Random(seed)
        self.loop = Loop()
        self.context: Context = copy_context()
        self.count, self.quorum = self.draw.choice(SHAPES)
        self.only = only.split()
        self.is_disks = self.draw.random() < 0.4
        self.has_people = not seed % 3 if not only else bool({"people", *PEOPLES} & {*self.only})
        self.has_rules = "expired" in self.only
        named = self.has_rules or bool({"archive", "swept"} & {*self.only})
        self.has_archive = named if only else seed % 9 in (1, 5)
        if "disks" in self.only or "buckets" in self.only:
            self.is_disks = "disks" in self.only
        self.trace: list[tuple[Any, ...]] = []
        self.problems: list[str] = []
        self.beats: dict[bytes, str] = {}  # every heartbeat ever written -> node
        self.repairs: list[tuple[str, str, bytes]] = []  # what a machine's keeper put
        self.alias: dict[str, str] = {}  # for processes that start: region -> whose bucket it is
        self.cuts: set[tuple[str, str]] = set()  # (machine, store) that do not reach each other
        self.ways: dict[tuple[str, str], float] = {}  # (machine, store): seconds of a usual call
        self.flips = 0.0  # how likely a machine's memory flips a bit while it compresses
        self.faults: dict[str, int] = {}
        self.saved: dict[str, dict[str, bytes]] = {}  # what a wiped store held
        self.away_until = 0.0  # who wipes a store cannot restore it within one look
        self.forgone: set[str] = set()  # the ids of stores that are gone for good
        self.destroyed: dict[str, bytes] = {}  # segments of which every copy was lost, as they were
        self.swept: dict[str, bytes] = {}  # segments that were removed from any store, as they were
        self.covered: dict[str, dict[str, list[Archive]]] = {}  # as a keeper's pass began
        self.watch = Watch(self, TRAIL.trail)
        self.readers: Sequence[Any] = ()
        self.scratch = Path()  # a folder for what is made
        self.stores: dict[str, Bucket | SimDisk] = {
            id: self._store(id) for id in "abcde"[: self.count]
        }

    def _store(self, id: str) -> Bucket | SimDisk:
        if not self.is_disks:
            bucket = Bucket(id, TRAIL.cookie(id))
            bucket.skew_us = self.draw.randint(-200_000, 200_000)
            return bucket
        disk = SimDisk(id, TRAIL.cookie(id), self.draw, self.true_us)
        disk.interrupt = self._interrupt
        disk.is_cut = lambda: self.is_cut(id)
        disk.written = self.saw_control
        disk.removed = lambda key, data: self.saw_removal(DELETER.get(), id, key, data)
        disk.joined = lambda cookie: self.joined(disk, cookie)
        return disk

    # -- time, processes, what they are given --------------------------------------------------

    def true_us(self) -> int:
        return START_US + round(self.loop.now * 1e6)

    def host(self, skew_us: Callable[[], int]) -> Host:
        """A machine whose clock is wrong by so much."""
        return Host(
            lambda: self.true_us() + skew_us(), self.draw.randbytes, _at_once, Inline(), Inline()
        )

    def regions(self, process: str) -> Regions:
        """The regions as a new process meets them."""
        limits = RegionLimits()
        regions = [
            Region(id, self._way(process, id), url=f"sim://{id}", limits=limits)
            for id in self.stores
        ]
        return Regions(regions, self.quorum, TRAIL.trail)

    def _way(self, process: str, id: str) -> "BucketStore | Directory":
        store = self.stores[id]
        if isinstance(store, SimDisk):
            return Directory(self, store, process)

        # A mistake in the settings lasts as long as the process that has them.
        bucket = self.stores[self.alias.get(id, id)]
        assert isinstance(bucket, Bucket)
        return Way(self, bucket)

    def _interrupt(self, call: str, path: str) -> None:
        process = CURRENT.get()
        if process is None:
            return
        if process.fuse is not None:
            process.fuse -= 1
            if process.fuse < 0:
                self.note(process, "", f"killed in {call}", path, None, None)
                process.kill()
        if not process.alive:
            raise Killed

    async def write(self) -> None:
        """An expiry is about to write or to delete: its process may have its end here."""
        process = CURRENT.get()
        if process is None or process.writes is None or not DELETER.get():
            return
        process.writes -= 1
        if process.writes < 0:
            self.say(f"{process.name} is killed before a write or a delete")
            process.kill()
            await self.loop.create_future()

    def is_cut(self, store: str) -> bool:
        """Whether the process at work does not reach a store."""
        return (_machine(), store) in self.cuts

    def slow(self, store: Bucket | SimDisk) -> float:
        """Seconds that a usual call to a store takes the process at work."""
        return self.ways.get((_machine(), store.id), store.weather.slow)

    # -- memory --------------------------------------------------------------------------------

    def note(
        self,
        process: Process | None,
        store: str,
        operation: str,
        key: str,
        answer: object,
        told: Unknown | None,
    ) -> None:
        """One line of the trace."""
        name = process.name if process else ""
        self.trace.append((self.loop.now, name, store, operation, key, answer, told))

    def say(self, text: str) -> None:
        self.trace.append((self.loop.now, "", "", text, "", None, None))

    def problem(self, text: str) -> None:
        """Something that must not be."""
        if text not in self.problems:
            self.problems.append(text)
            self.say(f"PROBLEM: {text}")

    def fault(self, kind: str, text: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.say(f"{kind}: {text}")

    def saw_control(self, key: str, data: bytes) -> None:
        if key.startswith(layout.HEARTBEATS_PREFIX):
            self.beats.setdefault(data, key.rpartition("/")[2].partition(".")[0])

    def saw_removal(self, deleter: str, store: str, key: str, data: bytes) -> None:
        """What a sweeper removes, or an archivist that puts better bytes there, or a deleter."""
        parsed = layout.parse_key(key)
        self.watch.saw_removal(deleter, store, parsed, data)
        if isinstance(parsed, layout.SegmentKey):
            if hashlib.sha256(data).digest() == parsed.name.sha256:
                self.swept[key] = data
        elif not isinstance(parsed, layout.ArchivedKey):
            self.problem(f"{key} was removed")

    def is_small_still(self, store: Bucket | SimDisk, archive: Archive) -> bool:
        """Whether a store has good copies of all segments of a unit."""
        good: set[tuple[str, int]] = set()
        for text in store.keys(layout.SEGMENTS_PREFIX):
            key = layout.known_key(text)
            digest = hashlib.sha256(store.durable(text) or b"").digest()
            if isinstance(key, layout.SegmentKey) and digest == key.name.sha256:
                good.add((key.node, key.name.index))
        spans = archive.ledgers
        return all((n, at) in good for n, start, end, *_ in spans for at in range(start, end))

    def archives(self) -> dict[str, list[Archive]]:
        """The units that each store's archive has whole."""
        out = self.watch.out()
        return {id: [*archives_in(store, TRAIL.trail, out)] for id, store in self.stores.items()}

    def saw_repair(self, keeper: str, store: str, key: str, data: bytes) -> None:
        """What a keeper puts. Not of an epoch that it may be closing: a closer brings its run to W
        before it votes, and the vote may go against it."""
        parsed = layout.parse_key(key)
        if isinstance(parsed, layout.SegmentKey):
            known = self.covered.get(keeper, {}).get(store, [])
            if any(holds(archive, parsed) for archive in known):
                self.problem(f"I19: {keeper} put back what is archived in {store}")
            closed = layout.closed_key(parsed.node, parsed.name.epoch)
            if parsed.name.sha256 == hashlib.sha256(data).digest() and not self.holders(closed):
                return
        self.repairs.append((keeper, key, data))

    def digest(self) -> str:
        """Of the whole trace."""
        text = "\n".join(render(line) for line in self.trace)
        return hashlib.sha256(text.encode()).hexdigest()

    # -- what may be lost ----------------------------------------------------------------------

    def holders(self, key: str, data: bytes | None = None) -> list[str]:
        """The stores that hold a key whatever crashes now; with just those bytes, if given."""
        found = [(id, store.durable(key)) for id, store in self.stores.items()]
        ids = [id for id, held in found if held is not None and data in (None, held)]
        return ids + [id for id in self._archived(key) if id not in ids]

    def _archived(self, key: str) -> list[str]:
        """The stores whose archive has a segment."""
        parsed = layout.parse_key(key) if self.has_archive else None
        if not isinstance(parsed, layout.SegmentKey):
            return []
        archives = self.archives()
        there = [id for id, store in self.stores.items() if store.is_itself]
        return [id for id in there if any(holds(archive, parsed) for archive in archives[id])]

    def may_lose(
        self, store: Bucket | SimDisk, key: str, data: bytes, how: Loss = "silent"
    ) -> bool:
        """Whether a store may lose an object, and the trail survives it.

        how: without a word; with its cookie, until it returns ("wiped"): who looks for a fence then
        finds neither; or for good, and known to be ("gone"): as many copies fewer are enough then
        as stores are gone that may have counted, since the others must all be asked.
        """
        if key.startswith("ctl/"):
            return not self._is_needed(key)
        if key in self.destroyed:
            return True
        try:
            parsed = layout.parse_key(key)
        except ProofError:
            return True
        if isinstance(parsed, layout.RegionKey):
            return False
        if isinstance(parsed, layout.ArchivedKey | layout.ArchiveKey):
            # A manifest is its store's alone; what it names was all that is left of its segments.
            return how == "wiped" and self._others_archive(store, key, data)
        if isinstance(parsed, layout.WholeKey):
            # It is found again by comparing with R others that are whole: two such at once never.
            others = [other for other in self.stores.values() if other is not store]
            return all(other.is_itself and is_whole(other) for other in others)
        if isinstance(parsed, layout.SegmentKey) and self._is_orphan(parsed, store.id):
            return True
        same: bytes | None = data
        if isinstance(parsed, layout.EpochKey) and parsed.kind != "birth":
            same = None
            if how == "gone" and parsed.kind in ("fence", "close"):
                return True  # `may_go` looks at all votes
            closed = layout.closed_key(parsed.node, parsed.epoch)
            if len([id for id in self.holders(closed) if id != store.id]) < self.quorum:
                return False
            if how == "wiped" and parsed.kind in ("fence", "close"):
                return True
        counting, gone = self._counting(parsed)
        holders = [id for id in self.holders(key, same) if id != store.id and id in counting]
        if how != "gone":
            return len(holders) >= self.quorum
        # A corrupt copy cannot be replaced: where too many are, the rest never makes a quorum.
        bad = {id for id in counting if same and self.stores[id].peek(key) not in (None, same)}
        able = counting - bad - ({store.id} if self._is_open(parsed) else set())
        spared = gone + (store.id in counting)
        return len(able) >= self.quorum and len(holders) >= max(1, self.quorum - spared)

    def _others_archive(self, store: Bucket | SimDisk, key: str, data: bytes) -> bool:
        """Whether a quorum of other stores has the same unit whole."""
        mine = [
            archive
            for archive in archives_in(store, TRAIL.trail, self.watch.out())
            if key in archive.objects() or archive.unit in key
        ]
        units = {archive.unit for archive in mine}
        others = [
            {archive.unit for archive in found}
            for id, found in self.archives().items()
            if id != store.id and self.stores[id].is_itself
        ]
        return sum(units <= each for each in others) >= self.quorum

    def _counting(self, key: layout.Key) -> tuple[set[str], int]:
        """The stores in which an object counts: of an epoch that is not closed in a quorum, those
        that its birth names. Another, which took a lost one's place, has no say in its end. And how
        many of those that it names are gone."""
        every = set(self.stores)
        if not self.forgone or not self._is_open(key):
            return every, 0
        node, epoch = epoch_of(key)
        for birth in self.births(node, epoch):
            named = {store for _, store in birth.regions}
            every &= {id for id in every if store_of(self.stores[id].cookie) in named}
        return every, self.counted_and_gone(node, epoch)

    def _is_open(self, key: layout.Key) -> bool:
        """Whether it is of an epoch that is not closed in a quorum."""
        return bool(epoch_of(key)[0]) and not self.is_closed(*epoch_of(key))

    def is_closed(self, node: str, epoch: int, without: str = "") -> bool:
        """Whether a quorum of stores, but for that one, says where an epoch ends."""
        holders = self.holders(layout.closed_key(node, epoch))
        return len([id for id in holders if id != without]) >= self.quorum

    def births(self, node: str, epoch: int) -> list[Birth]:
        """Each birth of an epoch that lies anywhere and is not rotten."""
        key = layout.birth_key(node, epoch)
        found = {store.peek(key) or b"" for store in self.stores.values()}
        return [birth for birth in map(read_birth, sorted(found)) if birth is not None]

    def counted_and_gone(self, node: str, epoch: int, regions: Iterable[str] = "") -> int:
        """How many of these regions (or of all) had a part in an epoch by a store that is gone."""
        parts = [dict(birth.regions) for birth in self.births(node, epoch)]
        return max(
            (sum(part.get(id) in self.forgone for id in regions or part) for part in parts),
            default=0,
        )

    def may_destroy(self, key: layout.SegmentKey) -> Literal["", "torn", "removed"]:
        """How every copy of an acknowledged segment may be lost, beyond what the trail promises to
        survive; "": not so that anybody could know of it, and state where the ledger goes on.

        Of an epoch that is closed they may vanish. Of an open one W stores have to show that it was
        promised, else its end would be found before it; and names are to be listed still, though
        no bytes are good, else nobody can carry the ledger's tree on.
        """
        if self.is_closed(key.node, key.name.epoch):
            return self.draw.choice(["torn", "removed"])
        return "torn" if self._promised(key.node, key.name.epoch) > key.name.index else ""

    def _promised(self, node: str, epoch: int) -> int:
        """The size that W stores show a promise of."""
        key = layout.heartbeat_key(node)
        found = [store.peek(key) for store in self.stores.values() if store.durable(key)]
        beats = [statements.read(data, Heartbeat).statement for data in found if data]
        sizes = sorted((beat.promise_size for beat in beats if beat.epoch == epoch), reverse=True)
        return sizes[self.quorum - 1] if len(sizes) >= self.quorum else 0

    def _is_needed(self, key: str) -> bool:
        """Whether only a heartbeat tells that a segment is missing: of an epoch that is open."""
        node = key.rpartition("/")[2].partition(".")[0]
        lost = map(layout.parse_key, self.destroyed)
        return any(epoch_of(each)[0] == node and self._is_open(each) for each in lost)

    def destroy(self, key: str, data: bytes, how: str) -> None:
        """All copies of a segment are lost."""
        self.destroyed[key] = data
        for store in self.stores.values():
            self.saved.get(store.id, {}).pop(key, None)
            held = store.peek(key)
            if held is not None and how == "removed":
                store.remove(key)
            elif held:
                at = self.draw.randrange(len(held))
                store.damage(key, held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])
        self.fault("destroyed", f"{key} is {how}")

    def holes(self) -> list[tuple[str, int, int]]:
        """(node, start, end) of segments without a good copy, that nobody declared lost; and of
        statements that too few stores took, which are to be made again as they are."""
        keys = {key for store in self.stores.values() for key in store.content()}
        gaps = sorted(key for key in keys if key.startswith(layout.GAPS_PREFIX))
        stated = [layout.parse_key(key) for key in gaps]
        begun = [
            (gap.node, gap.start, gap.end)
            for key, gap in zip(gaps, stated, strict=True)
            if isinstance(gap, layout.GapKey) and len(self.holders(key)) < self.quorum
        ]
        found: list[tuple[str, int, int]] = []
        for text, data in sorted(self.destroyed.items()):
            key = layout.parse_key(text)
            assert isinstance(key, layout.SegmentKey)
            at = key.name.index
            if any(store.peek(text) == data for store in self.stores.values()):
                continue  # a copy that was under way
            if any(
                isinstance(gap, layout.GapKey)
                and gap.node == key.node
                and gap.start <= at < gap.end
                for gap in stated
            ):
                continue
            if found and found[-1][0] == key.node and found[-1][2] == at:
                found[-1] = (key.node, found[-1][1], at + 1)
            else:
                found.append((key.node, at, at + 1))
        return begun + found

    def may_go(self, store: Bucket | SimDisk) -> bool:
        """Whether a store may be gone for good, as the design survives it: every other is whole; of
        what was acknowledged enough is left; and each epoch that is open has a quorum of its stores
        left, and loses no vote by which others may have seen where it ends."""
        others = [other for other in self.stores.values() if other is not store]
        content = store.content() if store.is_itself else self.saved.get(store.id)
        if content is None or not all(each.is_itself and is_whole(each) for each in others):
            return False
        rest = [key for key in content if key != layout.REGION_KEY]
        if store.is_itself and not all(self.may_lose(store, k, content[k], "gone") for k in rest):
            return False
        held = {other.id: other.content() for other in others} | {store.id: content}
        births = {
            (key.node, key.epoch, birth.quorum, frozenset(birth.regions))
            for objects in held.values()
            for key, birth in births_in(objects)
            if not self.is_closed(key.node, key.epoch, store.id)
        }
        return all(self._may_go_on(held, store.id, *each) for each in sorted(births, key=str))

    def _may_go_on(
        self,
        held: Mapping[str, Objects],
        lost: str,
        node: str,
        epoch: int,
        quorum: int,
        named: frozenset[tuple[str, str]],
    ) -> bool:
        """Whether an open epoch survives the loss of one store of it."""
        there = [id for id, store in named if store_of(self.stores[id].cookie) == store]
        key = layout.vote_key(node, epoch)
        votes = {id: read_vote(held[id][key]) for id in there if key in held[id]}
        left = [vote for id, vote in votes.items() if id != lost]
        decided = decide_close(list(votes.values()), len(named))
        is_decided_still = decided == decide_close(left, len(named))
        return len(set(there) - {lost}) >= quorum and is_decided_still

    def lose(self, store: Bucket | SimDisk) -> None:
        """A store is gone for good, with all that it held: an empty place is left."""
        self.forgone.add(store_of(store.cookie))
        self.saved.pop(store.id, None)
        store.hidden.clear()
        for key in store.content():
            store.remove(key)
        self.fault("gone", store.id)

    @property
    def gone(self) -> list[str]:
        """The regions whose store is gone for good, and that have no other yet."""
        return [
            id
            for id, store in sorted(self.stores.items())
            if store_of(store.cookie) in self.forgone and not store.is_itself
        ]

    def joined(self, store: Bucket | SimDisk, cookie: bytes) -> bool:
        """Whether a cookie that a person puts makes a store of a region's place. Not where it comes
        late, to a store that was wiped since and will return."""
        if store.id in self.saved:
            return False
        if store_of(store.cookie) not in self.forgone:
            self.problem(f"the store of {store.id} was replaced, and was not gone")
        store.cookie = cookie
        self.fault("replace", store.id)
        return True

    def _is_orphan(self, key: layout.SegmentKey, store: str) -> bool:
        """Whether a segment lies beyond a close that others keep: nobody needs it any more."""
        closed = layout.closed_key(key.node, key.name.epoch)
        others = [id for id in self.holders(closed) if id != store]
        if len(others) < self.quorum:
            return False
        note = statements.read(self.stores[others[0]].content()[closed], Closed)
        return key.name.index >= note.statement.end.size

    def bend(self, data: bytes) -> bytes:
        """Truncated, or with a flipped bit."""
        if not data or self.draw.random() < 0.5:
            return data[: self.draw.randint(0, max(len(data) - 1, 0))]
        at = self.draw.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self.draw.randrange(8))]) + data[at + 1 :]

    def heal(self) -> None:
        """End every fault; a wiped store comes back as it was, by hand."""
        self.say("all faults end")
        self.alias.clear()
        self.cuts.clear()
        self.ways.clear()
        self.flips = 0.0
        for store in self.stores.values():
            store.weather = Weather()
            store.hidden.clear()
            if isinstance(store, SimDisk):
                store.full = store.failing = 0.0
            self.restore(store)

    def restore(self, store: Bucket | SimDisk) -> None:
        """A wiped store comes back as it was; not before `away_until`."""
        if not store.is_itself and store.id in self.saved:
            there = store.content()
            for key, data in {**self.saved[store.id], layout.REGION_KEY: store.cookie}.items():
                if key not in there:
                    place(store, key, data)


@lru_cache
def store_of(cookie: bytes) -> str:
    """The id of a store."""
    return kinds.verify_cookie(cookie, TRAIL.trail).statement.store


@lru_cache(maxsize=256)
def read_birth(data: bytes) -> Birth | None:
    """None: rotten; an intact one lies elsewhere."""
    try:
        return statements.verify_birth(data, TRAIL.trail).statement
    except ProofError:
        return None


def epoch_of(key: layout.Key) -> tuple[str, int]:
    """The epoch that an object is of; "", 0: of none."""
    if isinstance(key, layout.SegmentKey):
        return key.node, key.name.epoch
    return (key.node, key.epoch) if isinstance(key, layout.EpochKey) else ("", 0)


def read_vote(data: bytes) -> tuple[int, str]:
    """As votes are compared: size, text."""
    signed = statements.read(data, Vote)
    return signed.statement.end.size, signed.text


def births_in(objects: Objects) -> Iterator[tuple[layout.EpochKey, Birth]]:
    for text, data in objects.items():
        if text.endswith("/birth.note"):
            key, birth = layout.parse_key(text), read_birth(data)
            if isinstance(key, layout.EpochKey) and birth is not None:
                yield key, birth


def is_whole(store: Bucket | SimDisk) -> bool:
    """Whether it always was the region's, or was found whole."""
    cookie = kinds.verify_cookie(store.cookie, TRAIL.trail).statement
    found = store.durable(layout.WHOLE_KEY)
    return not cookie.replaces or (
        found is not None and names_whole(found, cookie.store, TRAIL.trail)
    )


def place(store: Bucket | SimDisk, key: str, data: bytes) -> None:
    """Put an object by hand."""
    if isinstance(store, SimDisk):
        store.put(key, data)
    else:
        store.objects[key] = (data, 1)


def _machine() -> str:
    """Whose process is at work: a machine, a reader; "" for the world."""
    process = CURRENT.get()
    return process.name.partition(".")[0] if process else ""


async def _at_once(function: Callable[..., Result], /, *arguments: object) -> Result:
    return function(*arguments)


class Memory:
    """The module that compresses, on machines whose memory flips bits."""

    def __init__(self, world: World, zstd: Any) -> None:
        self._world, self._zstd = world, zstd

    def __getattr__(self, name: str) -> Any:
        return getattr(self._zstd, name)

    def compress(self, data: bytes, **options: Any) -> bytes:
        draw = self._world.draw
        if self._world.flips and draw.random() < self._world.flips:
            at = draw.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
            self._world.fault("flip", "a bit, in memory")
        compressed: bytes = self._zstd.compress(data, **options)
        return compressed


class Way(BucketStore):
    """A bucket, whose keepers are watched."""

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        await self._world.write()
        self._world.watch.saw_put(key)
        if keeper := ROLE.get():
            self._world.saw_repair(keeper, self._bucket.id, key, data)
        return await super().create(key, data)

    async def remove(self, key: str) -> Removed | Unknown:
        await self._world.write()
        return await super().remove(key)


class Directory(DirectoryStore):
    """The shipped directory store on a simulated disk, with threads that take their time."""

    def __init__(self, world: World, disk: SimDisk, process: str) -> None:
        self._world, self._sim = world, disk
        super().__init__(Path("/sim") / disk.id, disk, self._thread, writer=process)

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        await self._world.write()
        self._world.watch.saw_put(key)
        if keeper := ROLE.get():
            self._world.saw_repair(keeper, self._sim.id, key, data)
        answer = await super().create(key, data)
        self._world.note(CURRENT.get(), self._sim.id, "create", key, answer, None)
        return answer

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        await self._world.write()
        return await super().remove(key)

    async def _thread(self, function: Callable[..., Result], /, *arguments: object) -> Result:
        weather, draw = self._sim.weather, self._world.draw.random
        seconds = self._world.slow(self._sim) * (0.5 + draw())
        if draw() < weather.late + weather.hang:
            seconds = 2.0 + 15 * draw()
        await asyncio.sleep(seconds)
        answer = function(*arguments)
        if draw() < 0.2:
            await asyncio.sleep(seconds)
        return answer


def render(line: tuple[Any, ...]) -> str:
    """A line of the trace, for a person."""
    now, process, store, operation, key, answer, told = line
    if not (process or store):
        return f"{now:9.4f} ** {operation}"
    shown = type(answer).__name__ if answer is not None else "nothing"
    if answer is not None and hasattr(answer, "objects"):
        shown = f"{len(answer.objects)} listed"
    elif isinstance(answer, Unknown):
        shown = answer.reason
    said = f", told: {told.reason}" if told is not None else ""
    return f"{now:9.4f} {process:8} {store} {operation} {_short(key)} -> {shown}{said}"


def _short(key: str) -> str:
    """Keys without what nobody reads."""
    parts = key.split("/")
    if len(parts) == 5 and parts[1] == "seg" and "-" in parts[4]:
        index, epoch, first, *_, sha = parts[4].split("-")
        return f"seg/{parts[2][:6]}/{int(index, 16)}-{int(epoch, 16)}-{int(first, 16)}-{sha[:6]}"
    return "/".join(part[:6] if len(part) == 32 else part for part in parts[1:])
