"""`holdfast doctor`: all settings in force, and what is wrong with this machine and its regions."""

import asyncio
import os
import platform
import shutil
import ssl
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import msgspec
from typer import Option

import holdfast
from holdfast.alerting import apprise_channels, without_password
from holdfast.archive.outbox import FOLDER, Spool
from holdfast.archive.rules import Rule
from holdfast.cli import printer
from holdfast.cli.exits import GOOD, UNREACHED, text_of
from holdfast.cli.options import Place
from holdfast.cli.place import read_trail_key, settings_of
from holdfast.cli.region import SeenTrail, look
from holdfast.errors import HoldfastError, RejectedError
from holdfast.keep.witnesses import Kept, look_for_cosignatures
from holdfast.proof import names
from holdfast.regions import Regions
from holdfast.regions.cosignature import WitnessKey
from holdfast.regions.disk import PosixDisk
from holdfast.regions.port import Unknown
from holdfast.regions.probe import Tried, Verdict, try_all, try_places, try_removal, why_unfit
from holdfast.regions.signing import public_key
from holdfast.regions.trailkey import KEY_FILE
from holdfast.regions.versions import Protection, S3Versions
from holdfast.serve.process import read_token
from holdfast.settings import Settings
from holdfast.write.keyfiles import KeyFiles, node_directories, node_directory

FREE_BYTES_LOW = 1024 * 1024 * 1024
LIBRARIES = ("cryptography", "duckdb", "litestar", "msgspec", "obstore", "pyarrow", "uvicorn")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. state: "ok", "warning" or "bad"."""

    check: str
    state: str
    detail: str


def doctor(
    place: Place,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Show every setting, try every region, look for what is wrong. Exit 3: something is.

    Trying leaves one object of some 60 bytes in each region, which no reader takes for evidence.
    """
    settings = settings_of(place.data, place.config)
    checks = tuple(examine(settings))
    if json:
        told = [asdict(each) for each in checks]
        printer.machine_object({"settings": _shown(settings), "checks": told})
    else:
        printer.line("settings in force")
        printer.tree(_shown(settings), depth=1)
        printer.line()
        rows = [(each.state, each.check, printer.safe(each.detail)) for each in checks]
        printer.table(("state", "check", "detail"), rows)
    return UNREACHED if any(each.state == "bad" for each in checks) else GOOD


def _shown(settings: Settings) -> dict[str, Any]:
    """As they are in force, but for what is secret in the ways that alerts and traces go."""
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    alerts = settings.alerts
    shown["alerts"]["apprise"] = [f"{url.partition('://')[0]}://..." for url in alerts.apprise]
    shown["alerts"]["alertmanager"] = [without_password(url)[0] for url in alerts.alertmanager]
    shown["traces"]["url"] = without_password(settings.traces.url)[0]
    return shown


def examine(settings: Settings) -> Iterator[Check]:
    """Look at everything, one after the other."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    program = f"holdfast {holdfast.__version__}, Python {platform.python_version()}, {versions}"
    yield Check("program", "ok", program)
    yield from _data(settings.data_path)
    yield from _secrets(settings)
    yield from _credentials(settings)
    yield from _regions(settings)
    yield from _buckets(settings)
    yield from _witnesses(settings)
    yield from _alerts(settings)


def _alerts(settings: Settings) -> Iterator[Check]:
    try:
        for channel in apprise_channels(settings.alerts, ""):
            yield Check("alerts", "ok", f"{channel.name} is a way that apprise knows")
    except RejectedError as error:
        yield Check("alerts", "bad", text_of(error))


def _data(data: Path) -> Iterator[Check]:
    if not data.is_dir():
        yield Check("data", "warning", f"{data} is not there: `holdfast serve` makes it")
        return
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Check("data", "bad", f"{data} cannot be read and written by this user")
    if data.stat().st_mode & 0o007:
        yield Check(
            "data", "warning", f"{data} holds events, and every user of this machine can read it"
        )
    free = shutil.disk_usage(data).free
    low = free < FREE_BYTES_LOW
    yield Check("data", "warning" if low else "ok", f"{data}, {free / 2**30:.1f} GiB free")
    if waiting := Spool(data / FOLDER, PosixDisk()).names():
        told = f"a server must run with {data}: events of what was deleted that wait for one"
        yield Check("outbox", "warning", f"{told}: {len(waiting)}")
    yield _private("trail key", data / KEY_FILE, read_trail_key, "keep a backup of it elsewhere")
    for node in node_directories(data) or [node_directory(data, 0)]:
        yield _private("node key", node / "node.key", _read_node_key, "a lost one needs no backup")


def _private(name: str, path: Path, read: Callable[[Path], object], advice: str) -> Check:
    """A secret's file: there, one that the server takes, and nobody else's to read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        read(path)
    except FileNotFoundError:
        return Check(name, "warning", f"{path} is not there")
    except (HoldfastError, OSError) as error:
        return Check(name, "bad", text_of(error))
    if mode & 0o077:
        return Check(name, "bad", f"{path} can be read by others (mode {mode:04o}, not 0600)")
    return Check(name, "ok", f"{path}: {advice}")


