"""What can be set, where it comes from, and what it is when nothing is said.

One file, `holdfast.toml`; an environment variable `HOLDFAST_<KEY>` overrides its top-level key; a
flag overrides both. Unknown keys are refused by name. Without a file: `./holdfast-data` with the
regions a, b and c as directories below it, and a quorum of two.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from holdfast.archive.rules import Rule, find_wrong
from holdfast.errors import Problem, RejectedError
from holdfast.proof import ProofError
from holdfast.regions.buckets import Access, parse_bucket, uri_of, why_unfit
from holdfast.regions.cosignature import WitnessKey
from holdfast.watch.kinds import KINDS

DATA_DEFAULT = Path("holdfast-data")
PORT_DEFAULT = 8420
DIRECTORY = "file://"
ENVIRONMENT_PREFIX = "HOLDFAST_"
# Variables that the command line reads itself; they are no keys of the file.
ENVIRONMENT_RESERVED = frozenset({"CONFIG", "SERVER", "TOKEN"})

EVENT_BYTES_MAX = 1024 * 1024
REQUEST_BYTES_MAX = 8 * 1024 * 1024
REQUEST_EVENTS_MAX = 10_000
WORKERS_MAX = 64


class RegionSettings(
    Access, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Where a region's evidence lies, and its control objects where they have a place of their own.

    URLs: file:///absolute/path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix.
    leaving: of earlier sets only; no event is written to it any more.
    """

    url: str
    control_url: str = ""
    leaving: bool = False

    @property
    def is_directory(self) -> bool:
        return self.url.startswith(DIRECTORY)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where evidence and control objects lie; one where they lie together."""
        return (self.url, self.control_url) if self.control_url else (self.url,)

    @property
    def uris(self) -> tuple[str, str]:
        """Where evidence lies, and what may be replaced, as engines for large data are told it."""
        return uri_of(self.urls[0], self.account), uri_of(self.urls[-1], self.account)

    @property
    def place(self) -> str:
        """Where it lies, for a person."""
        return f"{self.url} at {self.endpoint}" if self.endpoint else self.url


class WitnessSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who cosigns checkpoints. url: before `/add-checkpoint`; key: its vkey, of type 0x04."""

    url: str
    key: str


class AlertSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go, beside the console and the trail itself.

    alertmanager: URLs of Alertmanagers. apprise: URLs as the library `apprise` reads them; they may
    hold secrets. console_url: where people reach this server, for links. after_s: by kind, how long
    it must last before anybody is told, where that is not the default.
    """

    alertmanager: tuple[str, ...] = ()
    apprise: tuple[str, ...] = ()
    console_url: str = ""
    after_s: dict[str, int] = {}


class TraceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where traces of requests go. url: of a collector that takes OTLP over HTTP; "": nowhere.
    ratio: of those requests that do not say by `traceparent` whether they are traced."""

    url: str = ""
    ratio: float = 1.0


