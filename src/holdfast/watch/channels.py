"""The ways to people: Alertmanager, whatever `apprise` knows, and the trail itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.errors import Problem, RejectedError
from holdfast.model import JsonObject
from holdfast.times import format_us
from holdfast.watch.alerts import Alert, Silence
from holdfast.watch.delivery import Hears, Message
from holdfast.watch.kinds import DOCUMENT, KINDS

Post = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]  # path, JSON -> status, body
Notify = Callable[[str, str, str], Awaitable[bool]]  # title, body, apprise's kind of message
Store = Callable[[JsonObject], Awaitable[None]]

ACTION: Final = "holdfast.alert"
_LASTS_US: Final = 5 * 60_000_000  # Alertmanager takes what is not said again for resolved
_NEVER: Final = frozenset({400, 413, 422})


class Alertmanager:
    """Prometheus's Alertmanager, by its API of version 2. It wants to hear of what is open again
    and again; of a silence here it makes one of its own."""

    hears: Hears = "messages"
    wants_silences = True

    def __init__(
        self,
        url: str,
        labels: Mapping[str, str],
        console_url: str,
        post: Post,
        now_us: Callable[[], int],
    ) -> None:
        """labels: of every alert: which trail, and who says so. post: to a path below the URL;
        raises OSError."""
        self.name = f"alertmanager {url}"
        self._labels = labels
        self._now_us = now_us
        self._console_url = console_url
        self._post = post

    async def deliver(self, message: Message) -> None:
        silence = message.silence
        if message.alert is not None:
            await self._send("/api/v2/alerts", [self._alert(message.alert)])
        elif silence is not None and silence.until_us > self._now_us():
            await self._send("/api/v2/silences", self._silence(silence))

    async def refresh(self, alerts: Sequence[Alert]) -> None:
        if alerts:
            await self._send("/api/v2/alerts", [self._alert(each) for each in alerts])

    async def _send(self, path: str, body: object) -> None:
        status, answer = await self._post(path, msgspec.json.encode(body))
        told = f"it answered {status} {answer[:200].decode('utf-8', 'replace')}".strip()
        if status in _NEVER:
            raise RejectedError("alertmanager", Problem(0, "", told))
        if status != 200:
            raise OSError(told)

    def _alert(self, alert: Alert) -> JsonObject:
        kind = KINDS[alert.kind]
        steps = " ".join(f"{step.text} {step.command}".strip() for step in kind.do)
        return {
            "labels": {
                **self._labels,
                "alertname": alertname(alert.kind),
                "severity": kind.severity,
                "subject": alert.subject,
                "key": alert.key,
            },
            "annotations": {
                "summary": alert.title,
                "description": alert.summary,
                "means": kind.means,
                "do": steps,
            },
            "startsAt": format_us(alert.opened_us),
            "endsAt": format_us(alert.resolved_us or self._now_us() + _LASTS_US),
            "generatorURL": f"{self._console_url}/alerts" if self._console_url else "",
        }

    def _silence(self, silence: Silence) -> JsonObject:
        own = [*self._labels.items()]
        matchers = [{"name": name, "value": value, "isRegex": False} for name, value in own]
        matchers.append({"name": "key", "value": silence.pattern, "isRegex": True})
        return {
            "matchers": [{**each, "isEqual": True} for each in matchers],
            "startsAt": format_us(silence.made_us),
            "endsAt": format_us(silence.until_us),
            "createdBy": silence.by,
            "comment": silence.why,
        }


def alertname(kind: str) -> str:
    """A kind as Prometheus's rules name it: "region-away" is HoldfastRegionAway."""
    return "Holdfast" + "".join(part.capitalize() for part in kind.split("-"))


class Apprise:
    """One URL of `apprise`: mail, Slack, PagerDuty, a webhook and a hundred more."""

    hears: Hears = "messages"
    wants_silences = False

    def __init__(self, name: str, trail: str, console_url: str, notify: Notify) -> None:
        """name: the URL without its secrets."""
        self.name = name
        self._trail = trail
        self._console_url = console_url
        self._notify = notify

    async def deliver(self, message: Message) -> None:
        alert = message.alert
        assert alert is not None, "it wants no silences"
        word = "resolved" if message.verb == "resolved" else alert.severity
        mood = {"resolved": "success", "critical": "failure"}.get(word, "warning")
        if not await self._notify(f"[{word}] {alert.title}", self._text(alert), mood):
            raise OSError("the service did not take it; the server's log says why")

    async def refresh(self, alerts: Sequence[Alert]) -> None:
        """Who reads it remembers."""

    def _text(self, alert: Alert) -> str:
        if alert.resolved_us:
            lines = [f"It lasted from {format_us(alert.since_us)}"]
            lines[0] += f" to {format_us(alert.resolved_us)}."
        else:
            kind = KINDS[alert.kind]
            steps = [f"- {step.text} {step.command}".rstrip() for step in kind.do]
            lines = [alert.summary, f"It means: {kind.means}", *steps]
            lines.append(f"Since {format_us(alert.since_us)}. More: {DOCUMENT}#{alert.kind}")
        where = f" {self._console_url}/alerts" if self._console_url else ""
        return "\n".join([*lines, f"Trail {self._trail}.{where}"])


class Trail:
    """The trail itself: what was opened, resolved and silenced is an event like any other.

    While nothing can be stored, that is no alert of its own: what stands in the way is one already.
    The id is made of the alert's, so an event that is stored twice is shown once.
    """

    hears: Hears = "changes"
    wants_silences = True
    name = "the trail"

    def __init__(self, store: Store) -> None:
        """store: ends once the event is acknowledged. Raises HoldfastError."""
        self._store = store

    async def deliver(self, message: Message) -> None:
        await self._store(event_of(message))

    async def refresh(self, alerts: Sequence[Alert]) -> None:
        """It forgets nothing."""


def event_of(message: Message) -> JsonObject:
    """A message as an event. Its `time` is when it happened; it may be stored later."""
    action = f"{ACTION}.{message.verb}"
    told: dict[str, Any] = {"action": action, "time": format_us(message.at_us)}
    if message.silence is not None:
        silence = message.silence
        return {
            **told,
            "id": f"{action}:{silence.match}@{silence.made_us}"[-256:],
            "actor": {"type": "person", "id": silence.by},
            "targets": [{"type": "alert", "id": silence.match}],
            "reason": silence.why,
            "attributes": {"until": format_us(silence.until_us)},
        }
    alert = message.alert
    assert alert is not None, "a message is of an alert or of a silence"
    return {
        **told,
        "id": f"{action}:{alert.id}"[-256:],
        "targets": [{"type": "alert", "id": alert.key, "name": alert.title}],
        "severity": alert.severity,
        "reason": alert.summary,
        "attributes": {
            "kind": alert.kind,
            "subject": alert.subject,
            "since": format_us(alert.since_us),
            "told": bool(alert.told_us),
        },
    }
