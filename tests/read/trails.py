"""Trails written straight into regions, and readers of them: no node is needed."""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import ParamSpec, TypeVar

from holdfast.model import Found, Query
from holdfast.ports import Host, Offload
from holdfast.proof import ledger, names
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.proof.note import Checkpoint
from holdfast.proof.statements import Birth, Certificate, Closed, Gap, Heartbeat
from holdfast.read.clocks import Clocks
from holdfast.read.follow import FollowLimits
from holdfast.read.holdings import Sizes
from holdfast.read.passes import PassLimits
from holdfast.read.reader import Reader, ReaderLimits
from holdfast.read.shelf import FoldLimits
from holdfast.regions import Region, Regions, kinds, layout, signing
from holdfast.regions.kinds import Fence, Vote
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey
from holdfast.times import format_us
from holdfast.write import seal
from holdfast.write.seal import Encoded
from tests.regions.worlds import MemoryWorld, at_once

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

START_US = 1_800_000_000_000_000
SECOND_US = 1_000_000
DELTA_US = 2 * SECOND_US
TRAIL = TrailKey(bytes(range(32)), "test")
ALL = ("a", "b", "c")


class Inline(Executor):
    """Runs a job where it is submitted."""

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        outcome: Future[Result] = Future()
        try:
            outcome.set_result(fn(*args, **kwargs))
        except BaseException as error:
            outcome.set_exception(error)
        return outcome


class World:
    """Three regions, W = 2, and a clock that stands still unless told otherwise."""

    def __init__(self, quorum: int = 2) -> None:
        self.stores = {id: MemoryWorld() for id in ALL}
        for id, store in self.stores.items():
            store.objects["ev/region.note"] = (TRAIL.cookie(id), 1)
        self.quorum = quorum
        self.offload: Offload = at_once
        self.now_us = START_US
        cookie = kinds.verify_cookie(TRAIL.cookie("a"), TRAIL.trail).statement
        self.tag_key = cookie.tag_key

    @property
    def host(self) -> Host:
        return Host(lambda: self.now_us, bytes, self.offload, Inline(), Inline())

    def put(self, key: str, data: bytes, regions: Iterable[str] = ALL) -> None:
        """Store an object as a node would have; written now."""
        for id in regions:
            self.stores[id].objects[key] = (data, self.now_us)

    def remove(self, key: str, regions: Iterable[str] = ALL) -> None:
        for id in regions:
            self.stores[id].objects.pop(key, None)

    def keys(self, region: str, prefix: str = "") -> list[str]:
        return sorted(key for key in self.stores[region].objects if key.startswith(prefix))

    def regions(self) -> Regions:
        regions = [Region(id, store) for id, store in self.stores.items()]
        return Regions(regions, self.quorum, TRAIL.trail)

    def reader(
        self,
        cache: Path,
        clocks: Clocks | None = None,
        fold: FoldLimits | None = None,
        sizes: Sizes | None = None,
    ) -> Reader:
        follow = FollowLimits(clock_error_us=DELTA_US)
        passes = PassLimits(follow=follow, fold=fold or FoldLimits(), cache=sizes or Sizes())
        return Reader(self.regions(), self.host, cache, ReaderLimits(passes=passes), clocks)


