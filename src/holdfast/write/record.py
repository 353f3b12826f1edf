"""The event as a client sends it, and the record that is stored for it. Pure.

The order of the fields in `Sent` is the order of the fields in a record (docs/FORMAT.md).
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Encoder

from holdfast.model import Record
from holdfast.times import format_us

_encode = Encoder().encode
_UUID_RANDOM_BYTES: Final = 10

Text = str | UnsetType
Filled = Annotated[str, Meta(min_length=1)]


class Target(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    type: Text = UNSET
    id: Text = UNSET
    name: Text = UNSET


class Source(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Where a request came from. ip: any text, since sources also put names of services there."""

    ip: Filled | UnsetType = UNSET
    user_agent: Text = UNSET
    host: Text = UNSET
    service: Text = UNSET


class Trace(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    request_id: Text = UNSET
    trace_id: Text = UNSET
    session_id: Text = UNSET


class Producer(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A sender's own dense numbering, by which a loss before us shows."""

    id: Filled
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Actor(Struct, frozen=True, gc=False):
    """What is known of an actor; it may have more fields, which are kept as they are."""

    type: Text = UNSET
    id: Text = UNSET
    name: Text = UNSET


class Sent(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """An event, as sent. `Raw` parts are kept token for token; `action` alone is required.

    Decoding checks names and types of the fixed fields, nothing inside the raw parts.
    """

    id: Filled | UnsetType = UNSET
    time: Text = UNSET
    tenant: Text = UNSET
    actor: Raw | UnsetType = UNSET
    action: Filled
    targets: tuple[Target, ...] | UnsetType = UNSET
    outcome: Literal["success", "failure", "denied", "unknown"] | UnsetType = UNSET
    reason: Text = UNSET
    source: Source | UnsetType = UNSET
    trace: Trace | UnsetType = UNSET
    severity: Text = UNSET
    attributes: Raw | UnsetType = UNSET
    producer: Producer | UnsetType = UNSET
    payload_type: Filled | UnsetType = UNSET
    payload_encoding: Literal["base64"] | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET


class Admitted(Struct, frozen=True, gc=False):
    """The events of one request, all of them good. The tuples run side by side, in its order.

    tenants, ids, times: "" where none was sent.
    lines: the records up to the id (if it had none), `received` and `principal`, each a whole JSON
    object. size_bytes: of all lines, at most that of the body.
    """

    tenants: tuple[str, ...]
    ids: tuple[str, ...]
    times: tuple[str, ...]
    lines: tuple[bytes, ...]
    size_bytes: int


def finish(
    admitted: Admitted, received_us: int, principal: str, random: Callable[[int], bytes]
) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Build the records: the very bytes that are stored and hashed, without line ends.

    Args:
        admitted: from `admit`.
        received_us: when the request was taken in, µs since 1970, UTC.
        principal: who submitted it.
        random: that many unpredictable bytes.
    Returns:
        The records, and the ids in them, both in the order of the request.
    """
    end = b',"received":"%b","principal":%b}' % (
        format_us(received_us).encode(),
        _encode(principal),
    )
    missing = admitted.ids.count("")
    if not missing:
        return tuple([line[:-1] + end for line in admitted.lines]), admitted.ids
    fresh = _uuids(received_us, random(_UUID_RANDOM_BYTES * missing))
    ids = tuple([id or next(fresh) for id in admitted.ids])
    records = [
        line[:-1] + end if sent else b'{"id":"%b",%b%b' % (id.encode(), line[1:-1], end)
        for line, sent, id in zip(admitted.lines, admitted.ids, ids, strict=True)
    ]
    return tuple(records), ids


def times_of(admitted: Admitted, received_us: int) -> tuple[str, ...]:
    """When each event happened: as sent, else when it was received."""
    if "" not in admitted.times:
        return admitted.times
    received = format_us(received_us)
    return tuple([time or received for time in admitted.times])


def _uuids(time_us: int, random: bytes) -> Iterator[str]:
    """UUIDs of version 7 for one moment, one for every 10 random bytes. Source: RFC 9562, 5.7."""
    time = f"{time_us // 1000 & 0xFFFF_FFFF_FFFF:012x}"
    start, digits = f"{time[:8]}-{time[8:]}-7", random.hex()
    for at in range(0, len(digits), 2 * _UUID_RANDOM_BYTES):
        variant = "89ab"[int(digits[at + 3], 16) & 3]
        yield (
            f"{start}{digits[at : at + 3]}-{variant}{digits[at + 4 : at + 7]}"
            f"-{digits[at + 7 : at + 19]}"
        )
