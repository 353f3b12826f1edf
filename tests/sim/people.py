"""Somebody with the trail's key at a command line: `region replace`, `close declare`, `hold add`.

Each command is a process of its own, as the command line makes one: it may be killed or paused
anywhere, and the person tries again. What they say is true (a region is named as gone only if its
store never returns), but they ask at any time, and for any epoch: refusing is the product's part.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.cli.close import find_birth
from holdfast.errors import CorruptError, RejectedError, UnavailableError
from holdfast.keep.declare import declare
from holdfast.keep.gaps import Asked, propose_gap
from holdfast.ports import Host
from holdfast.proof import ProofError
from holdfast.regions import Regions
from holdfast.regions.joining import replace_region
from holdfast.retention.chronicle import Chronicle
from holdfast.retention.holds import Holds, Wanted
from holdfast.write.declared import propose_end
from holdfast.write.identity import Identity, speak_for_trail
from tests.sim.archives import Known
from tests.sim.processes import Process
from tests.sim.world import TRAIL, World

Work = Callable[[Regions, Host], Awaitable[str]]


class Person:
    """One person, who runs one command at a time. careful: nothing befalls their commands."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.careful = False
        self.process: Process | None = None
        self._commands = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self.process is not None and self.process.alive

    def kill(self) -> None:
        """Whatever they do is broken off."""
        if self.process is not None:
            self.process.kill()

    def replace(self, region: str) -> None:
        """`holdfast region replace`: a store for a region whose store is gone."""

        async def work(regions: Regions, host: Host) -> str:
            joined = await replace_region(regions, region, TRAIL, host.random)
            return f"its store is {joined.store}"

        self._run(f"replaces the store of {region}", work, verified=False)

    def close(self, node: str, epoch: int) -> None:
        """`holdfast close declare`."""

        async def work(regions: Regions, host: Host) -> str:
            gone = self.world.gone
            birth = await find_birth(regions, node, epoch)
            found = await propose_end(regions, birth, TRAIL.signing, host, gone, "p: votes split")
            await self._confirm()
            told = await declare(regions, found.key, found.data, gone)
            self.world.fault("declared close", f"{node[:6]} {epoch} ends at {found.end.size}")
            return f"it ends at {found.end.size}: {dict(told)}"

        self._run(f"declares the close of epoch {epoch} of {node[:6]}", work)

    def gap(self, node: str, start: int, end: int) -> None:
        """`holdfast gap declare`."""

        async def work(regions: Regions, host: Host) -> str:
            asked = Asked(node, start, end, tuple(self.world.gone), "p", "every copy was lost")
            found = await propose_gap(regions, TRAIL.signing, host, asked)
            await self._confirm()
            told = await declare(regions, found.key, found.data, asked.gone)
            self.world.fault("declared gap", f"{node[:6]} [{start}, {end})")
            return f"stated: {dict(told)}"

        self._run(f"declares the segments [{start}, {end}) of {node[:6]} lost", work)

    def hold(self, tenant: str) -> None:
        """`holdfast hold add`."""

        async def work(regions: Regions, host: Host) -> str:
            wanted = Wanted(tenant=tenant, reason="a case", author="p")
            held = await self._holds(regions, host).place(wanted)
            if held.late:
                return f"too late for {[(floor.unit, floor.retention) for floor in held.late]}"
            self.world.watch.confirm(held.hold)
            return f"held as {held.hold.hold}"

        self._run(f"holds what {tenant!r} has", work, verified=False)

    def release(self, id: str) -> None:
        """`holdfast hold release`."""

        async def work(regions: Regions, host: Host) -> str:
            self.world.watch.release(id)
            released = await self._holds(regions, host).release(id, "over", "p")
            return f"released: {released.release is not None}"

        self._run(f"releases {id[:6]}", work, verified=False)

    def _holds(self, regions: Regions, host: Host) -> Holds:
        known: Any = Known(self.world.readers[0])

        def identity() -> Identity:
            return speak_for_trail(TRAIL.trail, TRAIL.signing, host)

        return Holds(regions, host, identity, Chronicle(known))

    async def done(self) -> None:
        """Until the command that runs has ended."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=60)

    # -- commands ------------------------------------------------------------------------------

    def _run(self, what: str, work: Work, *, verified: bool = True) -> None:
        if self.is_busy:
            return
        self._commands += 1
        self.process = Process(f"p.{self._commands}", self.world.loop)
        self.world.say(f"{self.process.name} {what}")
        if not self.careful:
            self._befall(self.process)
        self._task = self.process.spawn(self._command(self.process, work, verified))

    def _befall(self, process: Process) -> None:
        """What may happen to a command, drawn before it runs."""
        draw, later = self.world.draw, self.world.loop.call_later
        kind = draw.choice(["", "", "", "kill", "fuse", "pause"])
        at = draw.random() * draw.choice([0.05, 0.2, 1.0])
        if kind == "kill":
            later(at, process.kill, context=self.world.context)
        elif kind == "fuse":
            process.fuse = draw.randint(0, 60)
        elif kind == "pause":
            later(at, setattr, process, "paused", True, context=self.world.context)
            later(at + draw.choice([0.5, 3.0, 8.0]), process.resume, context=self.world.context)

    async def _command(self, process: Process, work: Work, verified: bool) -> None:
        """As `cli.declaring` does it."""
        regions = self.world.regions(process.name)
        try:
            if verified:
                await regions.verify()
                regions.refuse_mix_ups()
            told = await work(regions, self.world.host(lambda: 0))
        except (RejectedError, UnavailableError, ProofError) as error:
            told = f"refused: {error}"
        except CorruptError as error:
            # A closer, or a command that was thought dead, was faster; the checker compares them.
            told = f"met another statement: {error}"
        self.world.say(f"{process.name}: {told}")
        process.kill()

    async def _confirm(self) -> None:
        """They read what will be stated."""
        if not self.careful:
            await asyncio.sleep(self.world.draw.choice([0.0, 0.0, 0.3, 3.0]))