def _read_node_key(path: Path) -> None:
    KeyFiles(path.parent, PosixDisk()).read()


def _secrets(settings: Settings) -> Iterator[Check]:
    if not settings.token_file:
        yield Check("token", "warning", "none: the server answers this machine alone")
    else:
        yield _token(settings)
    if settings.tls_certificate:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
            yield Check("tls", "ok", settings.tls_certificate)
        except (OSError, ssl.SSLError) as error:
            yield Check("tls", "bad", f"{settings.tls_certificate}: {error}")


def _credentials(settings: Settings) -> Iterator[Check]:
    """Whether others may read the files that open the buckets."""
    for id, region in settings.regions.items():
        if region.credentials_file:
            path = Path(region.credentials_file)
            advice = f"[{region.profile}]" if region.url.startswith("s3:") else "read by the vendor"
            yield _private(f"credentials {id}", path, Path.read_bytes, advice)


def _witnesses(settings: Settings) -> Iterator[Check]:
    """What each witness has cosigned of this machine's nodes, as the regions have it."""
    from holdfast.wiring import real_regions

    if not settings.witnesses:
        return
    seeds = [KeyFiles(each, PosixDisk()).read()[0] for each in node_directories(settings.data_path)]
    nodes = [names.node_id(public_key(seed)) for seed in seeds if seed is not None]
    if not nodes:
        yield Check("witnesses", "warning", "no node has written from here yet")
        return
    with real_regions(settings) as regions:
        kept = asyncio.run(_cosignatures(regions, nodes))
    for name, witness in settings.witnesses.items():
        id = names.node_id(WitnessKey.parse(witness.key).public)
        for node, of_node in zip(nodes, kept, strict=True):
            size = max(of_node.cosigned.get(id, {0}))
            told = f"{size} of {of_node.size} segments of node {node[:8]} cosigned"
            state = "ok" if size == of_node.size else "warning"
            yield Check(f"witness {name}", state, f"{told}, asked at {witness.url}")


async def _cosignatures(regions: Regions, nodes: Sequence[str]) -> Sequence[Kept]:
    return await asyncio.gather(*(look_for_cosignatures(regions, node) for node in nodes))


def _token(settings: Settings) -> Check:
    """Whether the server takes it. A group may read it, as in a container that is given secrets."""
    try:
        read_token(settings)
        everybody = Path(settings.token_file).stat().st_mode & 0o007
    except (HoldfastError, OSError) as error:
        return Check("token", "bad", text_of(error))
    if everybody:
        return Check("token", "warning", f"{settings.token_file} can be read by everybody here")
    return Check("token", "ok", settings.token_file)


def _regions(settings: Settings) -> Iterator[Check]:
    """Who each region is, what its store does, and whether enough of them are good to write to."""
    seen = look(settings)
    tried = _try(settings, seen)
    for region in seen.regions:
        state = {"ok": "ok", "filling": "warning"}.get(region.state, "bad")
        detail = f"{region.url}: {region.why or 'store ' + region.store}"
        yield Check(f"region {region.region}", state, detail)
        for each in tried.get(region.region, ()):
            yield Check(f"region {region.region}: {each.property}", _state(each), each.detail)
    yield _quorum(tried.values(), len(settings.regions) - len(settings.leaving), seen.quorum)


