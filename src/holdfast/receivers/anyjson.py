"""Any JSON object a line: kept whole, with whatever a few usual names offer. Pure.

| ours | theirs: the first of these names that holds something |
| --- | --- |
| id | always the hash of the line: an `id` in it may be anything's |
| time | time, timestamp, @timestamp, eventTime, event_time, created_at, createdAt, published, |
|      | date, ts: RFC 3339, or a number of s, ms, µs or ns since 1970, told apart by its size |
| actor | actor, user, principal, username, email: text, or an object with id, name, email, type |
| action | action, eventName, event, event_type, eventType, operationName, operation, method, |
|        | type |
| targets | target, resource, object: text, or an object with id, name, type |
| outcome | outcome, result, status: where it says success, failure, denied in some usual word |
| source | ip, source_ip, sourceIPAddress, client_ip, remote_addr; user_agent, userAgent |
| severity | severity, level |
"""

from typing import Final

from holdfast.receivers.mapping import (
    Json,
    Mapped,
    Object,
    filled,
    first,
    pick,
    read_original,
    read_time,
    text,
    write_event,
)
from holdfast.times import MAX_US, format_us

PAYLOAD_TYPE: Final = "json"

_TIMES: Final = (
    *("time", "timestamp", "@timestamp", "eventTime", "event_time", "created_at", "createdAt"),
    *("published", "date", "ts"),
)
_ACTORS: Final = ("actor", "user", "principal", "username", "email")
_ACTIONS: Final = (
    *("action", "eventName", "event", "event_type", "eventType", "operationName", "operation"),
    *("method", "type"),
)
_TARGETS: Final = ("target", "resource", "object")
_OUTCOMES: Final = {
    **dict.fromkeys(("success", "succeeded", "successful", "ok", "allow", "allowed"), "success"),
    **dict.fromkeys(("failure", "failed", "fail", "error"), "failure"),
    **dict.fromkeys(("denied", "deny", "forbidden", "unauthorized", "blocked"), "denied"),
}
_ADDRESSES: Final = ("ip", "source_ip", "sourceIPAddress", "client_ip", "remote_addr")
# Below each bound, numbers of that unit lie between 1973 and 5138.
_UNITS_US: Final = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3))


def map_event(data: bytes, account_as_tenant: bool = False) -> bytes:
    """Any JSON object as an event of ours.

    Args:
        data: a JSON object.
        account_as_tenant: changes nothing: nobody knows where an account stands.
    Raises:
        RejectedError: it is not a JSON object.
    """
    original = read_original(data)
    event = original.fields
    time, unread = read_time(_moment(pick(event, name)) for name in _TIMES)
    words = (first(pick(event, name)).lower() for name in ("outcome", "result", "status"))
    mapped = Mapped(
        id="",
        time=time,
        actor=dict(_thing(event, _ACTORS)),
        action=first(*(pick(event, name) for name in _ACTIONS)),
        targets=[found] if (found := _thing(event, _TARGETS)) else [],
        outcome=next((_OUTCOMES[word] for word in words if word in _OUTCOMES), ""),
        source=filled(
            ip=first(*(pick(event, name) for name in _ADDRESSES)),
            user_agent=first(pick(event, "user_agent"), pick(event, "userAgent")),
        ),
        severity=first(pick(event, "severity"), pick(event, "level")),
        attributes=unread,
        payload_type=PAYLOAD_TYPE,
    )
    return write_event(mapped, original)


def _moment(value: Json) -> Json:
    """A number since 1970 as RFC 3339; everything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    for bound, unit_us in _UNITS_US:
        if 1e8 <= value < bound:
            us = round(value * unit_us) if isinstance(value, float) else _exact(value, unit_us)
            return format_us(us) if us <= MAX_US else value
    return value


def _exact(value: int, unit_us: float) -> int:
    return value * int(unit_us) if unit_us >= 1 else value // round(1 / unit_us)


def _thing(event: Object, names: tuple[str, ...]) -> dict[str, str]:
    """An actor or a target: text, or an object that has an id or a name."""
    for name in names:
        value = pick(event, name)
        if shown := text(value):
            return {"id": shown}
        found = filled(
            type=text(pick(value, "type")),
            id=first(*(pick(value, key) for key in ("id", "email", "name", "username"))),
            name=first(pick(value, "name"), pick(value, "username")),
        )
        if "id" in found:
            return found
    return {}
