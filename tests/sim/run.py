"""Run a seed: the script, the healing, the audit, the judgement."""

import asyncio
import gc
import logging
from collections.abc import Coroutine, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.keep.keeper import Keeper
from holdfast.proof import ProofError, names
from holdfast.regions import Region, Regions, kinds
from holdfast.regions.port import Unknown
from holdfast.regions.signing import SigningKey
from holdfast.verify.findings import Report
from holdfast.verify.run import Question, Verification
from holdfast.write import seal
from holdfast.write.closing import Undecided, close_epoch
from holdfast.write.identity import Identity, certify
from tests.regions.worlds import MemoryWorld, run_with_time
from tests.sim.archives import short_days
from tests.sim.checker import Checker
from tests.sim.kept import check_found, let_all_go
from tests.sim.processes import Killed, Process
from tests.sim.script import Script
from tests.sim.world import START_US, TRAIL, Memory, World, render

STEPS = 50
CATCH_UP_SECONDS = 90.0


@dataclass
class Outcome:
    """What came of a seed. problems: empty when all invariants held."""

    seed: int
    problems: list[str]
    trace: list[str]
    digest: str
    events: int
    faults: dict[str, int]
    restarts: int
    calls: int


def run_seed(seed: int, *, steps: int = STEPS, traced: bool = False, only: str = "") -> Outcome:
    """Simulate one seed from its beginning to the judgement. only: see `World`."""
    logging.disable(logging.CRITICAL)
    world = World(seed, only)
    loop = world.loop
    loop.set_exception_handler(lambda _, context: _complain(world, context.get("exception")))
    gc.disable()
    zstd = seal.zstd  # type: ignore[attr-defined]
    seal.zstd = Memory(world, zstd)  # type: ignore[attr-defined, assignment]
    try:
        with short_days() if world.has_archive else nullcontext(Path()) as world.scratch:
            world.loop.run_until_complete(_run(world, script := Script(world), steps))
            for machine in script.machines:
                machine.kill()
            cookie = kinds.verify_cookie(TRAIL.cookie("a"), TRAIL.trail).statement
            said = (said for reader in script.readers for said in reader.said)
            checker = Checker(world, cookie, script.machines, said)
            checker.run()
            _verify(world)
            if world.has_rules:
                there = (each for each in checker.contents() if not checker.is_destroyed(each[0]))
                opened = {key: found.records for key, found in there}
                try:
                    run_with_time(lambda _: check_found(world, _at_rest(world), opened))
                except (HoldfastError, ProofError) as error:
                    world.problem(f"what is kept is not found or proven: {error!r}")
    finally:
        seal.zstd = zstd  # type: ignore[attr-defined]
        logging.disable(logging.NOTSET)
        loop.set_exception_handler(lambda _, context: None)
        asyncio.events._set_running_loop(loop)
        loop.bury()
        asyncio.events._set_running_loop(None)
        loop.close()
        gc.enable()
    return Outcome(
        seed=seed,
        problems=world.problems,
        trace=[render(line) for line in world.trace] if traced else [],
        digest=world.digest() if traced else "",
        events=sum(len(request.ids) for m in script.machines for request in m.requests),
        faults=world.faults,
        restarts=sum(machine.lives for machine in script.machines),
        calls=len(world.trace),
    )


def _verify(world: World) -> None:
    """`holdfast verify` must not refute a world that kept every promise, whatever befell it.

    What rotted, and what was destroyed and then declared lost, it names.
    """
    trail = _at_rest(world)

    async def verified() -> Report:
        await trail.verify()
        return await Verification(trail, world.host(lambda: 0), Question("events")).run()

    named: set[str] = {"under_replicated", "orphan", "gap", "unproven", "retained"}
    if {"rot", "destroyed", "disk"} & world.faults.keys():
        named.add("corrupt")
    for finding in run_with_time(lambda _: verified()).findings:
        if finding.kind not in named:
            world.problem(f"verify: {finding}")


def _at_rest(world: World) -> Regions:
    """What stores hold now, where nothing befalls them any more."""
    stores = {id: _resting(store.content()) for id, store in world.stores.items()}
    regions = [Region(id, store) for id, store in stores.items()]
    return Regions(regions, world.quorum, TRAIL.trail)


def _resting(content: Mapping[str, bytes]) -> MemoryWorld:
    store = MemoryWorld()
    store.objects = {key: (data, 1) for key, data in content.items()}
    return store


def run_seeds(seeds: range) -> list[Outcome]:
    """Several. Here, and not in `__main__`, so that spawned processes find it."""
    return [run_seed(seed) for seed in seeds]


async def _run(world: World, script: Script, steps: int) -> None:
    await script.play(steps)
    script.person.careful = True
    if world.draw.random() < 0.3:
        await _recover(world, script)
    await script.heal()
    for machine in script.machines:
        machine.kill()
    script.person.kill()
    for reader in script.readers:
        if reader.process.paused:
            reader.process.resume()
    await asyncio.sleep(40)  # until whatever was under way has landed
    await _close_all(world, script)
    for reader in script.readers:
        await asyncio.sleep(20)
        reader.look()
    await asyncio.sleep(40)
    if world.has_rules:
        await _audit(world, "expiry", let_all_go(world, script.readers[0]))


