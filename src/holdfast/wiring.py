"""Builds the real things. Nothing else reads a clock, draws a random number or opens a store.

`open_system` makes what `serve` runs, and what the reading commands use with no server alive;
`open_writer` what one of several writers in a server is made of, which leave the rest to one.
"""

import asyncio
import logging
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from holdfast.archive.archivist import Archivist, Workshop
from holdfast.archive.outbox import FOLDER, Spool
from holdfast.archive.sweep import Sweeper
from holdfast.beside import at_work
from holdfast.errors import HoldfastError, RejectedError, UnavailableError
from holdfast.keep.keeper import Closer, Keeper
from holdfast.keep.scrub import Scrub, corrupt_copies
from holdfast.keep.seen import Seen
from holdfast.keep.witnesses import EVERY_SECONDS, Asked, Witnesses
from holdfast.limits import reader_limits, write_limits
from holdfast.model import NodeId
from holdfast.ports import Host, Offload
from holdfast.posting import post
from holdfast.prove.prover import Prover
from holdfast.read.checkpoints import Checkpoints
from holdfast.read.compute import Renewing, begin_work
from holdfast.read.growth import Growth
from holdfast.read.reader import Reader
from holdfast.read.search import prepare
from holdfast.regions import Region, Regions, layout
from holdfast.regions.buckets import S3, open_bucket, open_client, parse_bucket
from holdfast.regions.clock import ClockInterval
from holdfast.regions.cloud import CloudStore
from holdfast.regions.directory import DirectoryStore
from holdfast.regions.disk import PosixDisk
from holdfast.regions.founding import Founded, found
from holdfast.regions.lock import LOCK_FILE, locked
from holdfast.regions.port import Store, Unknown
from holdfast.regions.probe import Prober
from holdfast.regions.region import RegionLimits
from holdfast.regions.sets import RegionSet
from holdfast.regions.threads import Threads
from holdfast.regions.trailkey import KeyHome, TrailKey
from holdfast.regions.versions import S3Versions
from holdfast.regions.worm import WormStore
from holdfast.restore.restorer import Restorer
from holdfast.retention.expire import Retention
from holdfast.settings import RegionSettings, Settings
from holdfast.write.epoch import Entered
from holdfast.write.identity import Identity, identify, speak_for_trail
from holdfast.write.keyfiles import KeyFiles, node_directory
from holdfast.write.node import Node

NICE = 10
# A fold takes a second, and other nodes' segments are not to wait for it before they are found.
BACKGROUND_WORKERS = 2
REGION_THREADS = 8
# For who has time, and nobody waiting: an answer that comes late is better than none.
PATIENT = RegionLimits(timeout_seconds=60.0)
FILE_THREADS = 4
LEFT_OVER_EVERY_SECONDS = 5.0

log = logging.getLogger("holdfast")


class Elsewhere(Protocol):
    """What a process knows of the nodes below its data directory that other processes run."""

    async def ready(self) -> None:
        """Wait until one of them has an epoch."""

    def birth(self) -> tuple[str, bytes] | None:
        """As `Node.birth`, of one of them."""

    def clocks(self) -> Mapping[str, ClockInterval | Unknown]:
        """As `Node.clocks`, as one of them measured it."""

    def open_nodes(self) -> Mapping[int, NodeId]:
        """Those that have an epoch, by the numbers of their directories."""


@dataclass(frozen=True, slots=True)
class System:
    """What one process is made of. node, witnesses: None where it only reads.

    is_new: the trail was founded by this very start. has_trail_key: it is in the data directory.
    is_admitted: the node's certificate was made elsewhere.
    """

    settings: Settings
    host: Host
    regions: Regions
    reader: Reader
    checkpoints: Checkpoints
    growth: Growth
    prover: Prover
    keeper: Keeper
    scrub: Scrub
    archivist: Archivist
    sweeper: Sweeper
    retention: Retention
    restorer: Restorer
    node: Node | None
    witnesses: Witnesses | None
    is_new: bool
    has_trail_key: bool
    is_admitted: bool


@dataclass(frozen=True, slots=True)
class Writer:
    """What a process is made of that writes, and leaves reading and keeping to another one."""

    settings: Settings
    host: Host
    regions: Regions
    node: Node
    witnesses: Witnesses | None


