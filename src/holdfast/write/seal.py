"""Sealing: records into the bytes of a segment, and its name. Pure.

The roots are computed only from what decompressing gave back, so that a bit that flips in between
can never be signed.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain

from holdfast.proof import ledger, merkle, names
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.regions import segment, signing
from holdfast.regions.kinds import Trailer
from holdfast.regions.signing import SigningKey

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1

_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.content_size_flag: 1,
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A segment ready to be stored.

    records: as they came back, in stored order. tenants: (tenant, count), in stored order.
    """

    name: SegmentName
    data: bytes
    records: tuple[bytes, ...]
    tenants: tuple[tuple[str, int], ...]


def encode(
    key: SigningKey,
    tag_key: bytes,
    end: LedgerEnd,
    epoch: int,
    sealed_us: int,
    groups: Mapping[str, Sequence[bytes]],
) -> Encoded:
    """Seal records into a segment.

    Args:
        key: The node's; its name is the ledger's origin.
        tag_key: The trail's secret, 32 bytes.
        end: The ledger before this segment.
        sealed_us: At or after all of the records, after everything sealed before.
        groups: The records by tenant, in order of arrival, without line ends.
    Returns:
        Bytes and name; what it says of the records is computed from what came back.
    Raises:
        MalformedError: nothing to seal, an empty record or one with a line end, or too much.
        MismatchError: `sealed_us` does not continue the ledger, or decompressing gave other bytes
            than were compressed: this machine must not be trusted with these records.
    """
    node = names.parse_ledger_origin(key.name)[1]
    hidden = sorted((*segment.hide(tag_key, each, node, end.size), each) for each in groups)
    tenants = tuple((tenant, len(groups[tenant])) for _, _, tenant in hidden)
    if not tenants or not all(count for _, count in tenants):
        raise MalformedError("a segment, and each tenant in it, has at least one record")
    grouped = chain.from_iterable([groups[tenant] for tenant, _ in tenants])
    plain = b"\n".join([*grouped, b""])
    frame = zstd.compress(plain, options=_OPTIONS)
    decoded = segment.decode_frame(frame)
    records = segment.split_lines(decoded, sum(count for _, count in tenants))
    if decoded != plain:
        raise MismatchError("decompressing gave other bytes than were compressed")
    starts = accumulate((count for _, count in tenants), initial=0)
    members = [
        segment.member_of(records[at : at + count], tag, blind)
        for (tag, blind, _), (_, count), at in zip(hidden, tenants, starts, strict=False)
    ]
    unnamed = SegmentName(
        index=end.size,
        epoch=epoch,
        first=end.first,
        count=len(records),
        tenants=len(members),
        sealed_us=sealed_us,
        root=segment.root_of(members),
        sha256=bytes(merkle.HASH_BYTES),
    )
    counts = tuple((member.tag, member.count) for member in members)
    trailer = Trailer(unnamed.unhashed, hashlib.sha256(frame).digest(), end.root, counts)
    data = frame + trailer_frame(signing.write(trailer, key.name, key))
    name = replace(unnamed, sha256=hashlib.sha256(data).digest())
    ledger.extend(end, name)
    return Encoded(name, data, records, tenants)


def trailer_frame(note: bytes) -> bytes:
    length = (len(note) + segment.LENGTH_BYTES).to_bytes(segment.LENGTH_BYTES, "little")
    return segment.TRAILER_MAGIC + length + note + length
