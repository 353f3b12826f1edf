"""AWS CloudTrail: one record to one event of ours. Pure.

| ours | theirs, in order of preference |
| --- | --- |
| id | eventID |
| time | eventTime, @timestamp |
| tenant | where wanted: recipientAccountId, userIdentity.accountId |
| actor | userIdentity: arn, principalId, invokedBy; type; userName; accountId; the role's issuer |
| action | eventSource:eventName |
| targets | resources[], else names and ids in requestParameters, else in responseElements |
| outcome | errorCode (absent: success; no permission: denied); of a console login its own result |
| source | sourceIPAddress (may be a service's name), userAgent |
| trace | requestID; userIdentity.accessKeyId as session |

A record inside an EventBridge event (`detail`) is mapped the same way.
"""

import re
from collections.abc import Iterator
from typing import Final

from holdfast.receivers.mapping import (
    Json,
    Mapped,
    Object,
    filled,
    first,
    objects,
    pick,
    read_original,
    read_time,
    text,
    write_event,
)

PAYLOAD_TYPE: Final = "aws.cloudtrail"
TARGETS_MAX: Final = 16

_NAMES_A_TARGET = re.compile(r"(?:(.+?)(?:Name|Id|ID|Arn|ARN|Identifier)|name|id|arn|ARN|(key))")
_NO_TARGETS: Final = frozenset({"request", "version", "owner", "reservation", "roleSession"})
_NO_PERMISSION = re.compile(r"AccessDenied|Unauthorized|Forbidden|NotAuthorized", re.IGNORECASE)
_ATTRIBUTES: Final = (
    "awsRegion",
    "recipientAccountId",
    "eventType",
    "eventCategory",
    "readOnly",
    "managementEvent",
    "sharedEventID",
    "vpcEndpointId",
)


def map_event(data: bytes, account_as_tenant: bool = False) -> bytes:
    """One CloudTrail record as an event of ours.

    Args:
        data: a JSON object.
        account_as_tenant: whether the receiving account becomes the tenant.
    Raises:
        RejectedError: it is not a JSON object.
    """
    original = read_original(data)
    record = original.fields
    inner = pick(record, "detail")
    if isinstance(inner, dict) and pick(inner, "eventName"):
        record = inner
    time, unread = read_time(pick(record, name) for name in ("eventTime", "@timestamp"))
    account = first(pick(record, "recipientAccountId"), pick(record, "userIdentity", "accountId"))
    outcome, reason = _outcome(record)
    action = [first(pick(record, "eventSource")), first(pick(record, "eventName"))]
    mapped = Mapped(
        id=first(pick(record, "eventID")),
        time=time,
        tenant=account if account_as_tenant else "",
        actor=_actor(pick(record, "userIdentity")),
        action=":".join(filter(None, action)),
        targets=_targets(record),
        outcome=outcome,
        reason=reason,
        source=filled(
            ip=text(pick(record, "sourceIPAddress")), user_agent=text(pick(record, "userAgent"))
        ),
        trace=filled(
            request_id=text(pick(record, "requestID")),
            session_id=text(pick(record, "userIdentity", "accessKeyId")),
        ),
        attributes=unread | _attributes(record),
        payload_type=PAYLOAD_TYPE,
    )
    return write_event(mapped, original)


def _actor(identity: Json) -> Object:
    issuer = pick(identity, "sessionContext", "sessionIssuer")
    return {
        **filled(
            type=text(pick(identity, "type")),
            id=first(*(pick(identity, name) for name in ("arn", "principalId", "invokedBy"))),
            name=first(pick(identity, "userName"), pick(issuer, "userName")),
            account=text(pick(identity, "accountId")),
            on_behalf_of=text(pick(issuer, "arn")),
            invoked_by=text(pick(identity, "invokedBy")),
        )
    }


def _outcome(record: Object) -> tuple[str, str]:
    code, message = text(pick(record, "errorCode")), text(pick(record, "errorMessage"))
    if code:
        denied = _NO_PERMISSION.search(code)
        return "denied" if denied else "failure", ": ".join(filter(None, (code, message)))
    login = text(pick(record, "responseElements", "ConsoleLogin"))
    if login and login != "Success":
        return "failure", message
    return "success", message


def _targets(record: Object) -> list[dict[str, str]]:
    resources = [
        filled(type=text(pick(resource, "type")), id=text(pick(resource, "ARN")))
        for resource in objects(pick(record, "resources"))
    ]
    for found in (
        filter(None, resources),
        _named(pick(record, "requestParameters")),
        _named(pick(record, "responseElements")),
    ):
        if targets := list(found)[:TARGETS_MAX]:
            return targets
    return []


def _named(parameters: Json) -> Iterator[dict[str, str]]:
    """What the names of parameters show to be a target: bucketName, roleArn, instancesSet ..."""
    for name, value in parameters.items() if isinstance(parameters, dict) else ():
        for part in objects(pick(value, "items")) if name.endswith("Set") else ():
            yield from _named(part)
        match = _NAMES_A_TARGET.fullmatch(name)
        if match and value and isinstance(value, str) and match[1] not in _NO_TARGETS:
            yield filled(type=match[1] or match[2] or "", id=text(value))


def _attributes(record: Object) -> Object:
    found: Object = {}
    for name in _ATTRIBUTES:
        value = pick(record, name)
        if isinstance(value, bool):
            found[name] = value
        elif shown := text(value):
            found[name] = shown
    return found