def _quorum(tried: Iterable[Sequence[Tried]], members: int, quorum: int) -> Check:
    """Whether enough regions take what is written. One that is full was not seen to take it."""
    good = sum(not why_unfit(each) and each[0].verdict is not Verdict.UNKNOWN for each in tried)
    state = "bad" if good < quorum else "warning" if good < members else "ok"
    return Check("quorum", state, f"{good} of {members} regions take events; {quorum} must")


def _try(settings: Settings, seen: SeenTrail) -> dict[str, Sequence[Tried]]:
    """Try the stores that are written to and show their cookie; all others are left alone."""
    from holdfast.wiring import real_regions

    shown = {each.region for each in seen.regions if each.state in ("ok", "filling")}
    with real_regions(settings) as regions:
        return asyncio.run(_try_all(regions, shown - settings.leaving, settings))


async def _try_all(
    regions: Regions, ids: Set[str], settings: Settings
) -> dict[str, Sequence[Tried]]:
    allowed_us = settings.clock_error_ms * 1000 // 2
    found = await asyncio.gather(
        *(try_all(regions.by_id[id], os.urandom(16).hex(), allowed_us, _now_us) for id in ids)
    )
    placed = await try_places(regions.by_id[id] for id in sorted(ids))
    more = {id: [each] for id, each in placed.items()}
    if settings.archive_after_hours and settings.segments_kept_days:
        for id in ids:
            more.setdefault(id, []).append(await try_removal(regions.by_id[id]))
    return {id: (*tried, *more.get(id, ())) for id, tried in zip(ids, found, strict=True)}


def _buckets(settings: Settings) -> Iterator[Check]:
    """What S3's buckets keep of what is deleted in them."""
    from holdfast.wiring import real_versions

    async def ask(kept: Mapping[tuple[str, str], S3Versions]) -> list[Protection | Unknown]:
        return list(await asyncio.gather(*(each.protection() for each in kept.values())))

    with real_versions(settings) as versions:
        told = asyncio.run(ask(versions))
        for (id, url), kept in zip(versions, told, strict=True):
            region = settings.regions[id]
            if url == region.url:
                yield Check(f"region {id}: versions", *why_kept(kept, region.object_lock))
                for why in disagreements(kept, settings.retention):
                    yield Check(f"region {id}: retention", "warning", why)
            elif isinstance(kept, Protection) and kept.has_versions:
                why = f"{url} keeps every version of each heartbeat: name a bucket without versions"
                yield Check(f"region {id}: control", "warning", why)


def why_kept(kept: Protection | Unknown, is_named: bool) -> tuple[str, str]:
    """How good it is what a bucket of evidence keeps, and in words. Pure.

    is_named: whether the settings say that it is under Object Lock.
    """
    if isinstance(kept, Unknown):
        return "bad" if is_named else "warning", f"could not be asked: {kept.reason}"
    if is_named and not kept.has_versions:
        return "bad", "object_lock is set, and the bucket keeps no versions"
    if is_named and kept.lock in ("", "none"):
        return "warning", "versions are kept, and no default retention stops their deletion"
    if is_named:
        return "ok", f"each is kept for {kept.period} ({kept.lock})"
    if kept.has_versions:
        return "warning", "kept, and not looked at: with object_lock a delete marker hides nothing"
    return "ok", "none are kept: whoever may delete here can delete evidence for good"


def disagreements(kept: Protection | Unknown, rules: Sequence[Rule]) -> Iterator[str]:
    """Where a bucket's default retention and the rules' days differ. Pure."""
    if isinstance(kept, Unknown) or not kept.days:
        return
    for rule in rules:
        if rule.min > kept.days:
            yield (
                f"the class {rule.name} is to be kept for {rule.min} days at least (min), and the "
                f"bucket locks objects for {kept.days}: after that, others may delete it"
            )
        if rule.max and rule.max < kept.days:
            yield (
                f"the class {rule.name} is to go after {rule.max} days (max), and the bucket locks "
                f"objects for {kept.days}: until then it refuses to delete"
            )


def _now_us() -> int:
    return time.time_ns() // 1000


def _state(tried: Tried) -> str:
    if tried.verdict is Verdict.HOLDS:
        return "ok"
    harmless = tried.verdict is Verdict.UNKNOWN or tried.property == "latency"
    return "warning" if harmless else "bad"