@asynccontextmanager
async def open_system(
    settings: Settings, *, write: bool, elsewhere: Elsewhere | None = None
) -> AsyncIterator[System]:
    """Build everything and start it; on the way out, stop and close it in order.

    Args:
        write: Take in events: take the data directory for itself, found the trail if there is
            none, run a node and a keeper. Else only read, from the regions alone; the reader is
            opened, and makes its passes when it is told to.
        elsewhere: With `write`: run all but the node. Whoever started this process has taken the
            data directory, and starts others that run nodes below it.
    Raises:
        RejectedError: the settings, the keys or the regions do not fit together; names them.
        UnavailableError: another process has the data directory, or no region answers.
    """
    async with AsyncExitStack() as closing:
        host = closing.enter_context(real_host())
        if write and elsewhere is None:
            closing.enter_context(locked(settings.data_path / LOCK_FILE))
        regions = closing.enter_context(real_regions(settings))
        founded = await _founded(settings, regions, host, write=write)
        patient = closing.enter_context(real_regions(settings, PATIENT, regions.trail))
        cache = closing.enter_context(_cache(settings.data_path, owned=write))
        nodes: list[Node] = []
        clocks = elsewhere.clocks if elsewhere else lambda: nodes[0].clocks() if nodes else {}
        reader = Reader(regions, host, cache, reader_limits(settings), clocks if write else None)
        if write and elsewhere is None:
            nodes.append(_node(settings, 0, regions, founded.key, host, reader.enter))
        one = _one_of(elsewhere, settings, regions.trail, host) if elsewhere else None
        identity = one or (nodes[0].living_identity if nodes else _person(founded, host))
        closer = Closer(regions, host, identity, float(settings.lost_after_s)) if write else None
        keeper = Keeper(regions, host, closer, identity=identity, suspects=reader.suspects)
        scrub = Scrub(regions, host, settings.scrub_period_days)
        corrupt = partial(corrupt_copies, keeper, scrub)
        shop = Workshop(cache / "archive", settings.retention)
        archivist = Archivist(patient, reader, host, identity, shop, corrupt)
        system = System(
            settings=settings,
            host=host,
            regions=regions,
            reader=reader,
            checkpoints=Checkpoints(regions),
            growth=Growth(regions),
            prover=Prover(reader, regions, host, settings.heartbeat_interval_ms / 1000, identity),
            keeper=keeper,
            scrub=scrub,
            archivist=archivist,
            sweeper=Sweeper(patient, host, archivist.key_of, cache / "sweep", corrupt),
            retention=Retention(patient, reader, host, identity, shop),
            restorer=Restorer(patient, reader, host, cache, settings.restore_drill_bytes_max),
            node=nodes[0] if nodes else None,
            witnesses=_witnesses(settings, regions, host, nodes[0]) if nodes else None,
            is_new=founded.is_new,
            has_trail_key=founded.key is not None,
            is_admitted=write and _key_files(settings, 0).is_admitted(),
        )
        nodes_here = elsewhere or system.node
        alive = _alive(system, nodes_here, founded.key) if nodes_here else _opened(system)
        await closing.enter_async_context(alive)
        yield system


@asynccontextmanager
async def open_writer(settings: Settings, number: int, entered: Entered) -> AsyncIterator[Writer]:
    """Build and start one of several writers; on the way out, stop it in order.

    The trail is founded, and the data directory taken, by whoever started this process.

    Args:
        number: of its directory below `nodes`.
        entered: lets searches see a segment before it is acknowledged; see `Epoch`.
    Raises:
        As `open_system`.
    """
    async with AsyncExitStack() as closing:
        host = closing.enter_context(real_host())
        regions = closing.enter_context(real_regions(settings))
        key = await KeyHome(settings.data_path, PosixDisk(), host.offload).read()
        regions.trail = key.trail if key else ""
        await _verify(regions, write=True)
        node = _node(settings, number, regions, key, host, entered)
        witnesses = _witnesses(settings, regions, host, node)
        await node.refuse_if_retired()
        prober = Prober(regions, node.birth)
        await prober.probe()
        await node.start()
        closing.push_async_callback(node.stop)
        work = _work_of(settings, node, Checkpoints(regions), witnesses)
        work.append(prober.probe_forever(node.ready))
        await closing.enter_async_context(at_work(work))
        yield Writer(settings, host, regions, node, witnesses)


def _key_files(settings: Settings, number: int) -> KeyFiles:
    return KeyFiles(node_directory(settings.data_path, number), PosixDisk())


def _node(
    settings: Settings,
    number: int,
    regions: Regions,
    key: TrailKey | None,
    host: Host,
    entered: Entered,
) -> Node:
    """A node of the data directory. Raises RejectedError: nobody certifies it."""
    files, limits = _key_files(settings, number), write_limits(settings)
    return Node(regions, files, key.signing if key else None, host, limits, entered)


def _one_of(
    elsewhere: Elsewhere, settings: Settings, trail: str, host: Host
) -> Callable[[], Identity | None]:
    """Speak as one of the nodes that other processes run: their keys lie in this directory."""

    def identity() -> Identity | None:
        for number, node in elsewhere.open_nodes().items():
            with suppress(HoldfastError):
                found = identify(_key_files(settings, number), trail, None, host)
                if found.node == node:
                    return found
        return None

    return identity


