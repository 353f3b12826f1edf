"""Builds the watch of a server: what it looks at, and the ways to people that the settings name."""

import importlib
import socket
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from holdfast.errors import Problem, RejectedError
from holdfast.model import JsonObject
from holdfast.posting import post
from holdfast.regions.disk import PosixDisk
from holdfast.regions.units import DAY_US, HOUR_US
from holdfast.settings import AlertSettings, Settings
from holdfast.watch.alarms import Alarms
from holdfast.watch.channels import Alertmanager, Apprise, Store, Trail
from holdfast.watch.delivery import Channel
from holdfast.watch.health import Norms
from holdfast.watch.kept import AlertsFile
from holdfast.watch.standing import Standing
from holdfast.wiring import System
from holdfast.write.admit import MEDIA_TYPE_JSON, admit
from holdfast.write.node import Node

_EXTRA: Final = "the library is not installed: install holdfast-audit[server,alerts]"
_WATERMARK_BEATS: Final = 12


def alarms_of(
    system: System, standing: Callable[[], Standing], store: Store | None = None
) -> Alarms:
    """The watch over a system. standing: how it stands, when it is asked. store: an event, where
    other processes write; see `channels.Trail`.

    Raises:
        RejectedError: a way to people that makes no sense; names it.
    """
    settings, host = system.settings, system.host
    after_us = {kind: seconds * 1_000_000 for kind, seconds in settings.alerts.after_s.items()}
    file = AlertsFile(settings.data_path, PosixDisk())
    alarms = Alarms(standing, host, settings.data_path, file, norms_of(settings), after_us)
    labels = {"trail": system.regions.trail, "instance": f"{socket.gethostname()}:{settings.port}"}
    console_url = settings.alerts.console_url.rstrip("/")
    for url in settings.alerts.alertmanager:
        plain, headers = without_password(url)
        alarms.add(Alertmanager(plain, labels, console_url, _poster(plain, headers), host.now_us))
    for channel in apprise_channels(settings.alerts, system.regions.trail):
        alarms.add(channel)
    if store is not None:
        alarms.add(Trail(store))
    return alarms


def norms_of(settings: Settings) -> Norms:
    """What is still well, given how often things happen by the settings."""
    least = Norms()
    after_us = settings.archive_after_hours * HOUR_US
    beat_us = 1000 * (settings.heartbeat_interval_ms + settings.follow_interval_ms)
    return Norms(
        watermark_us=max(least.watermark_us, _WATERMARK_BEATS * beat_us),
        clock_us=settings.clock_error_ms * 1000,
        # A rule that lets go early waits for those who archive and sweep, and two days of doubt.
        overdue_us=max(least.overdue_us, (settings.segments_kept_days + 2) * DAY_US + after_us),
        survey_us=max(least.survey_us, 20 * settings.reconcile_interval_s * 1_000_000),
    )


def apprise_channels(settings: AlertSettings, trail: str) -> Iterator[Channel]:
    """The URLs of `apprise`. Raises RejectedError: it knows no such URL, or is not here."""
    for number, url in enumerate(settings.apprise, 1):
        field = f"alerts.apprise, URL {number}"
        try:
            with warnings.catch_warnings():
                # It imports `imghdr`, of which Python 3.11 and 3.12 say that it goes with 3.13.
                warnings.simplefilter("ignore", DeprecationWarning)
                library: Any = importlib.import_module("apprise")
        except ModuleNotFoundError:
            raise RejectedError("settings", Problem(0, field, _EXTRA)) from None
        service = library.Apprise.instantiate(url)
        if service is None:
            reason = f"{url.partition('://')[0]}:// is none that apprise reads as it is written"
            raise RejectedError("settings", Problem(0, field, reason))
        sender = library.Apprise()
        sender.add(service)
        name = f"apprise {service.url(privacy=True).partition('?')[0]}"
        yield Apprise(name, trail, settings.console_url.rstrip("/"), _notifier(sender))


def _notifier(sender: Any) -> Callable[[str, str, str], Any]:
    async def notify(title: str, body: str, mood: str) -> bool:
        return bool(await sender.async_notify(title=title, body=body, notify_type=mood))

    return notify


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """A URL as it may be shown, and the headers with what was in it."""
    headers, parts = {"Content-Type": "application/json"}, urlsplit(url.rstrip("/"))
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(secret).decode()}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), headers


def _poster(url: str, headers: dict[str, str]) -> Callable[[str, bytes], Any]:
    async def send(path: str, body: bytes) -> tuple[int, bytes]:
        return await post(url + path, body, headers)

    return send


def store_in(node: Node) -> Store:
    """What stores an event of the trail's own in the name of a node."""

    async def store(event: JsonObject) -> None:
        own = node.identity.node
        event = {"actor": {"type": "node", "id": own}, **event}
        admitted = admit(msgspec.json.encode(event), MEDIA_TYPE_JSON, own=True)
        await node.take(admitted, f"node:{own}").outcome

    return store