class EarlierSet(Struct, frozen=True, forbid_unknown_fields=True):
    """A set of regions, by their ids, and its quorum, that some process may still go by."""

    quorum: int
    regions: tuple[str, ...]


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set. Intervals of 0: the default for the kind of regions.

    quorum: of the regions that are not leaving. earlier: sets that were in force before.
    workers: processes that take events in, each a node of its own.
    archive_after_hours: how long after its end a day is archived; 0: no server archives.
    segments_kept_days: where servers archive: how long a region's segments stay once its archive
    has them; 0: for ever.
    restore_drill_hours: how often something is restored from a region; 0: never.
    witness_quorum: so many witnesses must cosign each checkpoint, or it is told; 0: all.
    retention: rules, of which the first that matches an event counts.
    """

    data: str = str(DATA_DEFAULT)
    trail_name: str = "main"
    quorum: int = 0
    host: str = "127.0.0.1"
    port: int = PORT_DEFAULT
    workers: int = 1
    token_file: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    seal_interval_ms: int = 0
    heartbeat_interval_ms: int = 0
    follow_interval_ms: int = 0
    clock_error_ms: int = 0
    reconcile_interval_s: int = 30
    checkpoint_interval_s: int = 3600
    lost_after_s: int = 600
    scrub_period_days: int = 30
    archive_after_hours: int = 0
    segments_kept_days: int = 7
    restore_drill_hours: int = 1
    restore_drill_bytes_max: int = 1024 * 1024 * 1024
    ack_timeout_s: int = 30
    event_bytes_max: int = EVENT_BYTES_MAX
    request_bytes_max: int = REQUEST_BYTES_MAX
    request_events_max: int = REQUEST_EVENTS_MAX
    queue_bytes_max: int = 64 * 1024 * 1024
    cache_bytes_max: int = 4 * 1024 * 1024 * 1024
    archive_cache_bytes_max: int = 4 * 1024 * 1024 * 1024
    regions: dict[str, RegionSettings] = {}
    earlier: tuple[EarlierSet, ...] = ()
    witness_quorum: int = 0
    witnesses: dict[str, WitnessSettings] = {}
    alerts: AlertSettings = AlertSettings()
    traces: TraceSettings = TraceSettings()
    retention: tuple[Rule, ...] = ()

    @property
    def data_path(self) -> Path:
        return Path(self.data)

    @property
    def leaving(self) -> frozenset[str]:
        return frozenset(id for id, region in self.regions.items() if region.leaving)


_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # one that began with - would be an option to commands
_ID_IS = "is 1 to 32 of a-z, 0-9 and -, and does not begin with -"
_INTERVALS = {  # key: (directories, object stores)
    "seal_interval_ms": (50, 250),
    "heartbeat_interval_ms": (1_000, 5_000),
    "follow_interval_ms": (500, 5_000),
    "clock_error_ms": (2_000, 10_000),
}
_POSITIVE = (
    *_INTERVALS,
    *("reconcile_interval_s", "checkpoint_interval_s", "ack_timeout_s", "lost_after_s"),
    *("scrub_period_days", "restore_drill_bytes_max", "cache_bytes_max"),
    "archive_cache_bytes_max",
)
_FROM_ZERO = ("archive_after_hours", "segments_kept_days", "restore_drill_hours")
_AT_MOST = {
    "event_bytes_max": EVENT_BYTES_MAX,
    "request_bytes_max": REQUEST_BYTES_MAX,
    "request_events_max": REQUEST_EVENTS_MAX,
}


def load(
    config: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
) -> Settings:
    """The settings in force.

    Args:
        config: The settings file; None: none.
        environ: The process's environment.
        flags: Keys given on the command line; None values are passed over.
    Raises:
        RejectedError: naming the key, its source and the reason.
    """
    values: dict[str, Any] = {}
    if config is not None:
        values |= _from_file(config)
    values |= _from_environment(environ)
    values |= {key: value for key, value in flags.items() if value is not None}
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise _rejected("", str(error)) from None
    return _checked(_completed(settings))


def _from_file(config: Path) -> dict[str, Any]:
    try:
        text = config.read_text("utf-8")
    except OSError as error:
        raise _rejected(str(config), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _rejected(str(config), f"is not UTF-8 (byte {error.start})") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _rejected(str(config), f"is not TOML: {error}") from None
    try:
        msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise _rejected(str(config), str(error)) from None
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    kinds = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name == variable or name in ENVIRONMENT_RESERVED:
            continue
        key = name.lower()
        if kinds.get(key) not in (int, str):
            raise _rejected(variable, "is not a setting")
        try:
            values[key] = int(text) if kinds[key] is int else text
        except ValueError:
            raise _rejected(variable, f"must be a whole number, is {text!r}") from None
    return values


def _completed(settings: Settings) -> Settings:
    """Fill in what was left open."""
    regions = settings.regions or {
        name: RegionSettings(url=(settings.data_path / "regions" / name).absolute().as_uri())
        for name in ("a", "b", "c")
    }
    kind = 0 if all(region.is_directory for region in regions.values()) else 1
    filled = {key: getattr(settings, key) or defaults[kind] for key, defaults in _INTERVALS.items()}
    members = sum(not region.leaving for region in regions.values())
    quorum = settings.quorum or members // 2 + 1
    return msgspec.structs.replace(settings, regions=regions, quorum=quorum, **filled)


def _checked(settings: Settings) -> Settings:
    count = len(settings.regions) - len(settings.leaving)
    if not count // 2 < settings.quorum <= count:
        raise _rejected(
            "quorum",
            f"is {settings.quorum}; of {count} regions it must be more than half and at most all, "
            f"{count // 2 + 1} to {count}",
        )
    for name, region in settings.regions.items():
        if not _ID.fullmatch(name):
            raise _rejected(f"regions.{name}", f"a region's id {_ID_IS}")
        _check_place(f"regions.{name}", region)
    _check_earlier(settings)
    _check_witnesses(settings)
    _check_alerts(settings.alerts)
    _check_traces(settings.traces)
    if wrong := find_wrong(settings.retention):
        raise _rejected(f"retention ({wrong[0]})", wrong[1])
    places = [
        (url.rstrip("/"), region.endpoint, region.account)
        for region in settings.regions.values()
        for url in dict.fromkeys(region.urls)
    ]
    if len(set(places)) < len(places):
        raise _rejected("regions", "two regions have the same url: they would fail together")
    for key in _POSITIVE:
        if getattr(settings, key) <= 0:
            raise _rejected(key, "must be above 0")
    for key in _FROM_ZERO:
        if getattr(settings, key) < 0:
            raise _rejected(key, "must be 0 or more")
    for key, most in _AT_MOST.items():
        if not 0 < getattr(settings, key) <= most:
            raise _rejected(key, f"must be 1 to {most}: limits can only be lowered")
    if settings.queue_bytes_max < settings.request_bytes_max:
        least = f"request_bytes_max, {settings.request_bytes_max}"
        raise _rejected("queue_bytes_max", f"must be at least {least}, or nothing may fit into it")
    _check_listening(settings)
    return settings


def _check_listening(settings: Settings) -> None:
    if not 1 <= settings.workers <= WORKERS_MAX:
        raise _rejected("workers", f"must be 1 to {WORKERS_MAX}, is {settings.workers}")
    if not 0 <= settings.port <= 65535:
        raise _rejected("port", f"must be 0 to 65535, is {settings.port}")
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise _rejected("tls_certificate", "tls_certificate and tls_key go together")


def _check_place(name: str, region: RegionSettings) -> None:
    scheme = region.url.partition("://")[0]
    for key, url in zip(("url", "control_url"), region.urls, strict=False):
        if url.partition("://")[0] != scheme:
            raise _rejected(name, "url and control_url must be of one kind: they fail as one")
        if url.startswith(DIRECTORY + "/"):
            continue
        try:
            parse_bucket(url)
        except ValueError as error:
            raise _rejected(name, f"{key} {error}") from None
    if reason := why_unfit(scheme, region):
        raise _rejected(name, reason)
    if not region.object_lock:
        return
    if len({parse_bucket(url).name for url in region.urls}) == 1:
        raise _rejected(name, "object_lock needs a control_url in another bucket, without a lock")


def _check_earlier(settings: Settings) -> None:
    for each in settings.earlier:
        ids, named = set(each.regions), f"earlier ({', '.join(each.regions)})"
        if unknown := sorted(ids - settings.regions.keys()):
            raise _rejected(named, f"names {unknown[0]}, which has no [regions.{unknown[0]}]")
        if len(ids) < len(each.regions):
            raise _rejected(named, "names a region twice")
        if not len(ids) // 2 < each.quorum <= len(ids):
            raise _rejected(named, f"quorum {each.quorum} is not more than half, or more than all")
    for id in sorted(settings.leaving):
        if all(id not in each.regions for each in settings.earlier):
            raise _rejected(f"regions.{id}", "is leaving, and in no [[earlier]] set: remove it")


def _check_witnesses(settings: Settings) -> None:
    keys: set[bytes] = set()
    for name, witness in settings.witnesses.items():
        if not _ID.fullmatch(name):
            raise _rejected(f"witnesses.{name}", f"a witness's name {_ID_IS}")
        _check_http(f"witnesses.{name}", witness.url)
        if urlsplit(witness.url).username is not None:
            raise _rejected(f"witnesses.{name}", "url holds a password, which nothing would send")
        try:
            public = WitnessKey.parse(witness.key).public
        except ProofError as error:
            raise _rejected(f"witnesses.{name}", f"key: {error}") from None
        if public in keys:
            raise _rejected(f"witnesses.{name}", "has the key of another one: they are one witness")
        keys.add(public)
    if not 0 <= settings.witness_quorum <= len(settings.witnesses):
        count = len(settings.witnesses)
        raise _rejected("witness_quorum", f"must be 0 to {count}, the witnesses that are named")


def _check_traces(traces: TraceSettings) -> None:
    if traces.url:
        _check_http("traces.url", traces.url)
    if not 0 <= traces.ratio <= 1:
        raise _rejected("traces.ratio", "must be from 0 to 1")


def _check_alerts(alerts: AlertSettings) -> None:
    urls = [("alertmanager", url) for url in alerts.alertmanager]
    urls += [("console_url", alerts.console_url)] if alerts.console_url else []
    for key, url in urls:
        _check_http(f"alerts.{key}", url)
    for kind, seconds in alerts.after_s.items():
        if kind not in KINDS:
            raise _rejected(f"alerts.after_s.{kind}", f"is no kind: {', '.join(KINDS)}")
        if seconds < 0:
            raise _rejected(f"alerts.after_s.{kind}", "must be 0 or more")


def _check_http(field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        named, _ = parts.scheme in ("http", "https") and parts.hostname, parts.port
    except ValueError:
        named = None
    if not named:
        raise _rejected(field, "must be http://HOST or https://HOST, perhaps with :PORT and a path")


def _rejected(field: str, reason: str) -> RejectedError:
    return RejectedError("settings", Problem(0, field, reason))
