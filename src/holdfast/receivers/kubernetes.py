"""Kubernetes audit (audit.k8s.io): one event to one event of ours. Pure.

| ours | theirs, in order of preference |
| --- | --- |
| id | auditID:stage (all stages of a request share the auditID) |
| time | requestReceivedTimestamp, stageTimestamp, timestamp, metadata.creationTimestamp |
| tenant | never: the event does not say which cluster it is from |
| actor | impersonatedUser, with user as on_behalf_of; else user. Type by the name's prefix |
| action | verb resource/subresource |
| targets | objectRef; else requestURI |
| outcome | responseStatus.code or .status; else a decision to forbid; else unknown |
| source | sourceIPs[0], userAgent |
| trace | auditID as request |
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

PAYLOAD_TYPE: Final = "k8s.audit"

_TIMES: Final = (
    ("requestReceivedTimestamp",),
    ("stageTimestamp",),
    ("timestamp",),
    ("metadata", "creationTimestamp"),
)
_ACTOR_TYPES: Final = {
    "system:serviceaccount:": "serviceaccount",
    "system:node:": "node",
    "system:anonymous": "anonymous",
}
_DECISION: Final = "authorization.k8s.io/decision"
_REASON: Final = "authorization.k8s.io/reason"


def map_event(data: bytes, account_as_tenant: bool = False) -> bytes:
    """One audit event as an event of ours.

    Args:
        data: a JSON object.
        account_as_tenant: changes nothing: no account is in the event.
    Raises:
        RejectedError: it is not a JSON object.
    """
    original = read_original(data)
    event = original.fields
    time, unread = read_time(pick(event, *path) for path in _TIMES)
    audit_id, stage = first(pick(event, "auditID")), first(pick(event, "stage"))
    resource = "/".join(
        filter(None, (text(pick(event, "objectRef", n)) for n in ("resource", "subresource")))
    )
    outcome, reason = _outcome(event)
    addresses = pick(event, "sourceIPs")
    path = [text(address) for address in addresses] if isinstance(addresses, list) else []
    mapped = Mapped(
        id=f"{audit_id}:{stage}" if audit_id and stage else audit_id,
        time=time,
        actor=_actor(event),
        action=" ".join(filter(None, (text(pick(event, "verb")), resource))),
        targets=_targets(event, resource),
        outcome=outcome,
        reason=reason,
        source=filled(
            ip=path[0] if path else text(addresses), user_agent=text(pick(event, "userAgent"))
        ),
        trace=filled(request_id=audit_id),
        attributes=unread
        | filled(
            stage=stage,
            level=text(pick(event, "level")),
            namespace=text(pick(event, "objectRef", "namespace")),
            decision=text(pick(event, "annotations", _DECISION)),
        )
        | ({"proxies": path[1:]} if path[1:] else {}),
        payload_type=PAYLOAD_TYPE,
    )
    return write_event(mapped, original)


def _actor(event: Object) -> Object:
    user, impersonated = pick(event, "user"), pick(event, "impersonatedUser")
    effective = impersonated if text(pick(impersonated, "username")) else user
    name = text(pick(effective, "username"))
    groups = pick(effective, "groups")
    if not name:
        return {}
    return {
        "type": _actor_type(name),
        "id": name,
        **filled(
            uid=text(pick(effective, "uid")),
            on_behalf_of=text(pick(user, "username")) if effective is not user else "",
        ),
        **({"groups": [text(group) for group in groups]} if isinstance(groups, list) else {}),
    }


def _actor_type(name: str) -> str:
    for prefix, type in _ACTOR_TYPES.items():
        if name.startswith(prefix):
            return type
    return "user"


def _targets(event: Object, resource: str) -> list[dict[str, str]]:
    reference = pick(event, "objectRef")
    group = text(pick(reference, "apiGroup"))
    name, namespace = text(pick(reference, "name")), text(pick(reference, "namespace"))
    target = filled(
        type=f"{resource}.{group}" if resource and group else resource,
        id="/".join(filter(None, (namespace, name))),
        name=name,
    )
    if not target:
        target = filled(type="uri", id=text(pick(event, "requestURI")))
    return [target] if target.get("type") != "uri" or "id" in target else []


def _outcome(event: Object) -> tuple[str, str]:
    status = pick(event, "responseStatus")
    decision = text(pick(event, "annotations", _DECISION))
    reason = first(pick(status, "message"), pick(status, "reason"))
    code = _number(pick(status, "code"))
    if code in (401, 403) or (not code and decision == "forbid"):
        return "denied", reason or text(pick(event, "annotations", _REASON))
    if code:
        return "success" if code < 400 else "failure", reason
    return {"Success": "success", "Failure": "failure"}.get(
        text(pick(status, "status")), "unknown"
    ), reason


def _number(value: Json) -> int:
    shown = text(value)
    return int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 10 else 0