class Writer:
    """A node as its objects show it. Every call puts objects, in the regions it is told."""

    def __init__(self, world: World, seed: int = 7) -> None:
        unnamed = SigningKey.generate("unnamed", bytes([seed]) * 32)
        self.world = world
        self.node = names.node_id(unnamed.public)
        self.origin = names.ledger_origin(TRAIL.trail, self.node)
        self.key = SigningKey.generate(self.origin, bytes([seed]) * 32)
        self.end = EMPTY_END
        self.epoch = 0
        self.beats = 0

    def certificate(self) -> bytes:
        statement = Certificate(
            trail_key=TRAIL.signing.public,
            node=self.node,
            node_key=self.key.public,
            certified_us=START_US,
        )
        return signing.write(statement, TRAIL.signing.name, TRAIL.signing)

    def born(self, regions: Iterable[str] = ALL, base: LedgerEnd | None = None) -> None:
        """Begin the next epoch, now."""
        self.epoch += 1
        self.end = self.end if base is None else base
        stores = tuple(
            (id, kinds.verify_cookie(TRAIL.cookie(id), TRAIL.trail).statement.store) for id in ALL
        )
        birth = Birth(
            trail_key=TRAIL.signing.public,
            node_key=self.key.public,
            certificate=self.certificate(),
            epoch=self.epoch,
            instance=f"{self.epoch:032x}",
            started_us=self.world.now_us,
            quorum=self.world.quorum,
            regions=stores,
            base=self.end,
        )
        data = signing.write(birth, self.origin, self.key)
        self.world.put(layout.birth_key(self.node, self.epoch), data, regions)

    def encode(self, *events: dict[str, object], tenant: str = "acme") -> Encoded:
        """The next segment, stored nowhere yet."""
        self.world.now_us += 1
        received = format_us(self.world.now_us)
        groups: dict[str, list[bytes]] = {}
        for event in events:
            whole = {"tenant": tenant, "action": "a", **event}
            record = {**whole, "received": received, "principal": "tester"}
            groups.setdefault(str(whole["tenant"]), []).append(
                json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
            )
        return seal.encode(
            self.key, self.world.tag_key, self.end, self.epoch, self.world.now_us, groups
        )

    def seal(self, *events: dict[str, object] | str, regions: Iterable[str] = ALL) -> Encoded:
        """Seal and store a segment. A text is an event's id."""
        given: list[dict[str, object]] = [
            {"id": event} if isinstance(event, str) else event for event in events
        ]
        encoded = self.encode(*given)
        self.end = ledger.extend(self.end, encoded.name)
        self.store(encoded, regions)
        return encoded

    def store(self, encoded: Encoded, regions: Iterable[str] = ALL) -> None:
        self.world.put(self.key_of(encoded.name), encoded.data, regions)

    def key_of(self, name: SegmentName) -> str:
        return layout.segment_key(self.node, name)

    def beat(
        self,
        promise_us: int | None = None,
        size: int | None = None,
        regions: Iterable[str] = ALL,
        epoch: int | None = None,
        checkpoint: bytes = b"",
    ) -> None:
        """A heartbeat, now; by default it promises all that was sealed, as of now."""
        self.beats += 1
        beat = Heartbeat(
            epoch=self.epoch if epoch is None else epoch,
            n=self.beats,
            time_us=self.world.now_us,
            promise_us=self.world.now_us if promise_us is None else promise_us,
            promise_size=self.end.size if size is None else size,
            checkpoint=checkpoint,
            regions=(),
        )
        data = signing.write(beat, self.origin, self.key)
        self.world.put(layout.heartbeat_key(self.node), data, regions)

    def checkpoint(self, end: LedgerEnd | None = None) -> bytes:
        """The node's checkpoint of its ledger as it stands now, or then."""
        end = self.end if end is None else end
        return signing.sign(Checkpoint(self.origin, end.size, end.root).text, self.key)

    def keep_checkpoint(self, end: LedgerEnd | None = None, regions: Iterable[str] = ALL) -> None:
        size = (self.end if end is None else end).size
        self.world.put(layout.checkpoint_key(self.node, size), self.checkpoint(end), regions)

    def close(
        self, end: LedgerEnd | None = None, regions: Iterable[str] = ALL, epoch: int | None = None
    ) -> None:
        """Decide the end of the epoch: fences, votes, and then the decision."""
        epoch, end = self.epoch if epoch is None else epoch, self.end if end is None else end
        now_us, certificate, regions = self.world.now_us, self.certificate(), tuple(regions)
        for key, said in (
            (layout.fence_key, Fence(epoch, self.node, now_us, certificate)),
            (layout.vote_key, Vote(epoch, end)),
            (layout.closed_key, Closed(epoch, end, self.node, "a test", now_us, certificate)),
        ):
            data = signing.write(said, self.origin, self.key)
            self.world.put(key(self.node, epoch), data, regions)

    def lose(self, *lost: Encoded, regions: Iterable[str] = ALL, cause: str = "a fire") -> None:
        """Remove neighbouring segments from all regions, and state that they are lost."""
        for each in lost:
            self.world.remove(self.key_of(each.name))
        self.declare(*lost, regions=regions, cause=cause)

    def declare(self, *lost: Encoded, regions: Iterable[str] = ALL, cause: str = "a fire") -> None:
        """State that neighbouring segments are lost."""
        start, end = lost[0].name.index, lost[-1].name.index + 1
        gap = Gap(
            trail_key=TRAIL.signing.public,
            start=start,
            end=end,
            first=None,
            next=None,
            after_us=START_US,
            until_us=None,
            regions=tuple((id, f"{n:032x}") for n, id in enumerate(ALL)),
            gone=(),
            by="a test",
            cause=cause,
            declared_us=self.world.now_us,
        )
        data = signing.write(gap, self.origin, TRAIL.signing)
        self.world.put(layout.gap_key(self.node, start, end), data, regions)


def ids(found: Sequence[Found]) -> list[str]:
    """The ids of events, sorted."""
    return sorted(str(json.loads(bytes(one.record))["id"]) for one in found)


async def all_ids(reader: Reader) -> list[str]:
    """The ids of everything that a search shows, sorted."""
    page = await reader.search(Query(limit=1000))
    return ids(page.events)


def tick(world: World, seconds: float = 10) -> None:
    world.now_us += round(seconds * SECOND_US)