async def _recover(world: World, script: Script) -> None:
    """I20: all faults end; then everyone writes again, the stores become equal, T catches up."""
    await script.heal()
    healed, healed_us = world.loop.now, world.true_us()
    for machine in script.machines:
        machine.skew_us = 0
        if machine.process is not None and machine.process.paused:
            machine.process.resume()
        if machine.is_ending or machine.mistaken:
            machine.kill()
        if not machine.alive:
            machine.start()
    deadline = world.loop.now + CATCH_UP_SECONDS
    while world.loop.now < deadline:
        await asyncio.sleep(3)
        last = [reader.judgement.complete_through_us or 0 for reader in script.readers]
        sent = [machine.requests[-1].outcome for machine in script.machines if machine.requests]
        if (
            set(sent) <= {"acked"}
            and all(machine.open for machine in script.machines)
            and min(last) >= healed_us
            and not _drift(world)
        ):
            world.say(f"recovered in {(world.true_us() - healed_us) / 1e6:.0f} s")
            return
        for machine in script.machines:
            if not machine.alive:
                machine.start()
            script.sent += 1
            machine.send(script.sent)
            machine.keep(whole=True)
        await script.see_to_what_needs_a_person()
        for reader in script.readers:
            reader.look()
    _complain_of_slowness(world, script, healed)


def _complain_of_slowness(world: World, script: Script, healed: float) -> None:
    healed_us = START_US + round(healed * 1e6)
    for machine in script.machines:
        if not machine.open:
            state = machine.node.report().why if machine.node else "no node"
            world.problem(f"I20: {machine.name} does not write again: {state}")
        elif not any(
            request.outcome == "acked" and request.sent_at >= healed for request in machine.requests
        ):
            world.problem(f"I20: {machine.name} acknowledges nothing")
    for reader in script.readers:
        if (reader.judgement.complete_through_us or 0) < healed_us:
            why = "; ".join(h.reason for h in reader.judgement.holding_back)
            world.problem(f"I20: {reader.name} does not catch up: {why}")
    for text in _drift(world):
        world.problem(f"I20: {text}")


def _drift(world: World) -> list[str]:
    """What some store lacks of what every store must have in the end."""
    contents = {id: store.content() for id, store in world.stores.items()}
    acked = {key for content in contents.values() for key in content if _is_kept(key)}
    return [
        f"{id} lacks {key}" for key in sorted(acked) for id in contents if key not in contents[id]
    ]


def _is_kept(key: str) -> bool:
    return key.endswith(("/birth.note", "/closed.note")) or key.startswith(("ev/cp/", "ev/gap/"))


async def _close_all(world: World, script: Script) -> None:
    """Every epoch that is still open is closed, as its node's next start would."""
    await script.state_gaps()
    await _audit(world, "closing of all epochs", _close_each(world, script))
    if world.forgone:
        await _replace_all(world, script)
        await _audit(world, "repair", _repair(world))
        await _audit(world, "repair", _repair(world))


async def _replace_all(world: World, script: Script) -> None:
    """A person replaces every store that is gone for good."""
    for id in sorted(world.gone):
        script.person.replace(id)
        await script.person.done()


async def _audit(world: World, what: str, work: Coroutine[object, object, None]) -> None:
    outcome = Process("auditor", world.loop).spawn(work)
    await asyncio.wait([outcome], timeout=600)
    if not outcome.done():
        world.problem(f"the {what} does not end")
    elif outcome.exception() is not None:
        world.problem(f"the {what} failed: {outcome.exception()!r}")


async def _repair(world: World) -> None:
    """What lay in a store that is gone is brought to a quorum again."""
    regions = world.regions("auditor")
    await regions.verify()
    await Keeper(regions, world.host(lambda: 0)).reconcile(whole=True)


async def _close_each(world: World, script: Script) -> None:
    regions = world.regions("auditor")
    await regions.verify()
    host = world.host(lambda: 0)
    for node, (epoch, data) in sorted(script.last_births().items()):
        if world.forgone and world.is_closed(node, epoch):
            continue  # of the stores that its birth names too few may be left to close it again
        seed = _seed_of(script, node)
        if seed is None:
            world.problem(f"nobody has the key of {node[:6]}")
            continue
        key = SigningKey.generate(names.ledger_origin(TRAIL.trail, node), seed)
        certificate = certify(TRAIL.trail, TRAIL.signing, key.public, host.now_us())
        try:
            end = await close_epoch(regions, data, Identity(node, key, certificate), host, "audit")
        except ProofError:
            continue  # a rotten birth; an intact one lies elsewhere
        if isinstance(end, Undecided) and world.forgone:
            world.say(f"epoch {epoch} of {node[:6]} stays open: {end.reason}")
            script.person.close(node, epoch)
            await script.person.done()
            end = await close_epoch(regions, data, Identity(node, key, certificate), host, "audit")
        if isinstance(end, Undecided) and world.gone:
            await _replace_all(world, script)
            await regions.verify()
            end = await close_epoch(regions, data, Identity(node, key, certificate), host, "audit")
        if isinstance(end, Undecided):
            world.problem(f"epoch {epoch} of {node[:6]} cannot be closed: {end.reason}")


def _seed_of(script: Script, node: str) -> bytes | None:
    return next((m.nodes[node] for m in script.machines if node in m.nodes), None)


def _complain(world: World, error: BaseException | None) -> None:
    if error is not None and not isinstance(error, HoldfastError | Killed | asyncio.CancelledError):
        world.problem(f"nobody awaited {error!r}")


__all__ = ["START_US", "Outcome", "Unknown", "run_seed", "run_seeds"]
