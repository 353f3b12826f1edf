"""SEND: the HTTP client. It needs the standard library alone, so an application can carry it."""

from holdfast.client.bulk import BulkLimits, CutShortError, Delivered, Outgoing, Refusal, send_all
from holdfast.client.client import Acknowledged, Client, with_id
from holdfast.client.errors import (
    ClientError,
    NotAcknowledgedError,
    RefusedError,
    UnreachableError,
)
from holdfast.client.retry import Patience
from holdfast.client.transport import Endpoint

__all__ = [
    "Acknowledged",
    "BulkLimits",
    "Client",
    "ClientError",
    "CutShortError",
    "Delivered",
    "Endpoint",
    "NotAcknowledgedError",
    "Outgoing",
    "Patience",
    "Refusal",
    "RefusedError",
    "UnreachableError",
    "send_all",
    "with_id",
]
