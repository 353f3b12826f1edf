"""What happens in a simulated world, as its seed draws it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from holdfast.proof.names import SegmentName
from holdfast.regions import layout
from holdfast.regions.cookie import LOOK_SECONDS_MAX
from holdfast.regions.retaining import objects_left
from tests.sim.actors import LightReader, Machine, Request
from tests.sim.archives import archives_in
from tests.sim.buckets import Bucket, Weather
from tests.sim.disks import SimDisk
from tests.sim.people import Person
from tests.sim.stories import PEOPLES, STORIES
from tests.sim.world import TRAIL, World, births_in, read_vote, store_of
from tests.write.world import Keys

Action = Callable[[], Awaitable[int] | None]
Born = tuple[str, int, bytes]  # node, epoch, its birth
POLL_SECONDS = 0.02
STORY_STEPS = 12  # that a story takes the place of
LONG = {"expired": 40}  # or of more, where it is long


class Script:
    """The machines and readers of a world, and what befalls them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.draw = world.draw
        self.machines = [Machine(world, f"m{n}") for n in range(self.draw.choice([1, 2, 2, 3]))]
        self.readers = [
            LightReader(world, f"r{n}", self.draw.randint(-700_000, 700_000)) for n in range(2)
        ]
        self.person = Person(world)
        self.sent = 0
        self.is_over = False
        self.snapshots: dict[str, dict[str, bytes]] = {}
        actions: list[tuple[Callable[[], None], float]] = [
            (self.send, 14), (self.look, 6), (self.weather, 6), (self.clear, 5), (self.kill, 3),
            (self.fuse, 3), (self.restart, 5), (self.pause, 3), (self.resume, 4), (self.stop, 1.5),
            (self.close_some, 3), (self.keep, 4), (self.clone, 1), (self.old_copy, 0.5),
            (self.rot, 1), (self.snapshot, 1), (self.roll_back, 1.5), (self.wipe, 0.5),
            (self.hide, 2), (self.clock, 1), (self.alias, 0.7), (self.power_cut, 2),
            (self.reader_again, 0.7), (self.duel, 5), (self.race, 3), (self.part, 2),
        ]  # fmt: skip
        self.actions: dict[str, tuple[Action, float]] = {
            action.__name__: (action, weight) for action, weight in actions
        } | {
            name: (partial(self.tell, name), 0.3)
            for name in STORIES
            if name not in (*PEOPLES, "swept", "expired")
        }
        world.readers = self.readers
        if world.has_archive:
            self.actions |= {"archive": (self.archive, 4), "sweep": (self.sweep, 4)}
            self.actions |= {"rot_archive": (self.rot_archive, 1)}
            self.actions |= {"swept": (partial(self.tell, "swept"), 1)}
        if world.has_rules:
            self.actions |= {"expired": (partial(self.tell, "expired"), 1)}
        if world.has_people:  # last, so that other worlds stay what they were
            self.actions |= {"lose": (self.lose, 2), "ask": (self.ask, 4)}
            self.actions |= {"destroy": (self.destroy, 1)}
            self.actions |= {name: (partial(self.tell, name), 0.6) for name in PEOPLES}

    async def play(self, steps: int) -> None:
        for machine in self.machines:
            machine.start()
        for reader in self.readers:
            reader.start()
        weights = [
            weight + (100 if name in STORIES else 20) * (name in self.world.only)
            for name, (_, weight) in self.actions.items()
        ]
        await asyncio.sleep(0.5)
        while steps > 0:
            action, _ = self.draw.choices([*self.actions.values()], weights)[0]
            steps -= 1
            if (story := action()) is not None:
                steps -= await story
            await asyncio.sleep(self.draw.choice([0.0, 0.02, 0.1, 0.3, 1.0, 2.0]))
        self.is_over = True

    # -- use -----------------------------------------------------------------------------------

    def machine(self) -> Machine:
        return self.draw.choice(self.machines)

    def send(self) -> None:
        for _ in range(self.draw.choice([1, 1, 2, 5])):
            self.sent += 1
            again = self.unknown() if self.draw.random() < 0.3 else None
            self.machine().send(self.sent, again)

    def unknown(self) -> Request | None:
        found = [
            request
            for machine in self.machines
            for request in machine.requests
            if request.outcome == "unknown"
        ]
        return self.draw.choice(found) if found else None

    def look(self) -> None:
        self.draw.choice(self.readers).look()

    def keep(self) -> None:
        self.machine().keep(self.draw.random() < 0.5)

    def archive(self) -> None:
        for _ in range(self.draw.choice([1, 1, 2])):
            self.machine().archive()

    def sweep(self) -> None:
        for _ in range(self.draw.choice([1, 1, 2])):
            self.machine().sweep()

    def rot_archive(self) -> None:
        """Bits of archives flip for good, each where all segments of its unit lie still."""
        out = self.world.watch.out()
        for store in self.world.stores.values():
            for archive in archives_in(store, TRAIL.trail, out):
                if self.draw.random() < 0.7 and self.world.is_small_still(store, archive):
                    key = self.draw.choice(sorted(objects_left(archive, out)))
                    data = store.content()[key]
                    at = self.draw.randrange(len(data))
                    store.damage(key, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
                    self.world.fault("rot", f"{store.id} {key}")

    def close_some(self) -> None:
        """Somebody closes the last epoch of some node, perhaps two at once."""
        births = sorted(self.last_births().items())
        if births:
            node, (epoch, data) = self.draw.choice(births)
            for _ in range(self.draw.choice([1, 1, 2])):
                self.machine().close_other(node, epoch, data)

    def duel(self) -> None:
        """A node that writes is closed by another in the midst of it; stores are slow or fail."""
        machine = self.machine()
        node = machine.node.identity.node if machine.node else ""
        born = self.last_births().get(node)
        if born is None or not machine.open:
            return
        kind = self.draw.choice(["", "", "slow", "mixed", "split", "split"])
        slow = self.draw.choice([0.02, 0.1, 0.5])
        away = self.draw.choice(sorted(self.world.stores))
        for store in self.world.stores.values():
            weather = store.weather = Weather(slow=slow if kind else 0.005)
            if kind == "mixed":
                weather.before, weather.after, weather.late = 0.2, 0.05, 0.05
            elif kind == "split" and store.id != away:
                # One store is slow to take what is written, others often fail to answer closers.
                weather.before = 0.3
            elif kind == "split":
                weather.slow = 4 * slow
        other = self.machine()
        for _ in range(self.draw.choice([0, 2, 4])):
            self.cut_for_a_while(self.draw.choice([machine, other]))
        later = self.world.loop.call_later
        for _ in range(self.draw.randint(2, 8)):
            self.sent += 1
            later(1.5 * self.draw.random(), machine.send, self.sent, context=self.world.context)
        at = 1.5 * self.draw.random()
        later(at, other.close_other, node, *born, context=self.world.context)
        if self.draw.random() < 0.3:
            at += self.draw.random()
            later(at, self.stop_and_start, machine, context=self.world.context)

    def part(self) -> None:
        self.cut_for_a_while(self.machine())

    def cut_for_a_while(self, machine: Machine) -> None:
        """A machine does not reach a store, which others reach."""
        pair = (machine.name, self.draw.choice(sorted(self.world.stores)))
        later, begin = self.world.loop.call_later, 1.5 * self.draw.random()
        end = begin + self.draw.choice([0.05, 0.2, 0.5, 1.0, 3.0])
        if not self.is_over:
            later(begin, self.world.cuts.add, pair, context=self.world.context)
        later(end, self.world.cuts.discard, pair, context=self.world.context)

    def race(self) -> None:
        """A node ends, by itself or not, and begins again while readers look."""
        machine, later = self.machine(), self.world.loop.call_later
        if self.draw.random() < 0.6:
            machine.stop()
        else:
            machine.kill()
        slow = self.draw.choice([0.005, 0.1, 0.3])
        late = self.draw.choice([0.0, 0.0, 0.4])
        for store in self.world.stores.values():
            store.weather = Weather(slow=slow, late=late)
        at = self.draw.choice([0.1, 0.5, 2.0])
        later(at, self.begin_again, machine, context=self.world.context)
        for _ in range(6):
            reader = self.draw.choice(self.readers)
            later(at + 2.5 * self.draw.random(), reader.look, context=self.world.context)
            self.sent += 1
            after = at + 3 * self.draw.random()
            later(after, machine.send, self.sent, context=self.world.context)

    def begin_again(self, machine: Machine) -> None:
        if not self.is_over and machine.process is not None:
            if machine.is_ending:
                machine.kill()
            if not machine.alive:
                machine.start()

    def stop_and_start(self, machine: Machine) -> None:
        if not self.is_over:
            machine.kill()
            machine.start()

    def last_births(self) -> dict[str, tuple[int, bytes]]:
        """The last birth of each node that any store holds."""
        last: dict[str, tuple[int, bytes]] = {}
        for store in self.world.stores.values():
            objects = store.content()
            for key, _ in births_in(objects):
                data = objects[layout.birth_key(key.node, key.epoch)]
                last[key.node] = max(last.get(key.node, (0, b"")), (key.epoch, data))
        return last

    # -- what stories are made of --------------------------------------------------------------

    async def tell(self, name: str) -> int:
        """Play a story; so many steps it takes the place of."""
        story = STORIES[name]
        self.world.say(f"a story: {name}")
        await story(self)
        self.quiet()
        return LONG.get(name, STORY_STEPS)

    def quiet(self) -> None:
        """Stores are well, and everyone reaches them."""
        world = self.world
        world.flips = 0.0
        for connections in (world.cuts, world.ways, world.alias):
            connections.clear()
        for store in world.stores.values():
            store.weather = Weather()
            if isinstance(store, SimDisk):
                store.full = store.failing = 0.0

    async def calm(self) -> None:
        """Everyone is well, and writes."""
        self.quiet()
        for machine in self.machines:
            if machine.process is not None and machine.process.paused:
                machine.process.resume()
            if machine.is_ending or machine.mistaken:
                machine.kill()
            if not machine.alive:
                machine.start()
        await self.until(lambda: all(machine.open for machine in self.machines), 10.0)

    async def cast(self, count: int) -> list[Machine]:
        """So many machines that write, in any order."""
        while len(self.machines) < count:
            self.machines.append(Machine(self.world, f"m{len(self.machines)}"))
        await self.calm()
        return self.draw.sample(self.machines, count)

    def last_born(self, machine: Machine) -> Born | None:
        """The last epoch of a machine's node that any store shows."""
        node = ["", *machine.nodes][-1]
        birth = self.last_births().get(node)
        return (node, *birth) if birth else None

    async def see_to_what_needs_a_person(self) -> None:
        """Replace what is gone, state what is lost, then try to close what nobody else could."""
        for id in self.world.gone:
            self.person.replace(id)
            await self.person.done()
        await self.state_gaps()
        for node, (epoch, data) in sorted(self.last_births().items()) if self.world.forgone else ():
            if not self.is_closed((node, epoch, data)):
                self.person.close(node, epoch)
                await self.person.done()

    async def state_gaps(self) -> None:
        for hole in self.world.holes():
            self.person.gap(*hole)
            await self.person.done()

    def is_closed(self, born: Born | None) -> bool:
        """Whether any store shows where an epoch was closed."""
        return born is None or bool(self.world.holders(layout.closed_key(born[0], born[1])))

    def is_fenced(self, store: Bucket | SimDisk, born: Born | None) -> bool:
        return born is None or store.peek(layout.fence_key(born[0], born[1])) is not None

    def votes(self, born: Born | None) -> int:
        """How many different ends were voted for."""
        if born is None:
            return 0
        found = {s.peek(layout.vote_key(*born[:2])) for s in self.world.stores.values()} - {None}
        return len({read_vote(data) for data in found if data})

    def is_followed(self, born: Born | None) -> bool:
        """Whether any store shows the birth of the next epoch."""
        return born is None or bool(self.world.holders(layout.birth_key(born[0], born[1] + 1)))

    def some_stores(self, count: int) -> list[str]:
        return self.draw.sample(sorted(self.world.stores), count)

    def cut(self, machine: Machine | LightReader, stores: Iterable[str]) -> None:
        """A machine reaches all stores but these."""
        self.world.cuts.difference_update([(machine.name, id) for id in self.world.stores])
        self.world.cuts.update((machine.name, id) for id in stores)

    def share(self, writer: Machine, closer: Machine) -> Bucket | SimDisk:
        """Let them reach only one store in common, the writer slowly; the closer needs R."""
        stores = self.some_stores(self.world.count)
        self.cut(writer, stores[self.world.quorum :])
        self.cut(closer, stores[1 : self.world.quorum])
        self.world.ways[writer.name, stores[0]] = self.draw.choice([0.1, 0.3, 0.5])
        return self.world.stores[stores[0]]

    def close(self, closer: Machine, born: Born | None) -> None:
        if born is not None:
            closer.close_other(*born)

    def later(self, seconds: float, action: Callable[..., object], *arguments: object) -> None:
        self.world.loop.call_later(seconds, action, *arguments, context=self.world.context)

    async def send_within(self, machine: Machine, seconds: float) -> None:
        """A few requests in so much time."""
        for _ in range(self.draw.choice([1, 2, 4])):
            self.sent += 1
            self.later(seconds * self.draw.random(), machine.send, self.sent)
        await asyncio.sleep(seconds)

    async def know(self) -> None:
        """Readers learn of all that is complete by now."""
        await self.wait(2.0, 3.0)  # until a heartbeat promises it
        for reader in self.readers:
            reader.look()
        await self.wait(0.5, 1.0)

    def hold_or_release(self) -> None:
        """A person holds what somebody has, or releases a hold."""
        if standing := self.world.watch.standing():
            self.person.release(self.draw.choice(standing))
        else:
            self.person.hold(self.draw.choice(["", "t", "u"]))

    async def heal(self) -> None:
        """End every fault, as soon as a store that was wiped may be restored."""
        await asyncio.sleep(max(0.0, self.world.away_until - self.world.loop.now))
        self.world.heal()

    async def wait(self, least: float, most: float) -> None:
        await asyncio.sleep(self.draw.uniform(least, most))

    async def until(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Until something is so, or that much time is over."""
        for _ in range(round(seconds / POLL_SECONDS)):
            if is_so():
                return
            await asyncio.sleep(POLL_SECONDS)

    # -- processes -----------------------------------------------------------------------------

    def kill(self) -> None:
        self.machine().kill()

    def fuse(self) -> None:
        """It will die in the midst of what it does with a disk."""
        process = self.machine().process
        if process is not None and self.world.is_disks:
            process.fuse = self.draw.randint(0, 60)

    def restart(self) -> None:
        machine = self.machine()
        if not machine.alive:
            machine.start()

    def pause(self) -> None:
        process = self.machine().process
        if process is not None and process.alive:
            self.world.say(f"{process.name} is paused")
            process.paused = process.was_paused = True

    def resume(self) -> None:
        process = self.machine().process
        if process is not None and process.paused:
            self.world.say(f"{process.name} is resumed")
            process.resume()

    def stop(self) -> None:
        self.machine().stop()

    def clone(self) -> None:
        """The data directory is copied, and both are started."""
        if len(self.machines) < 5:
            old = self.machine()
            keys = Keys()
            keys.now = old.keys.now
            self.world.fault("clone", old.name)
            self.machines.append(Machine(self.world, f"m{len(self.machines)}", keys))
            self.machines[-1].start()

    def old_copy(self) -> None:
        """A data directory is restored from an older copy."""
        machine = self.machine()
        if machine.keys.old:
            self.world.fault("old copy", machine.name)
            machine.kill()
            machine.keys.write(machine.keys.old[0], None)

    def reader_again(self) -> None:
        """A reader's process dies, and its cache with it."""
        reader = self.draw.choice(self.readers)
        reader.process.kill()
        reader.start()

    def look_anew(self) -> None:
        """Readers that remember nothing look."""
        for reader in self.readers:
            reader.process.kill()
            reader.start()
            reader.look()

    def clock(self) -> None:
        """A machine's clock jumps; or it is mended."""
        machine = self.machine()
        jump = self.draw.choice([0, 0, -5, 5, -60, 60, 3600]) * 1_000_000
        machine.skew_us = jump + self.draw.randint(-900_000, 900_000)
        self.world.fault("clock", f"{machine.name}: {machine.skew_us / 1e6:+.1f} s")

    # -- stores --------------------------------------------------------------------------------

    def store(self) -> Bucket | SimDisk:
        return self.world.stores[self.draw.choice(sorted(self.world.stores))]

    def weather(self) -> None:
        store, draw = self.store(), self.draw
        kind = draw.choice(
            ["down", "readonly", "denied", "mixed", "mixed", "late", "slow", "drop", "bent", "disk"]
        )
        weather = Weather()
        if kind in ("down", "readonly", "denied"):
            setattr(weather, kind, True)
        elif kind == "mixed":
            weather.before, weather.after, weather.conflict = 0.15, 0.15, 0.1
            weather.hang, weather.late = 0.05, 0.1
        elif kind == "late":
            weather.late = 0.5
        elif kind == "slow":
            weather.slow = draw.choice([0.2, 1.0, 3.0])
        elif kind == "drop":
            weather.drop = 0.5
        elif kind == "bent":
            weather.bent = 0.3
        if isinstance(store, SimDisk):
            store.full, store.failing = (0.1, 0.1) if kind == "disk" else (0.0, 0.0)
        store.weather = weather
        self.world.fault(kind, store.id)

    def clear(self) -> None:
        store = self.store()
        store.weather = Weather()
        if isinstance(store, SimDisk):
            store.full = store.failing = 0.0
        self.world.say(f"{store.id} is well")

    def losable(self, store: Bucket | SimDisk) -> list[str]:
        content = store.content()
        return [
            key for key, data in sorted(content.items()) if self.world.may_lose(store, key, data)
        ]

    def rot(self) -> None:
        """A bit of an object flips, for good."""
        store = self.store()
        kinds = ("ev/seg/", "ev/cp/", "ev/node/")
        keys = [
            key
            for key in self.losable(store)
            if key.startswith(kinds)
            and not key.endswith(("fence.note", "close.note", "closed.note"))
        ]
        if keys:
            key = self.draw.choice(keys)
            data = store.content()[key]
            if data:
                at = self.draw.randrange(len(data))
                bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                store.damage(key, bent)
                self.world.fault("rot", f"{store.id} {key}")

    def snapshot(self) -> None:
        store = self.store()
        self.snapshots[store.id] = store.content()

    def roll_back(self) -> None:
        """A store is put back to what it was, as far as others hold the rest."""
        store = self.store()
        old = self.snapshots.get(store.id)
        if old is None or not store.is_itself:
            return
        gone = [key for key in self.losable(store) if key not in old]
        for key in gone:
            if self.world.may_lose(store, key, store.content().get(key, b"")):
                store.remove(key)
        self.world.fault("rollback", f"{store.id} loses {len(gone)}")

    def wipe(self) -> None:
        self.wiped(self.store())

    def wiped(self, store: Bucket | SimDisk) -> bool:
        """Take everything from a store, if that may be."""
        content = store.content()
        rest = [key for key in content if key != layout.REGION_KEY]
        if not store.is_itself or not all(
            self.world.may_lose(store, key, content[key], "wiped") for key in rest
        ):
            return False
        self.world.saved[store.id] = content
        for key in content:
            store.remove(key)
        self.world.away_until = self.world.loop.now + LOOK_SECONDS_MAX
        self.world.fault("wipe", store.id)
        return True

    def lose(self) -> None:
        """A store, or one that was wiped, is gone for good; somebody may replace it soon."""
        store, world = self.store(), self.world
        if world.may_go(store):
            world.lose(store)
            if self.draw.random() < 0.7:
                self.later(self.draw.choice([0.0, 1.0, 4.0]), self.person.replace, store.id)

    def destroy(self) -> None:
        self.destroyed_any()

    def destroyed_any(self) -> bool:
        """Every copy of a segment that was acknowledged is lost, or of two in a row; whether so."""
        held = {key: data for s in self.world.stores.values() for key, data in s.content().items()}
        acks = [ack for machine in self.machines for _, ack in machine.acks]
        keys = sorted(
            {layout.SegmentKey(a.node, SegmentName.parse(a.segment)) for a in acks}, key=str
        )
        self.draw.shuffle(keys)
        for key in keys:
            near = [k for k in keys if k.node == key.node and k.name.index == key.name.index + 1]
            done = [k for k in [key, *near[: self.draw.choice([0, 1])]] if self._destroyed(k, held)]
            if done:
                return True
        return False

    def _destroyed(self, key: layout.SegmentKey, held: Mapping[str, bytes]) -> bool:
        text = layout.segment_key(key.node, key.name)
        data, how = held.get(text, b""), self.world.may_destroy(key)
        is_good = hashlib.sha256(data).digest() == key.name.sha256
        if not how or not is_good or text in self.world.destroyed:
            return False
        self.world.destroy(text, data, how)
        return True

    def ask(self) -> None:
        """A person replaces what is gone, or declares a gap or a close, needed or not."""
        gone, births = self.world.gone, sorted(self.last_births().items())
        holes = self.world.holes()
        if gone and self.draw.random() < 0.6:
            self.person.replace(self.draw.choice(gone))
        elif holes and self.draw.random() < 0.6:
            self.person.gap(*self.draw.choice(holes))
        elif births and self.draw.random() < 0.3:
            start = self.draw.randint(0, 5)
            node, _ = self.draw.choice(births)
            self.person.gap(node, start, start + self.draw.choice([1, 1, 3]))
        elif births:
            node, (epoch, _) = self.draw.choice(births)
            self.person.close(node, epoch)

    def hide(self) -> None:
        """A stale listing, or a delete marker: what is there does not show for a while."""
        store = self.store()
        if isinstance(store, SimDisk):
            return
        keys = self.losable(store)
        hidden = [key for key in keys if self.draw.random() < 0.5]
        for key in hidden:
            if self.world.may_lose(store, key, store.content()[key]):
                store.hidden.add(key)
        self.world.fault("hidden", f"{store.id}: {len(hidden)}")
        self.world.loop.call_later(
            self.draw.choice([0.5, 3.0, 10.0]), store.hidden.clear, context=self.world.context
        )

    def alias(self) -> None:
        """Two regions are one bucket, for a while, by somebody's mistake."""
        ids = sorted(self.world.stores)
        if self.world.is_disks or len(ids) < 2 or self.world.alias:
            self.world.alias.clear()
            return
        one, other = self.draw.sample(ids, 2)
        self.world.alias[one] = other
        self.world.fault("alias", f"{one} is {other}")

    def power_cut(self) -> None:
        """Everything stops at once; disks lose what was not synced."""
        if not self.world.is_disks:
            return
        self.world.fault("power cut", "all")
        for machine in self.machines:
            machine.kill()
        for store in self.world.stores.values():
            if isinstance(store, SimDisk):
                store.crash()
                if not store.is_itself and store.id not in self.world.saved:
                    # It was being made, and its cookie is gone again.
                    self.world.forgone.add(store_of(store.cookie))
