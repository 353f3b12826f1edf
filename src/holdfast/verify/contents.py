"""What a segment holds inside: its records under their tenants, and in their time. Pure.

The rules are `proof.segment`'s. Only whose each record is, which takes it most of its time, is read
here by a faster parser first, and by `proof` itself wherever the two could differ.
"""

import json
import re
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from holdfast.proof import MalformedError, MismatchError
from holdfast.proof.names import SegmentName, parse_ledger_origin
from holdfast.proof.note import VerifierKey
from holdfast.regions import segment
from holdfast.regions.segment import Opened
from holdfast.times import MAX_US, format_us
from holdfast.verify.expect import SEEN_ACTION, Kept, seen_in

_TIMES = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)*", re.ASCII)
_TIME_CHARS = 27
_SEEN = f'"{SEEN_ACTION}"'.encode()
_Field = Raw | UnsetType


class _Line(Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    """A record's fields in the order in which they are written, each as it stands there."""

    id: _Field = UNSET
    time: _Field = UNSET
    tenant: _Field = UNSET
    actor: _Field = UNSET
    action: _Field = UNSET
    targets: _Field = UNSET
    outcome: _Field = UNSET
    reason: _Field = UNSET
    source: _Field = UNSET
    trace: _Field = UNSET
    severity: _Field = UNSET
    attributes: _Field = UNSET
    producer: _Field = UNSET
    payload_type: _Field = UNSET
    payload_encoding: _Field = UNSET
    payload: _Field = UNSET
    received: _Field = UNSET
    principal: _Field = UNSET


_LINES = msgspec.json.Decoder(_Line)
_WRITER = msgspec.json.Encoder()
_STRING = msgspec.json.Decoder(str)


def check_contents(
    opened: Opened, node_key: VerifierKey, tag_key: bytes, after_us: int
) -> tuple[Kept, ...]:
    """Check the records of a segment that its name, its node and its bytes agree on.

    Args:
        node_key: The node's, under its ledger's origin.
        tag_key: The trail's secret, 32 bytes.
        after_us: What is known to be before the first record: the segment before was sealed then.
    Returns:
        What the node wrote down there of other ledgers.
    Raises:
        ProofError: naming the line.
    """
    lines = b"\n".join((*opened.records, b""))
    received, whose = _read(lines)
    tenants = _tenants_of(opened, whose)
    segment.verify_tenants(opened, tag_key, parse_ledger_origin(node_key.name)[1], tenants)
    _check_times(opened.name, received, after_us)
    if _SEEN not in lines:
        return ()
    seen = [record for record in opened.records if _SEEN in record]
    return tuple(seen_in(seen, f"segment {opened.name.index} of {node_key.name}"))


def _read(lines: bytes) -> tuple[list[str], list[str]]:
    """When each record was received, and whose it is. lines: as they are stored.

    The fast parser is as strict as `json`, but for UTF-8, and takes the last of two equal names. So
    it is believed where writing what it read gives the very same text: then each line is one
    object, without a name that is there twice. All else is read by the slow one.
    """
    try:
        if not lines.isascii():  # which is known ten times sooner
            lines.decode()
        found = _LINES.decode_lines(lines)
        if _WRITER.encode_lines(found) == lines:
            return _times(found), _tenants(found)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        pass
    slowly = [_read_slowly(line, record) for line, record in enumerate(lines.split(b"\n")[:-1])]
    return [received for received, _ in slowly], [tenant for _, tenant in slowly]


def _times(found: Sequence[_Line]) -> list[str]:
    """As strings of JSON; raises MsgspecError for what is none."""
    return msgspec.json.decode(
        b"[%b]" % b",".join([bytes(each.received or b"null") for each in found]), type=list[str]
    )


def _tenants(found: Sequence[_Line]) -> list[str]:
    """The same; few texts, many times each."""
    raw = [bytes(each.tenant or b'""') for each in found]
    read = {text: _STRING.decode(text) for text in set(raw)}
    return [read[text] for text in raw]


def _read_slowly(line: int, record: bytes) -> tuple[str, str]:
    try:
        tenant = segment.tenant_of(record)
    except MalformedError as error:
        raise MalformedError(f"line {line}: {error}") from error
    pairs = json.loads(record, object_pairs_hook=tuple, parse_int=len, parse_float=len)
    times = [value for key, value in pairs if key == "received"]
    if len(times) != 1 or not isinstance(times[0], str):
        raise MalformedError(f"line {line}: when it was received is not one string")
    return times[0], tenant


def _tenants_of(opened: Opened, whose: Sequence[str]) -> list[str]:
    """The tenant of each group; the records of a group must have the same."""
    at, tenants = 0, []
    for _, count in opened.trailer.tenants:
        own = whose[at]
        group = whose[at : at + count]
        if group != [own] * count:
            line = at + next(n for n, each in enumerate(group) if each != own)
            raise MismatchError(f"line {line}: its tenant is another than that of its group")
        tenants.append(own)
        at += count
    return tenants


def _check_times(name: SegmentName, received: Sequence[str], after_us: int) -> None:
    """All in (after_us, sealed_us]. Times in their one form compare as texts do."""
    after, until = (format_us(min(us, MAX_US)) for us in (after_us, name.sealed_us))
    is_formed = _TIMES.fullmatch("".join(received)) and {*map(len, received)} == {_TIME_CHARS}
    if is_formed and after < min(received) and max(received) <= until:
        return
    for line, text in enumerate(received):
        if len(text) != _TIME_CHARS or not _TIMES.fullmatch(text):
            raise MalformedError(f"line {line}: when it was received is not a time of ours")
        if not after < text <= until:
            raise MismatchError(
                f"line {line}: received at {text}, and its segment holds what was received after "
                f"{after} and up to {until}"
            )