def _left_over(
    settings: Settings, regions: Regions, key: TrailKey | None, host: Host
) -> Sequence[Node]:
    """The nodes of workers that there are no more: nobody runs them, so nobody closes what they
    left open, and it would hold the watermark back until they are taken for lost."""

    async def nothing_to_enter(*_: object) -> None:
        raise AssertionError("it is never started")

    found = []
    for folder in sorted((settings.data_path / "nodes").glob("[0-9]*")):
        if folder.name.isdecimal() and int(folder.name) >= settings.workers:
            try:
                number = int(folder.name)
                found.append(_node(settings, number, regions, key, host, nothing_to_enter))
            except RejectedError as error:
                log.warning("%s: its last epoch is left to other nodes: %s", folder, error)
    return found


async def _close_left_over(nodes: Sequence[Node]) -> None:
    """Close their last epochs, as their own next start would. The data directory is taken, so
    nobody else begins one meanwhile."""
    left = list(nodes)
    while left:
        left = [node for node in left if not await node.close_last()]
        if left:
            await asyncio.sleep(LEFT_OVER_EVERY_SECONDS)


def _witnesses(settings: Settings, regions: Regions, host: Host, node: Node) -> Witnesses | None:
    """None where the settings name none."""
    if not settings.witnesses:
        return None
    asked = [
        Asked(name, each.url.rstrip("/"), each.key) for name, each in settings.witnesses.items()
    ]
    quorum = settings.witness_quorum or len(asked)
    return Witnesses(regions, host, node.living_identity, asked, quorum, post)


def _person(founded: Founded, host: Host) -> Callable[[], Identity | None]:
    """Whoever runs a command speaks for the trail, if the trail's key is at hand."""
    key = founded.key
    return lambda: speak_for_trail(key.trail, key.signing, host) if key else None


@asynccontextmanager
async def _opened(system: System) -> AsyncIterator[None]:
    _remember(system)
    await system.reader.open()
    try:
        yield
    finally:
        await system.reader.stop()


def _remember(system: System) -> None:
    """Keep in the data directory what is to be told to the trail of what is deleted."""
    spool = Spool(system.settings.data_path / FOLDER, PosixDisk())
    system.sweeper.outbox.spool = system.retention.chronicle.spool = spool


@asynccontextmanager
async def _alive(
    system: System, nodes: Node | Elsewhere, key: TrailKey | None
) -> AsyncIterator[None]:
    """The reader before the node, which hands it what it seals; in the end the other way round."""
    settings, node = system.settings, system.node
    _remember(system)
    system.host.compute.submit(prepare)  # or the first search would wait for its worker to load
    if node is not None:
        await node.refuse_if_retired()
    prober = Prober(system.regions, nodes.birth)
    await prober.probe()
    async with AsyncExitStack() as closing:
        closing.push_async_callback(system.reader.stop)
        await system.reader.start()
        work: list[Coroutine[Any, Any, None]] = [
            system.keeper.keep_forever(float(settings.reconcile_interval_s)),
            system.scrub.scrub_forever(),
            prober.probe_forever(nodes.ready),
            _close_left_over(_left_over(settings, system.regions, key, system.host)),
            system.archivist.archive_forever(
                settings.archive_after_hours, system.keeper.unarchived
            ),
            system.sweeper.sweep_forever(
                settings.segments_kept_days if settings.archive_after_hours else 0
            ),
            system.retention.expire_forever(),
            system.restorer.restore_forever(settings.restore_drill_hours),
        ]
        if node is not None:
            closing.push_async_callback(node.stop)
            await node.start()
            work += _work_of(settings, node, system.checkpoints, system.witnesses)
        await closing.enter_async_context(at_work(work))
        yield


def _work_of(
    settings: Settings, node: Node, checkpoints: Checkpoints, witnesses: Witnesses | None
) -> list[Coroutine[Any, Any, None]]:
    """What goes on beside a node, in its name."""
    every_seconds = float(settings.checkpoint_interval_s)
    work: list[Coroutine[Any, Any, None]] = [Seen(checkpoints, node).tell_forever(every_seconds)]
    if witnesses is not None:
        work.append(witnesses.ask_forever(min(EVERY_SECONDS, every_seconds)))
    return work


@contextmanager
def real_host() -> Iterator[Host]:
    """The machine this runs on."""
    threads = Threads("files", FILE_THREADS)
    compute = Renewing(lambda: _workers(1, 0))
    background = Renewing(lambda: _workers(BACKGROUND_WORKERS, NICE))
    try:
        yield Host(_now_us, os.urandom, threads, compute, background)
    finally:
        # Python waits for them at its exit anyway, and stumbles (3.11) where it meets them there.
        for each in (compute, background):
            each.shutdown(wait=True, cancel_futures=True)
        threads.close()


