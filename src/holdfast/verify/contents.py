"""What a segment holds inside: its records under their tenants, and in their time. Pure.

The rules are `proof.segment`'s. Only whose each record is, which takes it most of its time, is read
here by a faster parser first, and by `proof` itself wherever the two could differ.
"""

import json
import re
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from holdfast.proof import MalformedError, MismatchError
from holdfast.proof.names import SegmentName, parse_ledger_origin
from holdfast.proof.note import VerifierKey
from holdfast.regions import segment
from holdfast.regions.segment import Opened
from holdfast.times import MAX_US, format_us
from holdfast.verify.expect import SEEN_ACTION, Kept, seen_in

_TIMES = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)*", re.ASCII)
_TIME_CHARS = 27
# A name in a record that is not written as itself holds one of these: no letter of "tenant" or
# "received" has another form.
_ESCAPED_LETTER = re.compile(rb"\\u00[67]")
_SEEN = f'"{SEEN_ACTION}"'.encode()


class _Stub(Struct, gc=False, frozen=True):
    received: str
    tenant: str | UnsetType = UNSET


_STUBS = msgspec.json.Decoder(_Stub)


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
    stubs = _read_stubs(opened.records)
    tenants = _tenants_of(opened, stubs)
    segment.verify_tenants(opened, tag_key, parse_ledger_origin(node_key.name)[1], tenants)
    _check_times(opened.name, [received for received, _ in stubs], after_us)
    seen = [record for record in opened.records if _SEEN in record]
    return tuple(seen_in(seen, f"segment {opened.name.index} of {node_key.name}"))


def _read_stubs(records: Sequence[bytes]) -> list[tuple[str, str]]:
    """(received, tenant) of each record.

    The fast parser is as strict as `json`, but for UTF-8, and takes the last of two equal names. So
    it is believed where the text is UTF-8, each line is one object, and no name can be there twice;
    a record for which the last is not sure is read again by the slow one.
    """
    lines = b"\n".join(records)
    try:
        lines.decode()
        stubs = _STUBS.decode_lines(lines)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        return [_read_slowly(line, record) for line, record in enumerate(records)]
    # A value cannot go on over a boundary like this one, so that each line holds one, if as many
    # values as lines were found.
    ends = lines.count(b'}\n{"') + lines.startswith(b'{"') + lines.endswith(b"}")
    if len(stubs) != len(records) or ends != len(records) + 1:
        return [_read_slowly(line, record) for line, record in enumerate(records)]
    read = [(s.received, "" if s.tenant is UNSET else s.tenant) for s in stubs]
    named = len(stubs) - sum(s.tenant is UNSET for s in stubs)
    if (
        lines.count(b'"tenant"') == named
        and lines.count(b'"received"') == len(stubs)
        and not _ESCAPED_LETTER.search(lines)
    ):
        return read
    return [
        each if _is_plain(record, stub) else _read_slowly(line, record)
        for line, (record, stub, each) in enumerate(zip(records, stubs, read, strict=True))
    ]


def _is_plain(record: bytes, stub: _Stub) -> bool:
    """Whether neither name can be in the record a second time."""
    return (
        record.count(b'"tenant"') == (stub.tenant is not UNSET)
        and record.count(b'"received"') == 1
        and not _ESCAPED_LETTER.search(record)
    )


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


def _tenants_of(opened: Opened, stubs: Sequence[tuple[str, str]]) -> list[str]:
    """The tenant of each group; the records of a group must have the same."""
    at, tenants = 0, []
    for _, count in opened.trailer.tenants:
        own = stubs[at][1]
        for line in range(at, at + count):
            if stubs[line][1] != own:
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
