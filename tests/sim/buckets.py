"""A simulated object store: what it holds, what it loses, and every way in which it can answer.

A `Bucket` is the store itself; a `BucketStore` is a process's way to it, the port that the product
is given. Effects are the world's: they land whether or not the process that asked is still there.

A bucket loses silently only what the `World` allows (`may_lose`): W others hold it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from holdfast.regions import layout
from holdfast.regions.keys import check_bytes, check_key, check_prefix, check_removable
from holdfast.regions.port import Absent, Level, Listed, Listing, Present, Removed, Stored, Unknown
from tests.regions.worlds import level_of
from tests.sim.processes import CURRENT
from tests.sim.retained import DELETER

if TYPE_CHECKING:
    from tests.sim.world import World

Answer = TypeVar("Answer")


@dataclass
class Weather:
    """How a store does now: how likely each fault is, of a call. slow: seconds of a usual call."""

    slow: float = 0.005
    before: float = 0.0  # an error, nothing done
    after: float = 0.0  # an error, and it was done
    conflict: float = 0.0  # "already exists", with nothing stored
    hang: float = 0.0  # no answer, nothing done
    late: float = 0.0  # no answer, and done long after the caller gave up
    drop: float = 0.0  # 200, and nothing stored
    bent: float = 0.0  # a read is truncated, or one bit is flipped
    unlisted: float = 0.0  # a listing is refused
    down: bool = False  # nothing works
    readonly: bool = False
    denied: bool = False  # 403


@dataclass
class Bucket:
    """One store. cookie: what makes it a region's store. hidden: keys that do not show now."""

    id: str
    cookie: bytes
    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    weather: Weather = field(default_factory=Weather)
    skew_us: int = 0

    def __post_init__(self) -> None:
        self.objects[layout.REGION_KEY] = (self.cookie, 1)

    @property
    def is_itself(self) -> bool:
        """Whether it is still the store that its region's cookie says."""
        held = self.objects.get(layout.REGION_KEY)
        return held is not None and held[0] == self.cookie

    def durable(self, key: str) -> bytes | None:
        """What it would show for a key after any crash; None while that is nothing."""
        if not self.is_itself or key in self.hidden:
            return None
        held = self.objects.get(key)
        return held[0] if held else None

    def peek(self, key: str) -> bytes | None:
        """What is there, for the world's own eyes."""
        return self.objects.get(key, (None,))[0]

    def content(self) -> dict[str, bytes]:
        """Everything in it, as a person with patience would find it."""
        return {key: data for key, (data, _) in self.objects.items()}

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def remove(self, key: str) -> None:
        del self.objects[key]

    def damage(self, key: str, data: bytes) -> None:
        self.objects[key] = (data, self.objects[key][1])


class BucketStore:
    """See the module. Implements `Store`."""

    def __init__(self, world: "World", bucket: Bucket) -> None:
        self._world = world
        self._bucket = bucket

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        check_key(key)
        check_bytes(data)
        bucket = self._bucket

        def effect() -> Stored | Unknown:
            if key in bucket.objects:
                return Unknown("already exists", answered=True)
            if self._lucky(bucket.weather.drop) and self._world.may_lose(bucket, key, data):
                return Stored()
            if key == layout.REGION_KEY and not self._world.joined(bucket, data):
                return Unknown("reset")
            bucket.objects[key] = (data, self._world.true_us() + bucket.skew_us)
            return Stored()

        return await self._call("create", bucket, key, effect, writes=True)

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        check_key(key)
        check_bytes(data)
        assert key.startswith("ctl/"), "evidence was overwritten"
        bucket = self._bucket

        def effect() -> Stored | Unknown:
            self._world.saw_control(key, data)
            bucket.objects[key] = (data, self._world.true_us() + bucket.skew_us)
            return Stored()

        return await self._call("replace", bucket, key, effect, writes=True)

    async def read(self, key: str) -> Present | Absent | Unknown:
        check_key(key)
        bucket = self._bucket

        def effect() -> Present | Absent:
            held = bucket.objects.get(key)
            if held is None or key in bucket.hidden:
                return Absent()
            if self._lucky(bucket.weather.bent):
                return Present(self._world.bend(held[0]), held[1])
            return Present(*held)

        return await self._call("read", bucket, key, effect)

    async def remove(self, key: str) -> Removed | Unknown:
        check_removable(key)
        bucket, deleter = self._bucket, DELETER.get()

        def effect() -> Removed:
            if key in bucket.objects:
                data, _ = bucket.objects.pop(key)
                self._world.saw_removal(deleter, bucket.id, key, data)
            return Removed()

        return await self._call("remove", bucket, key, effect, writes=True)

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        check_prefix(prefix)
        bucket = self._bucket

        def effect() -> Listing:
            return Listing(
                tuple(
                    Listed(key, len(data), modified_us)
                    for key, (data, modified_us) in sorted(bucket.objects.items())
                    if key.startswith(prefix) and key > after and key not in bucket.hidden
                )
            )

        return await self._call("list", bucket, prefix, effect)

    async def level(self, prefix: str) -> Level | Unknown:
        check_prefix(prefix)
        bucket = self._bucket

        def effect() -> Level:
            return level_of((key for key in bucket.objects if key not in bucket.hidden), prefix)

        return await self._call("list", bucket, prefix, effect)

    def _lucky(self, chance: float) -> bool:
        return chance > 0 and self._world.draw.random() < chance

    async def _call(
        self,
        operation: str,
        bucket: Bucket,
        key: str,
        effect: Callable[[], Answer],
        *,
        writes: bool = False,
    ) -> Answer | Unknown:
        """Draw the call's fate, let the effect happen in the world, and answer."""
        world, weather, draw = self._world, bucket.weather, self._world.draw.random
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer | Unknown] = loop.create_future()
        process = CURRENT.get()
        fate = draw()
        refusal = _refusal(weather, writes)
        if operation == "list" and self._lucky(weather.unlisted):
            refusal = Unknown("503 slow down")
        if world.is_cut(bucket.id):
            refusal = Unknown("cut off")
        slow = world.slow(bucket)
        told: Unknown | None = None
        # Some calls take many times as long as most, on the way there or on the way back.
        at, wait, works = slow * (0.3 + 6 * draw() ** 5), 0.0, True
        if draw() < 0.3:
            wait = slow * 4 * draw()
        if refusal is not None:
            told, works = refusal, False
        elif fate < (least := weather.before):
            told, works = Unknown("503 before"), False
        elif fate < (least := least + weather.after):
            told = Unknown("503 after")
        elif fate < (least := least + weather.conflict) and writes:
            told, works = Unknown("409", answered=True), False
        elif fate < (least := least + weather.hang):
            told, works, wait = Unknown("reset"), False, 30.0
        elif fate < least + weather.late:
            at, wait, told = 2.0 + 15 * draw(), 20.0, Unknown("reset")

        def land() -> None:
            answer = effect() if works else None
            outcome = told or answer
            assert outcome is not None
            world.note(process, bucket.id, operation, key, answer, told)
            if wait:
                loop.call_later(wait, _answer, future, outcome, context=world.context)
            else:
                _answer(future, outcome)

        loop.call_later(at, land, context=world.context)
        return await future


def _refusal(weather: Weather, writes: bool) -> Unknown | None:
    if weather.down:
        return Unknown("no route to host")
    if weather.denied:
        return Unknown("403", permanent=True)
    if weather.readonly and writes:
        return Unknown("refused: read only")
    return None


def _answer(future: "asyncio.Future[Answer]", outcome: Answer) -> None:
    if not future.done():
        future.set_result(outcome)