def _now_us() -> int:
    return time.time_ns() // 1000


def _workers(count_max: int, nice: int) -> Executor:
    """Each is started by a job that finds none idle."""
    # Spawned, never forked: a fork would take threads' locks and open stores along.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count_max, spawn, initializer=begin_work, initargs=(nice,))


@contextmanager
def real_regions(
    settings: Settings, limits: RegionLimits | None = None, trail: str = ""
) -> Iterator[Regions]:
    """The regions of the settings; each directory has its own threads, so that none starves
    another. trail: as in `Regions`."""
    limits = limits or RegionLimits()
    threads: list[Threads] = []

    def store(url: str, name: str, where: RegionSettings, cookie: str = "") -> Store:
        if not where.is_directory:
            bucket, seconds = parse_bucket(url), limits.timeout_seconds
            return CloudStore(lambda: open_bucket(bucket, where, seconds, _now_us))
        threads.append(Threads(name, REGION_THREADS))
        path = Path(unquote(urlsplit(url).path))
        writer = f"w{os.getpid()}"
        return DirectoryStore(path, PosixDisk(), threads[-1], writer=writer, cookie=cookie)

    def evidence(id: str, where: RegionSettings) -> Store:
        plain = store(where.url, id, where, layout.REGION_KEY)
        if not (where.object_lock and isinstance(plain, CloudStore)):
            return plain
        threads.append(Threads(f"{id}-versions", REGION_THREADS))
        return WormStore(plain, _versions(where.url, where, threads[-1], limits.timeout_seconds))

    def region(id: str, where: RegionSettings) -> Region:
        url = where.control_url
        control = store(url, f"{id}-control", where) if url else None
        place, uris = where.place, where.uris
        return Region(id, evidence(id, where), control, url=place, limits=limits, uris=uris)

    try:
        made = [region(id, where) for id, where in settings.regions.items()]
        earlier = [RegionSet(frozenset(each.regions), each.quorum) for each in settings.earlier]
        yield Regions(made, settings.quorum, trail, earlier=earlier, leaving=settings.leaving)
    finally:
        for each in threads:
            each.close()


def _versions(url: str, where: RegionSettings, offload: Offload, seconds: float) -> S3Versions:
    bucket = parse_bucket(url)
    prefix = f"{bucket.prefix}/" if bucket.prefix else ""
    return S3Versions(
        lambda: open_client(bucket, where, seconds, _now_us), bucket.name, prefix, offload
    )


@contextmanager
def real_versions(settings: Settings) -> Iterator[Mapping[tuple[str, str], S3Versions]]:
    """What can be asked of the buckets of S3 regions beside their objects, by (region id, url)."""
    threads, seconds = Threads("versions", REGION_THREADS), RegionLimits().timeout_seconds
    try:
        yield {
            (id, url): _versions(url, where, threads, seconds)
            for id, where in settings.regions.items()
            for url in (where.url, where.control_url)
            if url.startswith(f"{S3}://")
        }
    finally:
        threads.close()


async def _founded(settings: Settings, regions: Regions, host: Host, *, write: bool) -> Founded:
    """The trail, which the regions show. Whoever is to write founds it where there is none."""
    home = KeyHome(settings.data_path, PosixDisk(), host.offload)
    if write:
        founded = await found(regions, home, settings.trail_name, host.random)
    else:
        founded = Founded(await home.read())
    regions.trail = founded.key.trail if founded.key else ""
    await _verify(regions, write=write)
    return founded


async def _verify(regions: Regions, *, write: bool) -> None:
    """Learn the trail where its key is not here. Regions that are mixed up are refused by whoever
    is to write, or cannot even tell which trail is meant; else the right ones are read."""
    await regions.verify()
    if write or not regions.trail:
        regions.refuse_mix_ups()
    if not regions.trail:
        told = "; ".join(f"{region.id}: {region.why_unverified}" for region in regions)
        raise UnavailableError(f"no region shows which trail this is ({told})")


@contextmanager
def _cache(data: Path, *, owned: bool) -> Iterator[Path]:
    """Where to keep what is derived. A server has one, and commands share another, so that none of
    them is in a server's way; where that is taken, or cannot be, one for as long as this lasts."""
    if owned:
        yield data / "cache"
        return
    with ExitStack() as held:
        folder = None
        if data.is_dir():
            with suppress(UnavailableError):
                held.enter_context(locked(data / "cache-commands.lock"))
                folder = data / "cache-commands"
        yield folder or Path(held.enter_context(TemporaryDirectory(prefix="holdfast-")))
